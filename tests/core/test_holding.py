"""The margin by which the class holds: known values, and its sign against the probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fidojax.core import check_hold, margin, soft_edge


def logits(*probabilities):
    return jnp.log(jnp.array(probabilities))


def odds(p):
    return np.log(p / (1 - p))


ORIGINAL = logits(0.8, 0.15, 0.05)


@pytest.mark.parametrize(
    ("shown", "hold", "objective", "expected"),
    [
        (0.5, 0.5, "ssr", odds(0.5) - odds(0.4)),
        (0.4, 0.5, "ssr", 0.0),
        (0.8, 0.9, "ssr", odds(0.8) - odds(0.72)),
        (0.5, 0.5, "sdr", odds(0.4) - odds(0.5)),
        (0.08, 0.9, "sdr", 0.0),
        (0.02, 0.9, "sdr", odds(0.08) - odds(0.02)),
        (0.7, "first", "ssr", np.log(0.7) - np.log(0.2)),
        (0.7, "first", "sdr", np.log(0.2) - np.log(0.7)),
    ],
)
def test_known_margins(shown, hold, objective, expected):
    now = logits(shown, (1 - shown) * 2 / 3, (1 - shown) / 3)
    found = margin(now, 0, ORIGINAL, hold, objective)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("objective", ["ssr", "sdr"])
def test_its_sign_says_whether_the_probability_holds(objective):
    shown, original, holds = jax.random.split(jax.random.key(0), 3)
    shown = 3 * jax.random.normal(shown, (200, 4))
    original = 3 * jax.random.normal(original, (200, 4))
    holds = jax.random.uniform(holds, (200,), minval=0.05, maxval=0.95)
    found = jax.jit(jax.vmap(lambda s, o, h: margin(s, 2, o, h, objective)))(shown, original, holds)
    p, whole = (np.asarray(jax.nn.softmax(x))[:, 2] for x in (shown, original))
    expected = p >= holds * whole if objective == "ssr" else p <= (1 - holds) * whole
    assert 20 < expected.sum() < 180
    np.testing.assert_array_equal(found >= 0, expected)


def test_a_certain_class_has_finite_margins_and_gradients():
    certain = jnp.array([200.0, 0.0])
    value, slope = jax.value_and_grad(lambda x: margin(x, 0, certain, 0.9, "ssr"))(certain)
    np.testing.assert_allclose(value, 200 - odds(0.9), rtol=1e-5)
    np.testing.assert_allclose(slope, [1, -1])
    assert np.all(jax.grad(lambda x: margin(certain, 0, x, 0.9, "ssr"))(certain) == 0)


@pytest.mark.parametrize(
    ("hold", "objective", "says"),
    [
        (0.0, "ssr", "hold is 0, expected a share between 0 and 1"),
        (1.0, "sdr", "hold is 1, expected"),
        ("frist", "ssr", "hold is 'frist', expected"),
        (0.9, "srs", "objective: there is no 'srs'; did you mean ssr"),
    ],
)
def test_options_that_cannot_be_are_refused(hold, objective, says):
    with pytest.raises(ValueError, match=says):
        check_hold(hold, objective)
    check_hold("first", "dual")


def test_soft_edges_are_two_pixels_wide_at_224():
    mask = jnp.zeros((224, 300)).at[:, 150:].set(1)
    soft = soft_edge(mask)[100]
    weights = np.exp(-(np.arange(-40, 41) ** 2) / (2 * 2**2))
    steps = [weights[40 + first :].sum() / weights.sum() for first in (1, 0, -1)]
    np.testing.assert_allclose(soft[149:152], steps, rtol=1e-5)
    np.testing.assert_allclose(soft_edge(jnp.ones((9, 7)), 3.0), 1, rtol=1e-6)
