"""The arrays of a PyTorch state dict, read without PyTorch.

Both of PyTorch's formats are read: the zip archive of today, and the older one, a sequence of
pickles and raw storages (before version 1.6, and `_use_new_zipfile_serialization=False`).
"""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fidojax.networks.torch_pickle import Storage, Tensor, evaluate

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

Elements = Callable[[Storage], np.ndarray]
"""The elements of a storage along one axis, those that no tensor shows included."""


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Return the tensors of a file that `torch.save(model.state_dict(), path)` wrote, by name.

    The arrays are read-only views of what was read, with the strides of the tensors.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or it holds or asks for anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights {path}: there is no such file, expected a state dict")
    content = path.read_bytes()
    try:
        tensors, elements = (_archive if content[:2] == b"PK" else _sequence)(content)
        return {name: _array(name, tensor, elements) for name, tensor in tensors.items()}
    except (ValueError, TypeError, LookupError, RuntimeError, OSError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"weights {path}: expected a PyTorch state dict, as"
            f" torch.save(model.state_dict(), FILE) writes it: {reason}"
        ) from error


def _archive(content: bytes) -> tuple[dict[str, Tensor], Elements]:
    archive = zipfile.ZipFile(io.BytesIO(content))
    entries = {info.filename: info for info in archive.infolist()}
    found = [name for name in entries if name.endswith("/data.pkl")]
    if len(found) != 1:
        raise ValueError(f"the archive has {len(found)} files data.pkl")
    if any(info.compress_type != zipfile.ZIP_STORED for info in entries.values()):
        raise ValueError("the archive is compressed, and PyTorch's are not")
    if sum(info.file_size for info in entries.values()) > len(content):
        raise ValueError("the archive declares more bytes than it has")
    folder = found[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in entries:
        _check_order(archive.read(f"{folder}byteorder") == b"little")
    read: dict[str, bytes] = {}  # tensors may share a storage

    def elements(storage: Storage) -> np.ndarray:
        if storage.key not in read:
            _check_storage(storage.key, f"{folder}data/{storage.key}" in entries)
            read[storage.key] = archive.read(f"{folder}data/{storage.key}")
        return np.frombuffer(read[storage.key], storage.dtype)

    return _tensors(evaluate(io.BytesIO(archive.read(found[0])))), elements


def _sequence(content: bytes) -> tuple[dict[str, Tensor], Elements]:
    stream = io.BytesIO(content)
    try:
        magic = evaluate(stream)
    except (ValueError, TypeError, LookupError):
        magic = None
    if type(magic) is not int or magic != _LEGACY_MAGIC:
        raise ValueError("it begins like neither of PyTorch's formats")
    evaluate(stream)  # the version of the format
    _check_order(evaluate(stream)["little_endian"] is True)
    tensors = _tensors(evaluate(stream))
    # The storages follow in the order of their keys, each with its length; only the tensors tell
    # a storage's type.
    types = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
    places: dict[str, tuple[int, int]] = {}
    for key in evaluate(stream):
        count = int.from_bytes(stream.read(8), "little", signed=True)
        _check_storage(key, isinstance(key, str) and key in types)
        size = count * types[key].itemsize
        if not 0 <= size <= len(content) - stream.tell():
            raise ValueError(f"its storage {key!r} is cut short")
        places[key] = (count, stream.tell())
        stream.seek(size, io.SEEK_CUR)

    def elements(storage: Storage) -> np.ndarray:
        _check_storage(storage.key, storage.key in places)
        count, start = places[storage.key]
        return np.frombuffer(content, storage.dtype, count, start)

    return tensors, elements


def _check_order(little_endian: bool) -> None:
    if not little_endian:
        raise ValueError("its numbers are stored in big-endian order")


def _check_storage(key: Any, known: bool) -> None:
    if not known:
        raise ValueError(f"it has no storage {key if isinstance(key, str) else type(key)!r}")


def _tensors(state: Any) -> dict[str, Tensor]:
    """Return what the pickle made if it is names with tensors."""
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ValueError(f"{name!r} is a {type(tensor).__name__}, expected a tensor")
    return state


def _array(name: str, tensor: Tensor, elements: Elements) -> np.ndarray:
    """Return a tensor as a view of its storage; nothing is copied."""
    storage = tensor.storage
    shown = elements(storage)[storage.start : storage.start + storage.count]
    last = tensor.offset + sum(
        (n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, storage.dtype)
    if last >= len(shown):
        raise ValueError(f"{name!r} reaches over the end of its storage")
    return np.lib.stride_tricks.as_strided(
        shown[tensor.offset :],
        tensor.shape,
        tuple(stride * storage.dtype.itemsize for stride in tensor.strides),
        writeable=False,
    )
