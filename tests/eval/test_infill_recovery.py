"""The protocol of infill quality on small inputs, and its intervals."""

import csv
import dataclasses
import importlib
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from jax.tree_util import Partial

import infillers
from eval import intervals
from eval import subject as drawn
from eval.intervals import difference, interval
from eval.protocols.infill_recovery.report import NUMBERS, TRUTH
from fidojax import networks
from fidojax.data import BadPicture, Picture

pytestmark = pytest.mark.usefixtures("quick_compile")

# The package exports a function of the same name.
protocol: Any = importlib.import_module("eval.protocols.infill_recovery.protocol")


def _almost_true(error, key, image, mask):
    return image + error


def learned(weights="good"):
    """Stands for an infiller with weights."""
    if weights == "absent":
        raise FileNotFoundError("weights absent: there is no such file, expected an .npz")
    return Partial(_almost_true, jnp.float32({"good": 0.0, "bad": 0.4}[weights]))


@pytest.fixture(scope="module")
def digits():
    """Five pictures of noise with what the network takes them for, of one another class."""
    classifier = networks.load("mnist").classifier
    images = np.random.default_rng(1).random((5, 28, 28, 1), np.float32)
    labels = np.asarray(classifier(images)).argmax(axis=1)
    labels[3] = (labels[3] + 1) % 10
    found = [
        Picture(f"digits/{i}", image, int(label), source=f"digit {i}")
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    return [*found, BadPicture("digit 5", "the record is damaged")]


@pytest.fixture(scope="module")
def recover(digits):
    """The protocol on those pictures, with two kinds of holes fewer and few resamples."""
    holes = {k: v for k, v in protocol.HOLES.items() if k not in ("random-0.25", "random-0.75")}
    known = {"mean": infillers.mean, "local": infillers.local, "ca": learned}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "HOLES", holes)
        patch.setattr(protocol, "RATES", (0.1, 0.5, 0.9))
        patch.setattr(protocol, "INFILLERS", known)
        patch.setattr(intervals, "RESAMPLES", 100)

        def call(out, found=digits, figures=False, **options):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(drawn, "pictures", lambda *_, **__: found)
                for name in () if figures else ("box_plots", "curves", "gallery"):
                    patch.setattr(protocol, name, lambda *_: None)
                protocol.infill_recovery(out, **{"classifier": "mnist", "batch": 3} | options)
            return out

        yield call


@pytest.fixture(scope="module")
def out(recover, tmp_path_factory):
    """A finished run."""
    fills = ("mean", "local", "ca", "ca:bad")
    return recover(tmp_path_factory.mktemp("run") / "out", infill=fills, figures=True)


def table(out) -> list[dict[str, str]]:
    with open(out / "pictures.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def files(out) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}


def test_it_writes_a_row_per_picture_holes_and_infiller(out):
    rows = table(out)
    assert len(rows) == 5 * len(protocol.HOLES) * 5
    assert sum(row["classified right"] == "False" for row in rows) == len(rows) / 5
    for row in rows:
        assert 0 < float(row["probability"]) < 1
        assert 0 <= float(row["copied"]) <= float(row["copied_within"]) + 1e-6 <= 1 + 1e-6
    for name in ("probability", "rates", *(f"gallery_{kind}" for kind in protocol.PANELS)):
        with PIL.Image.open(out / f"{name}.png") as drawn:
            assert min(drawn.size) > 300


def test_a_lost_part_alone_is_run_again(out, recover, capsys):
    fills = {"infill": ("mean", "local", "ca", "ca:bad")}
    before, report = files(out), (out / "report.md").read_text("utf-8")
    assert len(before) == len(protocol.HOLES) * 5 * 2
    lost = next(name for name in before if name.startswith("local") and "strokes" in name)
    (out / "parts" / lost).unlink()
    recover(out, **fills)
    assert "left out digit 5: the record is damaged" in capsys.readouterr().out
    after = files(out)
    assert {name for name, at in after.items() if before[name] != at} == {lost}
    assert (out / "report.md").read_text("utf-8") == report
    with pytest.raises(ValueError, match="other settings"):
        recover(out, seed=1, **fills)


def test_all_infillers_fill_the_same_holes_and_the_truth_is_the_picture(out, digits):
    by_picture: dict = {}
    for row in table(out):
        by_picture.setdefault((row["picture"], row["holes"]), {})[row["infill"]] = row
    images = np.stack([picture.image for picture in digits[:5]])
    p = np.asarray(jax.nn.softmax(networks.load("mnist").classifier(images)))
    kept: dict = {}
    for (name, kind), found in by_picture.items():
        assert len({row["kept"] for row in found.values()}) == 1
        # The stand-in is as good as the truth in all but the name.
        for field in NUMBERS:
            assert float(found["ca"][field]) == pytest.approx(float(found[TRUTH][field]), abs=1e-4)
        assert float(found[TRUTH]["absolute"]) == float(found[TRUTH]["rms"]) == 0
        assert float(found["ca:bad"]["absolute"]) == pytest.approx(0.4, abs=1e-4)
        at = int(name.split("/")[1])
        expected = p[at, digits[at].label]
        assert float(found[TRUTH]["probability"]) == pytest.approx(expected, abs=1e-4)
        kept.setdefault(kind, []).append(float(found["mean"]["kept"]))
    np.testing.assert_allclose(kept["box"], 0.75)
    for rate in protocol.RATES:
        np.testing.assert_allclose(kept[f"random-{rate}"], rate, atol=0.07)
        assert len(set(kept[f"random-{rate}"])) > 1  # each picture has its own


def test_a_stored_picture_is_filled_by_its_own_infiller_in_its_own_holes(out, digits):
    right = [picture for i, picture in enumerate(digits[:5]) if i != 3]
    by_id = {picture.id: picture.image for picture in right}
    order = [row["picture"] for row in table(out)[:5] if row["classified right"] == "True"]
    local = jax.jit(infillers.local())
    for kind in protocol.PANELS:
        parts = sorted((out / "parts").glob(f"local-*.{kind}.*"))
        found = [np.load(part) for part in parts]
        drawn, masks = (
            np.concatenate([part[name] for part in found]) for name in ("drawn", "drawn_mask")
        )
        assert len(drawn) == len(order) == 4
        for name, picture, mask in zip(order, drawn, masks, strict=True):
            image, hole = by_id[name], mask[..., None]
            filled = local(jax.random.key(0), image, mask.astype(np.float32))
            expected = np.where(hole, image, filled)
            np.testing.assert_allclose(picture / 255, expected, atol=0.51 / 255)


def test_the_report_says_who_is_ahead(out):
    found = json.loads((out / "results.json").read_text("utf-8"))
    medians = {
        (row["pictures"], row["holes"], row["infill"]): row["probability"]["median"]
        for row in found["rows"]
    }
    assert len(found["comparisons"]) == 2 * 2 * 3 * 2
    for comparison in found["comparisons"]:
        if comparison["statistic"] == "median":
            at = comparison["pictures"], comparison["kind"]
            heuristics = {fill: medians[*at, fill] for fill in ("mean", "local")}
            assert heuristics[comparison["best"]] == max(heuristics.values())
            expected = medians[*at, comparison["fill"]] - max(heuristics.values())
            assert comparison["ahead"]["value"] == pytest.approx(expected)
    counts = {row["pictures"]: row["count"] for row in found["rows"]}
    assert counts == {"all": 5, "classified right": 4}
    report = (out / "report.md").read_text("utf-8")
    assert "ca against the best heuristic, 12 comparisons: above it in" in report
    assert "ca:bad against the best heuristic, 12 comparisons" in report


def test_a_picture_has_the_same_numbers_in_any_company(out, recover, tmp_path):
    before = {(row["picture"], row["holes"], row["infill"]): row for row in table(out)}
    few = table(recover(tmp_path, limit=3, infill=("mean", "local")))
    assert len(few) == 3 * len(protocol.HOLES) * 3
    for row in few:
        assert row == before[row["picture"], row["holes"], row["infill"]]
    assert "best heuristic" not in (tmp_path / "report.md").read_text("utf-8")


def test_new_weights_are_measured_anew(recover, tmp_path, monkeypatch):
    before = files(recover(tmp_path, infill=("ca",)))
    monkeypatch.setattr(learned, "__defaults__", ("bad",))
    after = files(recover(tmp_path, infill=("ca",)))
    assert {name for name in before if after[name] != before[name]} == set()
    new = set(after) - set(before)
    assert len(new) == len(protocol.HOLES) * 2
    assert all(name.startswith("ca") for name in new)


def test_absent_weights_are_left_out_and_unknown_names_refused(recover, tmp_path, capsys):
    recover(tmp_path, limit=2, infill=("mean", "ca:absent"))
    assert "ca:absent is left out: weights absent: there is no such file" in capsys.readouterr().out
    assert {row["infill"] for row in table(tmp_path)} == {"mean", TRUTH}
    with pytest.raises(ValueError, match="none of the infillers has its weights"):
        recover(tmp_path, infill=("ca:absent",))
    with pytest.raises(ValueError, match="infill is 'grey', expected some of mean, local, ca"):
        recover(tmp_path, infill=("grey",))
    with pytest.raises(ValueError, match="infill names 'mean' twice"):
        recover(tmp_path, infill=("mean", "mean"))


def test_another_value_of_the_first_argument(recover, tmp_path):
    recover(tmp_path, limit=2, infill=("local", "local:5", "mean:0.5", "ca:good"))
    rows = table(tmp_path)
    assert [*dict.fromkeys(row["infill"] for row in rows)] == [
        "local", "local:5", "mean:0.5", "ca:good", TRUTH
    ]  # fmt: skip
    report = (tmp_path / "report.md").read_text("utf-8")
    # Whatever their constants, heuristics are none of the learned ones.
    assert "ca:good against the best heuristic" in report
    assert "local:5 against" not in report
    errors = {
        fill: [float(row["absolute"]) for row in rows if row["infill"] == fill]
        for fill in ("local", "local:5", "mean:0.5")
    }
    assert errors["local"] != errors["local:5"]
    # The pictures are uniform noise, whose mean distance to 0.5 is a quarter.
    np.testing.assert_allclose(errors["mean:0.5"], 0.25, atol=0.05)


def test_pictures_without_labels_are_refused(recover, digits, tmp_path):
    nameless = [dataclasses.replace(picture, label=None) for picture in digits[:2]]
    with pytest.raises(ValueError, match="0 has no label"):
        recover(tmp_path, nameless)
    with pytest.raises(ValueError, match="has no pictures"):
        recover(tmp_path, digits[-1:])


def test_intervals_are_those_of_the_normal_law(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 5000)
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.2, 400)
    found = interval(values)
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert found.high - found.value == pytest.approx(half, rel=0.1)
    assert found.value - found.low == pytest.approx(half, rel=0.1)
    # The median's standard error is larger by sqrt(pi / 2).
    median = interval(values, "median")
    assert median.value == pytest.approx(np.median(values))
    assert (median.high - median.low) / (2 * half) == pytest.approx(1.25, rel=0.25)
    assert interval(values) == found
    assert found.text(1, signed=True).startswith("+0.5 [+0.5, +0.5")
    assert np.isnan(interval(values[:1]).low)


def test_a_difference_is_of_the_same_pictures():
    """Two infillers that differ by a constant: surely so, however much the pictures differ."""
    rng = np.random.default_rng(1)
    theirs = rng.random(50)
    found = difference(theirs + 0.01, theirs)
    np.testing.assert_allclose(found, 0.01, atol=1e-9)
    noisy = difference(theirs + rng.normal(0.01, 0.005, 50), theirs)
    assert 0.007 < noisy.low < noisy.value < noisy.high < 0.013
    reverse = difference(theirs, theirs + 0.01, "median")
    np.testing.assert_allclose(reverse, -0.01, atol=1e-9)
