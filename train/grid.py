"""A PNG page of pictures in rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fidojax.data import write_atomically


def write(path: str | Path, rows: Sequence[np.ndarray], zoom: int = 1, gap: int = 2) -> None:
    """Write one picture of all rows, one below the other, whole or not at all.

    The folder is made if it does not exist.

    Args:
        path: ends in ".png".
        rows: each "n h w c", uint8 or floating in [0, 1] (other values are clipped), grey or RGB;
            all with the same n, h and w.
        zoom: side of the square that each pixel becomes.
        gap: number of white pixels between pictures.

    Raises:
        ValueError: there is no row, the rows differ in n, h or w, or a row has neither 1 nor 3
            channels.
    """
    rows = [_bytes(np.asarray(row)) for row in rows]
    if not rows or any(row.shape != rows[0].shape for row in rows):
        shapes = ", ".join(str(row.shape[:-1]) for row in rows)
        raise ValueError(f'rows must agree in "n h w", got {shapes or "none"}')
    pictures = np.stack(rows).repeat(zoom, axis=2).repeat(zoom, axis=3)
    borders = [(0, 0), (0, 0), (gap, 0), (gap, 0), (0, 0)]
    pictures = np.pad(pictures, borders, constant_values=255)
    r, n, h, w, c = pictures.shape
    page = pictures.transpose(0, 2, 1, 3, 4).reshape(r * h, n * w, c)[gap:, gap:]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: Image.fromarray(page).save(file, "png"))


def _bytes(row: np.ndarray) -> np.ndarray:
    """Convert a row to uint8 with three channels."""
    if row.ndim != 4 or row.shape[-1] not in (1, 3):
        raise ValueError(f'a row must be "n h w 1" or "n h w 3", got shape {row.shape}')
    if row.dtype != np.uint8:
        row = np.rint(255 * np.clip(row.astype(np.float32), 0, 1)).astype(np.uint8)
    return np.broadcast_to(row, (*row.shape[:-1], 3))
