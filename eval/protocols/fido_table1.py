"""FIDO's Table 1 and Figures 8 and 10, with the explainers of all four papers.

    python -m eval.run fido-table1 --data-dir DATA --out runs/table1

The map of the true class, whether it is predicted or not. Masks (FIDO, BBMP, extremal
perturbation, Realtime, the fixed boxes) are cut at one half; maps without a scale at alpha times
their mean, alpha found on the other half of the pictures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eval import scores
from eval.explainers import explainers
from eval.protocols.fido_published import TABLE1, table1_claims
from eval.protocols.photos import class_index
from eval.runner import conduct
from eval.study import Study, StudyRow
from eval.subject import StudyRun, Subject, load_subject
from fidojax.core import COMPONENTS, EMPTY, check_name
from fidojax.metrics import KERNELS
from fidojax.presets import PRESETS
from fidojax.runs import digest
from infillers import make_infill

METHODS = (
    "random", "max_box", "center_box", "object_box",
    "gradient", "deconvnet", "grad_cam", "deeplift", "integrated_gradients", "smoothgrad_squared",
    "rise", "extremal_perturbation", "varsal", "realtime", "realtime-0", "fido", "bbmp",
)  # fmt: skip
NUMBERS = (
    "error", "metric", "outside", "deletion50", "deletion90", "learned deletion50",
    "learned deletion90", "kl50", "insertion50", "components", "border", "spread",
)  # fmt: skip


def fido_table1(
    run: StudyRun,
    methods: tuple[str, ...] = METHODS,
    infill: tuple[str, ...] = ("mean", "blur", "random", "local", "vae", "ca"),
    bbmp_infill: tuple[str, ...] = ("blur", "random"),
    preset: str = "fast",
    encoder: str | None = None,
    masker: str | None = None,
    paper_infill: tuple[str, ...] = (),
    bbmp_lam: tuple[float, ...] = (),
    deletion: str = "mean",
    insertion: bool = False,
    learned: str = "ca",
    learned_limit: int = 100,
    first: tuple[str, ...] = (),
    empty: str = "image",
    component: str = "all",
    interpolation: str = "linear",
    tolerance: float = 0.0,
) -> None:
    """FIDO Table 1, Figures 8 and 10: every explainer by where its map lies and what it explains.

    Args:
        run: where and on what.
        methods: rows, names in `eval.explainers`.
        infill: names of infillers for FIDO, a row each; with a preset that holds a region,
            NAME+NAME makes a row of both.
        bbmp_infill: the same for BBMP.
        preset: of FIDO, a name in `fidojax.presets.PRESETS`.
        paper_infill: infillers for further rows of FIDO with the paper's constants, such as
            fido-mean@paper.
        bbmp_lam: weights of the region's size for further rows of BBMP, such as bbmp-blur@0.001,
            the weight of the paper's Figure 10.
        encoder: of VarSal, as `fidojax.networks.load_encoder` takes it; the classifier's when None.
        masker: of Realtime, as `load_masker` takes it; the classifier's when None.
        deletion: infiller of the deletion curves.
        insertion: also measure insertion curves.
        learned: the infiller that stands for the paper's CA, in its claims and in Figure 10's
            deletion.
        learned_limit: the first pictures also have deletion curves with that infill; 0: none.
        first: ROW=N, a row that explains the first N pictures only.
        empty: box of a map that chooses no pixel: image or none.
        component: pixels that the box holds: all, or the largest connected component.
        interpolation: of the saliency metric's crops: linear or cubic.
        tolerance: of the pointing game, in pixels.
    """
    check_name("empty", empty, EMPTY)
    check_name("component", component, COMPONENTS)
    check_name("interpolation", interpolation, KERNELS)
    if learned_limit and learned == deletion:
        raise ValueError(f"learned: expected another infiller than {deletion}, that of deletion")
    rows = explainers(
        methods, {"fido": infill, "bbmp": bbmp_infill}, preset, run.classifier,
        encoder=encoder, masker=masker,
    )  # fmt: skip
    rows |= _variants(paper_infill, bbmp_infill, bbmp_lam)
    for row, count in _limits(first, rows).items():
        rows[row] = rows[row]._replace(limit=count, why=f"{rows[row].why}, first {count} pictures")
    fill = make_infill(deletion)
    kinds = {
        "place": scores.place(
            empty=empty, component=component, interpolation=interpolation, tolerance=tolerance
        ),
        f"order-{deletion}": scores.order(fill, f"{deletion} {digest(fill)}", insertion=insertion),
        "erased": scores.erased(),
        "pieces": scores.pieces(),
        "shape": scores.shape(),
    }
    if learned_limit:
        drawn = make_infill(learned, "learned")
        kinds[f"order-{learned}"] = scores.order(
            drawn, f"{learned} {digest(drawn)}", limit=learned_limit, prefix="learned "
        )
    numbered = None if run.data.startswith("tfds:") else class_index
    subject = load_subject(run, boxes=True, otherwise=numbered)
    known = {key for kind in kinds.values() for key in kind.numbers}
    study = Study(
        name="fido-table1",
        title="FIDO Table 1, Figures 8 and 10",
        reference="Chang et al. 2019, Explaining Image Classifiers by Counterfactual Generation",
        about=(
            "Where maps lie (WSL error, saliency metric, share outside the box) and whether their "
            "order is the classifier's (pixels to delete until half and nine tenths of the "
            "log-odds are gone; divergence of all probabilities when the lower half is black). "
            "Maps are of the true class, predicted or not."
        ),
        rows=rows,
        scores=kinds,
        numbers=[key for key in (*NUMBERS, "size", "gini") if key in known],
        claims=table1_claims(learned, list(rows)),
        published={
            row: {"error": error, "metric": metric} for row, (error, metric) in TABLE1.items()
        },
        reading=_reading(subject),
        deviations=_deviations(subject, preset, deletion, learned, learned_limit),
        gallery="metric",
        gallery_rows=[
            row for row in (f"fido-{learned}", "fido-mean", "realtime", "grad_cam") if row in rows
        ],
    )
    chosen: Mapping[str, Any] = {
        "methods": methods, "infill": infill, "bbmp_infill": bbmp_infill, "preset": preset,
        "paper_infill": paper_infill, "bbmp_lam": bbmp_lam, "deletion": deletion,
        "learned": learned, "learned_limit": learned_limit,
    }  # fmt: skip
    conduct(study, run, subject, chosen)


def _variants(
    paper_infill: Sequence[str], bbmp_infill: Sequence[str], bbmp_lam: Sequence[float]
) -> dict[str, StudyRow]:
    """FIDO with the paper's constants, and BBMP with other weights of the region's size."""
    rows = {
        f"fido-{fill}@paper": StudyRow(
            "fido", PRESETS["paper"] | {"infill": make_infill(fill)}, "FIDO", "preset paper",
            "absolute",
        )
        for fill in paper_infill
    }  # fmt: skip
    return rows | {
        f"bbmp-{fill}@{lam:g}": StudyRow(
            "bbmp", {"infill": make_infill(fill), "lam": lam}, "BBMP", f"lam {lam:g}", "absolute"
        )
        for fill in bbmp_infill
        for lam in bbmp_lam
    }


def _reading(subject: Subject) -> list[str]:
    """What to know of these pictures' boxes, and of the numbers."""
    height, width, _ = subject.model.size
    areas = []
    for boxes in subject.drawn.boxes:
        inside = np.zeros((height, width), bool)
        for top, left, bottom, right in np.asarray(boxes, int).reshape(-1, 4):
            inside[top:bottom, left:right] = True
        areas.append(inside.mean())
    return [
        f"The true boxes fill {np.mean(areas):.0%} of a picture on average, and at least half of "
        f"{np.mean(np.array(areas) >= 0.5):.0%} of the pictures, where the whole picture is "
        "nearly a hit: there WSL error says little about a map's sharpness.",
        "A low saliency metric asks for a small box that the network still reads, not for the "
        "object.",
        "A map without a pixel above its threshold has the whole picture as its box.",
        "Components, border and spread are of masks alone, of their region above one half.",
    ]


def _deviations(
    subject: Subject, preset: str, deletion: str, learned: str, learned_limit: int
) -> list[str]:
    height, width, _ = subject.model.size
    evaluations = {"fast": "240 evaluations", "hold": "one constraint instead of a weight, cut at "
                   "one half"}  # fmt: skip
    found = [
        f"{len(subject.drawn.ids)} pictures of {height} x {width} and {subject.model.name}, not "
        "ImageNet's 50,000 and ResNet-50: values do not compare with the paper's, orderings may.",
    ]
    if preset != "paper":
        what = f" ({evaluations[preset]})" if preset in evaluations else ""
        found.append(f"FIDO with the preset {preset}{what}, not the paper's 2400 evaluations, but "
                     "for rows @paper.")  # fmt: skip
    if learned_limit:
        found.append(
            f"Deletion is judged with {deletion} infill on all pictures, with {learned} in the "
            f"place of the paper's CA-GAN on the first {learned_limit}."
        )
    return [
        *found,
        "All pictures, where the paper's deletion curves take those that are classified right.",
    ]


def _limits(first: tuple[str, ...], rows: Mapping[str, StudyRow]) -> dict[str, int]:
    found = {}
    for text in first:
        name, _, count = text.rpartition("=")
        check_name("first", name, rows)
        if not count.isdecimal() or int(count) < 2:
            raise ValueError(f"first: expected ROW=N with N at least 2, got {text!r}")
        found[name] = int(count)
    return found
