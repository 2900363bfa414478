"""The program that trains VarSal's encoders: it learns, and resumes to the same bits."""

import dataclasses
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
from flax import nnx

pytest.importorskip("orbax.checkpoint")

from conftest import PLANTED, arrays, rows
from jax.tree_util import Partial

from fidojax import networks
from fidojax.networks import VarSalNetwork, load_encoder
from train import pictures
from train.varsal import __main__, report
from train.varsal.step import keep_best, kept, one_draw, optimiser, start

ROOT = Path(__file__).parents[2]
SMOKE = __main__.CONFIGS["smoke"][1]


def test_killed_run_resumes_to_the_same_bits_and_has_learned(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "train.varsal", "smoke", "--out", str(killed)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (killed / "checkpoints" / "8").exists():
        assert process.poll() is None, "the program ended before its first checkpoint"
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "varsal_smoke.npz").exists()

    __main__.main(dataclasses.replace(SMOKE, out=killed))
    __main__.main(dataclasses.replace(SMOKE, out=whole))
    one, other = arrays(whole / "varsal_smoke.npz"), arrays(killed / "varsal_smoke.npz")
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    seconds = {"seconds": ""}
    assert [row | seconds for row in rows(killed)] == [row | seconds for row in rows(whole)]
    assert [row["step"] for row in rows(killed)] == ["8", "16", "24", "32"]

    losses = [float(row["loss"]) for row in rows(whole)]
    np.testing.assert_allclose(float(rows(whole)[-1]["best"]), min(losses), rtol=1e-5)
    last = {name: float(value) for name, value in rows(whole)[-1].items()}
    assert last["erased_mean"] < 0.3 * last["erased_random"], "it learns"
    grids = sorted(path.name for path in (whole / "grids").iterdir())
    assert grids == ["001.png", "002.png", "003.png", "004.png"]
    card = (whole / "varsal_smoke.md").read_text()
    assert "| random |" in card
    assert "as stored" in card
    assert str(tmp_path) not in card
    load_encoder(whole / "varsal_smoke.npz")(jnp.zeros((1, 16, 16, 3)))


def test_keeps_the_weights_of_the_lowest_loss():
    tx = optimiser(SMOKE, 8)
    run = jax.tree.map(jnp.array, start({"w": jnp.zeros(2)}, {}, tx))
    assert kept(run) == (run.params, run.stats), "before the first epoch has ended"
    seen = []
    for epoch, total in enumerate([8.0, 4.0, 6.0, 4.0, 2.0]):
        run = run._replace(params={"w": jnp.full(2, epoch + 1.0)}, total=jnp.float32(total))
        run = keep_best(run, 4)
        seen.append((float(kept(run)[0]["w"][0]), float(run.lowest), float(run.total)))
    assert seen == [(1, 2, 0), (2, 1, 0), (2, 1, 0), (2, 1, 0), (5, 0.5, 0)]


def test_weight_decay_is_part_of_the_gradient():
    """As PyTorch's Adam: at the first step only the sign of gradient + decay * weight counts."""
    config = dataclasses.replace(__main__.Config(), weight_decay=0.5)
    tx = optimiser(config, 10)
    weights = jnp.array([1.0, 1.0, -4.0])
    updates: Any = tx.update(jnp.array([0.2, -0.7, 1.0]), tx.init(weights), weights)[0]
    np.testing.assert_allclose(updates, [-1e-4, 1e-4, 1e-4], rtol=1e-3)
    with pytest.raises(ValueError, match=r"schedule.*constant.*cosine"):
        optimiser(dataclasses.replace(config, schedule="step"), 10)


def test_second_moment_has_the_papers_decay():
    config = dataclasses.replace(__main__.Config(), weight_decay=0.0)
    tx = optimiser(config, 10)
    weights = jnp.zeros(1)
    updates: Any = None
    state = tx.init(weights)
    for gradient in (1.0, 2.0):
        updates, state = tx.update(jnp.array([gradient]), state, weights)
    mean = (0.9 * 0.1 * 1 + 0.1 * 2) / (1 - 0.9**2)
    square = (0.99 * 0.01 * 1 + 0.01 * 4) / (1 - 0.99**2)
    np.testing.assert_allclose(updates, -1e-4 * mean / square**0.5, rtol=1e-4)


def test_draws_of_a_step():
    draws = jax.vmap(one_draw, (0, None))(jax.random.split(jax.random.key(0), 300), 3)
    assert 0.1 <= float(draws["kept"].min()) < 0.12
    assert 0.88 < float(draws["kept"].max()) <= 0.9
    assert set(np.asarray(draws["baseline"]).tolist()) == {0, 1, 2}


@pytest.mark.parametrize("name", ["tiny-imagenet40", "mnist"])
def test_what_will_be_shipped_is_small(name):
    config = __main__.CONFIGS[name][1]
    channels = networks.SHIPPED[config.classifier].size[2]
    network = nnx.eval_shape(
        lambda: VarSalNetwork(channels, config.widths, norm=False, rngs=nnx.Rngs(0))
    )
    weights = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network)))
    assert 2 * weights < 2e6


def by_hand(weights, images):
    """The mean is given; the variance is almost none."""
    mean = jnp.broadcast_to(weights, images.shape[:3])
    return mean, jnp.full(mean.shape, -40.0)


def test_erased_tells_a_good_order_from_a_random_one(planted):
    test = pictures.Pictures(
        np.random.default_rng(0).integers(128, 256, (5, 12, 12, 3), np.uint8),
        np.zeros(5, np.int32),
        ("a", "b"),
    )
    perfect = Partial(by_hand, jnp.zeros((12, 12)).at[PLANTED].set(1.0))
    good = report.erased(perfect, planted, test, (0.8,))
    bad = report.erased(Partial(by_hand, -perfect.args[0]), planted, test, (1 - 124 / 144,))
    assert good["mean"] < 1e-6
    assert good["sampled"] < 1e-6
    assert good["random"] > 0.1
    evidence = 0.05 * (test.images[:, *PLANTED].astype(np.float64) / 255).sum((1, 2, 3))
    p = 1 / (1 + np.exp(-2 * evidence))
    expected = p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p))
    np.testing.assert_allclose(bad["mean"], expected.mean(), rtol=1e-4)
    lines = report.table(perfect, planted, test)
    assert lines[0] == "| order | 10% | 30% | 50% | 70% | 90% |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| mean", "| sampled", "| random"]
