"""Completeness: contributions that should add up to the difference of two scores, and do not."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.core import Tracer

LARGE = 0.1
"""A gap above this share of the difference of the scores is worth a warning."""
ROUNDING = 1e-3
"""A gap below this share of the contributions' sizes is none: they cancel."""


class CompletenessWarning(UserWarning):
    """The contributions of an attribution do not add up to the difference of the scores."""


def shortfalls(info: Any) -> list[tuple[int, str]]:
    """Return the numbers of the explanations whose contributions do not add up, with a sentence.

    Args:
        info: the info of a method that has a completeness, of one explanation or of a batch: its
            `gap` is the sum of `attribution`, "... h w c", minus the difference of the scores.
            Any other info, and one that is traced, has no shortfalls.
    """
    gap, attribution = getattr(info, "gap", None), getattr(info, "attribution", None)
    if gap is None or attribution is None or isinstance(gap, Tracer):
        return []
    gaps = np.atleast_1d(np.asarray(gap))
    parts = np.asarray(attribution).reshape(len(gaps), -1)
    totals, sizes = parts.sum(1), np.abs(parts).sum(1)
    differences = totals - gaps
    large = np.abs(gaps) > np.maximum(LARGE * np.abs(differences), ROUNDING * sizes)
    return [
        (
            number,
            f"the contributions add up to {totals[number]:.3g}, but the scores differ by"
            f" {differences[number]:.3g} (gap {gaps[number]:.3g})",
        )
        for number in np.flatnonzero(large).tolist()
    ]


def warn_of_shortfalls(info: Any, remedy: str, ids: Sequence[Any] | None = None) -> None:
    """Warn where contributions do not add up.

    Args:
        info: as `shortfalls` takes it.
        remedy: what to do about it, a phrase.
        ids: the names of a batch's images.

    Warns:
        CompletenessWarning: one sentence on the first of them, with the numbers.
    """
    found = shortfalls(info)
    if not found:
        return
    number, sentence = found[0]
    where = "" if ids is None else f"image {ids[number]}: "
    more = f", and so in {len(found) - 1} more images" if len(found) > 1 else ""
    warnings.warn(f"{where}{sentence}{more}: {remedy}", CompletenessWarning, stacklevel=3)
