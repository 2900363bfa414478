"""The protocol of infill quality on small inputs, and its intervals."""

import dataclasses
import importlib
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from jax.tree_util import Partial

import infillers
from eval import intervals, runner
from eval import subject as drawn
from eval.intervals import difference, interval
from eval.protocols.infill_recovery.gallery import fill_again
from eval.protocols.infill_recovery.kinds import PANELS
from eval.protocols.infill_recovery.recover import numbers
from eval.protocols.infill_recovery.report import SECONDS, TRUTH, compare, subsets
from eval.report.reading import read
from eval.subject import Drawn, StudyRun, Subject
from fidojax import networks
from fidojax.data import BadPicture, Picture
from fidojax.runs import Ledger

MASKS = ("random-0.5", "random-0.1", "box", "strokes", "blobs-0.2", "random-0.9")
SHOWN = [kind for kind in MASKS if kind in PANELS]
RATES = (0.1, 0.5, 0.9)
NUMBERS = numbers(["mnist"])

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
    """The protocol on those pictures, with a few kinds of holes and few resamples."""
    known = {"mean": infillers.mean, "local": infillers.local, "ca": learned}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "INFILLERS", known)
        patch.setattr(protocol, "default_infillers", lambda: (*known,))
        patch.setattr(intervals, "RESAMPLES", 500)
        patch.setattr(runner, "SHOWN", 1)  # a large gallery takes long

        def call(out, found=digits, figures=False, infill=(), masks=MASKS, own=None, **options):
            given = StudyRun(out, **{"classifier": "mnist", "batch_size": 3} | options)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(drawn, "pictures", lambda *_, **__: found)
                if not figures:
                    patch.setattr(protocol, "draw", lambda *_, **__: None)
                protocol.infill_recovery(given, infill=infill, masks=masks, **(own or {}))
            return out

        yield call


@pytest.fixture(scope="module")
def out(recover, tmp_path_factory):
    """A finished run."""
    fills = ("mean", "local", "ca", "ca:bad")
    return recover(tmp_path_factory.mktemp("run") / "out", infill=fills, figures=True)


def table(out) -> list[dict[str, Any]]:
    """A row of numbers per picture, kind of holes and infiller."""
    stored = read(out)
    columns = {fill: stored.scored["quality", fill] for fill in stored.study["rows"]}
    right = stored.pictures.read("labels") == stored.pictures.read("predictions")
    return [
        {"picture": name, "holes": kind, "infill": fill, "right": bool(right[i])}
        | {number: float(ledger.read(number)[i, at]) for number in ("kept", *NUMBERS)}
        for fill, ledger in columns.items()
        for at, kind in enumerate(MASKS)
        for i, name in enumerate(stored.pictures.ids)
    ]


def test_it_measures_every_picture_holes_and_infiller(out):
    rows = table(out)
    assert len(rows) == 5 * len(MASKS) * 5
    assert sum(not row["right"] for row in rows) == len(rows) / 5
    for row in rows:
        assert 0 < row["probability"] < 1
        assert 0 <= row["copied"] <= row["copied_within"] + 1e-6 <= 1 + 1e-6
    for name in ("probability", "rates", *(f"gallery_{kind}" for kind in SHOWN)):
        with PIL.Image.open(out / "figures" / f"{name}.png") as drawn:
            assert min(drawn.size) > 300


def test_numbers_and_curves_are_of_their_holes(out):
    stored = read(out)
    rows = {(row["holes"], row["infill"], row["picture"]): row for row in table(out)}
    for number in NUMBERS:
        for fill in ("local", TRUTH):
            curve = stored.curve(number, fill)
            for i, name in enumerate(stored.pictures.ids):
                for at, rate in enumerate(RATES):
                    assert curve[i, at] == rows[f"random-{rate}", fill, name][number]
                for kind in SHOWN:
                    if number == "probability":
                        own = stored.values(f"{number} {kind}", fill)[i]
                        assert own == rows[kind, fill, name][number]


def test_a_lost_row_alone_is_run_again(out, recover, capsys, monkeypatch):
    fills = {"infill": ("mean", "local", "ca", "ca:bad")}
    before, tables = table(out), read(out).tables
    shutil.rmtree(out / "results.zarr" / "rows" / "local")
    written, write = [], Ledger.write

    def noted(ledger, *arguments):
        written.append(ledger.path.name)
        write(ledger, *arguments)

    monkeypatch.setattr(Ledger, "write", noted)
    recover(out, **fills)
    assert set(written) == {"local"}
    assert "left out digit 5: the record is damaged" in capsys.readouterr().out
    assert table(out) == before
    again = read(out).tables
    assert {**again, SECONDS: []} == {**tables, SECONDS: []}
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
            assert found["ca"][field] == pytest.approx(found[TRUTH][field], abs=1e-4)
        assert found[TRUTH]["absolute"] == found[TRUTH]["rms"] == 0
        assert found["ca:bad"]["absolute"] == pytest.approx(0.4, abs=1e-4)
        at = int(name.split("/")[1])
        expected = p[at, digits[at].label]
        assert found[TRUTH]["probability"] == pytest.approx(expected, abs=1e-4)
        kept.setdefault(kind, []).append(found["mean"]["kept"])
    np.testing.assert_allclose(kept["box"], 0.75)
    for rate in RATES:
        np.testing.assert_allclose(kept[f"random-{rate}"], rate, atol=0.07)
        assert len(set(kept[f"random-{rate}"])) > 1  # each picture has its own


def test_a_picture_is_filled_by_its_own_infiller_in_its_own_holes(out, recover, digits):
    stored = read(out)
    images = {picture.id: picture.image for picture in digits[:5]}
    shown = np.stack([images[name] for name in stored.pictures.ids])
    labels = stored.pictures.read("labels")
    drawn = Drawn(stored.pictures.ids, shown, labels, labels, [None] * 5)
    of = Subject(networks.load("mnist"), drawn)
    local = infillers.local()
    fill = jax.jit(local)
    chosen = np.array([0, 2, 3])
    options = {"holes": " ".join(MASKS), "copies": True}
    run = StudyRun(out, batch_size=3)
    again = fill_again(of, protocol._row("local", local, options), chosen, run)
    assert again.images.shape == (3, len(MASKS), 28, 28, 1)
    kept = stored.scored["quality", "local"].read("kept")[chosen]
    np.testing.assert_allclose(again.masks.mean(axis=(2, 3)), kept, rtol=1e-6)
    for picture, masks, filled in zip(shown[chosen], again.masks, again.images, strict=True):
        for mask, found in zip(masks, filled, strict=True):
            expected = fill(jax.random.key(0), picture, mask)
            expected = np.where(mask[..., None], picture, expected)
            np.testing.assert_allclose(found, expected, atol=1e-5)
    # The map is the mean error of each pixel over the holes that drop it.
    error = np.abs(again.images - shown[chosen][:, None]).mean(axis=-1).sum(axis=1)
    dropped = np.maximum((again.masks == 0).sum(axis=1), 1)
    np.testing.assert_allclose(stored.maps("local", chosen), error / dropped, atol=1e-3)


def test_the_report_says_who_is_ahead(out):
    stored = read(out)
    comparisons = compare(stored, SHOWN)
    assert len(comparisons) == 2 * 2 * len(SHOWN) * 2
    chosen = subsets(stored)
    assert {name: int(each.sum()) for name, each in chosen.items()} == {
        "all": 5, "classified right": 4
    }  # fmt: skip
    for each in comparisons:
        if each.statistic == "median":
            medians = {
                fill: np.median(
                    stored.values(f"probability {each.kind}", fill)[chosen[each.pictures]]
                )
                for fill in ("mean", "local", each.fill)
            }
            heuristics = {fill: medians[fill] for fill in ("mean", "local")}
            assert heuristics[each.best] == max(heuristics.values())
            expected = medians[each.fill] - max(heuristics.values())
            assert each.ahead.value == pytest.approx(expected)
    short = stored.tables["Learned infillers against the best heuristic, in short"]
    assert [(row["infill"], row["comparisons"]) for row in short] == [
        ("ca", "20"), ("ca:bad", "20")
    ]  # fmt: skip
    assert len(stored.study["claims"]) == 2 * 2 * len(SHOWN)
    # The stand-in for the truth makes no error, the other one an error of 0.4 everywhere.
    title = "Learned infillers against every other infiller, above is better"
    lines = {(line["infill"], line["by"]): line for line in stored.tables[title]}
    good, bad = (lines[name, "root mean square error"] for name in ("ca", "ca:bad"))
    for kind in SHOWN:
        head = protocol.HOLES[kind].title
        assert good[head] == "above all 3"
        assert bad[head].endswith("ca")
        assert "below: " in bad[head]
    title = "By how much they are better than each: paired differences of the means"
    (pair,) = (
        line
        for line in stored.tables[title]
        if (line["infill"], line["against"]) == ("ca", "ca:bad") and "square" in line["by"]
    )
    assert {pair[protocol.HOLES[kind].title] for kind in SHOWN} == {"+0.400 [+0.400, +0.400]"}


def test_a_picture_has_the_same_numbers_in_any_company(out, recover, tmp_path):
    before = {(row["picture"], row["holes"], row["infill"]): row for row in table(out)}
    few = table(recover(tmp_path, limit=3, infill=("mean", "local")))
    assert len(few) == 3 * len(MASKS) * 3
    for row in few:
        assert row == before[row["picture"], row["holes"], row["infill"]]
    assert not any("best heuristic" in title for title in read(tmp_path).tables)


def test_other_weights_are_refused_in_the_same_folder(recover, tmp_path, monkeypatch):
    before = table(recover(tmp_path, infill=("ca",)))
    monkeypatch.setattr(learned, "__defaults__", ("bad",))
    with pytest.raises(ValueError, match="ca holds results of other settings"):
        recover(tmp_path, infill=("ca",))
    assert table(tmp_path) == before


def test_absent_weights_are_left_out_and_unknown_names_refused(recover, tmp_path, capsys):
    recover(tmp_path, limit=2, infill=("mean", "ca:absent"))
    assert "ca:absent is left out: weights absent: there is no such file" in capsys.readouterr().out
    assert {row["infill"] for row in table(tmp_path)} == {"mean", TRUTH}
    with pytest.raises(ValueError, match="none of the infillers has its weights"):
        recover(tmp_path, infill=("ca:absent",))
    with pytest.raises(
        ValueError, match="infill: there is no 'grey'; it is one of mean, local, ca"
    ):
        recover(tmp_path, infill=("grey",))
    with pytest.raises(ValueError, match="infill names 'mean' twice"):
        recover(tmp_path, infill=("mean", "mean"))


def test_another_value_of_the_first_argument(recover, tmp_path):
    recover(tmp_path, limit=2, infill=("local", "local:5", "mean:0.5", "ca:good"))
    rows = table(tmp_path)
    assert [*dict.fromkeys(row["infill"] for row in rows)] == [
        "local", "local:5", "mean:0.5", "ca:good", TRUTH
    ]  # fmt: skip
    short = read(tmp_path).tables["Learned infillers against the best heuristic, in short"]
    # Whatever their constants, heuristics are none of the learned ones.
    assert [row["infill"] for row in short] == ["ca:good"]
    errors = {
        fill: [row["absolute"] for row in rows if row["infill"] == fill]
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
