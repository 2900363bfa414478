"""The training program of the U-Net: losses by their values, a run that is stopped and resumed."""

import dataclasses
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.tree_util import Partial

pytest.importorskip("orbax.checkpoint")

from conftest import rows

from fidojax.networks import Pretrained
from infillers.unet import unet
from train import pictures, recovery
from train.unet import __main__, critic
from train.unet import step as unet_step

SMOKE = __main__.CONFIGS["smoke"][1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("unet") / "run"
    __main__.main(dataclasses.replace(SMOKE, out=out))
    return out


def test_it_learns_and_writes_what_users_load(folder):
    found = rows(folder)
    assert [int(row["step"]) for row in found] == [6, 12]
    assert float(found[1]["coarse"]) < float(found[0]["coarse"])
    assert float(found[0]["critic"]) == 0 < float(found[1]["critic"])
    infill = unet(folder / "unet_smoke.npz")
    image, mask = jnp.full((40, 24, 3), 0.5), jnp.ones((40, 24))
    np.testing.assert_array_equal(infill(jax.random.key(0), image, mask), image)
    card = (folder / "unet_smoke.md").read_text()
    assert "12 steps: 6 without the critic, 6 with it; the perceptual loss from step 4,800" in card
    assert "| this |" in card
    assert str(folder) not in card


def test_a_stopped_run_ends_with_the_same_bits(folder, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    shutil.rmtree(again / "checkpoints" / "12")
    __main__.main(dataclasses.replace(SMOKE, out=again))
    whole, resumed = (np.load(each / "unet_smoke.npz") for each in (folder, again))
    assert whole.files == resumed.files
    for name in whole.files:
        np.testing.assert_array_equal(whole[name], resumed[name])


def test_pictures_are_augmented_and_masked_as_fido_does():
    images = np.zeros((8, 32, 32, 3), np.uint8)
    images[:, :, 16:] = 255
    batch = jax.jit(partial(unet_step.batch, SMOKE))
    real, masks = batch(images, jax.random.key(0))
    assert real.shape == (8, 32, 32, 3)
    assert masks.shape == (8, 32, 32)
    assert set(np.unique(masks)) == {0, 1}
    assert len(np.unique(np.asarray(real), axis=0)) == 8
    assert {float(left) > 0.5 for left in real[:, 16, 0, 0]} == {True, False}  # mirrored


def test_the_error_is_that_of_dropped_pixels():
    real = jnp.zeros((2, 4, 4, 3))
    dropped = jnp.zeros((2, 4, 4, 1)).at[0, 0, 0].set(1).at[1, 1, 1].set(1)
    drawn = jnp.full_like(real, 9.0).at[0, 0, 0].set(0.5).at[1, 1, 1].set(0.1)
    assert float(unet_step._hole(drawn, real, dropped)) == pytest.approx(0.3)


def test_the_rate_rises_and_falls_slowly():
    config = dataclasses.replace(SMOKE, learning_rate=1.0, warmup=10, slower_after=100)
    rate = unet_step.schedule(config)
    found = [float(jnp.asarray(rate(step))) for step in (0, 9, 300)]
    np.testing.assert_allclose(found, [0.1, 1 / 1.09**0.5, 0.5], rtol=1e-5)


def test_the_critics_losses_are_those_of_their_formulas():
    network = critic.Critic(4, rngs=nnx.Rngs(0))
    network.last.kernel[...] *= 0
    assert network.last.bias is not None
    network.last.bias[...] += 2.0  # the answer everywhere, without a slope
    real, share = jnp.ones((2, 16, 16, 3)), jnp.ones((2, 2, 2))
    assert network(real).shape == (2, 2, 2)
    low, high = np.log1p(np.exp(-2.0)), np.log1p(np.exp(2.0))
    assert float(critic.fooling(network, real, share)) == pytest.approx(low, rel=1e-5)
    told = critic.telling(network, real, real, share, penalty=1.0)
    assert float(told) == pytest.approx(low + high, rel=1e-5)
    half = critic.dropped_share(jnp.ones((1, 8, 16)).at[:, :4, 8:].set(0))
    np.testing.assert_allclose(half, [[[0, 0.5]]])


def test_a_folder_of_classes_is_read_and_split(tmp_path):
    for name, count in (("cat", 3), ("ant", 2)):
        (tmp_path / name).mkdir()
        for number in range(count):
            row = np.full((1, 20, 30, 3), number * 40, np.uint8)
            recovery.grid.write(tmp_path / name / f"{number}.png", [row], gap=0)
    found = pictures.read_folder(tmp_path, 16)
    assert found.names == ("ant", "cat")
    assert found.images.shape == (5, 16, 16, 3)
    assert found.labels.tolist() == [0, 0, 1, 1, 1]
    assert found.images[:, 0, 0, 0].tolist() == [0, 40, 0, 40, 80]
    some, rest = found.split(2, seed=0)
    assert (len(some.labels), len(rest.labels)) == (3, 2)
    with pytest.raises(ValueError, match=r"expected CLASS/PICTURE, found no such picture"):
        pictures.read_folder(tmp_path / "cat", 16)


def test_pictures_of_other_classes_are_judged_by_what_is_seen_in_them():
    images = np.zeros((70, 4, 4, 3), np.uint8)  # more than a batch
    images[::3, :, :, 1] = 255
    test = pictures.Pictures(images, np.full(70, 5, np.int32), ("one", "of", "others"))
    colour = Partial(lambda x: x.mean((1, 2)))
    judge = Pretrained("colour", colour, ("red", "green", "blue"), (4, 4, 3), 1)
    found = recovery.as_seen(test, judge)
    assert found.names == judge.labels
    np.testing.assert_array_equal(found.labels, np.arange(70) % 3 == 0)
    np.testing.assert_array_equal(found.images, images)
