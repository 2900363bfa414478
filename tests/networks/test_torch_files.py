"""PyTorch's state dicts without PyTorch: right values from both formats, and no hostile pickle.

The files are written by Python's own pickler under PyTorch's names, and once by PyTorch itself
where it is installed.
"""

import io
import os
import pickle
import random
import re
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from fidojax.networks.torch_files import read_state_dict

MAGIC = 0x1950A86A20F9469CFC6C
FORMATS = ("new", "old")


def _rebuild_tensor_v2(*arguments):
    """Stands for PyTorch's function of that name in the files that these tests write."""
    return arguments


def _rebuild_parameter(*arguments):
    return arguments


class FloatStorage:
    pass


class LongStorage:
    pass


_rebuild_tensor_v2.__module__ = _rebuild_parameter.__module__ = "torch._utils"
FloatStorage.__module__ = LongStorage.__module__ = "torch"


@pytest.fixture(autouse=True)
def torchs_names(monkeypatch):
    """Python's pickler writes a name only if it finds the object under it."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    vars(torch).update(FloatStorage=FloatStorage, LongStorage=LongStorage, _utils=utils)
    vars(utils).update(_rebuild_tensor_v2=_rebuild_tensor_v2, _rebuild_parameter=_rebuild_parameter)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", torch)
        patch.setitem(sys.modules, "torch._utils", utils)
        yield


class Stored:
    """A storage: pickled by its persistent id."""

    def __init__(self, key, elements, view=None):
        self.key, self.elements, self.view = key, elements, view

    def id(self, form):
        kind = FloatStorage if self.elements.dtype == np.float32 else LongStorage
        parts = ("storage", kind, self.key, "cpu", len(self.elements))
        return (*parts, self.view) if form == "old" else parts


class Tensor:
    """A tensor: pickled as a call of PyTorch's function."""

    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return _rebuild_tensor_v2, self.arguments


class Call:
    """Pickled as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def pickled(content, form="new", protocol=2) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return obj.id(form) if isinstance(obj, Stored) else None

    buffer = io.BytesIO()
    Pickler(buffer, protocol).dump(content)
    return buffer.getvalue()


def write(path, content, storages=(), form="new", **options):
    """Write a file in one of PyTorch's formats; `content` may be the bytes of a pickle."""
    program = content if isinstance(content, bytes) else pickled(content, form)
    if form == "new":
        with zipfile.ZipFile(path, "w", options.get("compression", zipfile.ZIP_STORED)) as archive:
            archive.writestr("archive/data.pkl", program)
            archive.writestr("archive/byteorder", options.get("order", "little"))
            for storage in storages:
                archive.writestr(f"archive/data/{storage.key}", storage.elements.tobytes())
        return path
    information = {"protocol_version": 1001, "little_endian": options.get("order") != "big"}
    parts = [pickled(MAGIC), pickled(1001), pickled(information), program]
    parts.append(pickled([storage.key for storage in storages]))
    for storage in storages:
        parts += [struct.pack("<q", len(storage.elements)), storage.elements.tobytes()]
    path.write_bytes(b"".join(parts))
    return path


def floats(count, key="0", **options):
    return Stored(key, np.arange(count, dtype=np.float32), **options)


@pytest.mark.parametrize("form", FORMATS)
def test_tensors_have_their_offsets_strides_and_types(form, tmp_path):
    storage, longs = floats(24), Stored("1", np.array([7, -3]))
    count = np.arange(24)
    state = OrderedDict(
        whole=Tensor(storage, 0, (2, 3, 4), (12, 4, 1)),
        permuted=Tensor(storage, 0, (4, 2, 3), (1, 12, 4)),
        part=Tensor(storage, 5, (2, 2), (8, 3)),
        spread=Tensor(storage, 2, (2, 3), (1, 0)),
        scalar=Tensor(longs, 1, (), ()),
        empty=Tensor(storage, 0, (0, 3), (3, 1)),
        parameter=Call(_rebuild_parameter, Tensor(storage, 1, (3,), (1,)), True, OrderedDict()),
    )
    vars(state)["_metadata"] = OrderedDict(version=1)  # as state dicts of modules have
    read = read_state_dict(write(tmp_path / "a.pth", state, [storage, longs], form))
    assert list(read) == list(state)
    np.testing.assert_array_equal(read["whole"], count.reshape(2, 3, 4))
    np.testing.assert_array_equal(read["permuted"], count.reshape(2, 3, 4).transpose(2, 0, 1))
    np.testing.assert_array_equal(read["part"], [[5, 8], [13, 16]])
    np.testing.assert_array_equal(read["spread"], [[2, 2, 2], [3, 3, 3]])
    np.testing.assert_array_equal(read["parameter"], [1, 2, 3])
    assert (read["scalar"], read["scalar"].dtype) == (-3, np.int64)
    assert (read["empty"].shape, read["whole"].dtype) == ((0, 3), np.float32)
    with pytest.raises(ValueError, match="read-only"):
        read["whole"][0] = 1


def test_a_view_of_a_storage_begins_where_it_says(tmp_path):
    view = floats(10, view=("view", 4, 3))
    state = {"a": Tensor(view, 1, (2,), (1,))}
    read = read_state_dict(write(tmp_path / "a.pth", state, [view], "old"))
    np.testing.assert_array_equal(read["a"], [5, 6])


@pytest.mark.parametrize("form", FORMATS)
def test_torchs_own_files(form, tmp_path, monkeypatch):
    monkeypatch.undo()
    for name in ("torch", "torch._utils"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    torch = pytest.importorskip("torch", reason="needs PyTorch to write the files")
    kernel = torch.nn.Conv2d(3, 5, 2).to(memory_format=torch.channels_last)
    state = kernel.state_dict() | {
        str(dtype): torch.arange(4).to(dtype)
        for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.bool)
    }
    state["part"] = state["weight"][1:, ::2].permute(2, 0, 3, 1)
    path = tmp_path / "a.pt"
    torch.save(state, path, _use_new_zipfile_serialization=form == "new")
    read = read_state_dict(path)
    assert read.keys() == state.keys()
    for name, tensor in state.items():
        expected = tensor.detach().to(torch.float64).numpy()
        np.testing.assert_array_equal(read[name].astype(np.float64), expected)


class Explosive:
    def __reduce__(self):
        return os.system, ("touch exploded",)


STORAGE = floats(6)
FITS = Tensor(STORAGE, 0, (2, 3), (3, 1))
HOSTILE = {
    "a call of the system": (Explosive(), "its pickle names '(posix|nt).system', which is refused"),
    "the same by an old operation": (b"(S'touch exploded'\nios\nsystem\n.", "the operation STRING"),
    "eval": (Call(eval, "1"), "names '(__builtin__|builtins).eval', which is refused"),
    "a name behind a dot": (b"\x80\x04\x8c\x05torch\x8c\x11FloatStorage.mro_\x93.", "mro_'"),
    "an extension": (b"\x80\x02\x82\x01.", "the operation EXT1"),
    "a class that is made": (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "the operation NEWOBJ"),
    "a state for a function": (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00__code__K\x01sb.",
        "a Global in place of a dict",
    ),
    "a storage that is called": (b"\x80\x02ctorch\nFloatStorage\n)R.", "calls a Global"),
    "a number that is called": (b"\x80\x02K\x01)R.", "calls a int"),
    "a key that nests": (b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s.", "a tuple for a key"),
    "a huge place in the memo": (b"\x80\x02Nr\xff\xff\xff\x7f.", "holds a NoneType"),
    "more than there is": (b"\x80\x02\x87.", "takes more than it has"),
    "no end": (b"\x80\x02}", "pickle exhausted|holds a list"),
    "a long string": (b"\x80\x02X\xff\xff\xff\x7fabc", "expected 2147483647 bytes"),
    "no tensors": ([1, 2], "holds a list"),
    "numbers": ({"a": 1}, "'a' is a int, expected a tensor"),
    "a checkpoint": ({"state_dict": {}}, "'state_dict' is a dict, expected a tensor"),
    "a name that is a number": ({1: FITS}, "1 is a Tensor, expected a tensor"),
    "a tensor over the end": ({"a": Tensor(STORAGE, 4, (2,), (2,))}, "'a' reaches over the end"),
    "a tensor before the start": ({"a": Tensor(STORAGE, -1, (2,), (1,))}, "no natural number"),
    "steps backwards": ({"a": Tensor(STORAGE, 5, (2,), (-1,))}, "no natural number"),
    "a size that is no number": ({"a": Tensor(STORAGE, 0, ("x",), (1,))}, "no natural number"),
    "a size beyond memory": ({"a": Tensor(STORAGE, 0, (2**60,), (0,))}, "a tensor of shape"),
    "strides of another rank": ({"a": Tensor(STORAGE, 0, (2, 3), (1,))}, "has 1 strides"),
    "no storage": ({"a": Tensor(None, 0, (2,), (1,))}, "no storage"),
    "an unknown storage": ({"a": Tensor(floats(6, "9"), 0, (2,), (1,))}, "no storage '[09]'"),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("content", "said"), HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_or_unfit_file_is_refused_in_one_sentence(
    content, said, form, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "bad.pth", content, [STORAGE], form)
    with pytest.raises(ValueError, match=said) as caught:
        read_state_dict(path)
    assert str(caught.value).startswith(f"weights {path}: expected a PyTorch state dict")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert sorted(os.listdir()) == ["bad.pth"]  # nothing ran


@pytest.mark.parametrize(
    ("form", "options", "said"),
    [
        ("new", {"order": "big"}, "big-endian"),
        ("old", {"order": "big"}, "big-endian"),
        ("new", {"compression": zipfile.ZIP_DEFLATED}, "compressed"),
    ],
)
def test_other_encodings_are_refused(form, options, said, tmp_path):
    path = write(tmp_path / "a.pth", {"a": FITS}, [STORAGE], form, **options)
    with pytest.raises(ValueError, match=said):
        read_state_dict(path)


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth: there is no such file"):
        read_state_dict(tmp_path / "none.pth")
    for content in (b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", bytes(1000), b"GIF89a"):
        (tmp_path / "a.pth").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.pth: expected a PyTorch state dict"):
            read_state_dict(tmp_path / "a.pth")
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=re.escape("the archive has 0 files data.pkl")):
        read_state_dict(tmp_path / "a.npz")


@pytest.mark.parametrize("form", FORMATS)
def test_damage_is_named_or_harmless(form, tmp_path):
    """Of 300 files with a flipped byte or cut short each one is read or named."""
    good = write(tmp_path / "a.pth", {"a": FITS, "b": FITS}, [STORAGE], form).read_bytes()
    draw = random.Random(0)
    named = 0
    for _ in range(300):
        content = bytearray(good)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        if draw.random() < 0.3:
            del content[draw.randrange(len(content)) :]
        (tmp_path / "a.pth").write_bytes(content)
        try:
            read_state_dict(tmp_path / "a.pth")
        except ValueError:
            named += 1
    assert named > 150
