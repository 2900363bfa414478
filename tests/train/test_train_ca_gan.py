"""The training program of the contextual attention GAN: holes, rates, killed and resumed runs."""

import dataclasses
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint")

from conftest import arrays, rows

from infillers.ca import critics
from train.ca_gan import __main__
from train.ca_gan import step as ca_gan_step

ROOT = Path(__file__).parents[2]
SMOKE = __main__.CONFIGS["smoke"][1]
PAPER = __main__.CONFIGS["full-256"][1]


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, critics.Hole]:
    """Pictures, black left and white right, and holes; of "pixels" nearly all is dropped."""
    config = dataclasses.replace(
        SMOKE, side=32, holes=("rectangle", "pixels", "free_form"), keep=(0.05, 0.06)
    )
    images = np.zeros((96, 32, 32, 3), np.uint8)
    images[:, :, 16:] = 255
    batch = jax.jit(partial(ca_gan_step.batch, config))
    real, hole = batch(images, jax.random.key(0))
    return np.asarray(real), jax.device_get(hole)


def kind(mask: np.ndarray) -> str:
    rows, columns = (np.flatnonzero((mask == 0).any(axis=axis)) for axis in (1, 0))
    if mask.mean() < 0.15:
        return "pixels"
    return "free_form" if mask[np.ix_(rows, columns)].any() else "rectangle"


def test_each_picture_is_mirrored_and_draws_its_kind(drawn):
    real, hole = drawn
    assert set(np.rint(real[:, 0, 0, 0])) == {-1.0, 1.0}
    kinds = [kind(mask) for mask in hole.mask]
    assert all(20 < kinds.count(each) < 44 for each in set(kinds))
    assert len(set(kinds)) == 3


def test_rectangles_are_the_papers_box_moved_in_by_up_to_an_eighth(drawn):
    margins = set()
    for mask, corner, weights in zip(*drawn[1], strict=True):
        if kind(mask) != "rectangle":
            continue
        for axis in (0, 1):
            place = np.flatnonzero((mask == 0).any(axis=1 - axis))
            before, after = place[0] - corner[axis], corner[axis] + 15 - place[-1]
            assert before == after
            margins.add(int(before))
        expected = critics.box_weights((32, 32), jnp.asarray(corner))
        np.testing.assert_allclose(weights, expected, rtol=1e-5)
    assert margins == {0, 1, 2}
    assert {0, 16} < set(drawn[1].corner.ravel())


def test_other_holes_have_weights_by_distance(drawn):
    hole = drawn[1]
    expected = jax.vmap(critics.hole_weights)(hole.mask)
    others = [n for n, mask in enumerate(hole.mask) if kind(mask) != "rectangle"]
    np.testing.assert_allclose(hole.weights[others], np.asarray(expected)[others], rtol=1e-5)


def test_paper_has_its_constants():
    """SPEC 8.3."""
    assert (PAPER.side, PAPER.batch, PAPER.critic_steps, PAPER.adversarial_from) == (256, 16, 5, 0)
    assert (PAPER.learning_rate, PAPER.critic_rate) == (1e-4, 1e-4)
    assert PAPER.betas == PAPER.critic_betas == (0.5, 0.9)
    assert (PAPER.gan_weight, PAPER.l1_weight, PAPER.known_weight) == (1e-3, 1.2, 1.2)
    assert (PAPER.coarse_weight, PAPER.penalty, PAPER.holes) == (1.2, 10.0, ("rectangle",))
    assert (PAPER.ema, PAPER.warmup, PAPER.cooldown) == (0.0, 0, 0.0)
    rate = ca_gan_step.schedule(PAPER)
    np.testing.assert_allclose([np.asarray(rate(step)) for step in (0, 10**6)], 1e-4)


def test_rate_rises_stays_and_falls():
    config = dataclasses.replace(
        SMOKE, steps=100, learning_rate=1.0, warmup=10, cooldown=0.5, last_rate=0.2
    )
    rate = ca_gan_step.schedule(config)
    found = [np.asarray(rate(step)) for step in (0, 4, 9, 50, 75, 100)]
    np.testing.assert_allclose(found, [0.1, 0.5, 1.0, 1.0, 0.6, 0.2], rtol=1e-5)


def test_weights_are_glorots():
    shapes = {"kernel": (3, 3, 40, 80), "bias": (80,)}
    weights = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
    got = ca_gan_step.glorot(jax.random.key(0), weights)
    limit = (6 / (9 * 40 + 9 * 80)) ** 0.5
    assert float(jnp.abs(got["kernel"]).max()) == pytest.approx(limit, rel=1e-2)
    assert float(got["kernel"].std()) == pytest.approx(limit / 3**0.5, rel=2e-2)
    assert float(jnp.abs(got["bias"]).max()) == 0


def test_wrong_size_of_pictures_is_named(tmp_path, monkeypatch):
    small = __main__.pictures.synthetic(16, 32, 6, seed=1)
    monkeypatch.setattr(__main__, "data", lambda config: (small, small))
    with pytest.raises(ValueError, match="pictures are 32 x 32 x 3, expected --side 64"):
        __main__.main(dataclasses.replace(SMOKE, side=64, out=tmp_path))


def test_killed_run_resumes_to_the_same_bits(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "train.ca_gan", "smoke", "--out", str(killed)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (killed / "checkpoints" / "6").exists():
        assert process.poll() is None, "the program ended before its first checkpoint"
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "ca_smoke.npz").exists()

    __main__.main(dataclasses.replace(SMOKE, out=killed))
    __main__.main(dataclasses.replace(SMOKE, out=whole))
    one, other = (arrays(out / "ca_smoke.npz") for out in (whole, killed))
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    logged = rows(whole)
    assert [row["step"] for row in logged] == ["6", "12", "18"]
    assert float(logged[-1]["known"]) < 0.9 * float(logged[0]["known"]), "it learns"
    assert float(logged[-1]["critic"]) != 0
    assert len(list((whole / "grids").glob("*.png"))) == 3
    card = (whole / "ca_smoke.md").read_text()
    assert "as stored" in card
    assert str(tmp_path) not in card
