"""Decode picture files of any kind to grey or colour values, with Pillow.

Transparent pixels are drawn on white, as picture viewers show them. The first frame of an animation
and the first page of a document are taken. Embedded colour profiles are ignored, as in the data
pipelines that train classifiers.
"""

import io
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
from PIL.Image import Transpose

from fidojax.core import printable
from fidojax.data.kinds import HEIC, formats, is_heic
from fidojax.data.quiet import quiet

SMALLEST = 8
"""The shortest side, in pixels, of a picture that is accepted."""

MEMORY = 700_000_000
"""Bytes that the decoding of one picture may take. The C library may keep as much of the picture
before it, and a run of the shipped network stays below 2 GB nevertheless."""

STRIP = 2**22
"""The number of pixels that are converted at a time."""

# Bytes per pixel at the peak of decoding, as measured: of formats whose decoders hold copies, of
# pictures of at most 4 bytes per pixel, and of those that are converted or turned.
_DECODERS = {"JPEG2000": 24, "WEBP": 17, "AVIF": 12, "HEIF": 12, "PROGRESSIVE JPEG": 12}
_PLAIN, _CONVERTED = 5, 9

# EXIF's orientation -> what makes the picture upright.
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}  # fmt: skip
_ORIENTATION = 0x0112

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip


class UnreadableError(ValueError):
    """A picture or a data set that cannot be read; the message is one clause with the reason."""


@contextmanager
def one_picture() -> Iterator[None]:
    """Raise whatever one picture's file causes as UnreadableError, so that a run goes on."""
    try:
        yield
    except UnreadableError:
        raise
    except MemoryError:
        raise UnreadableError("there is not enough memory to read it") from None
    except PermissionError:
        raise UnreadableError("no permission to read it") from None
    except OSError as error:
        reason = printable((error.strerror or str(error)).lower())
        raise UnreadableError(f"it cannot be read ({reason})") from None
    except Exception as error:  # Pillow's readers raise nearly any type on damaged files
        raise _damaged(error) from None


def decode(file: Path | io.BytesIO, *, upright: bool = True) -> PIL.Image.Image:
    """Read a picture as mode "RGB" or "L" (8 bits), or "F" (16-bit grey, values in [0, 1]).

    Args:
        upright: whether to rotate the picture by its EXIF orientation; damaged EXIF leaves it as
            it is stored.

    Raises:
        UnreadableError: the file is empty, damaged, no picture, or too small or too large a
            picture.
    """
    with one_picture():
        if isinstance(file, Path):
            _check_file(file)
        elif not file.getbuffer().nbytes:
            raise UnreadableError("the file is empty")
        picture, turn = _loaded(file)
        return picture if turn is None or not upright else picture.transpose(turn)


def _check_file(path: Path) -> None:
    try:
        found = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise UnreadableError("a symbolic link to a file that does not exist") from None
        raise
    for is_kind, kind in _KINDS:
        if is_kind(found.st_mode):
            raise UnreadableError(f"{kind}, expected a picture file")
    if found.st_size == 0:
        raise UnreadableError("the file is empty")


def _loaded(file: Path | io.BytesIO) -> tuple[PIL.Image.Image, Transpose | None]:
    """Return the plain pixels, and how they become upright."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings on odd metadata
            with PIL.Image.open(file, formats=formats()) as picture:
                _check_size(picture)
                with quiet(picture.format):
                    picture.load()
                return plain(picture), _turn(picture)
    except (UnreadableError, MemoryError, PermissionError):
        raise
    except PIL.UnidentifiedImageError:
        if _is_heic(file):
            raise UnreadableError(
                f"a HEIC picture, which needs Pillow's plugin: pip install {HEIC[2]}"
            ) from None
        raise UnreadableError("not a picture (or of a kind that Pillow does not read)") from None
    except PIL.Image.DecompressionBombError:
        limit = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise UnreadableError(f"more than {limit} million pixels") from None
    except Exception as error:
        raise _damaged(error) from None


def _is_heic(file: Path | io.BytesIO) -> bool:
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return is_heic(opened.read(12))
    return is_heic(file.getvalue()[:12])


def _damaged(error: Exception) -> UnreadableError:
    reason = printable(" ".join(str(error).split())).rstrip(".") or type(error).__name__
    return UnreadableError(f"the picture is damaged ({reason})")


def _check_size(picture: PIL.Image.Image) -> None:
    width, height = picture.size
    if min(picture.size) < SMALLEST:
        raise UnreadableError(f"only {width} x {height} pixels, at least {SMALLEST} are needed")
    name = "PROGRESSIVE JPEG" if picture.info.get("progressive") else picture.format or ""
    plain = picture.mode in ("RGB", "L", "P", "1") and "transparency" not in picture.info
    each = _PLAIN if plain and _turn(picture) is None else _CONVERTED
    needed = width * height * _DECODERS.get(name, each)
    if needed > MEMORY:
        raise UnreadableError(
            f"{width} x {height} pixels take {needed / 1e9:.1f} GB to decode, more than "
            f"{MEMORY / 1e9:.2f} GB"
        )


def _turn(picture: PIL.Image.Image) -> Transpose | None:
    try:
        return _UPRIGHT.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # Pillow raises nearly any type on damaged EXIF
        return None


def plain(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Convert a picture of any mode of Pillow to "RGB", "L" or "F".

    Large pictures are converted in strips, so that the steps need no further copy of the whole.

    Raises:
        UnreadableError: the range of its values is unknown (floats outside [0, 1], integers of
            more than 16 bits).
    """
    if picture.mode in ("RGB", "L") and "transparency" not in picture.info:
        return picture
    width, height = picture.size
    rows = max(1, STRIP // width)
    if rows >= height:
        return _plain(picture)
    whole = None
    for top in range(0, height, rows):
        strip = _plain(picture.crop((0, top, width, min(top + rows, height))))
        whole = PIL.Image.new(strip.mode, picture.size) if whole is None else whole
        whole.paste(strip, (0, top))
    assert whole is not None
    return whole


def _plain(picture: PIL.Image.Image) -> PIL.Image.Image:
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
