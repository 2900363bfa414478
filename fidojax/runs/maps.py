"""Saliency maps in files: how a ledger stores them, and how any file of maps is read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import zarr
from jaxtyping import Float

from fidojax.core import printable
from fidojax.data import Place, place, read_npy
from fidojax.runs.columns import store
from fidojax.runs.ledger import DONE, Ledger


def pack(maps: Float[np.ndarray, "n h w"]) -> dict[str, np.ndarray]:
    """Return the columns `maps` (float16) and `scale` (float32) that store maps.

    The scale of a map is the power of two that brings it into [-1, 1]. Float16 then keeps 11 bits
    of every value, and a mask with values in [0, 1] is stored without scaling.
    """
    maps = np.asarray(maps, np.float32)
    largest = np.abs(maps).max(axis=(1, 2))
    # The power of two above the largest float32 would overflow.
    exponent = np.minimum(np.frexp(np.where(np.isfinite(largest), largest, 1))[1], 127)
    # A largest value that is itself a power of two needs no larger one.
    exact = largest == np.ldexp(np.float32(1), exponent - 1)
    scale = np.where(largest == 0, 1, np.ldexp(np.float32(1), exponent - exact)).astype(np.float32)
    return {"maps": (maps / scale[:, None, None]).astype(np.float16), "scale": scale}


def unpack(
    maps: Float[np.ndarray, "n h w"], scale: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n h w"]:
    """Return the float32 maps from the columns that `pack` returned."""
    return maps.astype(np.float32) * scale[:, None, None]


def read_maps(
    ledger: Ledger, rows: Sequence[int] | np.ndarray | None = None
) -> Float[np.ndarray, "n h w"]:
    """Return the maps of a ledger, NaN for rows without a map."""
    return unpack(ledger.read("maps", rows), ledger.read("scale", rows))


def load_maps(path: str | Place) -> Float[np.ndarray, "n h w"]:
    """Read maps: from an .npy file, a zarr array, or a ledger of `fidojax explain` or a study.

    A folder of results, too, if all of its maps were made with one method and its settings;
    `fidojax.load_run` reads any.

    Returns:
        Maps in float32, "n h w"; NaN for the rows of a ledger that are not explained.

    Raises:
        ValueError: it is none of these, its shape is not "n h w", or it has complex values, values
            that are not finite, or maps whose file is missing; or the folder of results holds maps
            of several settings.
        FileNotFoundError: there is no such file or folder.
    """
    path = place(path)
    said = f"maps {printable(path)}"
    if not (path.exists() or path.is_symlink()):
        raise FileNotFoundError(f"{said}: there is no such file or folder")
    path = _ledger_in(path, said)
    maps, rows = _from_zarr(path, said) if path.is_dir() else (read_npy(path, "maps"), None)
    if maps.ndim != 3 or maps.dtype.kind not in "fiu":
        got = f"{maps.dtype} of shape {maps.shape}"
        raise ValueError(f"{said}: expected real numbers of shape (n, h, w), got {got}")
    with np.errstate(over="ignore"):
        maps = maps.astype(np.float32)
    rows = np.arange(len(maps)) if rows is None else rows
    bad = rows[~np.isfinite(maps[rows]).all(axis=(1, 2))]
    if len(bad):
        raise ValueError(f"{said}: {_listed(bad)} not finite")
    return maps


def _ledger_in(path: Place, said: str) -> Place:
    """Return the one ledger of maps in a folder of results; other paths as they are."""
    results = path / "results.zarr"
    if not results.is_dir():
        return path
    # `fidojax explain` has METHOD-SETTINGS, a study rows/ROW.
    found = [
        place
        for place in sorted([*results.glob("*"), *results.glob("rows/*")])
        if (place / "maps" / "zarr.json").is_file()
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(f"{said}: this folder of results holds no maps yet")
    names = ", ".join(printable(place.relative_to(path)) for place in found[:5])
    raise ValueError(
        f"{said}: this folder of results holds maps of {len(found)} settings; expected one of "
        f"{names}{', ...' if len(found) > 5 else ''}"
    )


def _from_zarr(path: Place, said: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the maps of a zarr, and the rows that must be there; None for all."""
    try:
        found: Any = zarr.open(store(path), mode="r")
        if hasattr(found, "array_keys"):
            maps = unpack(found["maps"][...], found["scale"][...])
            rows = np.flatnonzero(found["status"][...] == DONE) if "status" in found else None
            return maps, rows
        maps = np.asarray(found[...])
        absent = found.nchunks_initialized < found.nchunks
    except MemoryError as error:
        raise ValueError(f"{said}: there is not enough memory to read it") from error
    except Exception as error:  # zarr and its codecs raise nearly any type on damaged files
        raise ValueError(f"{said}: expected a zarr array, or a ledger of maps") from error
    if absent and maps.ndim == 3:  # zarr reads a missing file as its fill value
        empty = np.flatnonzero((maps == found.fill_value).all(axis=(1, 2)))
        if len(empty):
            raise ValueError(
                f"{said}: {_listed(empty)} missing (or nothing but {found.fill_value})"
            )
    return maps, None


def _listed(rows: np.ndarray, most: int = 5) -> str:
    """The numbers of some maps, with a verb: "map 3 is", "maps 1, 2 are"."""
    names = ", ".join(map(str, rows[:most])) + (", ..." if len(rows) > most else "")
    return f"map {names} is" if len(rows) == 1 else f"maps {names} are"
