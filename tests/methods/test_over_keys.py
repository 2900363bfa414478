"""The mean map over keys and its standard error."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fidojax.engine import explain as run
from fidojax.engine import programs
from fidojax.methods.gradient import gradient
from fidojax.methods.over_keys import over_keys
from fidojax.methods.smoothgrad import smoothgrad
from fidojax.types import Explanation
from infillers import mean

QUICK = {"infill": mean(0.0), "steps": 3, "size": 6, "samples": 2}
IMAGE = jnp.asarray(np.random.default_rng(0).random((12, 12, 3), np.float32))


def noise(key, classifier, image, target, *, scale=1.0):
    del classifier, target
    return Explanation(scale * jax.random.normal(key, image.shape[:2]), None)


def test_is_the_mean_and_the_standard_error_of_a_loop(planted):
    maps = [
        smoothgrad(key, planted, IMAGE, 0, method="input_x_gradient", samples=2).saliency
        for key in jax.random.split(jax.random.key(4), 3)
    ]
    saliency, info = over_keys(smoothgrad, 3)(
        jax.random.key(4), planted, IMAGE, 0, method="input_x_gradient", samples=2
    )
    assert np.std(maps, axis=0).max() > 1e-4
    np.testing.assert_allclose(saliency, np.mean(maps, axis=0), atol=1e-6)
    np.testing.assert_allclose(info.error, np.std(maps, axis=0, ddof=1) / 3**0.5, atol=1e-6)
    assert saliency.dtype == info.error.dtype == jnp.float32


def test_error_of_known_noise(planted):
    image = jnp.zeros((60, 60, 1))
    saliency, info = over_keys(noise, 16)(jax.random.key(0), planted, image, 0, scale=3.0)
    np.testing.assert_allclose(np.mean(info.error**2), 9 / 16, rtol=0.05)
    np.testing.assert_allclose(np.std(saliency), 3 / 4, rtol=0.05)


def test_a_method_without_chance_has_no_error(planted):
    saliency, info = over_keys(gradient, 4)(jax.random.key(0), planted, IMAGE, 0)
    np.testing.assert_allclose(info.error, 0, atol=1e-8)
    np.testing.assert_allclose(
        saliency, gradient(jax.random.key(0), planted, IMAGE, 0).saliency, rtol=1e-6
    )


def test_in_a_batch_by_name_compiled_once(planted):
    images = np.stack([IMAGE, IMAGE[::-1], IMAGE[:, ::-1]])
    explain = functools.partial(
        run.explain_batch, classifier=planted, images=images, targets=[0, 0, 1], options=QUICK,
        batch_size=2,
    )  # fmt: skip
    compiled: Any = programs.one_shot
    before = compiled._cache_size()
    saliency, info = explain(over_keys("fido", 3))
    again, _ = explain(over_keys("fido", 3))
    assert compiled._cache_size() == before + 1
    np.testing.assert_array_equal(saliency, again)
    assert saliency.shape == info.error.shape == (3, 12, 12)
    assert float(info.error.max()) > 0
    alone, _ = over_keys("fido", 3)(run.image_keys(0, [1])[0], planted, IMAGE[::-1], 0, **QUICK)
    np.testing.assert_allclose(saliency[1], alone, atol=1e-5)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="method: there is no 'fidoo'; did you mean fido"):
        over_keys("fidoo", 4)
    with pytest.raises(ValueError, match="repeats is 1, expected at least 2"):
        over_keys("fido", 1)
