"""The worth of an infill against slow loops, and on pictures whose answer is known."""

import itertools

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from jax.tree_util import Partial

import infillers
from fidojax.metrics.infill_quality import copied, infill_quality, reconstruction

SHAPE = (7, 9)
KEY = jax.random.key(0)
copied_jit = jax.jit(copied, static_argnames="window")
quality_jit = jax.jit(infill_quality, static_argnames="window")


def noise(seed: int, *shape: int) -> jax.Array:
    """From NumPy, since each of JAX's draws would compile."""
    return jnp.asarray(np.random.default_rng(seed).random(shape, np.float32))


def half_kept(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(0, 2, shape), jnp.float32)


@pytest.fixture
def image():
    """Few colours, so that copies by chance are many."""
    return jnp.asarray(np.rint(2 * np.asarray(noise(1, *SHAPE, 2))) / 2)


@pytest.fixture
def reference():
    return jnp.asarray(np.rint(2 * np.asarray(noise(2, *SHAPE, 2))) / 2)


def slow_copied(image, mask, reference, tolerance, window) -> float:
    """Every dropped pixel against every kept one."""
    image, mask, reference = (np.asarray(array, np.float64) for array in (image, mask, reference))
    places = list(itertools.product(*map(range, mask.shape)))
    kept = [at for at in places if mask[at] == 1]
    same = []
    for at in places:
        if mask[at] == 1:
            continue
        offsets = [(y - at[0], x - at[1]) for y, x in kept]
        distances = [y * y + x * x for y, x in offsets]
        if window is None:
            sources = [k for k, d in zip(kept, distances, strict=True) if d == min(distances)]
        else:
            near = [max(abs(y), abs(x)) <= window // 2 for y, x in offsets]
            sources = list(itertools.compress(kept, near))
        same.append(any(np.all(np.abs(reference[at] - image[k]) <= tolerance) for k in sources))
    return float(np.mean(same))


@pytest.mark.parametrize("window", [None, 1, 3, 5, 99])
def test_copied_is_the_slow_loop(window, image, reference):
    for seed, keep in enumerate((0.04, 0.1, 0.3, 0.5, 0.9)):
        mask = jnp.asarray(np.asarray(noise(seed, *SHAPE)) < keep, jnp.float32)
        for tolerance in (0.1, 0.6):
            share = copied_jit(image, mask, reference, tolerance=tolerance, window=window)
            expected = slow_copied(image, mask, reference, tolerance, window)
            assert float(share) == pytest.approx(expected, abs=1e-6)


def test_the_nearest_pixel_is_the_euclidean_one():
    """Of two kept pixels, 3 down and 3 right or 4 right, the second is nearer: 4 < 3 sqrt(2)."""
    mask = jnp.zeros((5, 5)).at[3, 3].set(1.0).at[0, 4].set(1.0)
    image = jnp.full((5, 5, 1), 0.2).at[3, 3].set(0.6).at[0, 4].set(0.9)
    for colour, share in ((0.9, 1), (0.6, 0)):
        reference = jnp.full((5, 5, 1), 0.4).at[0, 0].set(colour)
        assert float(copied_jit(image, mask, reference)) * 23 == pytest.approx(share, abs=1e-5)


def test_of_equally_near_pixels_any_will_do():
    mask = jnp.array([[1.0, 0.0, 1.0]])
    image = jnp.array([0.1, 0.5, 0.9])[None, :, None]
    for colour, share in ((0.1, 1), (0.9, 1), (0.5, 0)):
        assert float(copied_jit(image, mask, jnp.full((1, 3, 1), colour))) == share
    # Above and below, and across the diagonal, as well.
    assert float(copied_jit(image.swapaxes(0, 1), mask.T, jnp.full((3, 1, 1), 0.9))) == 1
    corners = jnp.zeros((3, 3)).at[0, 0].set(1.0).at[2, 2].set(1.0)
    picture = jnp.zeros((3, 3, 1)).at[2, 2].set(0.9)
    filled = jnp.full((3, 3, 1), 0.5).at[1, 1].set(0.9)
    assert float(copied_jit(picture, corners, filled)) == pytest.approx(1 / 7)


def test_a_copy_is_within_two_levels_of_eight_bits_in_every_channel():
    mask = jnp.array([[1.0, 0.0]])
    levels = np.array([100, 150, 200])
    image = jnp.asarray(np.stack([levels, levels * 0]) / 255, jnp.float32)[None]
    for change, share in (((2, -2, 2), 1), ((0, 0, 3), 0), ((-3, 0, 0), 0)):
        filled = jnp.asarray(np.stack([levels, levels + change]) / 255, jnp.float32)[None]
        assert float(copied_jit(image, mask, filled)) == share
        assert float(copied_jit(image, mask, filled, window=3)) == share
    assert float(copied_jit(image, mask, filled, tolerance=3.5 / 255)) == 1


def test_a_window_sees_farther_than_the_nearest_pixel_and_no_farther_than_its_side():
    mask = jnp.array([[1.0, 1.0, 0.0, 0.0]])
    image = jnp.array([0.1, 0.9, 0.5, 0.5])[None, :, None]
    filled = jnp.full((1, 4, 1), 0.1)
    shares = [float(copied_jit(image, mask, filled, window=w)) for w in (1, 3, 5, 7)]
    assert shares == [0, 0, 0.5, 1]
    assert float(copied_jit(image, mask, filled)) == 0


def test_shares_without_dropped_or_without_kept_pixels(image, reference):
    all_kept, none_kept = jnp.ones(SHAPE), jnp.zeros(SHAPE)
    for window in (None, 3):
        assert np.isnan(copied_jit(image, all_kept, image, window=window))
        assert float(copied_jit(image, none_kept, image, window=window)) == 0
    assert np.isnan(reconstruction(image, all_kept, reference).absolute)
    with pytest.raises(ValueError, match="window is 4, expected an odd positive number"):
        copied(image, none_kept, image, window=4)


def test_a_naive_copy_is_found_and_noise_is_not():
    picture = noise(3, 16, 16, 3)
    mask = jnp.ones((16, 16)).at[4:12, 5:11].set(0.0)

    def extended(key, image, mask):
        """The last kept column stands in the left half of the hole, the first one in the right."""
        left = jnp.broadcast_to(image[:, 4:5], image.shape)
        right = jnp.broadcast_to(image[:, 11:12], image.shape)
        return jnp.where(jnp.arange(16)[None, :, None] < 8, left, right)

    share = copied_jit(picture, mask, extended(KEY, picture, mask))
    # But not where the row above or below is nearer than the column at the side.
    nearer = sum(min(r + 1, 8 - r) < min(c + 1, 6 - c) for r in range(8) for c in range(6))
    assert float(share) == pytest.approx(1 - nearer / 48)
    assert float(copied_jit(picture, mask, noise(10, 16, 16, 3))) < 0.05


def test_errors_are_over_dropped_pixels_alone():
    image = jnp.zeros((2, 2, 2))
    mask = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    reference = jnp.full((2, 2, 2), 0.7).at[0, 1].set(jnp.array([0.3, 0.1])).at[1, 0].set(0.0)
    error = reconstruction(image, mask, reference)
    assert float(error.absolute) == pytest.approx(0.1)
    assert float(error.rms) == pytest.approx(np.sqrt((0.09 + 0.01) / 4))
    perfect = reconstruction(image, mask, image)
    assert (float(perfect.absolute), float(perfect.rms)) == (0, 0)


def test_the_probability_is_that_of_the_filled_picture(planted):
    """The planted patch is dropped: its class is as sure as the infill is bright."""
    image = noise(4, 12, 12, 3)
    mask = jnp.ones((12, 12)).at[2:6, 3:8].set(0.0)
    (weights,) = planted.args
    for colour in (0.0, 0.5, 1.0):
        quality = quality_jit(KEY, planted, image, 0, mask, infill=infillers.mean(colour))
        evidence = colour * float(weights.sum())
        assert float(quality.probability) == pytest.approx(1 / (1 + np.exp(-2 * evidence)))
        hole = mask[..., None] == 0
        np.testing.assert_array_equal(quality.image, jnp.where(hole, colour, image))
        error = np.abs(np.asarray(image)[2:6, 3:8] - colour)
        assert float(quality.absolute) == pytest.approx(error.mean(), rel=1e-5)
        assert float(quality.rms) == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)


def test_the_truth_is_perfect_and_local_is_better_than_grey(planted):
    ramp = jnp.linspace(0, 1, 12)
    image = jnp.stack([jnp.broadcast_to(ramp, (12, 12))] * 3, axis=-1)
    mask = half_kept(5, 12, 12)
    truth = Partial(lambda key, image, mask: image)
    fills = {"truth": truth, "local": infillers.local(3), "grey": infillers.mean(0.5)}
    found = {
        name: quality_jit(KEY, planted, image, 0, mask, infill=infill)
        for name, infill in fills.items()
    }
    assert float(found["truth"].rms) == 0
    assert float(found["local"].rms) < 0.1 < 0.2 < float(found["grey"].rms)
    expected = jax.nn.softmax(planted(image[None])[0])[0]
    assert float(found["truth"].probability) == pytest.approx(float(expected))
    # Columns are of one colour: most pixels have a kept one above or below them.
    assert float(found["truth"].copied_within) > 0.9
    assert float(found["truth"].copied_within) > float(found["truth"].copied) > 0.3


def _two_colours(kept_colour, key, image, mask):
    return jnp.where(mask[..., None] == 1, kept_colour, 0.4 + 0 * image)


def test_the_infill_of_kept_pixels_does_not_count(planted):
    image = noise(6, 12, 12, 3)
    mask = half_kept(7, 12, 12)

    def judge(kept_colour):
        infill = Partial(_two_colours, jnp.float32(kept_colour))

        return quality_jit(KEY, planted, image, 1, mask, infill=infill)

    jax.tree.map(np.testing.assert_array_equal, judge(0.0), judge(0.9))


def test_vmap_and_jit_equal_the_loop_and_take_new_infillers(planted):
    images = noise(8, 3, 12, 12, 3)
    masks = half_kept(9, 3, 12, 12)
    keys = jax.random.split(KEY, 3)

    traces = 0

    @jax.jit
    def batch(classifier, infill, keys, images, masks):
        nonlocal traces
        traces += 1

        def judge(key, image, mask):
            return infill_quality(key, classifier, image, 1, mask, infill=infill, window=5)

        return jax.vmap(judge)(keys, images, masks)

    for color in (0.1, 0.3):
        infill = infillers.local(3, color)
        together = batch(planted, infill, keys, images, masks)
        alone = quality_jit(keys[1], planted, images[1], 1, masks[1], infill=infill, window=5)
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_allclose(one, other[1], atol=1e-6)
    assert traces == 1


def test_memory_does_not_grow_with_the_window():
    image, mask = jnp.zeros((64, 64, 3)), jnp.zeros((64, 64))

    def scratch(window) -> int:
        lowered = copied_jit.lower(image, mask, image, window=window)
        return lowered.compile().memory_analysis().temp_size_in_bytes  # type: ignore[union-attr]

    picture = 64 * 64 * 3 * 4
    assert scratch(None) < 10 * picture
    assert scratch(31) < 2 * scratch(3) < 20 * picture


def test_a_mask_of_another_shape_is_named(planted, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    image = jnp.zeros((12, 12, 3))
    with pytest.raises(ValueError, match=r"mask has shape \(12, 11\), expected \(12, 12\)"):
        infill_quality(KEY, planted, image, 0, jnp.ones((12, 11)), infill=infillers.mean())
