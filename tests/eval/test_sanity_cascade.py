"""The cascade of untrained layers on a few digits: which maps change, and what is stored."""

import importlib
import shutil
from typing import Any

import jax
import numpy as np
import PIL.Image
import pytest
from scipy.stats import spearmanr

from eval import intervals, runner, subject
from eval.protocols.sanity_cascade.figures import floor_of, mean_of
from eval.protocols.sanity_cascade.protocol import MEASURES
from eval.protocols.varsal.randomise import cascade
from eval.report.findings import findings
from eval.report.reading import read
from eval.subject import StudyRun
from fidojax import networks
from fidojax.data import Picture
from fidojax.runs import Ledger

# The package exports a function of the same name.
protocol: Any = importlib.import_module("eval.protocols.sanity_cascade.protocol")

METHODS = ("gradient", "fido", "center_box")
LEVELS = ["none, other seed", "top 1", "all 4"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four pictures of noise, read by the shipped network."""
    out = tmp_path_factory.mktemp("cascade") / "out"
    images = np.random.default_rng(1).random((4, 28, 28, 1), np.float32)
    found = [Picture(f"digits/{i}", image, i, None) for i, image in enumerate(images)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "pictures", lambda *_, **__: found)
        patch.setattr(intervals, "RESAMPLES", 500)
        patch.setattr(runner, "SHOWN", 1)  # a large gallery takes long

        def call(seed=0, **options):
            given = StudyRun(out, classifier="mnist", batch_size=4, limit=50, seed=seed)
            options = {"methods": METHODS, "levels": (1, 99), "fido_steps": 8} | options
            protocol.sanity_cascade(given, **options)
            return read(out)

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
    assert "12 rows on 4 pictures, 48 maps to explain" in " ".join(capsys.readouterr().out.split())
    assert sorted(found.pictures.ids) == [f"digits/{i}" for i in range(4)]
    assert list(found.study["rows"]) == [f"{m} {t}" for m in METHODS for t in ("trained", *LEVELS)]
    assert (found.values("same", "gradient none, other seed") == 1).all()
    assert found.values("same", "gradient all 4").mean() < 1
    for measure in MEASURES:

        def mean(row, number=measure):
            return mean_of(found, number, row).value

        # What draws nothing is the same with another seed, and the centre is so everywhere.
        for title in LEVELS:
            row = f"center_box {title}"
            assert mean(row) == pytest.approx(1, abs=1e-3)
            assert floor_of(found, measure, row).value == pytest.approx(1, abs=1e-3)
            assert mean(row, f"{measure} above others") == pytest.approx(0, abs=1e-3)
        ceiling, top, last = (f"gradient {title}" for title in LEVELS)
        assert mean(ceiling) == pytest.approx(1, abs=1e-3)
        assert max(mean(top), mean(last)) < 0.9
        interval = mean_of(found, measure, last)
        assert interval.low <= interval.value <= interval.high
        assert 0.1 < mean(f"fido {LEVELS[0]}") < 0.999
        floor = floor_of(found, measure, top)
        assert floor.value < 0.9
        above = mean(top, f"{measure} above others")
        assert above == pytest.approx(mean(top) - floor.value, abs=1e-5)
    # The numbers are those of the stored maps.
    pairs = zip(found.maps("gradient trained"), found.maps("gradient all 4"), strict=True)
    expected = np.array([spearmanr(one.ravel(), other.ravel())[0] for one, other in pairs], float)
    np.testing.assert_allclose(found.values("spearman", "gradient all 4"), expected, atol=1e-5)
    (floors,) = found.tables.values()
    assert [row["method"] for row in floors] == [*METHODS]
    claims = {(c["better"], c["number"]): c for c in findings(found)["claims"]}
    assert len(claims) == len(METHODS) * len(MEASURES)
    assert claims["gradient all 4", "spearman"]["verdict"] == "holds"
    assert claims["center_box all 4", "spearman"]["verdict"] == "undecided"
    for path in (out / "figures" / "cascade.png", out / "figures" / "levels.png"):
        with PIL.Image.open(path) as figure:
            assert min(figure.size) > 200


def test_a_lost_row_alone_is_made_again(run, monkeypatch):
    call, out = run
    first = read(out)
    before = {row: first.values("spearman", row) for row in first.study["rows"]}
    shutil.rmtree(out / "results.zarr" / "rows" / "gradient top 1")
    written, write = [], Ledger.write

    def noted(ledger, *arguments):
        written.append(ledger.path.name)
        write(ledger, *arguments)

    monkeypatch.setattr(Ledger, "write", noted)
    found = call()
    assert set(written) == {"gradient top 1"}
    for row, values in before.items():
        np.testing.assert_array_equal(found.values("spearman", row), values)


def test_bad_options_are_named(run):
    call, out = run
    with pytest.raises(ValueError, match="classifier: there is no 'mnits'; did you mean mnist"):
        protocol.sanity_cascade(StudyRun(out, classifier="mnits"))
    with pytest.raises(ValueError, match="methods: there is no 'gradients'; did you mean gradient"):
        call(methods=("gradients",))
    with pytest.raises(ValueError, match="fido_steps is 0"):
        call(fido_steps=0)
    with pytest.raises(ValueError, match="results of other settings"):
        call(seed=5)
