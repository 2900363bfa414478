"""Is an uncertainty worth anything? Its correlation with the errors of the maps."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from eval import agreement
from eval.agreement import flat, ranks
from eval.intervals import correlation, difference, interval

BLOCK = 4
"""Side of a region in pixels: FIDO optimises a map of a quarter of the picture's sides."""
CONFOUNDS = ("abs(mean)", "abs(place - 1/2)", "distance to centre")


def regions(maps: np.ndarray) -> np.ndarray:
    """Means over blocks of pixels, "n h w" -> "n h/4 w/4"; what does not fill a block is left."""
    n, height, width = (len(maps), *(side // BLOCK for side in maps.shape[1:]))
    whole = maps[:, : height * BLOCK, : width * BLOCK]
    return whole.reshape(n, height, BLOCK, width, BLOCK).mean((2, 4))


SCALES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "pixels": lambda maps: maps,
    "regions": regions,
}


def rank_errors(mean: np.ndarray, fido: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """How far VarSal's ranking is from FIDO's, and FIDO's from its own, means over FIDO's seeds.

    `apart` and `noise` are "n", 1 - Spearman's correlation; `moved` and `noise moved` are
    "n pixels", the absolute difference of places in [0, 1]; `others` is `apart` where FIDO's maps
    are those of other pictures.
    """
    ours, theirs = ranks(flat(mean)), [ranks(flat(maps)) for maps in fido]
    to_fido = [(ours, maps) for maps in theirs]
    to_itself = list(itertools.combinations(theirs, 2))
    to_others = [(ours, np.roll(maps, 1, axis=0)) for maps in theirs]

    def apart(pairs: Sequence) -> np.ndarray:
        return np.mean([1 - agreement.correlation(*pair) for pair in pairs], axis=0)

    def moved(pairs: Sequence) -> np.ndarray:
        return np.mean([np.abs(one - other) for one, other in pairs], axis=0)

    return {
        "apart": apart(to_fido),
        "moved": moved(to_fido),
        "noise": apart(to_itself),
        "noise moved": moved(to_itself),
        "others": apart(to_others),
        "others moved": moved(to_others),
    }


def distances(mean: np.ndarray, fido: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """A row per pair of rankings, of pixels and of regions."""
    titles = {
        "VarSal to FIDO": ("apart", "moved"),
        "FIDO to FIDO, other seed": ("noise", "noise moved"),
        "VarSal to FIDO of other pictures": ("others", "others moved"),
    }
    rows = []
    for scale, of in SCALES.items():
        errors = rank_errors(of(mean), [of(maps) for maps in fido])
        for title, (apart, moved) in titles.items():
            rows.append(
                {
                    "rankings": title,
                    "of": scale,
                    "1 - Spearman": interval(errors[apart]),
                    "- FIDO to FIDO": difference(errors[apart], errors["noise"]),
                    "moved places": interval(errors[moved].mean(axis=1)),
                }
            )
    return rows


def worth(
    mean: np.ndarray,
    deviation: np.ndarray,
    fido: Sequence[np.ndarray],
    clean: Mapping[str, np.ndarray],
) -> list[dict[str, Any]]:
    """A row per correlation of the uncertainty, plain or with confounds given.

    Args:
        mean, deviation, fido: "n h w", of the pictures that have FIDO maps: the first ones.
        clean: `deviation`, `relative`, `spread`, `erased` and `confidence` of all pictures.
    """
    shared = {name: column[: len(mean)] for name, column in clean.items()}
    shared["distance to FIDO"] = rank_errors(mean, fido)["apart"]
    rows = [
        _over_pictures(columns, kind, error, given)
        for columns, error in ((clean, "erased"), (shared, "distance to FIDO"))
        for kind in ("deviation", "relative")
        for given in ((), ("spread", "confidence"))
    ]
    rows += [_over_pictures(clean, "deviation", name) for name in ("spread", "confidence")]
    for scale, of in SCALES.items():
        columns = _columns(of(mean), of(deviation), [of(maps) for maps in fido])
        rows += [
            _within_pictures(scale, columns, error, given)
            for error, given in (
                ("moved places", ()),
                ("moved places", CONFOUNDS),
                ("FIDO's moved places", ()),
                *((name, ()) for name in CONFOUNDS),
            )
        ]
    return rows


def _columns(
    mean: np.ndarray, deviation: np.ndarray, fido: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """ "n pixels" of all that is correlated."""
    errors = rank_errors(mean, fido)
    height, width = mean.shape[1:]
    down, right = np.mgrid[:height, :width]
    centre = np.hypot(down - (height - 1) / 2, right - (width - 1) / 2)
    return {
        "deviation": flat(deviation),
        "moved places": errors["moved"],
        "FIDO's moved places": errors["noise moved"],
        "abs(mean)": np.abs(flat(mean)),
        "abs(place - 1/2)": np.abs(ranks(flat(mean)) - 0.5),
        "distance to centre": np.repeat(centre.reshape(1, -1), len(mean), axis=0),
    }


def _over_pictures(
    columns: Mapping[str, np.ndarray], kind: str, error: str, given: tuple[str, ...] = ()
) -> dict[str, Any]:
    values = [columns[name] for name in (kind, error, *given)]
    return _named("pictures", len(values[0]), kind, error, given) | {
        "Spearman": correlation(*values),
        "Pearson": correlation(*values, ranks=False),
    }


def _within_pictures(
    scale: str, columns: Mapping[str, np.ndarray], error: str, given: tuple[str, ...]
) -> dict[str, Any]:
    """Within each picture, then the mean over pictures; a constant map has no correlation."""
    values = [columns[name] for name in ("deviation", error, *given)]
    found = {
        "Spearman": agreement.correlation(*map(ranks, values)),
        "Pearson": agreement.correlation(*values),
    }
    means = {
        name: interval(each[np.isfinite(each)] if np.isfinite(each).any() else each[:1])
        for name, each in found.items()
    }
    return _named(scale, len(values[0]), "deviation", error, given) | means


def _named(over: str, count: int, kind: str, error: str, given: tuple[str, ...]) -> dict[str, Any]:
    return {
        "over": over,
        "pictures": count,
        "uncertainty": kind,
        "with": error,
        "given": ", ".join(given),
    }
