"""VarSal's uncertainty and its sanity check on small inputs, and the statistics they rest on."""

import dataclasses
import importlib
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
import zarr
from flax import nnx
from scipy.stats import pearsonr, spearmanr

from eval import agreement, intervals, runner, subject
from eval.protocols.sanity_cascade.figures import floor_of
from eval.protocols.varsal import uncertainty_report, uncertainty_worth
from eval.protocols.varsal.encoder_training import encoder_trainer
from eval.protocols.varsal.randomise import layer_order, redrawn
from eval.report.reading import read
from eval.subject import StudyRun
from fidojax import networks
from fidojax.data import Picture
from fidojax.networks import weight_files
from fidojax.networks.explainers import load_encoder
from fidojax.networks.varsal import VarSalNetwork
from fidojax.runs import Ledger, find_ledger

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
        patch.setattr(intervals, "RESAMPLES", 500)
        patch.setattr(runner, "SHOWN", 1)  # a large gallery takes long
        patch.setattr(uncertainty, "PRESETS", {"paper": {"steps": 2, "samples": 2, "size": 14}})
        yield images


@pytest.fixture
def written(monkeypatch):
    """Names of the ledgers that a later run writes to; it draws no figures, which are slow."""
    monkeypatch.setattr(uncertainty, "draw", lambda *_, **__: None)
    monkeypatch.setattr(sanity, "by_level", lambda *_: None)
    names, write = set(), Ledger.write

    def noted(ledger, *arguments):
        names.add("/".join(ledger.path.parts[-2:]))
        write(ledger, *arguments)

    monkeypatch.setattr(Ledger, "write", noted)
    return names


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
        encoder, losses = train(seed, classifier, pool, lambda *at: told.append(at))
        assert losses.shape == (2,)
        return np.asarray(encoder(digits)[0])

    first = maps(0, trained)
    assert first.shape == (6, 28, 28)
    assert told == [(1, 2), (2, 2)]
    np.testing.assert_array_equal(maps(0, trained), first)
    for others in (maps(1, trained), maps(0, changed)):
        assert np.abs(others - first).max() > 1e-5


SANITY = {"levels": (1,), "steps": 2, "widths": (2,)}


def check(out, **options):
    """Run the sanity check on four pictures."""
    given = {"limit": 4, "batch_size": 2, "classifier": "mnist"}
    given |= {name: options.pop(name) for name in list(options) if name in RUN_OPTIONS}
    sanity.varsal_sanity(StudyRun(out, **given), **SANITY | options)


RUN_OPTIONS = {field.name for field in dataclasses.fields(StudyRun)}


@pytest.fixture(scope="module")
def checked(digits, tmp_path_factory):
    """A finished sanity check."""
    out = tmp_path_factory.mktemp("sanity") / "out"
    check(out)
    return out


def test_sanity_compares_every_level_with_the_reference(checked, digits):
    found = read(checked)
    titles = ["trained", "none, other seed", "top 1", "all 4"]
    assert list(found.study["rows"]) == [f"{k} {t}" for k in ("varsal", "gradient") for t in titles]
    for measure in ("spearman", "ssim"):

        def mean(row, number=measure):
            return found.values(number, row).mean()

        assert mean("gradient none, other seed") == pytest.approx(1, abs=1e-3)
        assert mean("varsal none, other seed") < 1 - 1e-4  # another seed
        for title in titles[2:]:
            assert mean(f"gradient {title}") < 0.9
            own = mean(f"varsal {title}") - floor_of(found, measure, "varsal trained").value
            above = mean(f"varsal {title}", f"{measure} above others")
            assert above == pytest.approx(own, abs=1e-5)
    assert (found.values("same", "varsal none, other seed") == 1).all()
    pairs = [found.maps(f"varsal {title}") for title in ("trained", "top 1")]
    own = agreement.spearman(*pairs)
    np.testing.assert_allclose(found.values("spearman", "varsal top 1"), own, atol=1e-5)
    top = weight_files.assemble(MNIST.network, redrawn(jax.random.key(0), ARRAYS, ["logits"]), "")
    seen = np.asarray(top(digits))[np.random.default_rng(0).permutation(6)[:4]]
    stored_logits = found.scored["classes", "varsal top 1"].read("logits")
    np.testing.assert_allclose(stored_logits, seen, rtol=1e-4, atol=1e-5)
    (table,) = found.tables.values()
    assert [row["layers drawn anew"] for row in table] == titles[1:]
    assert table[0]["Spearman - ceiling"].startswith("+0.000 ")
    assert table[0]["same class"] == "100%"
    assert float(table[1]["spread of logits"]) == pytest.approx(seen.std(axis=0).mean(), abs=0.01)
    with PIL.Image.open(checked / "figures" / "sanity.png") as figure:
        assert min(figure.size) > 300


def test_sanity_trains_again_only_what_is_lost(checked, written):
    before, tables = read(checked), (checked / "tables.json").read_text("utf-8")
    values = {row: before.values("spearman", row) for row in before.study["rows"]}
    encoders = zarr.open_group(checked / "results.zarr" / "encoders", mode="a")
    assert np.flatnonzero(encoders["status"][...]).tolist() == [0, 1, 2, 5]  # type: ignore
    encoders["status"][2] = 0  # type: ignore
    shutil.rmtree(checked / "results.zarr" / "rows" / "varsal top 1")
    check(checked)
    assert written == {"results.zarr/encoders", "rows/varsal top 1"}
    assert (checked / "tables.json").read_text("utf-8") == tables
    for row, expected in values.items():
        np.testing.assert_array_equal(read(checked).values("spearman", row), expected)
    with pytest.raises(ValueError, match="other settings"):
        check(checked, steps=3)


def test_shards_share_the_training(checked, tmp_path, capsys):
    out = tmp_path / "out"
    check(out, shard="1/2", dry_run=True)
    assert "4 encoders to train first" in capsys.readouterr().out
    assert not out.exists()
    check(out, shard="2/2")
    assert "some encoders belong to other shards" in capsys.readouterr().out
    assert not (out / "study.json").exists()
    check(out, shard="1/2")
    stored, other = (find_ledger(path / "results.zarr" / "encoders") for path in (out, checked))
    assert stored is not None
    assert other is not None
    for name in stored.names:
        np.testing.assert_array_equal(stored.read(name), other.read(name))


def test_sanity_refuses_what_cannot_be(tmp_path):
    with pytest.raises(ValueError, match="expected steps x batch size, 40"):
        check(tmp_path / "out", batch_size=20)
    with pytest.raises(ValueError, match="classifier"):
        check(tmp_path / "out", classifier="keras:VGG16")


# The uncertainty


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Two files of encoders as they are before training."""
    folder = tmp_path_factory.mktemp("encoders")
    for seed in range(2):
        network = VarSalNetwork(1, (2,), norm=False, rngs=nnx.Rngs(seed))
        weight_files.save(folder / f"{seed}.npz", network)
    return [str(folder / f"{seed}.npz") for seed in range(2)]


def measure(out, encoder, **options):
    """Run the protocol on six pictures."""
    given = StudyRun(out, classifier="mnist", batch_size=4)
    uncertainty.varsal_uncertainty(
        given, encoder=encoder, **{"fido_limit": 3, "fido_batch_size": 2} | options
    )
    return read(out)


@pytest.fixture(scope="module")
def measured(digits, encoders, tmp_path_factory):
    """A finished run."""
    out = tmp_path_factory.mktemp("uncertainty") / "out"
    measure(out, encoders[0])
    return out


def test_uncertainty_by_severity_is_the_encoders(measured, encoders, digits):
    found = read(measured)
    rows = [row for row in found.study["rows"] if row.startswith("varsal 0 ")]
    assert [row.removeprefix("varsal 0 ") for row in rows] == [
        uncertainty_report.title_of(*condition) for condition in uncertainty.CONDITIONS
    ]
    assert rows[0] == "varsal 0 clean"
    assert len(rows) == 11
    (lines,) = (table for title, table in found.tables.items() if title == "Shifted pictures")
    encoder = load_encoder(encoders[0])
    mean, log_variance = (np.asarray(part) for part in encoder(jnp.asarray(digits)))
    deviation = np.exp(0.5 * log_variance).mean((1, 2))

    def average(number, row):
        return found.values(number, f"varsal 0 {row}").mean()

    assert average("deviation", "clean") == pytest.approx(deviation.mean(), rel=1e-5)
    relative = deviation / mean.std((1, 2))
    assert average("relative", "clean") == pytest.approx(relative.mean(), rel=1e-5)
    brighter = np.exp(0.5 * np.asarray(encoder(jnp.clip(digits + 0.3, 0, 1))[1]))
    assert average("deviation", "brightness 3") == pytest.approx(brighter.mean(), rel=1e-5)
    names = uncertainty_report.Names(dict(zip(uncertainty.CONDITIONS, rows, strict=True)), ())
    shifted = uncertainty_report.shift(found, names)[3]
    assert (shifted["corruption"], shifted["severity"]) == ("brightness", 3)
    change = brighter.mean((1, 2)) - deviation
    assert shifted["deviation - clean"].value == pytest.approx(change.mean(), rel=1e-4)
    assert [line["severity"] for line in lines][:4] == ["0", "1", "2", "3"]
    for row in rows:
        assert (found.values("erased", row) > 0).all()


def test_uncertainty_reports_its_worth(measured):
    found = read(measured)
    tables = found.tables
    over = {(row["over"], row["pictures"]) for row in tables["Correlation of the uncertainty"]}
    assert over == {("pictures", "6"), ("pictures", "3"), ("pixels", "3"), ("regions", "3")}
    noise = next(r for r in tables["Distance of rankings"] if r["rankings"].startswith("FIDO"))
    assert 0 < float(noise["1 - Spearman"].split()[0]) < 1
    assert noise["- FIDO to FIDO"].startswith("+0.000 ")
    assert len(tables["Shifted pictures"]) == 11
    assert [len(found.explained[f"fido seed {seed}"]) for seed in (0, 1)] == [3, 3]
    assert found.explained["fido seed 1"].settings["row_seed"] == 1
    for name in ("severity", "worth", "shifted"):
        with PIL.Image.open(measured / "figures" / f"{name}.png") as figure:
            assert min(figure.size) > 300


def test_another_encoder_keeps_fidos_maps_and_a_lost_row_alone_is_run_again(
    measured, encoders, written
):
    tables = (measured / "tables.json").read_text("utf-8")
    maps = read(measured).maps("fido seed 1")
    shutil.rmtree(measured / "results.zarr" / "rows" / "fido seed 1")
    again = measure(measured, encoders[0])
    assert written == {"rows/fido seed 1"}
    np.testing.assert_array_equal(again.maps("fido seed 1"), maps)
    assert (measured / "tables.json").read_text("utf-8") == tables
    written.clear()
    other = measure(measured, encoders[1])
    assert len(other.study["rows"]) == 11 + 2
    own = [row for row in other.study["rows"] if row.startswith("varsal 1")]
    assert written == {f"{kind}/{row}" for row in own for kind in ("rows", "shift")}
    assert (measured / "tables.json").read_text("utf-8") != tables


def test_uncertainty_needs_two_seeds_of_fido(tmp_path, encoders):
    with pytest.raises(ValueError, match="fido-seeds"):
        measure(tmp_path, encoders[0], fido_seeds=(1, 1))
