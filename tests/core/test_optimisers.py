"""The optimiser of the fast preset: one scale for the map, and smoothed gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.ndimage import gaussian_filter

from fidojax import fido
from fidojax.core import smoothing
from fidojax.core.optimisers import adam
from fidojax.core.smoothing import smoothed
from infillers import mean


def updates(transformation, gradients):
    state = transformation.init(gradients[0])
    steps = []
    for gradient in gradients:
        step, state = transformation.update(gradient, state, gradients[0])
        steps.append(step)
    return np.asarray(jnp.stack(steps))


def test_pixel_scale_is_adam_and_map_scale_is_adam_of_equal_pixels():
    gradients = jax.random.normal(jax.random.key(0), (4, 3, 5))
    expected = updates(optax.adam(0.1, b2=0.99), gradients)
    np.testing.assert_allclose(updates(adam(0.1, 0.99, "pixel"), gradients), expected, rtol=1e-6)
    signs = jnp.sign(gradients) * jnp.arange(1.0, 5.0)[:, None, None]
    np.testing.assert_allclose(
        updates(adam(0.1, 0.99, "map"), signs), updates(optax.adam(0.1, b2=0.99), signs), rtol=1e-5
    )


def test_map_scale_keeps_the_ratio_of_the_pixels():
    """Adam moves pixels with a hundredth of the gradient as far; one scale does not."""
    gradient = jnp.array([[1.0, 0.01]])
    step = updates(adam(0.1, 0.99, "map"), [gradient])[0, 0]
    np.testing.assert_allclose(step[1] / step[0], 0.01, rtol=1e-5)
    step = updates(adam(0.1, 0.99, "pixel"), [gradient])[0, 0]
    np.testing.assert_allclose(step[1] / step[0], 1.0, rtol=1e-4)


def test_smoothing_is_a_gaussian_average():
    gradient = jax.random.normal(jax.random.key(0), (24, 30))
    expected = gaussian_filter(np.asarray(gradient), 0.7, truncate=8)
    inner = (slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(smoothed(gradient, 0.7)[inner], expected[inner], atol=1e-5)
    np.testing.assert_allclose(smoothed(jnp.ones((5, 7)), 1.3), 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "sigmas"),
    [
        ({"smooth": 0.25}, [2.0, 2.0, 2.0]),
        ({"smooth": 0.5, "final_smooth": 0.125}, [4.0, 2.0, 1.0]),
    ],
)
def test_fido_smooths_by_a_share_of_its_maps_side(monkeypatch, planted, options, sigmas):
    seen = []

    def record(values, sigma):
        jax.debug.callback(lambda s: seen.append(float(s)), sigma, ordered=True)
        return values

    monkeypatch.setattr(smoothing, "smoothed", record)
    image = jnp.zeros((12, 12, 3))
    fido(jax.random.key(0), planted, image, 0, infill=mean(), size=8, steps=3, **options)
    jax.effects_barrier()
    np.testing.assert_allclose(seen, sigmas, rtol=1e-6)
