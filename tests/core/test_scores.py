"""Scores against their definitions in double precision."""

import jax.numpy as jnp
import numpy as np
import pytest

from fidojax.core.scores import SCORES, log_odds

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
