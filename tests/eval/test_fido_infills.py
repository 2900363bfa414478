"""The protocol of FIDO's Figure 7: the same pictures under several infillers."""

import importlib
import json
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import infillers
from eval import intervals, subject
from fidojax import networks
from fidojax.data import Picture

pytestmark = pytest.mark.usefixtures("quick_compile")

# The package exports a function of the same name.
protocol: Any = importlib.import_module("eval.protocols.fido_infills")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four pictures of noise, one of them with another label, under two infillers."""
    out = tmp_path_factory.mktemp("infills")
    classifier = networks.load("mnist").classifier
    images = np.random.default_rng(1).random((4, 28, 28, 1), np.float32)
    labels = np.asarray(classifier(images)).argmax(axis=1)
    labels[2] = (labels[2] + 1) % 10
    box = np.array([[0, 0, 14, 28]])
    found = [
        Picture(f"digits/{i}", image, int(label), box if i else None)
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    grey = {"mean": partial(infillers.mean, 0.0), "local": partial(infillers.local, color=0.0)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "pictures", lambda *_, **__: found)
        patch.setattr(protocol, "INFILLERS", grey)
        patch.setattr(protocol, "PRESETS", {"short": {"steps": 2, "samples": 2, "size": 28}})
        patch.setattr(intervals, "RESAMPLES", 100)

        def call():
            protocol.fido_infills(
                out, classifier="mnist", infill=("mean", "local"), preset="short", group=2
            )
            return json.loads((out / "results.json").read_text())

        yield call, out


def test_the_same_pictures_that_are_read_right_under_each_infiller(run):
    call, out = run
    found = call()
    assert sorted(found["pictures"]) == ["digits/0", "digits/1", "digits/3"]
    assert found["means"].keys() == {"mean", "local"}
    rows = (out / "table.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 3
    assert (out / "gallery_0.png").exists()


def test_a_lost_part_alone_is_run_again(run):
    call, out = run
    first = call()
    parts = sorted(path for path in out.rglob("local-*") if path.is_file())
    assert parts
    ages = {path: path.stat().st_mtime_ns for path in out.rglob("*-*.0*") if path.is_file()}
    parts[0].unlink()
    assert call() == first
    again = [path for path, age in ages.items() if path.stat().st_mtime_ns != age]
    assert {path.name.split("-")[0] for path in again} == {"local"}
