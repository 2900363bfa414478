"""From a picture file of any kind to plain grey or colour values, with Pillow.

Transparent pixels are laid over white, as picture viewers show them. Of an animation or a document
of several pages the first is taken. Embedded colour profiles are ignored, as the data pipelines
that classifiers are trained with do.
"""

import io
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

SMALLEST = 8
"""A picture with a side shorter than this, in pixels, is refused: there is nothing to explain."""

# Formats that Pillow reads by itself. Left out: those that start another program (EPS, WMF) and
# those recognised by so little that any file may pass for one (TGA, PCX, XVThumb, ...).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "JPEG2000", "ICO", "DIB")


class UnreadableError(ValueError):
    """Not a picture, or not a data set, that can be explained: one clause that says why."""


def decode(file: Path | io.BytesIO, *, upright: bool = True) -> PIL.Image.Image:
    """Read a picture as mode "RGB" or "L" (8 bits), or "F" (16-bit grey, values in [0, 1]).

    Args:
        upright: turn the picture as its EXIF orientation says.

    Raises:
        UnreadableError: the file is empty, broken, too small or no picture.
    """
    if isinstance(file, Path) and file.stat().st_size == 0:
        raise UnreadableError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is not the user's problem here
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
    """Reduce Pillow's many modes to "RGB", "L" or "F".

    Raises:
        UnreadableError: values have no known range (floats outside [0, 1], integers above 16 bits).
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
    """Grey of more than 8 bits to floats in [0, 1]."""
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
    """Those of FORMATS that this build of Pillow has."""
    PIL.Image.init()
    return [name for name in FORMATS if name in PIL.Image.OPEN]
