"""Maps from files: whatever is no list of finite maps is one sentence."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from fidojax.runs import Ledger, load_maps, pack

MAPS = np.random.default_rng(0).random((6, 4, 5), np.float32) + 1


def npy(folder: Path, values, cut: int = 0) -> Path:
    np.save(folder / "maps.npy", values)
    data = (folder / "maps.npy").read_bytes()
    (folder / "maps.npy").write_bytes(data[: len(data) - cut])
    return folder / "maps.npy"


def written(folder: Path, data: bytes) -> Path:
    (folder / "maps.npy").write_bytes(data)
    return folder / "maps.npy"


def npz(folder: Path) -> Path:
    np.savez(folder / "maps.npz", a=MAPS)
    return folder / "maps.npz"


def array(folder: Path, values: np.ndarray = MAPS) -> Path:
    chunks = (2, *values.shape[1:])
    zarr.create_array(folder / "maps.zarr", data=values, chunks=chunks, overwrite=True)
    return folder / "maps.zarr"


def ledger(folder: Path) -> Path:
    """Rows 0 to 3 are explained, 4 failed, 5 is missing."""
    found = Ledger(folder / "run.zarr", 6, {}, chunk=2)
    rows = np.arange(5)
    found.write(rows, list("abcde"), pack(MAPS[:5]), [None] * 4 + ["no map"])
    return folder / "run.zarr"


def without(path: Path, name: str) -> Path:
    """A store without one of its files or folders."""
    place = path / name
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    return path


def spoiled(path: Path, name: str, data: bytes = b"{broken") -> Path:
    (path / name).write_bytes(data)
    return path


def changed(place, value) -> np.ndarray:
    maps = MAPS.copy()
    maps[place] = value
    return maps


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", ">f4"])
def test_maps_of_every_real_type_are_read(tmp_path, dtype):
    for make in (npy, array):
        found = load_maps(make(tmp_path, MAPS.astype(dtype)))
        np.testing.assert_array_equal(found, MAPS.astype(dtype).astype(np.float32))
        assert found.dtype == np.float32


def test_rows_of_a_ledger_without_a_map_are_nan(tmp_path):
    found = load_maps(ledger(tmp_path))
    np.testing.assert_allclose(found[:4], MAPS[:4], rtol=1e-3)
    assert np.isnan(found[5]).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (npz, "it is an .npz of several arrays; np.save writes one of them; expected an .npy"),
        (lambda f: npy(f, MAPS * 1j), "it holds complex64, not real numbers"),
        (lambda f: npy(f, MAPS > 1), "it holds bool, not real numbers"),
        (lambda f: npy(f, np.array(["a"])), "it holds str32, not real numbers"),
        (lambda f: npy(f, np.array([None])), "it holds object, not real numbers"),
        (lambda f: npy(f, MAPS[0]), "of shape (n, h, w), got float32 of shape (4, 5)"),
        (lambda f: npy(f, MAPS, cut=9), "it is not as long as its header says"),
        (lambda f: npy(f, changed((2, 1, 1), np.nan)), "map 2 is not finite"),
        (lambda f: npy(f, changed(slice(None), np.inf)), "maps 0, 1, 2, 3, 4, ... are not finite"),
        (lambda f: npy(f, np.full((1, 2, 2), 1e300)), "map 0 is not finite"),
        (lambda f: written(f, b""), "the file is damaged; expected an .npy of numbers"),
        (lambda f: written(f, b"\x93NUMPY\1\0\x10\0{'shape': (3"), "the file is damaged"),
        (lambda f: array(f, MAPS * 1j), "expected real numbers of shape (n, h, w), got complex64"),
        (lambda f: array(f, changed((5, 0, 0), np.nan)), "map 5 is not finite"),
        (lambda f: without(array(f), "c/1"), "maps 2, 3 are missing (or nothing but 0.0)"),
        (lambda f: spoiled(array(f), "c/2/0/0"), "expected a zarr array, or a ledger of maps"),
        (lambda f: spoiled(array(f), "zarr.json"), "expected a zarr array, or a ledger of maps"),
        (lambda f: without(ledger(f), "maps"), "expected a zarr array, or a ledger of maps"),
        (lambda f: without(ledger(f), "maps/c/1"), "maps 2, 3 are not finite"),
        (lambda f: without(ledger(f), "scale/zarr.json"), "expected a zarr array, or a ledger"),
        (lambda f: f, "expected a zarr array, or a ledger of maps"),
    ],
)
def test_what_is_no_list_of_finite_maps_is_one_sentence(tmp_path, make, said):
    path = make(tmp_path)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        load_maps(path)
    assert str(caught.value).startswith(f"maps {path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npy: there is no such file or folder"):
        load_maps(tmp_path / "nowhere.npy")
