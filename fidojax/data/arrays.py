"""Read files of arrays, .npy and .npz, whose headers are checked before the values are read.

A damaged file of either kind makes NumPy and zipfile raise nearly any type of error, and a small
compressed file may hold GB of zeros. Here each fault is one sentence, in a ValueError.
"""

import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from fidojax.core import printable

PLAUSIBLE = 20
"""The largest ratio of an archive's arrays to its file: compression halves trained weights."""
SMALL = 2**28
"""Bytes of arrays that any archive may hold, whatever the ratio."""


class ArrayHeader(NamedTuple):
    """The shape and the type of an array in a file.

    Attributes:
        shape: its shape.
        dtype: its type.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)


def npz_headers(path: str | Path, what: str) -> dict[str, ArrayHeader]:
    """Return the headers of the arrays of an .npz file, by name; no values are read.

    Args:
        path: the file.
        what: what the file holds, for messages: "weights".

    Raises:
        ValueError: the file is damaged, or declares far more values than it can hold.
        FileNotFoundError: there is no such file.
    """
    with _opened(path, what, "an .npz of plain arrays") as file, zipfile.ZipFile(file) as archive:
        found: dict[str, ArrayHeader] = {}
        total = 0
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name in found:
                raise _FaultError(f"it holds {name!r} twice")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _FaultError(f"{name!r} is compressed in a way that NumPy does not write")
            with archive.open(entry) as member:
                found[name] = _header(member)
                if found[name].dtype.hasobject:
                    raise _FaultError(f"{name!r} holds Python objects")
                bytes_ = _bytes(found[name])
                if member.tell() + bytes_ != entry.file_size:
                    raise _FaultError(f"{name!r} is not as long as its header says")
            total += bytes_
        size = Path(path).stat().st_size
        if total > max(SMALL, PLAUSIBLE * size):
            raise _FaultError(f"its {size:,} bytes declare arrays of {total:,} bytes")
    return found


def read_npz(path: str | Path, what: str) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name, after the checks of `npz_headers`.

    Raises:
        ValueError: the file is damaged, or holds other things than real, finite numbers.
        FileNotFoundError: there is no such file.
    """
    headers = npz_headers(path, what)
    with _opened(path, what, "an .npz of plain arrays") as file, zipfile.ZipFile(file) as archive:
        for name, header in headers.items():
            _check_type(header.dtype, f"{name!r} holds")
        found = {}
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            with archive.open(entry) as member:
                found[name] = np.lib.format.read_array(member, allow_pickle=False)
            _check_finite(found[name], printable(name))
    return found


def read_npy(path: str | Path, what: str) -> np.ndarray:
    """Return the array of an .npy file.

    Raises:
        ValueError: the file is damaged, or holds other things than real numbers.
        FileNotFoundError: there is no such file.
    """
    with _opened(path, what, "an .npy of numbers") as file:
        if file.read(4) == b"PK\x03\x04":
            raise _FaultError("it is an .npz of several arrays; np.save writes one of them")
        file.seek(0)
        header = _header(file)
        _check_type(header.dtype, "it holds")
        if file.tell() + _bytes(header) != Path(path).stat().st_size:
            raise _FaultError("it is not as long as its header says")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)


class _FaultError(Exception):
    """A fault of the file in words."""


@contextmanager
def _opened(path: str | Path, what: str, expected: str) -> Iterator[io.BufferedIOBase]:
    said = f"{what} {printable(path)}"
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on headers as Python 2 wrote them
            yield file
    except FileNotFoundError:
        raise FileNotFoundError(f"{said}: there is no such file, expected {expected}") from None
    except _FaultError as error:
        raise ValueError(f"{said}: {error}; expected {expected}") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"{said}: it cannot be read ({reason})") from error
    except MemoryError as error:
        raise ValueError(f"{said}: there is not enough memory to read it") from error
    except Exception as error:  # zipfile and NumPy raise nearly any type on damaged files
        raise ValueError(f"{said}: the file is damaged; expected {expected}") from error


def _header(file: IO[bytes] | io.BufferedIOBase) -> ArrayHeader:
    """Read a header, so that the file stands at the first value."""
    version = np.lib.format.read_magic(file)
    # Version 3 differs from 2 in the encoding of field names, and plain arrays have none.
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
    read = read or np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if any(side < 0 for side in shape):
        raise _FaultError(f"an array has the shape {shape}")
    return ArrayHeader(shape, dtype)


def _bytes(header: ArrayHeader) -> int:
    return math.prod(header.shape) * header.dtype.itemsize


def _check_type(dtype: np.dtype, said: str) -> None:
    if dtype.kind not in "fiu":
        raise _FaultError(f"{said} {dtype.name}, not real numbers")


def _check_finite(values: np.ndarray, name: str) -> None:
    # Weights are used in float32, which ends at 3.4e38.
    with np.errstate(over="ignore"):
        if not np.isfinite(values.astype(np.float32, copy=False)).all():
            raise _FaultError(f"{name} must be finite in float32")
