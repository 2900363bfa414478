"""Damaged .npz files, drawn from a seed: bytes, headers, values, names, and bombs."""

import io
import random
import struct
import zipfile
from collections.abc import Iterator, Mapping

import numpy as np

TEXTS = (
    "{'descr': '<f2', 'fortran_order': False, 'shape': (3",
    "{'descr': '<f2', 'fortran_order': False, 'shape': (-3,), }",
    "{'descr': '<f2', 'fortran_order': False, 'shape': (3.5,), }",
    "{'descr': '<f2', 'fortran_order': False, 'shape': (10**18,), }",
    "{'descr': '<f2', 'fortran_order': 0, 'shape': (9999999999999999999999,), }",
    "{'descr': 'q9', 'fortran_order': False, 'shape': (3,), }",
    "{'descr': '|V0', 'fortran_order': False, 'shape': (3,), }",
    "{'descr': [('a', '<f2')], 'fortran_order': False, 'shape': (3,), }",
    "{'shape': (3L,), 'descr': '<f2', 'fortran_order': False, }",
    "[1, 2", "x" * 50, "'''", "\0\0", "",
)  # fmt: skip
"""Headers of arrays that are none."""


def damaged_weights(
    arrays: Mapping[str, np.ndarray], count: int, seed: int = 0
) -> Iterator[tuple[str, bytes]]:
    """Yield `count` damages of a file of these arrays: what was done, and the bytes."""
    draw = random.Random(seed)
    whole = packed(arrays)
    squeezed = packed(arrays, zipfile.ZIP_DEFLATED)
    for _ in range(count):
        kind = draw.randrange(10)
        if kind < 3:
            yield "bytes", _bytes(draw, draw.choice([whole, squeezed]))
        elif kind < 5:
            yield "directory", _directory(draw, whole)
        elif kind < 6:
            yield "header", _header(draw, arrays)
        elif kind < 9:
            yield "arrays", packed(_arrays(draw, arrays))
        else:
            yield "no archive", _unlike(draw, whole)


def packed(arrays: Mapping[str, np.ndarray], how: int = zipfile.ZIP_STORED) -> bytes:
    """The bytes of an .npz of these arrays."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, values, allow_pickle=True)
            archive.writestr(f"{name}.npy", member.getvalue())
    return file.getvalue()


def bomb(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """An .npz of zeros in float16, compressed 1000 to 1; its first array is the large one."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, shape in shapes.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                left = 2 * int(np.prod(shape))
                while left > 0:
                    member.write(bytes(min(left, 2**24)))
                    left -= 2**24
    return file.getvalue()


def _bytes(draw: random.Random, whole: bytes) -> bytes:
    data = bytearray(whole)
    place, length = draw.randrange(len(data)), draw.choice([1, 4, 50])
    match draw.randrange(5):
        case 0:
            del data[place:]
        case 1:
            for _ in range(draw.choice([1, 3, 30])):
                data[draw.randrange(len(data))] = draw.randrange(256)
        case 2:
            data[place : place + length] = bytes(length)
        case 3:
            data[place:place] = draw.randbytes(length)
        case _:
            del data[place : place + length]
    return bytes(data)


def _directory(draw: random.Random, whole: bytes) -> bytes:
    """Change a field of the archive's directory: methods, flags, sizes, places, names."""
    data = bytearray(whole)
    signature = draw.choice([b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"])
    places = [at for at in range(len(data) - 46) if data[at : at + 4] == signature]
    at = draw.choice(places or [len(data) - 22]) + draw.randrange(4, 34)
    data[at : at + 2] = draw.choice([b"\0\0", b"\1\0", b"\x0c\0", b"\x0e\0", b"\xff\xff"])
    return bytes(data)


def _header(draw: random.Random, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Put another text, or another version, into the header of an array."""
    file = io.BytesIO()
    text, spoiled = draw.choice(TEXTS).encode(), draw.choice(list(arrays))
    with zipfile.ZipFile(file, "w") as archive:
        for name, values in arrays.items():
            version = draw.choice([b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\7\0", b"\0\0"])
            length = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
            content = b"\x93NUMPY" + version + length + text + values.tobytes()
            if name != spoiled:
                member = io.BytesIO()
                np.save(member, values)
                content = member.getvalue()
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def _arrays(draw: random.Random, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Change the shape, the type, the values or the name of an array, or their number."""
    changed = dict(arrays)
    name = draw.choice(list(arrays))
    values = changed[name]
    new = draw.choice([
        values[None], values.ravel(), values[..., :0], values[..., :1], values[:0], values[..., 0],
        values.astype(complex), values.astype(object), values.astype(str), values > 0,
        values.astype(np.int32), np.full(values.shape, np.nan, np.float16),
        np.full(values.shape, np.inf), np.full(values.shape, 1e300), np.float16(1.0),
        np.zeros(values.shape, "V2"), np.zeros(values.shape, "M8[s]"), None, "renamed", "more",
    ])  # fmt: skip
    if new is None:
        del changed[name]
    elif isinstance(new, str):
        changed[f"{new}\n/{name}"] = values
        if new == "renamed":
            del changed[name]
    else:
        changed[name] = np.asarray(new)
    return changed


def _unlike(draw: random.Random, whole: bytes) -> bytes:
    one = io.BytesIO()
    np.save(one, np.zeros(3))
    return draw.choice([
        b"", b"PK", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"words", one.getvalue(),
        b"\x80\x04K\x01.", whole[::-1], whole[:-22], whole + whole[:100], b"\x89HDF\r\n\x1a\n",
    ])  # fmt: skip
