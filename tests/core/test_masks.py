"""Known answers for the mask distributions and their regularisers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fidojax.core.masks import bernoulli, concrete, total_variation, upsample
from fidojax.core.mix import mix
from fidojax.core.objectives import sdr, ssr

W = jnp.array([1.0, -2.0, 3.0, 0.5])
X = jnp.array([1.0, 1.0, 2.0, 4.0])
X_HAT = jnp.array([0.0, 1.0, -1.0, 2.0])
THETA = jnp.array([0.1, 0.9, 0.5, 0.3])


@pytest.mark.usefixtures("float64")
def test_concrete_has_the_known_values():
    u = jnp.array([[0.2, 0.5, 0.9]], jnp.float64)
    z = concrete(jnp.log(u / (1 - u)), jnp.full((1, 3), 0.7, jnp.float64), 0.1)
    np.testing.assert_allclose(z, [[0.00454141, 0.99979100, 1.0]], atol=5e-9)


@pytest.mark.usefixtures("float64")
def test_gradient_of_the_relaxation_equals_finite_differences():
    noise = jax.random.logistic(jax.random.key(0), (3, 4), jnp.float64)
    keep = jax.random.uniform(jax.random.key(1), (3, 4), jnp.float64, 0.2, 0.8)

    def value(keep):
        return jnp.sum(jnp.sin(jnp.arange(12.0).reshape(3, 4)) * concrete(noise, keep, 0.4))

    grad = jax.grad(value)(keep)
    for i, j in itertools.product(range(3), range(4)):
        step = jnp.zeros_like(keep).at[i, j].set(1e-6)
        numeric = (value(keep + step) - value(keep - step)) / 2e-6
        np.testing.assert_allclose(grad[i, j], numeric, rtol=1e-6, atol=1e-9)


def test_concrete_rounds_to_a_bernoulli_sample_and_is_finite_at_the_bounds():
    keep = jnp.array([[0.0, 0.2, 0.7, 1.0]])
    noise = jax.random.logistic(jax.random.key(0), (20_000, 1, 4))
    z = jax.vmap(lambda n: concrete(n, keep, 0.1))(noise)
    np.testing.assert_allclose(jnp.round(z).mean(axis=(0, 1)), keep[0], atol=0.012)
    grad = jax.grad(lambda k: jax.vmap(lambda n: concrete(n, k, 0.1))(noise).sum())(keep)
    assert bool(jnp.all(jnp.isfinite(grad)))


@pytest.mark.parametrize("keep", [0.0, 1.0, 1.0 + 2**-23])
def test_compiled_gradient_of_concrete_is_finite_at_the_bounds(keep):
    """A saturated map, or one that rounding in the interpolation left above one."""
    keep = jnp.full((1, 2), keep, jnp.float32)
    noise = jnp.array([[0.0, -87.0]])
    value = jax.jit(jax.value_and_grad(lambda k: concrete(noise, k, 1.6).sum()))
    assert all(bool(jnp.all(jnp.isfinite(x))) for x in value(keep))


def test_bernoulli_keeps_with_its_probability():
    keep = jnp.array([[0.0, 0.25, 0.8, 1.0]])
    masks = jax.vmap(lambda k: bernoulli(k, keep))(jax.random.split(jax.random.key(0), 20_000))
    assert set(np.unique(masks)) == {0.0, 1.0}
    np.testing.assert_allclose(masks.mean(axis=(0, 1)), keep[0], atol=0.012)


@pytest.mark.usefixtures("float64")
def test_expectation_over_all_masks_and_its_gradient():
    """E f(z x + (1-z) x-hat) = w.(theta x + (1-theta) x-hat) for a linear f."""

    def expectation(theta):
        total = 0.0
        for bits in itertools.product([0.0, 1.0], repeat=4):
            z = jnp.array(bits)
            chance = jnp.prod(jnp.where(z == 1, theta, 1 - theta))
            image = mix(X.reshape(1, 4, 1), z.reshape(1, 4), X_HAT.reshape(1, 4, 1))
            total = total + chance * jnp.sum(W * image.reshape(4))
        return total

    np.testing.assert_allclose(expectation(THETA), 0.9, atol=1e-6)
    np.testing.assert_allclose(jax.grad(expectation)(THETA), [1.0, 0.0, 9.0, 1.0], atol=1e-6)


def test_total_variation_of_a_ramp():
    assert float(total_variation(jnp.arange(16.0).reshape(4, 4))) == 12 * 16 + 12 * 1


@pytest.mark.usefixtures("float64")
def test_upsampling_puts_corners_on_corners():
    small = jnp.array([[0.0, 1.0], [2.0, 5.0]])
    large = upsample(small, (3, 5))
    np.testing.assert_allclose(large[0], [0, 0.25, 0.5, 0.75, 1.0], atol=1e-12)
    np.testing.assert_allclose(large[:, 0], [0, 1, 2], atol=1e-12)
    np.testing.assert_allclose(large[1, 2], small.mean(), atol=1e-12)
    ramp = jnp.linspace(0, 1, 7)[None] * jnp.ones((7, 1))
    np.testing.assert_allclose(upsample(ramp, (20, 31))[3], jnp.linspace(0, 1, 31), atol=1e-12)
    assert upsample(small, (2, 2)) is small


def test_the_two_objectives_penalise_what_they_grow():
    """SSR pays for kept pixels, SDR for dropped ones; both are sums over the mask."""
    keep = jnp.full((4, 5), 0.25)
    score, lam = jnp.float32(2.0), 0.1
    assert float(ssr(score, keep, lam, 0.0)) == pytest.approx(-2 + 0.1 * 5)
    assert float(sdr(score, keep, lam, 0.0)) == pytest.approx(2 + 0.1 * 15)
    assert float(ssr(score, keep, lam, 7.0, 0.5)) == pytest.approx(-2 + 0.05 * 5)
    edge = keep.at[0, 0].set(1.25)
    assert float(sdr(score, edge, 0.0, 7.0)) == pytest.approx(2 + 7 * 2)
