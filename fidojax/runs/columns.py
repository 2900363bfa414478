"""The arrays of a ledger in files: with checksums, and with one sentence where a file is damaged.

The rows of a column lie in chunks of zarr, one file for each number of rows: `NAME/c/I/0/0`. A
column made here stores a CRC-32C of every chunk, and writes chunks of fill values, too. A changed,
truncated or deleted file is therefore recognised. Columns of earlier versions have no checksum:
their damages are found as far as they cannot be decoded.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.errors import ContainsArrayError, ContainsGroupError

from fidojax.data import Place, as_os_error, is_remote

WRITE_ALL = {"write_empty_chunks": True}
"""Also chunks that hold only fill values, so that a missing file is a deleted one."""


class DamagedError(ValueError):
    """A stored file cannot be read; the message names it."""


@contextmanager
def naming(file: Place, advice: str) -> Iterator[None]:
    """Raise what zarr says of a damaged file as one sentence that names the file.

    Args:
        file: the file that is read.
        advice: what the user can do.

    Raises:
        DamagedError: the file cannot be read.
    """
    try:
        with as_os_error(file):
            yield
    except (DamagedError, ContainsArrayError, ContainsGroupError, FileNotFoundError):
        raise
    except OSError as error:
        if isinstance(error, IsADirectoryError | NotADirectoryError):
            raise DamagedError(f"{file}: {error.strerror}; {advice}") from None
        raise  # a full disk is not the file's fault
    except Exception as error:  # JSON, Unicode and zarr's own errors, and those of its codecs
        raise DamagedError(f"{file}: {_reason(error)}; {advice}") from None


def store(path: Place) -> Any:
    """Return what zarr opens: the path, or a store of zarr for an object store's."""
    return _remote(str(path)) if is_remote(path) else path


@functools.lru_cache(maxsize=256)
def _remote(address: str) -> Any:
    from obstore.store import from_url
    from zarr.storage import ObjectStore

    return ObjectStore(from_url(address))


def open_group(path: Place, mode: Any) -> zarr.Group:
    """Open a zarr group; mode "a" creates it if it does not exist.

    Raises:
        DamagedError: its zarr.json cannot be read.
    """
    with naming(path / "zarr.json", f"restore it, or delete {path}"):
        try:
            return zarr.open_group(store(path), mode=mode, zarr_format=3)
        except ContainsGroupError:  # another process was faster
            return zarr.open_group(store(path), mode="r+", zarr_format=3)
        except ContainsArrayError:
            raise DamagedError(f"{path} is a zarr array, expected a group of arrays") from None


def open_column(path: Place) -> zarr.Array:
    """Open a column.

    Raises:
        DamagedError: its zarr.json cannot be read.
        FileNotFoundError: there is none.
    """
    advice = f"restore it, or delete {path.parent}"
    with naming(path / "zarr.json", advice):
        column = zarr.open_array(store(path), mode="r+", zarr_format=3).with_config(WRITE_ALL)  # type: ignore[arg-type]
    if column.chunks[1:] != column.shape[1:]:
        raise DamagedError(
            f"{path}/zarr.json describes rows of shape {column.shape[1:]} in parts of shape "
            f"{column.chunks[1:]}, expected whole rows; {advice}"
        )
    return column


def create_column(
    group: zarr.Group, name: str, shape: tuple[int, ...], dtype: Any, rows: int
) -> None:
    """Create a column unless another process has.

    Args:
        group: the ledger's group.
        name: the column's name.
        shape: "n ...".
        dtype: of the values; rows that are never written hold NaN, 0 or "".
        rows: the number of rows in one file.
    """
    fill: Any = np.nan if dtype is not str and np.dtype(dtype).kind == "f" else None
    with suppress(ContainsArrayError):
        group.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=(rows, *shape[1:]),
            fill_value=fill,
            compressors=(ZstdCodec(), Crc32cCodec()),
            config=WRITE_ALL,  # type: ignore[arg-type]
        )


def is_checked(column: zarr.Array) -> bool:
    """Whether the column's files have checksums."""
    return any(isinstance(codec, Crc32cCodec) for codec in column.compressors)


def chunk_file(folder: Place, column: zarr.Array, index: int) -> Place:
    """The file of the chunk of that index."""
    return folder.joinpath("c", str(index), *["0"] * (column.ndim - 1))


def chunk_damage(folder: Place, column: zarr.Array, index: int, *, needed: bool) -> str | None:
    """What is wrong with a chunk of a column; None if it can be read.

    Args:
        folder: the column's folder.
        column: the column.
        index: the chunk's index.
        needed: whether one of its rows has values.
    """
    file, rows = chunk_file(folder, column, index), column.chunks[0]
    if file.is_dir():
        return "it is a folder"
    if not file.exists():
        # Earlier versions write no files of fill values; of these, only NaN is no value.
        lost = is_checked(column) or column.dtype.kind == "f"
        return "it is missing" if needed and lost else None
    try:
        column[index * rows : (index + 1) * rows]
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except Exception as error:  # whatever a codec says
        return _reason(error)
    return None


def readable(folder: Place, column: zarr.Array) -> np.ndarray:
    """Return a column of one axis; where a file cannot be read, the value of missing rows.

    Args:
        folder: the column's folder.
        column: the column.
    """
    try:
        return np.asarray(column[...])
    except Exception:  # whatever a codec says
        values = np.full(column.shape, column.fill_value, column.dtype)
    rows = column.chunks[0]
    for index in range(-(-len(values) // rows)):
        if chunk_damage(folder, column, index, needed=False) is None:
            part = slice(index * rows, (index + 1) * rows)
            values[part] = np.asarray(column[part])
    return values


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    if "checksum do not match" in text:
        return "its checksum does not match"
    return f"it is damaged ({text or type(error).__name__})"
