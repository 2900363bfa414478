"""A protocol from end to end on six small pictures: stopped, shared and foretold."""

import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
import zarr
from jax.tree_util import Partial

import eval.subject
from benchmarks.kills import compare
from eval import cost, runner
from eval.run import main
from eval.subject import Drawn
from fidojax.networks import Pretrained
from fidojax.runs import duration, resume, verify
from fidojax.runs.ledger import DONE, Ledger, find_ledger
from fidojax.runs.maps import read_maps

COUNT = 6
ROWS = ("center_box", "max_box", "gradient")


def linear(weights, images):
    return images.reshape(len(images), -1) @ weights


@pytest.fixture(autouse=True)
def boxed_noise(monkeypatch):
    """The data set is noise with boxes, and the network is linear."""
    rng = np.random.default_rng(0)
    images = rng.random((COUNT, 12, 12, 1), np.float32)
    boxes: list[np.ndarray | None] = [np.array([[i, 3, i + 6, 10]]) for i in range(COUNT)]
    labels = np.arange(COUNT)
    found = Drawn([f"noise {i}" for i in labels], images, labels, labels, boxes)
    weights = jnp.asarray(rng.normal(size=(144, COUNT)), jnp.float32)
    network = Pretrained("mnist", Partial(linear, weights), tuple("abcdef"), (12, 12, 1))
    monkeypatch.setattr(resume, "QUICK", 0)  # every batch is stored by itself
    monkeypatch.setattr(runner, "SHOWN", 1)  # a large gallery takes as long as all the rest
    monkeypatch.setattr(eval.subject, "draw", lambda *_, **__: found)
    monkeypatch.setattr(eval.subject.networks, "load", lambda *_: network)


def run(out, *words) -> int:
    return main([
        "fido-table1", "--out", str(out), "--classifier", "mnist", "--methods", *ROWS,
        "--learned-limit", "0", "--limit", str(COUNT), "--batch-size", "1", *words,
    ])  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Where an uninterrupted run goes."""
    return tmp_path_factory.mktemp("whole") / "out"


@pytest.fixture
def finished(whole, boxed_noise):
    if not whole.exists():
        assert run(whole) == 0
    return whole


def there(path) -> Ledger:
    ledger = find_ledger(path)
    assert ledger is not None
    return ledger


def equal(one, other) -> bool:
    arrays, differing = compare(one / "results.zarr", other / "results.zarr")
    assert arrays > 50
    return not differing


def test_maps_and_scores_of_every_row_are_stored(finished):
    stored = finished / "results.zarr"
    kinds = sorted(dict(zarr.open_group(stored, mode="r")["scores"].groups()))  # type: ignore
    assert kinds == ["erased", "order-mean", "pieces", "place", "shape"]
    for row in ROWS:
        ledgers = [there(stored / "rows" / row)]
        ledgers += [there(stored / "scores" / kind / row) for kind in kinds]
        assert all((ledger.status == DONE).all() and len(ledger) == COUNT for ledger in ledgers)
        assert ledgers[0].ids == [f"noise {i}" for i in range(COUNT)]
        assert ledgers[0].settings["method"] == row
        assert "mnist" in ledgers[0].settings["classifier"]
        assert "jax" in ledgers[0].provenance
    assert (read_maps(there(stored / "rows" / "max_box")) == 1).all()
    study = json.loads((finished / "study.json").read_text("utf-8"))
    assert set(study["rows"]) == set(ROWS)


def test_a_finished_run_computes_nothing_again(finished, monkeypatch):
    def written(*_, **__):
        raise AssertionError("nothing is missing")

    monkeypatch.setattr(Ledger, "write", written)
    assert run(finished) == 0


def test_a_stopped_run_goes_on_to_the_same_bits(finished, tmp_path, monkeypatch):
    """Stopped in the middle of maps, between maps and scores, and among the scores."""
    out, write = tmp_path / "out", Ledger.write
    for lives in (3, 9):
        left = [lives]

        def dying(*arguments, left=left, **more):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            write(*arguments, **more)

        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "write", dying)
            assert run(out) == 130
        assert not equal(finished, out)
    assert run(out) == 0
    assert equal(finished, out)


def test_damaged_files_are_computed_again_to_the_same_bits(finished, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    stored = out / "results.zarr"
    for column in ("pictures/images", "rows/gradient/maps", "scores/erased/max_box/status"):
        file = next(path for path in (stored / column).rglob("c/0*") if path.exists())
        file = file if file.is_file() else next(p for p in file.rglob("*") if p.is_file())
        file.write_bytes(file.read_bytes()[:-1])
    assert len(verify(out)) == 3
    assert run(out) == 0
    assert capsys.readouterr().out.count("1 stored file cannot be read (") == 3
    assert equal(finished, out)
    assert verify(out) == []


def test_a_refused_run_leaves_what_is_there(finished, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    before = (out / "study.json").read_bytes()
    row = out / "results.zarr" / "rows" / "max_box"
    other = there(row).settings | {"options": {"other": 1}}
    zarr.open_group(row, mode="a").update_attributes({"settings": other})
    assert run(out, "--deletion", "blur") == 1
    assert "results of other settings (options: {'other': 1}, now {})" in capsys.readouterr().err
    assert (out / "study.json").read_bytes() == before


def test_two_shards_are_one_run(finished, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(out, "--shard", "2/2") == 0
    assert "9 maps belong to other shards" in capsys.readouterr().out
    rows = [there(out / "results.zarr" / "rows" / row) for row in ROWS]
    assert all((row.status == DONE).sum() == COUNT // 2 for row in rows)
    scored = there(out / "results.zarr" / "scores" / "order-mean" / "gradient")
    assert (scored.status == DONE).sum() == COUNT // 2  # by who made the maps
    assert not equal(finished, out)
    assert run(out, "--shard", "1/2") == 0
    assert equal(finished, out)


def test_a_dry_run_tells_the_cost_and_writes_nothing(finished, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cost, "_try", lambda *_: cost.Trial(1.0, 2.0, 10.0, 20.0))
    out = tmp_path / "out"
    assert run(out, "--dry-run") == 0
    told = " ".join(capsys.readouterr().out.split())
    maps = COUNT * (1.0 + 2.0)  # the gradient's; both boxes need no classifier
    programs = 20.0 + 3 * 10.0  # of the gradient; deletion, erasing, place
    scores = len(ROWS) * COUNT * ((24 + 1) + (9 + 1) + 1) * 1.0
    assert f"18 maps to explain; about {duration(maps + programs + scores)} in all" in told
    assert "What it costs" in told
    assert all(row in told for row in ROWS)
    assert not out.exists()
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert run(finished, "--dry-run") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "0 maps to explain, 18 done before; about 0.0 s in all" in told
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    partial = shutil.copytree(finished, out)
    shutil.rmtree(partial / "results.zarr" / "scores" / "erased" / "gradient")
    assert run(partial, "--dry-run") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"18 done before; about {duration(10.0 + COUNT * 10 * 1.0)} in all" in told


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--shard", "3/2"), "shard is '3/2', expected I/N"),
        (("--seed", "1"), "results of other settings (seed: 0, now 1)"),
        (("--seed", "1", "--dry-run"), "results of other settings (seed: 0, now 1)"),
        (("--deletion", "blurr"), "did you mean blur?"),
    ],
)
def test_what_cannot_be_is_one_sentence(finished, capsys, words, sentence):
    assert run(finished, *words) == 1
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1
