"""Damaged files of a ledger are found and given up, by the shard that writes them."""

import contextlib

import numpy as np
import pytest
import zarr

from fidojax.runs import damages
from fidojax.runs.columns import DamagedError
from fidojax.runs.damages import find_damages, repair, verify
from fidojax.runs.ledger import DONE, MISSING, Ledger, find_ledger
from fidojax.runs.maps import pack, read_maps

COUNT = 8


def columns(rows) -> dict[str, np.ndarray]:
    maps = np.random.default_rng(0).random((COUNT, 4, 4), np.float32)[rows]
    return {**pack(maps), "targets": np.zeros(len(rows), np.int32)}


def write(ledger, rows) -> None:
    ledger.write(rows, [f"picture {row}" for row in rows], columns(rows))


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    """Of eight rows, two in a file."""
    made = Ledger(tmp_path / "run" / "maps", COUNT, {"method": "fido"}, chunk=2)
    write(made, range(COUNT))
    return made


def cut(ledger, column, chunk) -> None:
    axes = "/0/0" if column == "maps" else ""
    file = ledger.path / column / f"c/{chunk}{axes}"
    file.write_bytes(file.read_bytes()[:-1])


def test_a_sound_ledger_has_no_damages(ledger, tmp_path):
    assert find_damages(ledger) == repair(ledger) == verify(tmp_path) == []
    assert (ledger.status == DONE).all()
    assert (ledger.read("targets") == 0).all()  # chunks of fill values are files, too
    assert len(list((ledger.path / "targets" / "c").iterdir())) == COUNT / 2
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        verify(tmp_path / "nowhere")


@pytest.mark.parametrize("column", ["maps", "scale", "targets", "ids", "status"])
def test_the_rows_of_a_damaged_file_are_computed_again(ledger, column, tmp_path):
    cut(ledger, column, 1)
    (damage,) = find_damages(ledger)
    assert damage.rows.tolist() == [2, 3]
    assert str(damage).startswith(f"{ledger.path / column}/c/1")
    assert "checksum" in damage.reason
    assert verify(tmp_path) == [str(damage)]
    if column == "maps":
        with pytest.raises(DamagedError, match=r"maps: its checksum does not match"):
            read_maps(ledger)
    assert repair(ledger)[0].file == damage.file
    assert ledger.missing().tolist() == [2, 3]
    write(ledger, [2, 3])
    assert find_damages(ledger) == []
    np.testing.assert_array_equal(read_maps(ledger), read_maps(again(ledger)))
    np.testing.assert_array_equal(ledger.read("maps"), columns(range(COUNT))["maps"])


def again(ledger) -> Ledger:
    found = find_ledger(ledger.path)
    assert found is not None
    return found


def test_a_shard_repairs_its_own_files_only(ledger):
    cut(ledger, "maps", 1)
    cut(ledger, "scale", 2)
    assert [damage.rows.tolist() for damage in repair(ledger, (0, 2))] == [[4, 5]]
    assert ledger.missing().tolist() == [4, 5]
    assert [damage.rows.tolist() for damage in repair(ledger, (1, 2))] == [[2, 3]]
    assert ledger.missing().tolist() == [2, 3, 4, 5]


def test_a_kill_while_it_repairs_leaves_no_row_done_without_its_values(ledger, monkeypatch):
    cut(ledger, "maps", 1)
    cut(ledger, "status", 2)
    for calls in range(4):
        left = [calls]

        def dying(file, left=left, remove=damages.remove):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            remove(file)

        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            patch.setattr(damages, "remove", dying)
            repair(again(ledger))
        found = again(ledger)
        lost = {row for damage in find_damages(found) for row in damage.rows}
        assert {2, 3, 4, 5} <= {*lost, *found.missing().tolist()}
    repair(ledger)
    assert ledger.missing().tolist() == [2, 3, 4, 5]


@pytest.fixture
def older(tmp_path) -> Ledger:
    """As earlier versions wrote it: without checksums, and without files of fill values."""
    path = tmp_path / "older"
    group = zarr.open_group(path, mode="a")
    values = {
        "status": np.full(COUNT, DONE, np.uint8),
        "ids": np.array([f"picture {row}" for row in range(COUNT)], dtype=object),
        "problem": np.full(COUNT, "", dtype=object),
        **columns(range(COUNT)),
    }
    for name, column in values.items():
        text = column.dtype == object
        array = group.create_array(
            name, shape=column.shape, dtype=str if text else column.dtype,
            chunks=(2, *column.shape[1:]),
            fill_value=np.nan if column.dtype.kind == "f" else None,
        )  # fmt: skip
        array[...] = column
    group.update_attributes({"settings": {"method": "fido"}, "provenance": {}})
    return Ledger(path, COUNT, {"method": "fido"})


def test_ledgers_without_checksums_are_read_and_go_on(older):
    assert not (older.path / "targets" / "c").exists()
    assert find_damages(older) == []
    np.testing.assert_array_equal(older.read("maps"), columns(range(COUNT))["maps"])
    older.forget([3])
    write(older, [3])
    assert find_damages(again(older)) == []


@pytest.mark.parametrize("column", ["maps", "scale", "ids", "status"])
@pytest.mark.parametrize("gone", [True, False])
def test_damages_of_ledgers_without_checksums_are_found_where_they_can_be(older, column, gone):
    if gone:
        axes = "/0/0" if column == "maps" else ""
        (older.path / column / f"c/1{axes}").unlink()
    else:
        cut(older, column, 1)
    repair(older)
    assert older.missing().tolist() == [2, 3]
    assert older.status[2] == MISSING
    write(older, [2, 3])
    assert find_damages(again(older)) == []
