"""A ledger keeps what it is given, row by row, whatever the crash, the shard and the growth."""

import json
import warnings

import jax
import numpy as np
import pytest
import zarr

from fidojax.runs.ledger import DONE, FAILED, MISSING, Ledger, find_ledger, rows_per_file
from fidojax.runs.maps import pack, read_maps, unpack
from fidojax.runs.shards import parse_shard

SETTINGS = {"method": "fido", "options": {"steps": 3, "sizes": [1, 2]}}


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    """Of 10 rows, 2 in a file."""
    return Ledger(tmp_path / "run" / "maps", 10, SETTINGS, chunk=2)


def again(ledger, count=10, **more) -> Ledger:
    return Ledger(ledger.path, count, SETTINGS, chunk=2, **more)


def columns(rows) -> dict[str, np.ndarray]:
    rows = np.asarray(rows)
    values = np.ones((len(rows), 2, 3)) * rows[:, None, None]
    return {"maps": values.astype(np.float16), "targets": rows.astype(np.int32)}


def write(ledger, rows, **more) -> None:
    ledger.write(rows, [f"picture {row}" for row in rows], columns(rows), **more)


def maps(scale=1.0, seed=0, count=3) -> np.ndarray:
    """Of both signs, not smaller than a hundredth of the largest."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.01, 1, (count, 8, 8)) * rng.choice([-1, 1], (count, 8, 8))
    return (values * scale).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e-3, 1, 7.0, 65504, 1e30, 3.4e38])
def test_eleven_bits_of_a_map_of_any_scale_are_kept(scale):
    given = maps(scale)
    packed = pack(given)
    assert (packed["maps"].dtype, packed["scale"].dtype) == (np.float16, np.float32)
    assert (np.frexp(packed["scale"])[0] == 0.5).all()  # powers of two, so dividing loses nothing
    kept = unpack(**packed)
    assert (np.abs(kept / given - 1) <= 2**-11).all()
    np.testing.assert_array_equal(unpack(**pack(kept)), kept)


def test_masks_are_stored_as_they_are():
    probabilities = np.random.default_rng(0).random((3, 8, 8), np.float32)
    probabilities[:, 0, :3] = 0, 1, 0.5
    assert (probabilities[0, 0, :3] == unpack(**pack(probabilities))[0, 0, :3]).all()
    packed = pack(probabilities)
    np.testing.assert_array_equal(packed["scale"], 1)
    np.testing.assert_array_equal(packed["maps"], probabilities.astype(np.float16))
    for exact in (np.zeros((2, 4, 4)), np.ones((2, 4, 4)), -np.ones((2, 4, 4)) / 8):
        np.testing.assert_array_equal(unpack(**pack(exact.astype(np.float32))), exact)


def test_a_map_that_is_not_finite_stays_so_alone():
    given = maps()
    given[1, 2, 3] = np.nan
    kept = unpack(**pack(given))
    assert np.isnan(kept[1, 2, 3])
    assert np.isfinite(np.delete(kept, 1, 0)).all()


def test_rows_are_read_back_and_the_others_are_missing(ledger):
    write(ledger, [4, 0, 7])  # in any order
    assert ledger.status.tolist() == [1, 0, 0, 0, 1, 0, 0, 1, 0, 0]
    assert (MISSING, DONE) == (0, 1)
    assert ledger.missing().tolist() == [1, 2, 3, 5, 6, 8, 9]
    assert [ledger.ids[row] for row in (0, 4, 1)] == ["picture 0", "picture 4", ""]
    assert ledger.read("targets", [7, 4]).tolist() == [7, 4]
    assert np.isnan(ledger.read("maps")[1]).all()
    assert ledger.names == ["maps", "targets"]
    reopened = again(ledger)
    np.testing.assert_array_equal(reopened.read("maps"), ledger.read("maps"))
    assert reopened.ids == ledger.ids
    # Any reader of zarr finds them.
    np.testing.assert_array_equal(zarr.open_group(ledger.path)["targets"][4], 4)  # type: ignore


def test_maps_are_read_as_they_were_packed(ledger):
    given = maps(3.0, count=2)
    ledger.write([5, 2], ["a", "b"], pack(given))
    np.testing.assert_allclose(read_maps(ledger, [5, 2]), given, rtol=2**-11)
    assert np.isnan(read_maps(ledger)[0]).all()


def test_other_settings_are_refused_in_one_sentence(ledger):
    other = {**SETTINGS, "method": "bbmp"}
    for opened in (lambda: Ledger(ledger.path, 10, other), lambda: find_ledger(ledger.path, other)):
        with pytest.raises(ValueError, match="other settings") as refused:
            opened()
        assert "method: 'fido', now 'bbmp'" in str(refused.value)
        assert "\n" not in str(refused.value)
    assert again(ledger).settings == json.loads(json.dumps(SETTINGS))


def test_settings_that_only_json_tells_apart_are_the_same(ledger):
    same = {**SETTINGS, "options": {"steps": 3, "sizes": (1, 2)}}
    Ledger(ledger.path, 10, same)


def test_provenance_is_that_of_the_first_result(ledger):
    assert again(ledger, provenance={"batch": 4}).provenance == {"batch": 4}
    assert again(ledger, provenance={"batch": 2}).provenance == {"batch": 2}
    write(ledger, [0], problems=["failed"])
    assert again(ledger, provenance={"batch": 1}).provenance == {"batch": 1}
    write(ledger, [0])
    assert again(ledger, provenance={"batch": 8}).provenance == {"batch": 1}


def test_it_grows_and_never_shrinks(ledger):
    write(ledger, [9])
    grown = again(ledger, 13)
    assert (len(grown), grown.chunk) == (13, 2)
    assert len(again(ledger, 3)) == len(grown.status) == len(grown.read("maps")) == 13
    write(grown, [12])
    assert grown.read("targets")[[9, 12]].tolist() == [9, 12]
    # Who opened it before still writes, also where it makes a column that is too short.
    ledger.write([1], ["picture 1"], {"late": np.ones(1, np.float32)})
    grown.write([12], ["picture 12"], {"late": np.ones(1, np.float32)})
    assert np.flatnonzero(again(ledger).read("late") == 1).tolist() == [1, 12]
    ledger.grow(13)
    write(ledger, [11])
    assert np.flatnonzero(grown.status).tolist() == [1, 9, 11, 12]


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shards_are_all_rows_and_share_no_file(ledger, shards):
    parts = [ledger.rows_of((index, shards)) for index in range(shards)]
    assert sorted(np.concatenate(parts)) == list(range(10))
    files = [set(part // ledger.chunk) for part in parts]
    assert sum(map(len, files)) == len(set().union(*files))


def test_files_are_whole_batches_and_enough_for_all_shards():
    for count in (1, 6, 100, 1000, 50000):
        for batch in (1, 2, 8, 48, 100):
            for shards in (1, 2, 8):
                rows = rows_per_file(count, batch, shards)
                assert rows % batch == 0
                assert rows <= max(64, batch)
                if count >= 8 * batch * shards and shards > 1:
                    assert count // rows >= 8 * shards


def test_a_crash_before_the_status_leaves_the_row_missing(ledger, monkeypatch):
    """Wherever the writing stops, a row is missing or whole, and the next try completes it."""
    write(ledger, [0, 1])
    for name in ("maps", "targets", "ids", "status"):
        cut = again(ledger)
        find = cut.column

        def stopping(asked, name=name, find=find):
            if asked == name:
                raise KeyboardInterrupt
            return find(asked)

        monkeypatch.setattr(cut, "column", stopping)
        with pytest.raises(KeyboardInterrupt):
            write(cut, [2, 3])
        reopened = again(ledger)
        assert reopened.missing().tolist() == list(range(2, 10)), name
        np.testing.assert_array_equal(reopened.read("maps", [0, 1]), columns([0, 1])["maps"])
    write(again(ledger), [2, 3])
    np.testing.assert_array_equal(ledger.read("maps", [2, 3]), columns([2, 3])["maps"])
    assert ledger.missing().tolist() == list(range(4, 10))


def test_what_a_killed_process_leaves_is_passed_over(ledger):
    write(ledger, [0, 1])
    (ledger.path / "half").mkdir()
    for place in (".", "half", "maps", "maps/c"):
        (ledger.path / place / "zarr.0123456789abcdef.partial").write_bytes(b"{")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reopened = again(ledger, 13)
        assert reopened.names == ["maps", "targets"]
        np.testing.assert_array_equal(reopened.read("targets", [0, 1]), [0, 1])


def test_a_late_column_is_cut_into_the_same_files(ledger):
    other = Ledger(ledger.path, 10, SETTINGS, chunk=5)
    write(other, [3])
    assert other.chunk == 2
    assert zarr.open_group(ledger.path)["maps"].chunks[0] == 2  # type: ignore


def test_failures_have_a_reason_until_they_succeed(ledger):
    write(ledger, [2, 3], problems=["it is empty", None])
    assert ledger.status[[2, 3]].tolist() == [FAILED, DONE]
    assert ledger.problems == {2: "it is empty"}
    assert 2 in ledger.missing()  # it is tried again
    write(ledger, [2])
    assert ledger.problems == {}
    assert ledger.missing().tolist() == [0, 1, 4, 5, 6, 7, 8, 9]
    assert ledger.read("problem")[2] == ""


def test_looking_makes_nothing(tmp_path, ledger):
    assert find_ledger(tmp_path / "nowhere") is None
    assert not (tmp_path / "nowhere").exists()
    write(ledger, [3])
    found = find_ledger(ledger.path)
    assert found is not None
    assert (len(found), found.missing().tolist()[:4]) == (10, [0, 1, 2, 4])


def test_a_shard_is_one_of_so_many(monkeypatch):
    assert parse_shard(None) == (0, 1)
    assert [parse_shard(text) for text in ("1/1", "1/4", "4/4")] == [(0, 1), (0, 4), (3, 4)]
    for text in ("0/4", "5/4", "1", "/", "a/b", "-1/4", "1/4/2", ""):
        with pytest.raises(ValueError, match="expected I/N with I from 1 to N"):
            parse_shard(text)
    monkeypatch.setattr(jax, "process_index", lambda: 2)
    monkeypatch.setattr(jax, "process_count", lambda: 5)
    assert parse_shard(None) == (2, 5)  # of the processes that jax.distributed has joined
    assert parse_shard("1/4") == (0, 4)
