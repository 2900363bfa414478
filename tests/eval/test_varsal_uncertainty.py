"""VarSal's uncertainty and its sanity check on small inputs, and the statistics they rest on."""

import csv
import importlib
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from flax import nnx
from scipy.stats import pearsonr, spearmanr

from eval import agreement, intervals, subject
from eval.protocols.varsal import sanity_report, uncertainty_report, uncertainty_worth
from eval.protocols.varsal.encoder_training import encoder_trainer
from eval.protocols.varsal.randomise import layer_order, redrawn
from fidojax import networks
from fidojax.data import Picture
from fidojax.networks import weight_files
from fidojax.networks.explainers import load_encoder
from fidojax.networks.varsal import VarSalNetwork

pytestmark = pytest.mark.usefixtures("quick_compile")

# The package exports functions of the same names.
sanity: Any = importlib.import_module("eval.protocols.varsal.sanity")
uncertainty: Any = importlib.import_module("eval.protocols.varsal.uncertainty")
MNIST = networks.SHIPPED["mnist"]
ARRAYS = weight_files.read(networks.WEIGHTS / "mnist.npz")


@pytest.fixture(scope="module", autouse=True)
def digits():
    """Six pictures of noise in the place of every data set; few resamples."""
    images = np.random.default_rng(1).random((6, 28, 28, 1), np.float32)
    found = [Picture(f"digits/{i}", image, i) for i, image in enumerate(images)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "pictures", lambda *_, **__: found)
        patch.setattr(sanity, "pictures", lambda *_, **__: found)
        patch.setattr(intervals, "RESAMPLES", 50)
        patch.setattr(uncertainty, "PRESETS", {"paper": {"steps": 2, "samples": 2, "size": 14}})
        yield images


@pytest.fixture
def no_figures(monkeypatch):
    """Figures take most of the time of a run that goes on."""
    for module, names in {
        uncertainty_report: ("severities", "scatters", "shifted"),
        sanity_report: ("_curves", "_gallery"),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, lambda *_: None)


def files(out) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}


def results(out) -> dict[str, Any]:
    return json.loads((out / "results.json").read_text("utf-8"))


# Statistics


def test_correlations_are_scipys():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 9, (4, 30)).astype(float)  # with ties
    other = one + rng.normal(0, 3, one.shape)
    for row, pair in enumerate(zip(one, other, strict=True)):
        ranked = agreement.correlation(agreement.ranks(one), agreement.ranks(other))[row]
        assert ranked == pytest.approx(spearmanr(*pair)[0], abs=1e-12)
        assert agreement.correlation(one, other)[row] == pytest.approx(pearsonr(*pair)[0])
    assert intervals.correlation(one[0], other[0]).value == pytest.approx(
        spearmanr(one[0], other[0])[0]
    )
    assert np.isnan(agreement.correlation(one, np.ones_like(one))).all()
    assert np.array_equal(agreement.ranks(np.array([3.0, 1.0, 1.0, 9.0])), [2 / 3, 1 / 6, 1 / 6, 1])


def test_partial_correlation_is_that_of_the_residuals():
    rng = np.random.default_rng(1)
    known = rng.normal(size=(2, 400))
    known[1] += known[0]
    one = known[0] - known[1] + rng.normal(size=400)
    other = known[1] + rng.normal(size=400)
    design = np.stack([np.ones(400), *known], axis=1)
    left = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (one, other)]
    found = agreement.correlation(one, other, *known)
    assert found == pytest.approx(pearsonr(*left)[0], abs=1e-12)
    assert abs(found) < 0.1 < abs(agreement.correlation(one, other))


def test_intervals_of_correlations_take_the_same_pictures_from_all():
    rng = np.random.default_rng(2)
    cause = rng.normal(size=200)
    one, other = cause + rng.normal(size=(2, 200))
    for ranks in (True, False):
        plain = intervals.correlation(one, other, ranks=ranks)
        assert 0.3 < plain.low < plain.value < plain.high < 0.7
        partial = intervals.correlation(one, other, cause, ranks=ranks)
        assert partial.low < 0 < partial.high
    assert intervals.correlation(cause, cause**3).low == pytest.approx(1)
    assert intervals.correlation(cause, cause**3, ranks=False).value < 0.95


def test_likeness_of_maps_is_that_of_their_order():
    maps = np.random.default_rng(3).normal(size=(3, 12, 12))
    for of in (agreement.spearman, agreement.ssim):
        np.testing.assert_allclose(of(maps, np.exp(3 * maps)), 1)
        assert (np.abs(of(maps, np.roll(maps, 1, axis=0))) < 0.4).all()
    np.testing.assert_allclose(agreement.spearman(maps, -maps), -1)


def test_the_errors_of_a_ranking():
    rng = np.random.default_rng(4)
    fido = rng.random((2, 3, 8, 8))
    same = uncertainty_worth.rank_errors(2 * fido[0] - 1, [fido[0], fido[0]])
    np.testing.assert_allclose(same["apart"], 0, atol=1e-12)
    assert not same["moved"].any()
    assert not same["noise moved"].any()
    assert (same["others"] > 0.5).all()
    half = uncertainty_worth.rank_errors(fido[0], list(fido))
    np.testing.assert_allclose(half["apart"], half["noise"] / 2)
    np.testing.assert_allclose(half["moved"], half["noise moved"] / 2)
    blocks = uncertainty_worth.regions(fido[0])
    assert blocks[1, 1, 0] == pytest.approx(fido[0, 1, 4:, :4].mean())


def test_an_uncertainty_that_knows_the_error_is_told_from_one_that_does_not():
    rng = np.random.default_rng(5)
    mean, fido = rng.normal(size=(12, 16, 16)), list(rng.random((2, 12, 16, 16)))
    moved = uncertainty_worth.rank_errors(mean, fido)["moved"].reshape(mean.shape)
    clean = {n: rng.random(12) for n in ("deviation", "relative", "spread", "erased", "confidence")}
    clean["relative"] = np.exp(clean["erased"])

    def found(deviation, over):
        rows = uncertainty_worth.worth(mean, deviation, fido, clean)
        return {(r["uncertainty"], r["with"], r["given"]): r for r in rows if r["over"] == over}

    knows = found(moved, "pixels")
    assert knows["deviation", "moved places", ""]["Pearson"].low == pytest.approx(1)
    depends = found(np.abs(mean), "pixels")
    assert depends["deviation", "abs(mean)", ""]["Spearman"].value == pytest.approx(1)
    assert depends["deviation", "moved places", ""]["Spearman"].low > 0.1  # extremes move more
    noisy = found(np.abs(mean) + 0.1 * rng.random(mean.shape), "pixels")
    given = noisy["deviation", "moved places", ", ".join(uncertainty_worth.CONFOUNDS)]
    assert noisy["deviation", "moved places", ""]["Spearman"].low > 0.1
    assert given["Spearman"].low < 0.03 > given["Spearman"].value
    centre = found(rng.random(mean.shape), "pixels")["deviation", "distance to centre", ""]
    assert abs(centre["Spearman"].value) < 0.1
    over = found(moved, "pictures")
    assert over["relative", "erased", ""]["Spearman"].value == pytest.approx(1)
    assert over["deviation", "erased", ""]["Spearman"].value < 0.9
    assert {row["pictures"] for row in over.values()} == {12}


# Randomised classifiers and their encoders


def test_layers_stand_in_the_order_they_are_called():
    assert layer_order(MNIST.network, MNIST.size) == ["conv1", "conv2", "dense1", "logits"]
    natural = networks.SHIPPED["tiny_imagenet40"]
    order = layer_order(natural.network, natural.size)
    arrays = weight_files.read(networks.WEIGHTS / "tiny_imagenet40.npz")
    assert (order[0], order[-2:]) == ("stem/conv", ["blocks/5/conv2/conv", "logits"])
    assert order.index("blocks/1/conv1/conv") < order.index("blocks/1/conv2/conv")
    assert {f"{name}/kernel" for name in order} == {n for n in arrays if n.endswith("kernel")}


def test_the_top_layers_are_drawn_anew_and_the_others_keep_their_bits(digits):
    order = layer_order(MNIST.network, MNIST.size)
    two, four = (redrawn(jax.random.key(0), ARRAYS, order[4 - n :]) for n in (2, 4))
    for name in ARRAYS:
        same = np.array_equal(two[name], ARRAYS[name])
        assert same == (name.split("/")[0] in ("conv1", "conv2")), name
        if not same:
            np.testing.assert_array_equal(two[name], four[name], err_msg=name)
    assert not four["dense1/bias"].any()
    assert four["dense1/kernel"].std() == pytest.approx((2 / 128) ** 0.5, rel=0.02)
    other = redrawn(jax.random.key(1), ARRAYS, order)
    assert (
        abs(np.corrcoef(other["logits/kernel"].ravel(), four["logits/kernel"].ravel())[0, 1]) < 0.1
    )
    logits = np.asarray(weight_files.assemble(MNIST.network, four, "")(digits))
    assert np.isfinite(logits).all()
    assert 0.1 < logits.std() < 30


def test_an_encoder_follows_its_seed_and_its_classifier(digits):
    train = encoder_trainer(1, (2,), 2, 2e-3, 3.0)
    pool = np.rint(255 * digits[:4]).astype(np.uint8)
    trained = weight_files.assemble(MNIST.network, ARRAYS, "")
    changed = weight_files.assemble(
        MNIST.network, redrawn(jax.random.key(0), ARRAYS, ["logits"]), ""
    )
    told = []

    def maps(seed, classifier):
        means, losses = train(seed, classifier, pool, lambda *at: told.append(at))
        assert losses.shape == (2,)
        return np.asarray(means(digits))

    first = maps(0, trained)
    assert first.shape == (6, 28, 28)
    assert told == [(1, 2), (2, 2)]
    np.testing.assert_array_equal(maps(0, trained), first)
    for others in (maps(1, trained), maps(0, changed)):
        assert np.abs(others - first).max() > 1e-5


SANITY = {"classifier": "mnist", "levels": (1,), "steps": 2, "batch": 2, "widths": (2,)}


@pytest.fixture(scope="module")
def checked(digits, tmp_path_factory):
    """A finished sanity check."""
    out = tmp_path_factory.mktemp("sanity") / "out"
    sanity.varsal_sanity(out, **SANITY, limit=4)
    return out


def test_sanity_compares_every_level_with_the_reference(checked, digits):
    found = results(checked)
    assert [row["layers"] for row in found["rows"]] == [0, 1, 4]
    none, *changed = found["rows"]
    for measure in ("spearman", "ssim"):
        assert none[f"{measure}_gradient"]["value"] == pytest.approx(1)
        assert none[f"{measure}_to_ceiling"]["value"] == 0
        assert none[measure]["value"] < 1  # another seed
        assert all(row[f"{measure}_gradient"]["value"] < 0.9 for row in changed)
    assert none["same_class"] == 1
    maps = {
        name: np.load(checked / "parts" / f"{name}.npz")["maps"]
        for name in ("reference", "level-001")
    }
    own = agreement.spearman(maps["reference"], maps["level-001"])
    assert changed[0]["spearman"]["value"] == pytest.approx(own.mean())
    top = weight_files.assemble(MNIST.network, redrawn(jax.random.key(0), ARRAYS, ["logits"]), "")
    seen = np.asarray(top(digits))[np.random.default_rng(0).permutation(6)[:4]]
    stored_logits = np.load(checked / "parts" / "level-001.npz")["logits"]
    np.testing.assert_allclose(stored_logits, seen, rtol=1e-4, atol=1e-5)
    with open(checked / "pictures.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 3 * 2 * 4
    for name in ("sanity", "gallery"):
        with PIL.Image.open(checked / f"{name}.png") as figure:
            assert min(figure.size) > 300


@pytest.mark.usefixtures("no_figures")
def test_sanity_trains_again_only_what_is_lost(checked):
    before, table = files(checked), (checked / "table.md").read_text("utf-8")
    assert sorted(before) == [f"level-{n:03d}.npz" for n in (0, 1, 4)] + ["reference.npz"]
    (checked / "parts" / "level-001.npz").unlink()
    sanity.varsal_sanity(checked, **SANITY, limit=4)
    after = files(checked)
    assert {name for name, at in after.items() if before[name] != at} == {"level-001.npz"}
    assert (checked / "table.md").read_text("utf-8") == table
    with pytest.raises(ValueError, match="other settings"):
        sanity.varsal_sanity(checked, **SANITY | {"steps": 3}, limit=4)


def test_sanity_refuses_what_cannot_be(tmp_path):
    with pytest.raises(ValueError, match="expected steps x batch, 40"):
        sanity.varsal_sanity(tmp_path / "out", **SANITY | {"batch": 20})
    with pytest.raises(ValueError, match="classifier"):
        sanity.varsal_sanity(tmp_path / "out", classifier="keras:VGG16")


# The uncertainty


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Two files of encoders as they are before training."""
    folder = tmp_path_factory.mktemp("encoders")
    for seed in range(2):
        network = VarSalNetwork(1, (2,), norm=False, rngs=nnx.Rngs(seed))
        weight_files.save(folder / f"{seed}.npz", network)
    return [str(folder / f"{seed}.npz") for seed in range(2)]


UNCERTAIN = {"classifier": "mnist", "batch": 4, "fido_limit": 3, "group": 2}


@pytest.fixture(scope="module")
def measured(digits, encoders, tmp_path_factory):
    """A finished run."""
    out = tmp_path_factory.mktemp("uncertainty") / "out"
    uncertainty.varsal_uncertainty(out, encoder=encoders[0], **UNCERTAIN)
    return out


def test_uncertainty_by_severity_is_the_encoders(measured, encoders, digits):
    rows = {(row["corruption"], row["severity"]): row for row in results(measured)["shift"]}
    assert list(rows) == list(uncertainty.CONDITIONS)
    encoder = load_encoder(encoders[0])
    mean, log_variance = (np.asarray(part) for part in encoder(jnp.asarray(digits)))
    deviation = np.exp(0.5 * log_variance).mean((1, 2))
    clean = rows["clean", 0]
    assert clean["deviation"]["value"] == pytest.approx(deviation.mean(), rel=1e-5)
    relative = deviation / mean.std((1, 2))
    assert clean["relative"]["value"] == pytest.approx(relative.mean(), rel=1e-5)
    brighter = np.exp(0.5 * np.asarray(encoder(jnp.clip(digits + 0.3, 0, 1))[1]))
    shifted = rows["brightness", 3]
    assert shifted["deviation"]["value"] == pytest.approx(brighter.mean(), rel=1e-5)
    change = brighter.mean((1, 2)) - deviation
    assert shifted["deviation - clean"]["value"] == pytest.approx(change.mean(), rel=1e-4)
    for row in rows.values():
        assert row["erased"]["value"] > 0


def test_uncertainty_reports_its_worth(measured):
    found = results(measured)
    assert {(row["over"], row["pictures"]) for row in found["worth"]} == {
        ("pictures", 6), ("pictures", 3), ("pixels", 3), ("regions", 3)
    }  # fmt: skip
    noise = next(row for row in found["distance"] if row["rankings"].startswith("FIDO"))
    assert 0 < noise["1 - Spearman"]["value"] < 1
    assert noise["- FIDO to FIDO"]["value"] == 0
    with open(measured / "pictures.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * 11
    assert sum(bool(row["distance to FIDO"]) for row in rows) == 3
    for name in ("severity", "worth", "shifted"):
        with PIL.Image.open(measured / f"{name}.png") as figure:
            assert min(figure.size) > 300


@pytest.mark.usefixtures("no_figures")
def test_another_encoder_keeps_fidos_maps_and_a_lost_part_alone_is_run_again(measured, encoders):
    before, table = files(measured), (measured / "table.md").read_text("utf-8")
    assert len(before) == 11 * 2 + 2 * 2
    lost = next(name for name in before if name.startswith("fido-1"))
    (measured / "parts" / lost).unlink()
    uncertainty.varsal_uncertainty(measured, encoder=encoders[0], **UNCERTAIN)
    again = files(measured)
    assert {name for name, at in again.items() if before[name] != at} == {lost}
    assert (measured / "table.md").read_text("utf-8") == table
    uncertainty.varsal_uncertainty(measured, encoder=encoders[1], **UNCERTAIN)
    assert len(files(measured)) == len(before) + 11 * 2
    assert all(files(measured)[name] == at for name, at in again.items())
    assert (measured / "table.md").read_text("utf-8") != table


def test_uncertainty_needs_two_seeds_of_fido(tmp_path, encoders):
    with pytest.raises(ValueError, match="fido-seeds"):
        uncertainty.varsal_uncertainty(tmp_path, encoder=encoders[0], fido_seeds=(1, 1))
