"""Infill recovery in stored regions, by several judges, and who is above whom."""

import importlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infillers
from eval import runner
from eval import subject as drawn
from eval.intervals import Interval
from eval.protocols.infill_recovery import regions
from eval.protocols.infill_recovery.kinds import HOLES, PANELS, RATES, rates, titles
from eval.protocols.infill_recovery.report import MASKS, SECONDS, TRUTH
from eval.protocols.infill_recovery.standing import _verdict
from eval.report.reading import read
from eval.study import StudyRow
from eval.subject import StudyRun
from fidojax import networks
from fidojax.core import Region
from fidojax.data import Picture
from fidojax.metrics import feature_distance
from fidojax.runs import Ledger, find_ledger
from fidojax.transforms import feature_pyramid
from fidojax.types import Explanation

# The package exports a function of the same name.
protocol: Any = importlib.import_module("eval.protocols.infill_recovery.protocol")
SIDE = 28


class Found(NamedTuple):
    region: Region


def bright_half(key, classifier, image, target):
    """Stands for FIDO: the upper half is the region, and dark pictures have none."""
    half = (jnp.arange(SIDE) < SIDE // 2)[:, None] * jnp.ones((SIDE, SIDE))
    mask = jnp.where(image.mean() > 0.25, half, jnp.nan)
    p = jnp.ones((1, 2))
    return Explanation(half, Found(Region(mask, mask.min(), mask.mean(), p, p, p[0, 0])))


@pytest.fixture(scope="module")
def pictures():
    draws = np.random.default_rng(3).random((4, SIDE, SIDE, 1), np.float32)
    draws[2] *= 0.3
    return [Picture(f"digit {i}", image, i, source=f"{i}") for i, image in enumerate(draws)]


@pytest.fixture(scope="module")
def recover(pictures):
    network = networks.load("mnist")
    row = StudyRow(bright_half, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawn, "pictures", lambda *_, **__: pictures)
        patch.setattr(protocol, "draw", lambda *_, **__: None)
        patch.setattr(protocol, "load_judges", lambda *_: {"twin": network.classifier})
        patch.setattr(regions, "row_of_spec", lambda *_: row)
        patch.setattr(runner, "SHOWN", 1)

        def call(out, **options):
            run = StudyRun(out, classifier="mnist", batch_size=2)
            options = {"masks": ("random-0.1", "blobs-0.4"), "copies": False} | options
            protocol.infill_recovery(run, ("mean", "blur:1.5"), regions="mnist", **options)
            return out

        yield call


@pytest.fixture(scope="module")
def out(recover, tmp_path_factory):
    return recover(tmp_path_factory.mktemp("run") / "out", judge=("twin",))


def column(stored, fill, name) -> np.ndarray:
    found = stored.column("quality", fill, name)
    assert found is not None
    return found


def test_a_stored_region_is_filled_and_judged_by_every_network(out, pictures):
    stored = read(out)
    network = networks.load("mnist")
    half = np.zeros((SIDE, SIDE), np.float32)
    half[: SIDE // 2] = 1
    found = {
        name: column(stored, "blur:1.5", name)
        for name in ("kept", "probability", "probability1", "distance", "distance1", "rms")
    }
    fill = jax.jit(infillers.blur(1.5))
    by_id = {picture.id: picture for picture in pictures}
    for row, name in enumerate(stored.pictures.ids):
        picture = by_id[name]
        if picture.image.mean() < 0.25:
            assert found["kept"][row, 2] == 0
            assert all(np.isnan(values[row, 2]) for key, values in found.items() if key != "kept")
            continue
        assert found["kept"][row, 2] == 0.5
        filled = np.asarray(fill(jax.random.key(0), picture.image, half))
        filled = np.where(half[..., None] > 0, picture.image, filled)
        seen = jnp.stack([picture.image, filled])
        p = jax.nn.softmax(network.classifier(seen))[1, picture.label]
        for key in ("probability", "probability1"):
            assert found[key][row, 2] == pytest.approx(float(p), abs=1e-4)
        layers = feature_pyramid.features(network.classifier, seen)
        distance = feature_distance([each[0] for each in layers], [each[1] for each in layers])
        for key in ("distance", "distance1"):
            assert found[key][row, 2] == pytest.approx(float(distance), rel=1e-3)
        error = ((filled - picture.image)[SIDE // 2 :] ** 2).mean() ** 0.5
        assert found["rms"][row, 2] == pytest.approx(error, rel=1e-3)
    truth = column(stored, TRUTH, "distance")
    np.testing.assert_allclose(truth[np.isfinite(truth)], 0, atol=1e-5)
    assert stored.column("quality", TRUTH, "copied") is None
    masks = {line["holes"]: line for line in stored.tables[MASKS]}
    assert masks["FIDO's regions kept"]["pictures"] == "3"
    assert masks["FIDO's regions kept"]["share kept"].startswith("0.500")
    assert [line["infill"] for line in stored.tables[SECONDS]] == ["mean", "blur:1.5", TRUTH]
    assert any("p(class) after infill, twin, all" in title for title in stored.tables)


def test_regions_are_found_once(out, recover, monkeypatch):
    ledger = find_ledger(out / "regions" / "results.zarr" / "rows" / "fido")
    assert ledger is not None
    np.testing.assert_array_equal(np.sort(ledger.read("region_area")), [0.5, 0.5, 0.5, np.nan])
    written = []
    monkeypatch.setattr(Ledger, "write", lambda ledger, *_: written.append(str(ledger.path)))
    recover(out, judge=("twin",))
    assert written == []
    assert "--regions mnist" in read(out / "regions").study["command"]


def test_the_own_classifier_is_no_further_judge(recover, tmp_path, monkeypatch):
    monkeypatch.setattr(protocol, "load_judges", lambda *_: {"mnist": None})
    with pytest.raises(ValueError, match="judge names mnist, which is the run's own classifier"):
        recover(tmp_path, judge=("mnist",))


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (("box", "circle"), "masks: there is no 'circle'; it is one of random-0.5"),
        (("box", "box"), "expected one or several different kinds, got .'box', 'box'"),
    ],
)
def test_unknown_kinds_of_holes_are_refused(masks, message, recover, tmp_path):
    with pytest.raises(ValueError, match=message):
        recover(tmp_path, masks=masks)


def test_titles_say_what_is_dropped_or_kept():
    assert titles(["random-0.1", "blobs-0.2", "region"]) == {
        "random-0.1": "random pixels, 90% dropped",
        "blobs-0.2": "blobs, 20% kept",
        "region": "FIDO's regions kept",
    }
    assert rates(["box", "random-0.9", "random-0.1"]) == {0.1: 2, 0.9: 1}
    assert {f"random-{rate}" for rate in RATES} < {*HOLES}
    assert {*PANELS} < {*HOLES, "region"}


@pytest.mark.parametrize(("kind", "keep"), [("blobs-0.1", 0.1), ("random-0.1", 0.1)])
def test_the_number_in_the_name_is_the_share_kept(kind, keep):
    mask = HOLES[kind].draw(jax.random.key(0), (48, 48))
    assert float(mask.mean()) == pytest.approx(keep, abs=0.03)
    assert set(np.unique(mask)) == {0, 1}


ABOVE, BELOW, EQUAL = Interval(0.1, 0.05, 0.2), Interval(-0.1, -0.2, -1e-6), Interval(0.1, 0, 0.2)
NOTHING = Interval(np.nan, np.nan, np.nan)


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ({"mean": ABOVE, "ca": ABOVE}, "above all 2"),
        ({"mean": ABOVE, "ca": EQUAL}, "above 1; not told apart: ca"),
        ({"mean": BELOW, "ca": EQUAL}, "above 0; not told apart: ca; below: mean"),
        ({"mean": ABOVE, "ca": NOTHING}, "above all 1"),
        ({"mean": NOTHING}, ""),
        ({}, ""),
    ],
)
def test_above_is_said_only_where_the_whole_interval_is(pairs, text):
    assert _verdict(pairs) == text
