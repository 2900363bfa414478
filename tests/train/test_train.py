"""The training programs: a run that is killed ends with the same bits, and never with NaN."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint")

from conftest import arrays, rows

from train import augment, card, pictures
from train.classifier import __main__, report
from train.classifier.step import Phase, at, optimiser
from train.loop import Stopped, fit
from train.program import same_settings

ROOT = Path(__file__).parents[2]
PHASES = (Phase(0, 16, ema=0.9), Phase(2, 16, ema=0.9))
SMOKE = dataclasses.replace(__main__.CONFIGS["smoke"][1], phases=PHASES)


def test_killed_run_resumes_to_the_same_bits(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "train.classifier", "smoke", "--out", str(killed)]
    command += ["--phases.1.size", "16", "--phases.1.grey", "0", "--phases.1.pad", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    checkpoints = killed / "checkpoints"
    while not (checkpoints / "8").exists():
        assert process.poll() is None, "the program ended before its first checkpoint"
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "smoke.npz").exists()

    __main__.main(dataclasses.replace(SMOKE, out=killed))
    __main__.main(dataclasses.replace(SMOKE, out=whole))
    one, other = arrays(whole / "smoke.npz"), arrays(killed / "smoke.npz")
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    assert [row["step"] for row in rows(killed)] == ["8", "16", "24", "32"]
    assert [row["loss"] for row in rows(killed)] == [row["loss"] for row in rows(whole)]
    assert float(rows(whole)[-1]["validation"]) > 0.5, "it learns"
    card = (whole / "smoke.md").read_text()
    assert "as stored (float16)" in card
    assert "Seed 0, 4 epochs" in card
    assert str(tmp_path) not in card

    (whole / "smoke.npz").unlink()
    __main__.main(dataclasses.replace(SMOKE, out=whole, export=True))
    for name, array in arrays(whole / "smoke.npz").items():
        np.testing.assert_array_equal(array, one[name], err_msg="exported: " + name)


def toy(state, index):
    """A state whose end depends on every index once."""
    state = {"sum": state["sum"] * 1.5 + index, "best": state["best"]}
    return state, {"loss": 1.0 / (1.0 + state["sum"])}


START = {"sum": jnp.float32(0), "best": jnp.zeros(2)}


def test_asked_to_stop_it_saves_and_continues(tmp_path):
    def stopping(state, index):
        if index == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return toy(state, index)

    settings: dict[str, Any] = {"steps": 10, "save_every": 3}
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match="after step 4"):
        fit(START, stopping, directory=tmp_path / "a", **settings)
    assert signal.getsignal(signal.SIGTERM) is before
    with (tmp_path / "a" / "metrics.csv").open("a") as file:
        file.write("6,0.5\n")  # as if killed between the row of step 6 and its checkpoint
    seen = []
    end = fit(START, lambda s, i: seen.append(i) or toy(s, i), directory=tmp_path / "a", **settings)
    assert seen == [5, 6, 7, 8, 9]
    assert [row["step"] for row in rows(tmp_path / "a")] == ["3", "5", "6", "9", "10"]
    assert end["sum"] == fit(START, toy, directory=tmp_path / "b", **settings)["sum"]


@pytest.mark.parametrize("where", ["loss", "weight"])
def test_nan_stops_and_names_the_step(tmp_path, where):
    def breaking(state, index):
        state, metrics = toy(state, index)
        if index == 5 and where == "loss":
            metrics = {"loss": jnp.float32(jnp.nan)}
        if index == 5 and where == "weight":
            state = state | {"best": jnp.asarray([0.0, jnp.inf])}
        return state, metrics

    with pytest.raises(FloatingPointError, match="step 5"):
        fit(START, breaking, steps=10, directory=tmp_path, save_every=2 if where == "loss" else 3)
    kept = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir())
    assert max(kept) < 6, "the last checkpoint is from before"
    assert max(kept) >= 3


def test_program_stops_at_nan(tmp_path):
    config = dataclasses.replace(SMOKE, out=tmp_path, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"step \d"):
        __main__.main(config)
    assert not (tmp_path / "smoke.npz").exists()


def test_another_setting_in_the_same_folder_is_refused(tmp_path):
    config = dataclasses.replace(SMOKE, out=tmp_path, data_dir=tmp_path)
    same_settings(config)
    same_settings(dataclasses.replace(config, data_dir=None))
    with pytest.raises(ValueError, match="another epochs: choose another folder"):
        same_settings(dataclasses.replace(config, epochs=3))


def test_crop_of_everything_is_the_image():
    image = jax.random.uniform(jax.random.key(0), (12, 12, 3))
    same = augment.crop(jax.random.key(1), image, 12, (1.0, 1.0), (1.0, 1.0))
    np.testing.assert_allclose(same, image, atol=1e-5)


def test_crop_is_a_window_of_the_asked_area():
    ramp = jnp.broadcast_to(jnp.linspace(0, 1, 64)[:, None, None], (64, 64, 1))
    cut = augment.crop(jax.random.key(3), ramp, 32, (0.25, 0.25), (1.0, 1.0))
    assert cut.shape == (32, 32, 1)
    np.testing.assert_allclose(jnp.diff(cut[4:-4, 0, 0]), 0.5 / 31.5, rtol=0.05)
    wide = augment.crop(jax.random.key(3), jnp.ones((64, 64, 1)), 32, (2.0, 2.0), (1.0, 1.0))
    np.testing.assert_allclose(wide.mean(), 0.5, atol=0.03)


def test_flip_and_colours():
    image = jax.random.uniform(jax.random.key(0), (6, 6, 3))
    flips = [augment.flip(jax.random.key(k), image) for k in range(8)]
    assert {bool((f == image).all()) for f in flips} == {True, False}
    assert all(bool((f == image).all() | (f == image[:, ::-1]).all()) for f in flips)
    np.testing.assert_allclose(augment.colours(jax.random.key(0), image, 0.0), image, atol=1e-6)
    changed = augment.colours(jax.random.key(0), image, 0.5)
    assert not np.allclose(changed, image)
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_grey_by_rate():
    image = jax.random.uniform(jax.random.key(0), (4, 4, 3))
    np.testing.assert_array_equal(augment.grey(jax.random.key(0), image, 0.0), image)
    plain = augment.grey(jax.random.key(0), image, 1.0)
    np.testing.assert_array_equal(plain[..., 0], plain[..., 2])
    assert plain.std() > 0.05


def test_blur_and_sharpen():
    image = jax.random.uniform(jax.random.key(0), (8, 8, 3), minval=0.4, maxval=0.6)
    soft, same, sharp = (augment.blur(jax.random.key(0), image, (w, w)) for w in (0.2, 0.0, -0.1))
    np.testing.assert_allclose(same, image, atol=1e-6)
    assert soft.std() < image.std() < sharp.std()
    np.testing.assert_allclose(soft.mean(), image.mean(), atol=0.02)


def test_phases_change_at_their_epoch():
    phases = (Phase(0, 48), Phase(5, 64))
    assert [at(phases, epoch).size for epoch in (0, 4, 5, 9)] == [48, 48, 64, 64]


def test_learning_rate_is_constant_again():
    def size(epoch: int, begin: int) -> float:
        config = dataclasses.replace(
            SMOKE, epochs=6, warmup=0.0, weight_decay=0.0, again=(begin, 0.02)
        )
        tx = optimiser(config, per_epoch=10)
        weights: Any = {"w": jnp.ones((1, 1))}
        state = jax.tree.map(
            lambda x: jnp.asarray(epoch * 10, x.dtype) if x.dtype == jnp.int32 else x,
            tx.init(weights),
        )
        update: Any = tx.update(weights, state, weights)[0]
        return -float(update["w"][0, 0]) / 1.9  # the first Nesterov step

    np.testing.assert_allclose([size(e, 4) for e in (2, 4, 5)], [0.025, 0.02, 0.02], rtol=0.05)
    np.testing.assert_allclose([size(e, 9) for e in (3, 6)], [0.025, 0.0], rtol=0.05, atol=1e-6)


def test_order_depends_on_seed_and_epoch():
    one = pictures.order(20, 0, 3)
    np.testing.assert_array_equal(one, pictures.order(20, 0, 3))
    np.testing.assert_array_equal(np.sort(one), np.arange(20))
    assert (one != pictures.order(20, 0, 4)).any()
    assert (one != pictures.order(20, 1, 3)).any()


def test_rows_of_an_epoch_are_its_order_without_the_rest():
    drawn = np.concatenate([pictures.rows(20, 6, 0, index) for index in range(3, 6)])
    np.testing.assert_array_equal(drawn, pictures.order(20, 0, 1)[:18])


def test_missing_data_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no prepared mnist: expected mnist/VERSION"):
        pictures.read(tmp_path, "mnist", "train")


def test_reads_the_prepared_data(shared):
    read = pictures.read(shared / "data" / "tensorflow_datasets", "tiny_imagenet40", "validation")
    assert read.images.shape == (989, 64, 64, 3)
    assert read.images.dtype == np.uint8
    assert read.names[29].endswith("tabby")


def test_predict_pads_the_last_batch():
    images = np.random.default_rng(0).integers(0, 255, (5, 2, 2, 1), np.uint8)
    shapes = []

    def total(batch):
        shapes.append(batch.shape)
        return batch.sum((1, 2))

    got = report.predict(total, images, batch=2)
    np.testing.assert_allclose(got, images.sum((1, 2)) / 255, rtol=1e-5)
    assert set(shapes) == {(2, 2, 2, 1)}


def test_card_pieces(tmp_path):
    test = pictures.Pictures(np.zeros((4, 1, 1, 3), np.uint8), np.array([0, 0, 1, 1]), ("a", "b"))
    assert report.confusions(np.array([1, 0, 1, 1]), test) == ["a: b, 1 of 2"]
    (tmp_path / "m.csv").write_text("step,seconds\n1,10\n2,30\n3,5\n4,7\n")
    assert card.wall_time(tmp_path / "m.csv") == 37
    command = "python -m train.classifier mnist --data-dir /a/b --out /c --seed 1"
    assert card.without_folders(command).endswith("mnist --data-dir D --out DIR --seed 1")
