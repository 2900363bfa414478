"""Saliency maps in files: how a ledger stores them, and how any file of maps is read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Float

from fidojax.runs.ledger import Ledger


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


def load_maps(path: str | Path) -> Float[np.ndarray, "n h w"]:
    """Read maps: from an .npy file, a zarr array, or a ledger of `fidojax explain` or a study.

    Returns:
        Maps in float32, "n h w".

    Raises:
        ValueError: it is none of these, or its shape is not "n h w".
        FileNotFoundError: there is no such file or folder.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"maps {path}: there is no such file or folder")
    if path.is_file():
        try:
            maps = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"maps {path}: expected an .npy of numbers") from error
    else:
        try:
            found: Any = zarr.open(path, mode="r")
            group = hasattr(found, "array_keys")
            maps = unpack(found["maps"][...], found["scale"][...]) if group else found[...]
        except (KeyError, FileNotFoundError) as error:
            raise ValueError(f"maps {path}: expected a zarr array, or a group of maps") from error
    if maps.ndim != 3 or not np.issubdtype(maps.dtype, np.number):
        got = f"{maps.dtype} {maps.shape}"
        raise ValueError(f"maps {path}: expected numbers of shape (n, h, w), got {got}")
    return maps.astype(np.float32)
