"""Malformed picture files, drawn from a seed: damaged bytes, false sizes, no pictures at all."""

import io
import os
import random
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image

NAMES = (
    b"caf\xe9 %d",
    b"two\nlines %d",
    b"\x1b[31mred %d",
    b"\xff\xfe %d",
    "猫 %d".encode(),
    b"$x_%d$",
)
"""Patterns of file names that are hard to print."""


def make_malformed(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write `count` malformed files into a folder; the same seed gives the same bytes."""
    draw = random.Random(seed)
    whole = _whole(seed)
    kinds = [*[_damaged] * 6, _lying, _exif, _strange, _unlike]
    made = []
    for number in range(count):
        data, suffix = draw.choice(kinds)(draw, whole)
        name = b"%04d" % number + os.fsencode(suffix)
        if draw.random() < 0.1:
            name = draw.choice(NAMES) % number + os.fsencode(suffix)
        path = folder / os.fsdecode(name)
        _write(path, data)
        made.append(path)
    return made


def _write(path: Path, data: bytes | str) -> None:
    if isinstance(data, bytes):
        path.write_bytes(data)
    elif data == "pipe":
        os.mkfifo(path)
    elif data == "socket":
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path must be short
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.fsencode(path.name))
        os.chdir(here)
    else:
        path.symlink_to(data)


def _whole(seed: int) -> dict[str, bytes]:
    """Good files of every kind by suffix: smooth colours with some noise."""
    noise = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :64] * 3
    ramp = np.stack([x, y, x + y], -1) + noise.integers(0, 40, (48, 64, 3))
    colour = PIL.Image.fromarray(ramp.clip(0, 255).astype(np.uint8))
    kinds = {
        ".jpg": (colour, {"format": "JPEG"}),
        ".progressive.jpg": (colour, {"format": "JPEG", "progressive": True}),
        ".cmyk.jpg": (colour.convert("CMYK"), {"format": "JPEG"}),
        ".png": (colour, {"format": "PNG"}),
        ".palette.png": (colour.quantize(32), {"format": "PNG", "transparency": 3}),
        ".rgba.png": (colour.convert("RGBA"), {"format": "PNG"}),
        ".deep.png": (PIL.Image.fromarray(ramp[..., 0].astype(np.uint16) * 128), {"format": "PNG"}),
        ".gif": (colour, {"format": "GIF"}),
        ".bmp": (colour, {"format": "BMP"}),
        ".tif": (colour, {"format": "TIFF", "compression": "tiff_lzw"}),
        ".jpeg.tif": (colour, {"format": "TIFF", "compression": "jpeg"}),
        ".float.tif": (
            PIL.Image.fromarray(ramp[..., 1].astype(np.float32) / 512),
            {"format": "TIFF"},
        ),
        ".webp": (colour, {"format": "WEBP"}),
        ".avif": (colour, {"format": "AVIF"}),
        ".jp2": (colour, {"format": "JPEG2000"}),
        ".ppm": (colour, {"format": "PPM"}),
        ".ico": (colour, {"format": "ICO"}),
    }
    found = {}
    for suffix, (picture, options) in kinds.items():
        file = io.BytesIO()
        picture.save(file, **options)
        found[suffix] = file.getvalue()
    return found


def _damaged(draw: random.Random, whole: dict[str, bytes]) -> tuple[bytes, str]:
    """Cut, flipped, erased, inserted, doubled or exchanged bytes."""
    suffix = draw.choice(list(whole))
    data = bytearray(whole[suffix])
    # Half of the damages hit the header.
    place = draw.randrange(min(len(data), 200) if draw.random() < 0.5 else len(data))
    length = draw.choice([1, 2, 4, 16, 200])
    match draw.randrange(6):
        case 0:
            del data[place:]
        case 1:
            for _ in range(draw.choice([1, 3, 20])):
                data[draw.randrange(len(data))] = draw.randrange(256)
        case 2:
            data[place : place + length] = bytes([draw.choice([0, 255])]) * length
        case 3:
            data[place:place] = draw.randbytes(length)
        case 4:
            del data[place : place + length]
        case _:
            data[place : place + length] = draw.randbytes(length)
    return bytes(data), suffix


def _lying(draw: random.Random, whole: dict[str, bytes]) -> tuple[bytes, str]:
    """A size that the pixels do not have."""
    width, height = (draw.choice([0, 1, 7, 4097, 30_000, 2**16 - 1, 2**31 - 1]) for _ in range(2))
    suffix = draw.choice([".png", ".bmp", ".gif", ".jpg", ".ppm", ".jp2", ".webp"])
    data = bytearray(whole[suffix])
    small = struct.pack("<HH", min(width, 65535), min(height, 65535))
    match suffix:
        case ".png":
            data = bytearray(png(width, height, bytes(data[33:])))
        case ".bmp":
            data[18:26] = struct.pack("<II", width, height)
        case ".gif":
            data[6:10] = small
        case ".jpg":
            at = data.index(b"\xff\xc0") + 5
            data[at : at + 4] = struct.pack(">HH", min(height, 65535), min(width, 65535))
        case ".ppm":
            data = bytearray(b"P6\n%d %d\n255\n" % (width, height)) + data[13:]
        case ".jp2":
            at = data.index(b"ihdr") + 4
            data[at : at + 8] = struct.pack(">II", height, width)
            at = data.index(b"\xff\x51") + 6
            data[at : at + 8] = struct.pack(">II", width, height)
        case _:
            at = data.index(b"\x9d\x01\x2a") + 3
            data[at : at + 4] = small
    return bytes(data), suffix


def _exif(draw: random.Random, whole: dict[str, bytes]) -> tuple[bytes, str]:
    """Good pixels, damaged metadata."""
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8769] = draw.randrange(9), "maker", {0x9003: "2026"}
    data = bytearray(exif.tobytes())
    for _ in range(draw.choice([1, 2, 8])):
        data[draw.randrange(6, len(data))] = draw.randrange(256)
    suffix = draw.choice([".png", ".jpg", ".webp"])
    picture = PIL.Image.open(io.BytesIO(whole[suffix]))
    file = io.BytesIO()
    profile = draw.randbytes(draw.choice([0, 3, 200]))
    picture.save(file, format=picture.format, exif=bytes(data), icc_profile=profile)
    return file.getvalue(), suffix


def _strange(draw: random.Random, whole: dict[str, bytes]) -> tuple[bytes, str]:
    """Pictures whose values or sides mean nothing to a classifier."""
    bad = draw.choice([np.nan, np.inf, -1.0, 300.0])
    values = {
        ".nan.tif": np.full((16, 16), bad, np.float32),
        ".long.tif": np.full((16, 16), 2**20, np.int32),
        ".dot.png": np.zeros((1, 1), np.uint8),
        ".line.png": np.zeros((3, 900), np.uint8),
        ".thin.png": np.zeros((9, 30_000), np.uint8),
    }
    suffix = draw.choice(list(values))
    file = io.BytesIO()
    PIL.Image.fromarray(values[suffix]).save(file, format="TIFF" if "tif" in suffix else "PNG")
    return file.getvalue(), suffix


def _unlike(draw: random.Random, whole: dict[str, bytes]) -> tuple[bytes | str, str]:
    """What is no picture file at all."""
    return draw.choice([
        (b"", ".png"), (b"words", ".txt"), (b"<html>", ".jpg"), (draw.randbytes(999), ".png"),
        (b"\x89PNG\r\n\x1a\n", ".png"), (b"GIF89a", ".gif"), (b"%!PS-Adobe-3.0 EPSF-3.0\n", ".eps"),
        (b"{}", ".json"), (b"PK\x03\x04", ".zip"), ("pipe", ".png"), ("socket", ".png"),
        ("nowhere", ".png"), ("/dev/null", ".png"), ("/dev/zero", ".png"),
    ])  # fmt: skip


def png(width: int, height: int, rest: bytes, colour: int = 2) -> bytes:
    """A PNG with a header of these sides and any chunks behind it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    check = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + check + rest


def _zeros(width: int, height: int, colour: int) -> bytes:
    """A whole PNG of zeros, compressed 1000 to 1."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    packer, rows = zlib.compressobj(1), max(1, 2**20 // (width * channels))
    row = bytes(1 + width * channels)
    parts = [packer.compress(row * min(rows, height - at)) for at in range(0, height, rows)]
    data = b"IDAT" + b"".join(parts) + packer.flush()
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    return png(width, height, chunk + struct.pack(">I", 0) + b"IEND\xaeB`\x82", colour)


BOMBS: dict[str, Callable[[], bytes]] = {
    "long.png": lambda: _zeros(8, 20_000_000, 2),
    "wide.png": lambda: _zeros(12_000_000, 8, 2),
    "square.png": lambda: _zeros(10_000, 10_000, 2),
    "square.rgba.png": lambda: _zeros(10_000, 10_000, 6),
    "square.la.png": lambda: _zeros(10_000, 10_000, 4),
    "larger.png": lambda: _zeros(13_000, 13_000, 0),
}
"""Small files that declare, and hold, as many pixels as their formats allow; see `large`."""


def large(format: str, side: int, mode: str = "RGB", **options) -> bytes:
    """A picture of one colour with very many pixels, in any format that Pillow writes."""
    file = io.BytesIO()
    PIL.Image.new(mode, (side, side)).save(file, format=format, **options)
    return file.getvalue()
