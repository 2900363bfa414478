"""The benchmark of schedules: its table agrees with its maps."""

import json

import numpy as np
import PIL.Image
import pytest
from jax.tree_util import Partial

import infillers
from benchmarks.fido_cost import maps, schedules


@pytest.fixture
def folder(tmp_path):
    """Six pictures of noise without labels, so that the predicted class is explained."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, picture in enumerate(np.random.default_rng(3).integers(0, 256, (6, 28, 28), np.uint8)):
        PIL.Image.fromarray(picture).save(folder / f"{i}.png")
    return folder


def config(tmp_path, folder, **more):
    return schedules.Config(
        out=tmp_path / "out",
        network="mnist",
        pictures=(str(folder),),
        infills=("mean",),
        schedules=("own", "short"),
        options={"steps": 3, "samples": 2},
        samples=8,
        batch_size=2,
        **more,
    )


def test_rows_are_the_means_over_the_stored_maps(tmp_path, folder, capsys, monkeypatch):
    monkeypatch.setitem(schedules.SCHEDULES, "short", {"steps": 1, "samples": 4})
    schedules.main(config(tmp_path, folder))
    table = json.loads((tmp_path / "out" / "table.json").read_text("utf-8"))
    own, short = table["rows"]
    assert (own["evaluations"], short["evaluations"]) == (6, 4)
    assert own["against"] == own["error"] == 0
    assert short["against"] == pytest.approx(short["objective"] - own["objective"], abs=1e-4)
    assert short["error"] > 0
    assert own["outside"] is None  # no boxes
    assert len(table["pictures"]) == 3  # the report's half
    files = sorted((tmp_path / "out" / "maps").iterdir())
    stored = [np.load(file)["saliency"] for file in files]
    assert sorted(len(each) for each in stored) == [1] * 4 + [2] * 4  # two seeds, groups of two
    both = np.concatenate([each.reshape(-1, 784) for each in stored])
    total = (own["on"] + short["on"]) / 2
    assert total == pytest.approx((both > 0.5).mean(), abs=1e-6)
    assert "short" in capsys.readouterr().out
    # A second run, whose infiller lies at another address, computes no map again.
    infill = infillers.mean()
    moved = Partial(lambda *args: infill(*args))
    monkeypatch.setattr(maps, "make_infill", lambda *_: moved)
    before = {file: file.stat().st_mtime_ns for file in files}
    schedules.main(config(tmp_path, folder))
    now = (tmp_path / "out" / "maps").iterdir()
    assert before == {file: file.stat().st_mtime_ns for file in now}
    again = json.loads((tmp_path / "out" / "table.json").read_text("utf-8"))
    assert again == table


def test_tuned_and_reported_pictures_are_disjoint(tmp_path, folder):
    chosen = {
        part: set(schedules.choose(config(tmp_path, folder, part=part)).ids)
        for part in ("tune", "report")
    }
    assert len(chosen["tune"] | chosen["report"]) == 6
