"""Whether a file is a picture, by its name or by its first bytes; nothing is decoded."""

import functools
import importlib
import stat

import PIL.Image

from fidojax.data.places import Place, is_remote, read_bytes

# The formats that Pillow reads by itself, without those that start another program (EPS, WMF) and
# those whose signature is so short that any file may have it (TGA, PCX, XVThumb, ...).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "JPEG2000", "ICO", "DIB")

HEIC = ("HEIF", "pillow_heif", "pillow-heif")
"""The format of phones' photos by Pillow's name, the module of the plugin that reads it, and the
package of the plugin."""
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_SUFFIXES = {".heic", ".heif", ".avif"}
_PREFIX = 16
"""Bytes that Pillow's readers know their format by."""


@functools.cache
def formats() -> tuple[str, ...]:
    """Return the formats that can be read here: of `FORMATS` those that this build of Pillow has,
    and HEIC where its plugin is installed."""
    PIL.Image.init()
    name, module, _ = HEIC
    try:
        importlib.import_module(module).register_heif_opener()
    except ImportError:
        known = FORMATS
    else:
        known = (*FORMATS, name)
    return tuple(name for name in known if name in PIL.Image.OPEN)


def is_picture(path: Place) -> bool:
    """Whether a file is named as a picture or begins like one.

    What cannot be read, and what is no regular file, counts as a picture too, so that reading it
    says what is wrong.
    """
    known = formats()
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES or PIL.Image.EXTENSION.get(suffix) in known:
        return True
    try:
        if not (is_remote(path) or stat.S_ISREG(path.stat().st_mode)):  # opening a pipe would wait
            return True
        prefix = read_bytes(path, _PREFIX)
    except OSError:
        return True
    return is_heic(prefix) or any(_accepts(name, prefix) for name in known)


def is_heic(prefix: bytes) -> bool:
    """Whether the first 12 bytes of a file are those of a HEIC or HEIF picture."""
    return prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIC_BRANDS


def _accepts(name: str, prefix: bytes) -> bool:
    accept = PIL.Image.OPEN[name][1]
    if accept is None or not prefix or (name == "PPM" and not prefix[2:3].isspace()):
        return False  # "Python" begins like a picture of the PPM family
    try:
        return accept(prefix) is True
    except Exception:  # the readers of some formats need more bytes
        return False
