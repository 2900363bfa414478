"""The kinds of holes that infillers are judged on. In a mask 1 is kept and 0 is dropped."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
from jax.tree_util import Partial

from fidojax.core import check_name
from infillers.fido_like import CELLS, log_uniform
from infillers.holes import blobs, centred, free_form, random_pixels


class Holes(NamedTuple):
    """A kind of holes: its name in tables and figures, and a function of key and shape."""

    title: str
    draw: Partial


RATES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Shares of kept pixels of the curve."""
BLOBS = (0.1, 0.2, 0.4)
"""Shares of pixels that blobs keep."""
REGION = "region"
"""The kind whose masks are not drawn: the regions that FIDO has found in the pictures."""


def _random(keep, key, shape):
    # Of one key, so that the pixels kept at a low rate are kept at all higher ones.
    return random_pixels(key, shape, keep)


def _box(key, shape):
    return centred(shape)


def _blobs(keep, key, shape):
    cells_key, key = jax.random.split(key)
    return blobs(key, shape, keep, log_uniform(cells_key, CELLS))


def _random_title(keep: float) -> str:
    return f"random pixels, {1 - keep:.0%} dropped"


HOLES = {
    "random-0.5": Holes(_random_title(0.5), Partial(_random, 0.5)),
    "random-0.1": Holes(_random_title(0.1), Partial(_random, 0.1)),
    "box": Holes("centred box of a quarter dropped", Partial(_box)),
    "strokes": Holes("free-form strokes dropped", Partial(free_form)),
    **{f"blobs-{keep}": Holes(f"blobs, {keep:.0%} kept", Partial(_blobs, keep)) for keep in BLOBS},
    **{
        f"random-{keep}": Holes(_random_title(keep), Partial(_random, keep))
        for keep in RATES
        if keep not in (0.1, 0.5)
    },
}
"""Kinds of holes by name."""
PANELS = (*[name for name in HOLES if name not in ("random-0.25", "random-0.75", "random-0.9")],
          REGION)  # fmt: skip
"""The kinds that are compared in tables and shown in galleries; the others are on the curve."""


def titles(kinds: Sequence[str]) -> dict[str, str]:
    """The titles of kinds of holes by name.

    Raises:
        ValueError: there is no such kind, or no kind, or one is named twice.
    """
    for kind in kinds:
        if kind != REGION:
            check_name("masks", kind, HOLES)
    if not kinds or len({*kinds}) < len(kinds):
        raise ValueError(f"masks: expected one or several different kinds, got {list(kinds)}")
    return {kind: "FIDO's regions kept" if kind == REGION else HOLES[kind].title for kind in kinds}


def rates(kinds: Sequence[str]) -> dict[float, int]:
    """The shares of kept pixels whose random masks are among the kinds, with their places there."""
    return {keep: kinds.index(f"random-{keep}") for keep in RATES if f"random-{keep}" in kinds}
