"""The cascade of untrained layers on a few digits: which maps change, and what is stored."""

import csv
import importlib
import json
from typing import Any

import jax
import numpy as np
import PIL.Image
import pytest

from eval import intervals, subject
from eval.protocols.sanity_cascade.report import FLOOR, MEASURES
from eval.protocols.varsal.randomise import cascade
from fidojax import networks
from fidojax.data import Picture

pytestmark = pytest.mark.usefixtures("quick_compile")

# The package exports a function of the same name.
protocol: Any = importlib.import_module("eval.protocols.sanity_cascade.protocol")

METHODS = ("gradient", "fido", "center_box")
LEVELS = ["none, other seed", "top 1", "all 4", FLOOR]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four pictures of noise, read by the shipped network."""
    out = tmp_path_factory.mktemp("cascade")
    images = np.random.default_rng(1).random((4, 28, 28, 1), np.float32)
    found = [Picture(f"digits/{i}", image, i, None) for i, image in enumerate(images)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "pictures", lambda *_, **__: found)
        patch.setattr(intervals, "RESAMPLES", 100)

        def call(**options):
            options = {"methods": METHODS, "levels": (1, 99), "batch": 4, "fido_steps": 8} | options
            protocol.sanity_cascade(out, classifier="mnist", **options)
            return json.loads((out / "results.json").read_text())

        yield call, out


def test_a_cascade_redraws_from_the_top_and_leaves_the_rest():
    trained = networks.load("mnist").classifier
    depth, network = cascade("mnist", None, trained, 0)
    images = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    features_of = jax.jit(lambda classifier, images: classifier.tap(images)[0])
    assert depth == 4
    features = {n: features_of(network(n), images) for n in (0, 1, 2, 3)}
    logits = {n: subject.forward(network(n), images) for n in range(5)}
    np.testing.assert_array_equal(logits[0], subject.forward(trained, images))
    for n in (1, 2):  # both dense layers are above the features
        np.testing.assert_array_equal(features[n], features[0])
    assert np.abs(features[3] - features[0]).max() > 0.01
    for n in range(1, 5):
        assert np.abs(logits[n] - logits[n - 1]).max() > 0.01
    # A layer keeps its draw when more are drawn: of the longer cascade the top is the same.
    one, two = (dict(jax.tree_util.tree_leaves_with_path(network(n))) for n in (1, 2))
    assert sum(not np.array_equal(one[path], two[path]) for path in one) == 2
    other = subject.forward(cascade("mnist", None, trained, 1)[1](1), images)
    assert np.abs(other - logits[1]).max() > 0.01
    assert jax.tree.structure(network(3)) == jax.tree.structure(trained)


def test_the_protocol_tells_maps_that_change_from_those_that_do_not(run, capsys):
    call, out = run
    found = call()
    assert "12 of 12 parts to explain" in " ".join(capsys.readouterr().out.split())
    assert sorted(found["pictures"]) == [f"digits/{i}" for i in range(4)]
    rows = {(r["method"], r["layers"], r["measure"]): r for r in found["rows"]}
    assert list(rows) == [(m, t, v) for m in METHODS for t in LEVELS for v in MEASURES]
    assert list(found["same_class"]) == LEVELS[:-1]
    assert found["same_class"]["none, other seed"] == 1
    for measure in MEASURES:
        # What draws nothing is the same with another seed, and the centre is so everywhere.
        for title in LEVELS:
            assert rows["center_box", title, measure]["value"] == pytest.approx(1, abs=1e-5)
            assert rows["center_box", title, measure]["above_floor"]["value"] == pytest.approx(
                0, abs=1e-5
            )
        ceiling, top, last = (rows["gradient", title, measure] for title in LEVELS[:3])
        assert ceiling["value"] == pytest.approx(1, abs=1e-5)
        assert max(top["value"], last["value"]) < 0.9
        assert last["low"] <= last["value"] <= last["high"]
        drawn_twice = rows["fido", LEVELS[0], measure]["value"]
        assert 0.1 < drawn_twice < 0.999
        floor = rows["gradient", FLOOR, measure]["value"]
        assert floor < 0.9
        assert top["above_floor"]["value"] == pytest.approx(top["value"] - floor, abs=1e-6)
    with open(out / "pictures.csv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4 * len(METHODS) * len(LEVELS)
    chosen = [
        float(r["Spearman"]) for r in lines if (r["method"], r["layers"]) == ("gradient", "all 4")
    ]
    assert np.mean(chosen) == pytest.approx(
        rows["gradient", "all 4", "Spearman"]["value"], abs=1e-4
    )
    assert "| gradient | all 4 |" in (out / "table.md").read_text()
    for name in ("cascade.png", "gallery.png"):
        with PIL.Image.open(out / name) as figure:
            assert min(figure.size) > 200


def test_lost_parts_alone_are_made_again(run):
    call, out = run
    first = json.loads((out / "results.json").read_text())
    ages = {path: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}
    assert len(ages) == len(METHODS) * 4
    lost = out / "parts" / "gradient.001.npz"
    lost.unlink()
    assert call() == first
    ages_now = {path: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}
    assert [path for path, age in ages_now.items() if ages[path] != age] == [lost]


def test_bad_options_are_named(run):
    call, out = run
    with pytest.raises(ValueError, match="classifier: there is no 'mnits'; did you mean mnist"):
        protocol.sanity_cascade(out, classifier="mnits")
    with pytest.raises(ValueError, match="methods: there is no 'gradients'; did you mean gradient"):
        call(methods=("gradients",))
    with pytest.raises(ValueError, match="fido_steps is 0"):
        call(fido_steps=0)
    with pytest.raises(ValueError, match="results of other settings"):
        call(seed=5)
