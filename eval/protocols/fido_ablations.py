"""FIDO's ablations and its Table 2: the same pictures under several values of one setting.

    python -m eval.run fido-lambda --data-dir DATA --out runs/lambda --limit 24

Every protocol measures the same numbers: size and place of the region, how much of it must be
deleted, and how alike the map is to that of one of the rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from eval import scores
from eval.protocols.ablation_tables import BREAK, FACTOR, breaks, factors
from eval.protocols.fido_published import TABLE2, table2_claims
from eval.report.reading import StoredRun
from eval.runner import conduct
from eval.study import Claim, Study, StudyRow, Table
from eval.subject import StudyRun, load_subject
from fidojax import networks
from fidojax.core import check_count, check_name
from fidojax.data import boxes_of
from fidojax.presets import PRESETS
from fidojax.runs import digest
from fidojax.transforms.cpu import fast
from infillers import make_infill

REFERENCE = "Chang et al. 2019, Explaining Image Classifiers by Counterfactual Generation"
PIECES = ("components", "border", "spread")
ARTEFACTS = ("outside", "components", "border")
"""The paper's own measure of artefacts (section 4.3), and how much the region is in pieces."""
NUMBERS = (
    "size", "entropy", "error", "metric", "outside", "deletion50", *PIECES, "spearman", "pearson",
)  # fmt: skip
DEVIATIONS = (
    "64 x 64 pictures of 40 classes and the shipped networks, not ImageNet and ResNet-50.",
)


def fido_objectives(
    run: StudyRun, infill: tuple[str, ...] = ("mean", "ca"), preset: str = "fast"
) -> None:
    """FIDO Figure 6: SDR and SSR, each with a heuristic and with the paper's infill.

    Args:
        run: where and on what.
        infill: of FIDO.
        preset: a name in `fidojax.presets.PRESETS`.
    """
    rows = {
        f"{objective} {fill}": fido_row(fill, preset, objective=objective, like=f"ssr {fill}")
        for objective in ("ssr", "sdr")
        for fill in infill
    }
    sweep(
        run,
        "fido-objectives",
        "FIDO Figure 6: SDR and SSR",
        "The same pictures under both objectives. SDR's map is the probability to be dropped. "
        "Likeness is to SSR's maps.",
        rows,
        {"infill": infill, "preset": preset},
        claims=[
            Claim(f"ssr {fill}", f"sdr {fill}", key, "Figure 6")
            for key in ARTEFACTS
            for fill in infill
        ],
    )


def fido_tv(
    run: StudyRun,
    tv: tuple[float, ...] = (0.0, 1e-3, 1e-2, 1e-1),
    infill: tuple[str, ...] = ("mean", "ca"),
    preset: str = "fast",
) -> None:
    """FIDO Figure 15 (A.4): total variation smooths the map.

    Args:
        run: where and on what.
        tv: weights of the sum over pixels; the paper's is 0.01.
        infill: of FIDO.
        preset: a name in `fidojax.presets.PRESETS`.
    """
    sweep(
        run,
        "fido-tv",
        "FIDO Figure 15 (A.4): weight of the total variation",
        "The same pictures under several weights of the map's total variation. Likeness is to the "
        "first weight's maps.",
        _rows(infill, "tv", tv, tv[0], preset),
        {"tv": tv, "infill": infill, "preset": preset},
        claims=[
            Claim(f"{fill} {more:g}", f"{fill} {tv[0]:g}", key, "Figure 15")
            for fill in infill
            for more in tv[1:]
            for key in ARTEFACTS
        ],
    )


def fido_seeds(
    run: StudyRun,
    seeds: int = 4,
    infill: tuple[str, ...] = ("mean", "ca"),
    preset: str = "fast",
) -> None:
    """FIDO Figure 14 (A.3): other seeds give nearly the same map.

    Args:
        run: where and on what.
        seeds: number of seeds.
        infill: of FIDO.
        preset: a name in `fidojax.presets.PRESETS`.
    """
    check_count(seeds=seeds)
    sweep(
        run,
        "fido-seeds",
        "FIDO Figure 14 (A.3): seeds",
        "The same pictures with other masks drawn. Likeness is to the first seed's maps.",
        _rows(infill, "seed", range(seeds), 0, preset),
        {"seeds": seeds, "infill": infill, "preset": preset},
    )


def fido_upsampling(
    run: StudyRun,
    size: tuple[int, ...] = (4, 8, 16, 32, 64),
    infill: tuple[str, ...] = ("mean", "ca"),
    preset: str = "fast",
) -> None:
    """FIDO Figure 13 (A.2): a finer map finds artefacts with mean infill, fewer with CA.

    Args:
        run: where and on what.
        size: sides of the map before it is upsampled; the paper's choice is a quarter, 56 of 224.
        infill: of FIDO.
        preset: a name in `fidojax.presets.PRESETS`.
    """
    sweep(
        run,
        "fido-upsampling",
        "FIDO Figure 13 (A.2): side of the optimised map, TV 0",
        "The same pictures with maps of several sides before upsampling. Likeness is to the "
        "middle side's maps.",
        _rows(infill, "size", size, size[len(size) // 2], preset, tv=0.0),
        {"size": size, "infill": infill, "preset": preset},
        claims=[
            Claim(f"{fill} {size[len(size) // 2]:g}", f"{fill} {finer:g}", key, "Figure 13")
            for fill in infill
            for finer in size[len(size) // 2 + 1 :]
            for key in ARTEFACTS
        ],
    )


def fido_batch(
    run: StudyRun,
    samples: tuple[int, ...] = (1, 2, 4, 8, 16),
    infill: tuple[str, ...] = ("mean",),
    preset: str = "paper",
    steps: int = 100,
) -> None:
    """FIDO Figure 17 (A.6): fewer than four masks per step give noisy maps.

    Args:
        run: where and on what.
        samples: masks per step.
        infill: of FIDO.
        preset: a name in `fidojax.presets.PRESETS`; `fast` draws masks in pairs.
        steps: of the optimiser; the paper has 300.
    """
    sweep(
        run,
        "fido-batch",
        "FIDO Figure 17 (A.6): masks per step",
        "The same pictures with more and fewer masks per step. Likeness is to the most masks.",
        _rows(infill, "samples", samples, max(samples), preset, steps=steps),
        {"samples": samples, "infill": infill, "preset": preset, "steps": steps},
        claims=[
            Claim(f"{fill} {BREAK}", f"{fill} {fewer}", key, "Figure 17")
            for fill in infill
            for fewer in samples
            if fewer < BREAK <= max(samples)
            for key in ("components", "border", "deletion50")
        ],
        tables=lambda stored: {f"Is there a break at {BREAK}?": breaks(stored, infill, samples)},
    )


def fido_lambda(
    run: StudyRun,
    lam: tuple[float, ...] = (5e-4, 1e-3, 2e-3, 5e-3),
    infill: tuple[str, ...] = ("ca",),
    bbmp_infill: tuple[str, ...] = ("blur", "random"),
    preset: str = "fast",
) -> None:
    """FIDO Figure 12 (A.1): a larger weight of the region's size leaves a smaller region.

    Args:
        run: where and on what.
        lam: weights of the sum over pixels.
        infill: of FIDO.
        bbmp_infill: of BBMP.
        preset: of FIDO, a name in `fidojax.presets.PRESETS`.
    """
    kinds = {f"fido-{fill}": partial(fido_row, fill, preset) for fill in infill}
    kinds |= {f"bbmp-{fill}": partial(bbmp_row, fill) for fill in bbmp_infill}
    rows = {
        f"{kind} {value:g}": make(lam=value, like=f"{kind} {lam[0]:g}")
        for kind, make in kinds.items()
        for value in lam
    }
    steps = zip(sorted(lam)[1:], sorted(lam)[:-1], strict=True)
    claims = [
        Claim(f"{kind} {more:g}", f"{kind} {less:g}", "size", "Figure 12")
        for more, less in steps
        for kind in kinds
    ]
    claims += [
        Claim(f"fido-{fill} {value:g}", f"bbmp-{other} {FACTOR * value:g}", key, "A.1")
        for fill in infill
        for other in bbmp_infill
        for value in lam
        if f"bbmp-{other} {FACTOR * value:g}" in rows
        for key in PIECES
    ]
    sweep(
        run,
        "fido-lambda",
        "FIDO Figure 12 (A.1): weight of the region's size",
        "The same pictures under several weights. The region must shrink as the weight grows. "
        "Likeness is to the first weight's maps.",
        rows,
        {"lam": lam, "infill": infill, "bbmp_infill": bbmp_infill, "preset": preset},
        claims=claims,
        size="low",
        tables=partial(_factor_table, infill=infill, bbmp_infill=bbmp_infill, lam=lam),
    )


def _factor_table(
    stored: StoredRun, infill: Sequence[str], bbmp_infill: Sequence[str], lam: Sequence[float]
) -> Mapping[str, Table]:
    lines = factors(stored, infill, bbmp_infill, [each for each in sorted(lam) if each > 0])
    return {"Weight at which BBMP's region is as large as FIDO's": lines} if lines else {}


def fido_networks(
    run: StudyRun,
    others: tuple[str, ...],
    infill: tuple[str, ...] = ("mean", "ca"),
    preset: str = "fast",
) -> None:
    """FIDO Figure 9: maps of the same pictures for several networks.

    The pictures are those whose class the first network predicts. All networks take pictures of its
    size and have its classes.

    Args:
        run: where and on what; its classifier is the first network.
        others: further ones, as `fidojax.networks.load` takes them: NAME, or NAME=FILE with other
            weights.
        infill: of FIDO.
        preset: a name in `fidojax.presets.PRESETS`.
    """
    first = networks.load(run.classifier, run.weights)
    title = run.classifier.removeprefix("keras:")
    own = {fill: f"{title} {fill}" for fill in infill}
    rows = {own[fill]: fido_row(fill, preset, like=own[fill]) for fill in infill}
    for text in others:
        name, _, weights = text.partition("=")
        other = networks.load(name, weights or None)
        if (other.size, len(other.labels)) != (first.size, len(first.labels)):
            raise ValueError(
                f"others: {text} takes pictures of {other.size} and has {len(other.labels)} "
                f"classes, expected {first.size} and {len(first.labels)} as {run.classifier} has"
            )
        title = " ".join((name.removeprefix("keras:"), Path(weights).stem)).strip()
        changed = {"classifier": fast(other.classifier), "group": name}
        rows |= {
            f"{title} {fill}": fido_row(fill, preset, like=own[fill])._replace(**changed)
            for fill in infill
        }
    sweep(
        run,
        "fido-networks",
        "FIDO Figure 9: several networks",
        "The same pictures and classes, explained for several networks. Each map is judged by the "
        "network that it explains; likeness is to the first network's maps.",
        rows,
        {"others": others, "infill": infill, "preset": preset},
    )


def fido_table2(
    run: StudyRun,
    tau: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0),
    infill: tuple[str, ...] = ("blur", "random", "ca"),
    bbmp_infill: tuple[str, ...] = ("blur", "random"),
    preset: str = "fast",
) -> None:
    """FIDO Table 2 and Figure 18: no threshold makes BBMP with CA infill as good as FIDO-CA.

    BBMP optimises one soft mask; a generative infiller must be told which pixels are there: those
    whose mask is at least tau.

    Args:
        run: where and on what.
        tau: thresholds above which BBMP's infiller sees a pixel.
        infill: of FIDO.
        bbmp_infill: of BBMP with infills that need no threshold.
        preset: of FIDO, a name in `fidojax.presets.PRESETS`.
    """
    like = "fido-ca" if "ca" in infill else f"fido-{infill[-1]}"
    box = StudyRow("object_box", {}, "controls", cut="absolute", each=boxes_of, like=like)
    rows = {"object_box": box}
    rows |= {f"bbmp-{fill}": bbmp_row(fill, like=like) for fill in bbmp_infill}
    rows |= {f"bbmp-ca {value:g}": bbmp_row("ca", threshold=value, like=like) for value in tau}
    rows |= {f"fido-{fill}": fido_row(fill, preset, like=like) for fill in infill}
    sweep(
        run,
        "fido-table2",
        "FIDO Table 2 and Figure 18: BBMP with generative infill",
        "BBMP shows its infiller the pixels whose mask is at least tau; FIDO draws hard masks.",
        rows,
        {"tau": tau, "infill": infill, "bbmp_infill": bbmp_infill, "preset": preset},
        claims=table2_claims([name for name in rows if name.startswith("bbmp")]),
        published={row: {"error": e, "metric": m} for row, (e, m) in TABLE2.items()},
        deletion="ca",
        right=False,
    )


def fido_row(infill: str, preset: str, *, like: str, **options: Any) -> StudyRow:
    """FIDO with one infiller and the options that a sweep sets; `like` as in `StudyRow`."""
    check_name("preset", preset, PRESETS)
    changed = ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in options.items()
    )
    seed = options.pop("seed", 0)
    options = PRESETS[preset] | options | {"infill": make_infill(infill)}
    return StudyRow("fido", options, f"FIDO-{infill}", changed, "absolute", seed=seed, like=like)


def bbmp_row(infill: str, *, like: str, **options: Any) -> StudyRow:
    """FIDO's authors' BBMP with one infiller and the options that a sweep sets."""
    changed = ", ".join(f"{name} {value:g}" for name, value in options.items())
    options |= {"infill": make_infill(infill)}
    return StudyRow("bbmp", options, f"BBMP-{infill}", changed, "absolute", like=like)


def _rows(
    infill: Sequence[str],
    option: str,
    values: Iterable[float],
    reference: float,
    preset: str,
    **fixed: Any,
) -> dict[str, StudyRow]:
    """A row of FIDO for each infiller and value of one option; likeness is to `reference`."""
    return {
        f"{fill} {value:g}": fido_row(
            fill, preset, **{option: value}, **fixed, like=f"{fill} {reference:g}"
        )
        for fill in infill
        for value in values
    }


def sweep(
    run: StudyRun,
    name: str,
    title: str,
    about: str,
    rows: Mapping[str, StudyRow],
    settings: Mapping[str, Any],
    *,
    deletion: str = "mean",
    right: bool = True,
    size: str = "none",
    **more: Any,
) -> None:
    """Conduct a study of all numbers over the rows.

    Args:
        deletion: infiller of the deletion curves.
        right: only on pictures whose class the classifier predicts.
        size: which size of a mask the claims call better.
        more: further fields of the `Study`.
    """
    fill = make_infill(deletion)
    study = Study(
        name,
        title,
        REFERENCE,
        about,
        rows,
        scores={
            "shape": scores.shape(size=size),
            "pieces": scores.pieces(),
            "place": scores.place(),
            f"order-{deletion}": scores.order(fill, f"{deletion} {digest(fill)}"),
            "like": scores.likeness(),
        },
        numbers=NUMBERS,
        deviations=DEVIATIONS,
        gallery="metric",
        gallery_rows=list(rows),
        **more,
    )
    conduct(study, run, load_subject(run, boxes=True, right=right), settings)
