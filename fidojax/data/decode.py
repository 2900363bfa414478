"""Decode picture files of any kind to grey or colour values, with Pillow.

Transparent pixels are drawn on white, as picture viewers show them. The first frame of an animation
and the first page of a document are taken. Embedded colour profiles are ignored, as in the data
pipelines that train classifiers.
"""

import io
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

SMALLEST = 8
"""The shortest side, in pixels, of a picture that is accepted."""

# The formats that Pillow reads by itself, without those that start another program (EPS, WMF) and
# those whose signature is so short that any file may have it (TGA, PCX, XVThumb, ...).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "JPEG2000", "ICO", "DIB")


class UnreadableError(ValueError):
    """A picture or a data set that cannot be read; the message is one clause with the reason."""


def decode(file: Path | io.BytesIO, *, upright: bool = True) -> PIL.Image.Image:
    """Read a picture as mode "RGB" or "L" (8 bits), or "F" (16-bit grey, values in [0, 1]).

    Args:
        upright: whether to rotate the picture by its EXIF orientation.

    Raises:
        UnreadableError: the file is empty, damaged, no picture, or too small a picture.
    """
    if isinstance(file, Path) and file.stat().st_size == 0:
        raise UnreadableError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings on odd metadata
            with PIL.Image.open(file, formats=_formats()) as picture:
                picture.load()
                if upright:
                    picture = PIL.ImageOps.exif_transpose(picture)
                return _large_enough(plain(picture))
    except UnreadableError:
        raise
    except PIL.UnidentifiedImageError:
        raise UnreadableError("not a picture (or of a kind that Pillow does not read)") from None
    except PermissionError:
        raise UnreadableError("no permission to read it") from None
    except PIL.Image.DecompressionBombError:
        limit = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise UnreadableError(f"more than {limit} million pixels") from None
    except Exception as error:  # Pillow's readers raise nearly any type on damaged files
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise UnreadableError(f"the picture is damaged ({reason})") from None


def plain(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Convert a picture of any mode of Pillow to "RGB", "L" or "F".

    Raises:
        UnreadableError: the range of its values is unknown (floats outside [0, 1], integers of
            more than 16 bits).
    """
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return _deep(picture)
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        # Pillow converts the premultiplied modes only to their plain ones.
        picture = picture.convert({"La": "LA", "RGBa": "RGBA"}.get(picture.mode, picture.mode))
        picture = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", picture.size, "white")
        picture = PIL.Image.alpha_composite(white, picture)
    return picture.convert("L" if grey else "RGB")


def _deep(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Convert grey values of more than 8 bits to floats in [0, 1]."""
    values = np.asarray(picture).astype(np.float32)
    if picture.mode != "F":
        values /= 65535
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        kind = "floats outside [0, 1]" if picture.mode == "F" else "integers beyond 16 bits"
        raise UnreadableError(f"its values are {kind}, so black and white are unknown")
    return PIL.Image.fromarray(values)


def _large_enough(picture: PIL.Image.Image) -> PIL.Image.Image:
    if min(picture.size) < SMALLEST:
        width, height = picture.size
        raise UnreadableError(f"only {width} x {height} pixels, at least {SMALLEST} are needed")
    return picture


def _formats() -> list[str]:
    """Return the names in FORMATS that this build of Pillow has."""
    PIL.Image.init()
    return [name for name in FORMATS if name in PIL.Image.OPEN]
