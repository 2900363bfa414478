"""The program that trains Realtime's maskers: it learns, and resumes to the same bits."""

import dataclasses
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

pytest.importorskip("orbax.checkpoint")

from conftest import arrays, rows
from jax.tree_util import Partial

from fidojax import networks
from fidojax.networks import RealtimeNetwork, load_masker
from fidojax.transforms import feature_pyramid
from train import pictures
from train.realtime import __main__, report
from train.realtime.step import asked, objectives, optimiser, prepared, selector_optimiser, split

ROOT = Path(__file__).parents[2]
SMOKE = dataclasses.replace(__main__.CONFIGS["smoke"][1], steps=96)


@pytest.fixture(scope="module")
def stripes():
    return __main__.explained(SMOKE), pictures.synthetic(64, 16, 6, seed=2)


def test_killed_run_resumes_to_the_same_bits_and_has_learned(tmp_path, stripes):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "train.realtime", "smoke", "--out", str(killed)]
    command += ["--steps", str(SMOKE.steps)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    first = f"{SMOKE.save_every}"
    while not (killed / "decoder" / "checkpoints" / first).exists():
        assert process.poll() is None, "the program ended before the decoder's first checkpoint"
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "realtime_smoke.npz").exists()

    __main__.main(dataclasses.replace(SMOKE, out=killed))
    __main__.main(dataclasses.replace(SMOKE, out=whole))
    one, other = arrays(whole / "realtime_smoke.npz"), arrays(killed / "realtime_smoke.npz")
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    seconds = {"seconds": ""}
    for phase, steps in (("selector", SMOKE.selector_steps), ("decoder", SMOKE.steps)):
        again = [row | seconds for row in rows(killed / phase)]
        assert again == [row | seconds for row in rows(whole / phase)]
        every = range(SMOKE.save_every, steps + 1, SMOKE.save_every)
        assert [int(row["step"]) for row in again] == list(every)

    assert float(rows(whole / "selector")[-1]["right"]) > 0.9, "it knows the classes"
    losses = [float(row["loss"]) for row in rows(whole / "decoder")]
    assert losses[-1] < 0.9 * losses[0]
    last = {name: float(value) for name, value in rows(whole / "decoder")[-1].items()}
    assert last["kept"] > last["rest"] + 0.3, "it learns"
    assert 0.02 < last["covered"] < 0.8
    assert last["other_covered"] < 0.8 * last["covered"], "it looks for the class that is asked for"
    assert len(list((whole / "grids").iterdir())) == len(losses)
    card = (whole / "realtime_smoke.md").read_text()
    assert "| another class | 6 |" in card
    assert "as stored" in card
    assert str(tmp_path) not in card
    classifier, test = stripes
    images = jnp.asarray(test.images[:2], jnp.float32) / 255
    masker = load_masker(whole / "realtime_smoke.npz")
    masks, _ = report.maps(masker, classifier, images, jnp.asarray(test.labels[:2]), 0.0)
    assert masks.shape == (2, 16, 16)


def test_smokes_classifier_sees_the_stripes(stripes):
    classifier, test = stripes
    logits = classifier(jnp.asarray(test.images, jnp.float32) / 255)
    assert np.mean(np.argmax(logits, axis=-1) == test.labels) == 1


def test_classes_that_are_asked_for():
    labels = jnp.arange(3000) % 5
    targets, real = asked(jax.random.key(0), labels, 5, 0.3)
    np.testing.assert_array_equal(real, targets == labels)
    np.testing.assert_allclose(1 - np.mean(real), 0.3, atol=5 * (0.21 / 3000) ** 0.5)
    apart = (np.asarray(targets - labels) % 5)[~np.asarray(real)]
    counts = np.bincount(apart, minlength=5)
    assert counts[0] == 0
    assert counts[1:].min() > 0.7 * counts[1:].max()


def test_selectors_rate_falls():
    config = dataclasses.replace(
        __main__.Config(), selector_steps=7, selector_falls=3, weight_decay=0.0
    )
    tx = selector_optimiser(config)
    state, sizes = tx.init(jnp.zeros(1)), []
    for _ in range(7):
        updates: Any
        updates, state = tx.update(jnp.ones(1), state, jnp.zeros(1))
        sizes.append(-float(updates[0]))
    np.testing.assert_allclose(sizes, [1e-3] * 3 + [1e-4] * 3 + [1e-5], rtol=1e-3)


def test_weight_decay_is_part_of_the_gradient():
    """As PyTorch's Adam: at the first step only the sign of gradient + decay * weight counts."""
    config = dataclasses.replace(__main__.Config(), weight_decay=0.5)
    tx = optimiser(config)
    weights = jnp.array([1.0, 1.0, -4.0])
    updates: Any = tx.update(jnp.array([0.2, -0.7, 1.0]), tx.init(weights), weights)[0]
    np.testing.assert_allclose(updates, [-1e-3, 1e-3, 1e-3], rtol=1e-3)
    for field, make in (("schedule", optimiser), ("objective", objectives)):
        with pytest.raises(ValueError, match=f"{field}: there is no 'step'"):
            make(dataclasses.replace(config, **{field: "step"}))


def test_each_phase_has_its_weights():
    network = RealtimeNetwork(3, (5, 6), (4,), 2, rngs=nnx.Rngs(0))
    _, selector, decoder, stats = split(network)
    names = [
        {"/".join(map(str, key)) for key, _ in nnx.to_flat_state(part)}
        for part in (selector, decoder, stats)
    ]
    assert names[0] == {"selector/kernel"}
    assert {"mask/kernel", "stages/0/shortcut/bias", "stages/0/up/norm/scale"} < names[1]
    assert "stages/0/up/norm/mean" in names[2]
    assert not names[0] & names[1]


def test_pictures_are_cropped_and_flipped():
    images = np.random.default_rng(0).integers(0, 256, (64, 12, 12, 3), np.uint8)
    whole = dataclasses.replace(SMOKE, flip=True)
    flipped = np.asarray(jax.jit(partial(prepared, whole))(jax.random.key(0), images))
    plain = images.astype(np.float32) / 255
    same = np.abs(flipped - plain).max((1, 2, 3)) < 1e-6
    mirrored = np.abs(flipped - plain[:, :, ::-1]).max((1, 2, 3)) < 1e-6
    assert np.all(same ^ mirrored)
    assert 16 < same.sum() < 48
    crop = dataclasses.replace(SMOKE, crop=(0.3, 0.5))
    found = np.asarray(jax.jit(partial(prepared, crop))(jax.random.key(0), images))
    assert found.shape == plain.shape
    assert np.abs(found - plain).mean() > 0.05


@pytest.mark.parametrize("name", ["tiny-imagenet40", "mnist"])
def test_what_will_be_shipped_is_small(name):
    config = __main__.CONFIGS[name][1]
    shipped = networks.load(config.classifier)
    one = jnp.zeros((1, *shipped.size))
    levels = jax.eval_shape(feature_pyramid.features, shipped.classifier, one)
    channels = [level.shape[3] for level in levels[: len(config.widths) + 1]]
    given = (len(shipped.labels), channels, config.widths, config.ratio)
    network = nnx.eval_shape(lambda: RealtimeNetwork(*given, norm=False, rngs=nnx.Rngs(0)))
    assert 2 * sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network))) < 6e5


def test_a_decoder_deeper_than_the_classifier_is_refused(tmp_path):
    config = dataclasses.replace(SMOKE, widths=(4, 4), out=tmp_path)
    with pytest.raises(ValueError, match="needs features at 3 resolutions, smoke has 2"):
        __main__.main(config)


def halves(targets, confidence, *features):
    """All is kept for classes 0 to 2, nothing for the others."""
    mask = jnp.where(targets < 3, 1.0, 0.0)[:, None, None]
    return jnp.broadcast_to(mask, (len(targets), 8, 8)), 20 * mask - 10 - confidence


def test_measured_tells_what_masks_keep(stripes):
    classifier, test = stripes
    rows = test.labels < 3
    low = pictures.Pictures(test.images[rows], test.labels[rows], test.names)
    own = report.measured(Partial(halves), classifier, low, 0.0, 2.0)
    other = report.measured(Partial(halves), classifier, low, 0.0, 2.0, own=False)
    assert own["covered"] == 1
    assert other["covered"] == 0
    assert own["kept"] > 0.9
    assert own["rest"] < 0.7
    np.testing.assert_allclose(other["kept"], own["rest"], atol=0.1)
    assert own["exists"] > 0.99
    assert other["exists"] < 0.01
