"""Pictures and maps, embedded in the page."""

from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from eval.report.wording import text
from fidojax.viz import DIVERGING, SEQUENTIAL, normalise

SMALL = 128
"""Pictures up to this side are stored without loss."""


def picture(image: np.ndarray, frames: Mapping[str, np.ndarray], alt: str) -> str:
    """A picture "h w c" (uint8) with boxes "b 4" by their kind, a class of page.html."""
    rows, columns = image.shape[:2]
    drawn = "".join(
        f'<rect class="{style}" x="{left}" y="{top}" width="{wide}" height="{tall}"/>'
        for kind, boxes in frames.items()
        for top, left, bottom, right in boxes.tolist()
        for wide, tall in [(right - left, bottom - top)]
        for style in ("halo", kind)
    )
    return (
        f'<svg class="picture" viewBox="0 0 {columns} {rows}" role="img" aria-label="{text(alt)}">'
        f'<image width="{columns}" height="{rows}" href="{_encoded(image)}"/>{drawn}</svg>'
    )


def embedded(path: Path) -> str:
    """A PNG file as a data URL."""
    return f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"


def coloured(saliency: np.ndarray) -> np.ndarray:
    """A map "h w" as a picture "h w 3" (uint8), in the colours of `fidojax.viz`."""
    signed = bool(saliency.min() < 0)
    values, _ = normalise(saliency, symmetric=signed)
    colours = matplotlib.colormaps[DIVERGING if signed else SEQUENTIAL]
    return colours(values, bytes=True)[..., :3]


def _encoded(image: np.ndarray) -> str:
    kind = "png" if max(image.shape[:2]) <= SMALL else "jpeg"
    file = BytesIO()
    Image.fromarray(image.squeeze()).save(file, kind, **({"quality": 90} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{b64encode(file.getvalue()).decode()}"
