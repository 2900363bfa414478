"""Contributions that do not add up are said, with their numbers, wherever a map is made."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import fidojax
from fidojax.core import CompletenessWarning, shortfalls
from fidojax.methods import METHOD_ROWS
from fidojax.methods.integrated_gradients import PathInfo

KEY = jax.random.key(0)


def steep(weight, images):
    """The square of the sum: one step from black finds twice the difference, many steps find it."""
    total = weight * images.sum((1, 2, 3))
    return jnp.stack([0 * total, total**2], axis=-1)


CLASSIFIER = Partial(steep, jnp.float32(1))
IMAGE = jnp.full((2, 2, 1), 0.25)


def info(gap, attribution):
    zero = jnp.zeros(())
    return PathInfo(attribution, attribution, jnp.asarray(gap), zero, zero)


@pytest.mark.parametrize(
    ("gap", "parts", "large"),
    [
        (-1.56, [-0.65, 0.0], True),  # a ConvNeXt from black: the scores differ by 0.91
        (0.05, [1.05, 0.0], False),  # of a difference of 1
        (0.2, [1.2, 0.0], True),
        (1e-4, [5.0, -5.0 + 1e-4], False),  # rounding of a difference of 0
    ],
)
def test_a_gap_is_large_beside_the_difference_and_beyond_rounding(gap, parts, large):
    found = shortfalls(info(gap, jnp.array(parts).reshape(1, 2, 1)))
    assert bool(found) == large
    if gap == -1.56:
        assert found[0][1] == (
            "the contributions add up to -0.65, but the scores differ by 0.91 (gap -1.56)"
        )


SAYS = r"the contributions add up to 2, but the scores differ by 1 \(gap 1\).*: take more steps"


def test_the_function_warns_and_so_does_the_engine():
    explain = fidojax.integrated_gradients
    with pytest.warns(CompletenessWarning, match=SAYS):
        explain(KEY, CLASSIFIER, IMAGE, 1, steps=1)
    images = jnp.stack([0 * IMAGE, IMAGE, IMAGE])
    with pytest.warns(CompletenessWarning, match=f"image b: {SAYS[:-17]}, and so in 1 more images"):
        fidojax.explain_batch(
            "integrated_gradients", CLASSIFIER, images, [1, 1, 1], options={"steps": 1}, ids="abc"
        )


@pytest.mark.filterwarnings("error")
def test_nothing_is_said_where_they_add_up_or_the_function_is_traced():
    found = fidojax.integrated_gradients(KEY, CLASSIFIER, IMAGE, 1, steps=100)
    assert abs(float(found.info.gap)) < 0.05
    fidojax.deeplift(KEY, CLASSIFIER, IMAGE, 1)
    traced = jax.jit(lambda x: fidojax.integrated_gradients(KEY, CLASSIFIER, x, 1, steps=1))
    np.testing.assert_allclose(traced(IMAGE).info.gap, 1)


def test_every_method_with_a_completeness_has_a_remedy():
    rows = {name for name, row in METHOD_ROWS.items() if row.remedy}
    assert rows == {"integrated_gradients", "deeplift"}
