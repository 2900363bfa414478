"""A PNG of pictures in rows: what a generative network makes, to be looked at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fidojax.runs import write_atomically


def write(path: str | Path, rows: Sequence[np.ndarray], zoom: int = 1, gap: int = 2) -> None:
    """Writes one picture of all rows, one below the other, and its folder if there is none.

    The file appears at once or not at all, also when the program is killed meanwhile.

    Args:
        path: ends in ".png".
        rows: each "n h w c", uint8 or floating in [0, 1] (values beyond are clipped), grey or RGB;
            all with the same n, h and w.
        zoom: each pixel becomes a square of this side.
        gap: white pixels between the pictures.

    Raises:
        ValueError: there is no row, or the rows differ in n, h or w, or have neither 1 nor 3
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
    """uint8 and three channels."""
    if row.ndim != 4 or row.shape[-1] not in (1, 3):
        raise ValueError(f'a row must be "n h w 1" or "n h w 3", got shape {row.shape}')
    if row.dtype != np.uint8:
        row = np.rint(255 * np.clip(row.astype(np.float32), 0, 1)).astype(np.uint8)
    return np.broadcast_to(row, (*row.shape[:-1], 3))
