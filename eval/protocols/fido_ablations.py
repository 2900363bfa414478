"""FIDO's ablations: the same pictures under several values of one setting, and all that changes."""

from collections.abc import Mapping, Sequence
from typing import Any

from eval import scores
from eval.runner import conduct
from eval.study import Claim, Study, StudyRow
from eval.subject import StudyRun, load_subject
from fidojax.core import check_name
from fidojax.presets import PRESETS
from fidojax.runs import digest
from infillers import INFILLERS

REFERENCE = "Chang et al. 2019, Explaining Image Classifiers by Counterfactual Generation"
NUMBERS = (
    "size", "entropy", "error", "metric", "outside", "deletion50", "spearman", "pearson",
)  # fmt: skip


def fido_row(infill: str, preset: str, *, like: str, **options: Any) -> StudyRow:
    """FIDO with one infiller and what a sweep sets; `like` is of its `StudyRow`."""
    check_name("infill", infill, INFILLERS)
    check_name("preset", preset, PRESETS)
    changed = ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
                        for name, value in options.items())  # fmt: skip
    seed = options.pop("seed", 0)
    return StudyRow(
        "fido", PRESETS[preset] | options | {"infill": INFILLERS[infill]()}, f"FIDO-{infill}",
        changed, "absolute", seed=seed, like=like,
    )  # fmt: skip


def bbmp_row(infill: str, *, like: str, **options: Any) -> StudyRow:
    """FIDO's authors' BBMP with one infiller and what a sweep sets; `like` is of its `StudyRow`."""
    check_name("infill", infill, INFILLERS)
    changed = ", ".join(f"{name} {value:g}" for name, value in options.items())
    options |= {"infill": INFILLERS[infill]()}
    return StudyRow("bbmp", options, f"BBMP-{infill}", changed, "absolute", like=like)


def sweep(
    run: StudyRun,
    name: str,
    title: str,
    about: str,
    rows: Mapping[str, StudyRow],
    settings: Mapping[str, Any],
    *,
    claims: Sequence[Claim] = (),
    published: Mapping[str, Mapping[str, float]] = {},
    deletion: str = "mean",
    reading: Sequence[str] = (),
    right: bool = True,
    size: str = "none",
) -> None:
    """Runs a study of all numbers over the rows.

    Args:
        deletion: infiller of the deletion curves.
        size: which size of a mask the claims call better.
        right: on pictures that are classified right only.
    """
    fill = INFILLERS[deletion]()
    study = Study(
        name=name,
        title=title,
        reference=REFERENCE,
        about=about,
        rows=rows,
        scores={
            "shape": scores.shape(size=size),
            "place": scores.place(),
            f"order-{deletion}": scores.order(fill, f"{deletion} {digest(fill)}"),
            "like": scores.likeness(),
        },
        numbers=NUMBERS,
        claims=claims,
        published=published,
        reading=reading,
        deviations=(
            "64 x 64 pictures of 40 classes and the shipped networks, not ImageNet and ResNet-50.",
        ),
        gallery="metric",
        gallery_rows=list(rows),
    )
    conduct(study, run, load_subject(run, boxes=True, right=right), settings)
