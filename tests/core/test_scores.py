"""Scores against their definitions in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fidojax.core.scores import SCORES, class_divergence, log_odds
from fidojax.metrics.deletion import deletion
from infillers import mean

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-3.0, 4.0, 1.0]])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("target", [0, 1, 2])
def test_scores_equal_their_definitions(target):
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=-1, keepdims=True)
    p = p[:, target]
    expected = {
        "log_odds": np.log(p) - np.log(1 - p),
        "log_probability": np.log(p),
        "logit": LOGITS[:, target],
        "probability": p,
    }
    assert set(expected) == set(SCORES)
    for name, score in SCORES.items():
        np.testing.assert_allclose(score(jnp.array(LOGITS), target), expected[name], rtol=1e-12)


def test_log_odds_stays_exact_where_the_probability_rounds_to_one():
    assert float(log_odds(jnp.array([200.0, 0.0, 0.0]), 0)) == pytest.approx(200 - np.log(2))


HALVES = ("float16", "bfloat16")


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("half", HALVES)
def test_scores_of_half_precision_are_those_of_the_same_numbers_in_float32(score, half):
    logits = jnp.asarray(LOGITS, half)
    found = SCORES[score](logits, 1)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, SCORES[score](logits.astype(jnp.float32), 1))
    other = logits[::-1]
    divergence = class_divergence(logits, other)
    wide = class_divergence(logits.astype(jnp.float32), other.astype(jnp.float32))
    assert divergence.dtype == jnp.float32
    np.testing.assert_array_equal(divergence, wide)


@pytest.mark.usefixtures("float64")
def test_scores_keep_a_type_wider_than_float32():
    for score in SCORES.values():
        assert score(jnp.asarray(LOGITS), 0).dtype == jnp.float64
        assert score(jnp.asarray(LOGITS, jnp.float16), 0).dtype == jnp.float32


@pytest.mark.parametrize("side", [28, 64, 100])
def test_a_constant_curve_in_half_precision_has_its_own_area(side):
    """In float16 the sum over 64 x 64 pixels would be infinite."""

    def classifier(images):
        return jnp.broadcast_to(jnp.array([8.0, 0.0], jnp.float16), (len(images), 2))

    image = jnp.ones((side, side, 1))
    found = deletion(
        jax.random.key(0), classifier, image, 0, image[..., 0] * jnp.arange(side),
        infill=mean(0.0), score="logit",
    )  # fmt: skip
    assert float(found.auc) == pytest.approx(8.0, rel=1e-6)
