r"""Sanity check of any explainer: does its map change as the classifier forgets what it learned?

    python -m eval.run sanity-cascade --data-dir DATA --out runs/cascade
    python -m eval.run sanity-cascade --data-dir DATA --out runs/cascade_mnist \
        --classifier mnist --data tfds:mnist/test --methods gradient fido

After Adebayo et al. 2018: the classifier's layers are drawn anew from the top down, each on top of
those before, and each method explains the class that the trained classifier reads. A map that stays
as it was does not depend on what has been learned.

The ceiling is another seed of the method with no layer drawn anew; the floor, below which no map
needs to fall, are the trained classifier's maps of other pictures. Structural similarity is that of
absolute values, each map brought to [0, 1]. VarSal, which must be trained again for each
classifier, has a protocol of its own, `varsal-sanity`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.explainers import Setting, settings
from eval.protocols.sanity_cascade.figures import by_level, floor_of, one_picture
from eval.protocols.sanity_cascade.likeness import Measure, classes, likeness
from eval.protocols.varsal.randomise import cascade, levels_of
from eval.report.reading import StoredRun
from eval.runner import conduct
from eval.study import Claim, Study, StudyRow
from eval.subject import StudyRun, defaults, load_subject
from fidojax import networks
from fidojax.core import check_count, check_name

METHODS = (
    "gradient", "input_x_gradient", "integrated_gradients", "deconvnet", "guided_backprop",
    "grad_cam", "deeplift", "fido",
)  # fmt: skip
MEASURES = {
    "spearman": Measure("Spearman", "spearman"),
    "absolute": Measure("Spearman, absolute", "spearman", "absolute"),
    "ssim": Measure("SSIM, absolute", "ssim", "absolute"),
}
TRAINED = "trained"
DEFAULTS = defaults(limit=50)


def sanity_cascade(
    run: StudyRun = DEFAULTS,
    methods: tuple[str, ...] = METHODS,
    levels: tuple[int, ...] = (1, 2, 4, 8),
    fido_steps: int = 30,
) -> None:
    """Adebayo et al. 2018: maps of a classifier whose layers are drawn anew from the top.

    Args:
        run: where and on what; the classifier is a name in `fidojax.networks.SHIPPED`.
        methods: rows of `eval.explainers.settings`.
        levels: how many layers are drawn anew; none and all are always there.
        fido_steps: steps of FIDO, which is the preset `fast` otherwise.
    """
    check_name("classifier", run.classifier, networks.SHIPPED)
    check_count(fido_steps=fido_steps)
    known = settings()
    for method in methods:
        check_name("methods", method, known)
    of = load_subject(run)
    trained = networks.load(run.classifier, run.weights).classifier
    depth, network = cascade(run.classifier, run.weights, trained, run.seed)
    titles = levels_of(levels, depth)
    rows: dict[str, StudyRow] = {}
    lines: dict[str, dict[str, str]] = {}
    for method in methods:
        options = _options(known[method], fido_steps)
        reference = f"{method} {TRAINED}"
        row = StudyRow(known[method].method, options, method, like=reference, targets="prediction")
        rows[reference] = row
        lines[method] = {title: f"{method} {title}" for title in titles}
        for title, count in titles.items():
            changed = network(count) if count else None
            rows[lines[method][title]] = row._replace(classifier=changed, seed=1)
    kinds = {"likeness": likeness(MEASURES), "classes": classes()}

    def figures(found: StoredRun, folder: Path) -> None:
        by_level(folder / "cascade.png", found, lines, [*MEASURES])
        shown = {method: {TRAINED: f"{method} {TRAINED}"} | lines[method] for method in methods}
        one_picture(folder / "levels.png", found, shown)

    study = Study(
        name="sanity-cascade",
        title="Cascading randomisation (Adebayo et al. 2018)",
        reference="Adebayo et al. 2018, Sanity Checks for Saliency Maps",
        about=(
            f"Of the classifier's {depth} layers {', '.join(map(str, titles.values()))} are drawn "
            "anew, from the top. Every method explains the class that the trained classifier "
            "reads; its maps are compared with those of the trained classifier."
        ),
        rows=rows,
        scores=kinds,
        numbers=[key for kind in kinds.values() for key in kind.numbers],
        claims=[
            Claim(lines[method][last], lines[method][first], key, "the map changes")
            for method in methods
            for first, last in [(next(iter(titles)), [*titles][-1])]
            for key in MEASURES
        ],
        reading=(
            "The rows of the trained classifier with no layer drawn anew and another seed are the "
            "ceiling. Above other pictures: less the agreement of the trained classifier's maps "
            "of two pictures, the floor. A constant map has no number.",
        ),
        gallery="spearman",
        gallery_rows=[lines[method][[*titles][-1]] for method in methods],
        tables=lambda found: {"Maps of other pictures, the floor": _floors(found, lines)},
        figures=figures,
    )
    conduct(study, run, of, {"methods": methods, "levels": levels, "fido_steps": fido_steps})


def _floors(run: StoredRun, lines: Mapping[str, Mapping[str, str]]) -> list[dict[str, str]]:
    return [
        {"method": method}
        | {
            measure.label: floor_of(run, key, f"{method} {TRAINED}").text(2)
            for key, measure in MEASURES.items()
        }
        for method in lines
    ]


def _options(setting: Setting, fido_steps: int) -> Mapping[str, Any]:
    steps = {"steps": fido_steps} if setting.method == "fido" else {}
    return {**setting.options, **steps}
