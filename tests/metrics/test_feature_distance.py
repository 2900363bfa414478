"""The distance in features against a slow loop, and on features whose distance is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fidojax.metrics import feature_distance

SHAPES = ((2, 3, 4), (1, 2, 5))


def layers(seed):
    draws = np.random.default_rng(seed)
    return [jnp.asarray(draws.random(shape, np.float32)) for shape in SHAPES]


def slow(ours, theirs):
    total = 0.0
    for a, b in zip(map(np.asarray, ours), map(np.asarray, theirs), strict=True):
        rows, columns, _ = a.shape
        for y in range(rows):
            for x in range(columns):
                cosine = a[y, x] @ b[y, x] / np.sqrt((a[y, x] @ a[y, x]) * (b[y, x] @ b[y, x]))
                total += (2 - 2 * cosine) / (rows * columns)
    return total


def test_it_is_the_slow_loop_and_symmetric_and_ignores_the_length():
    ours, theirs = layers(0), layers(1)
    found = feature_distance(ours, theirs)
    assert float(found) == pytest.approx(slow(ours, theirs), rel=1e-4)
    assert float(feature_distance(theirs, ours)) == pytest.approx(float(found), rel=1e-6)
    longer = [7.0 * layer for layer in ours]
    np.testing.assert_allclose(feature_distance(longer, theirs), found, rtol=1e-5)
    np.testing.assert_allclose(feature_distance(ours, ours), 0, atol=1e-12)
    np.testing.assert_allclose(jax.jit(feature_distance)(ours, theirs), found, rtol=1e-5)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ([1.0, 0.0], [3.0, 0.0], 0),
        ([1.0, 0.0], [0.0, 2.0], 2),
        ([1.0, 0.0], [-1.0, 0.0], 4),
        ([1.0, 1.0], [0.0, 1.0], 2 - 2**0.5),
        ([0.0, 0.0], [0.0, 0.0], 0),
        ([0.0, 0.0], [0.0, 5.0], 1),
    ],
)
def test_known_distances_add_up_over_layers_and_average_over_places(one, other, distance):
    pair = [jnp.tile(jnp.asarray(value), (3, 2, 1)) for value in (one, other)]
    found = feature_distance([pair[0]], [pair[1]])
    assert float(found) == pytest.approx(distance, abs=1e-6)
    twice = feature_distance([pair[0], pair[0]], [pair[1], pair[0]])
    assert float(twice) == pytest.approx(distance, abs=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"), [([], []), (layers(0), layers(0)[:1]), (layers(0), layers(0)[::-1])]
)
def test_layers_that_do_not_match_are_refused(ours, theirs):
    with pytest.raises(ValueError, match="expected equal ones"):
        feature_distance(ours, theirs)
