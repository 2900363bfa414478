"""Every method lowers for GPUs and TPUs: an operation that has no form there is seen here."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import PLANTED, linear
from jax import lax
from jax.tree_util import Partial
from test_contract_methods import FIRST, few
from test_methods import ROWS, explain

from fidojax.engine import ExplainRequest, programs
from fidojax.methods import METHODS
from infillers import mean

PLATFORMS = ("cuda", "tpu")
NAMES = {method: name for name, (method, _, _) in reversed(ROWS.items())} | FIRST
"""One row of the table for each method."""


def convolved(weights, kernel, images):
    """The planted classifier behind a convolution and a pooling, which platforms lower apart."""
    x = lax.conv_general_dilated(
        images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    pooled = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return linear(weights, images) + pooled.mean((1, 2, 3))[:, None]


CLASSIFIER = Partial(
    convolved, jnp.zeros((12, 12, 3)).at[PLANTED].set(0.05), jnp.full((3, 3, 3, 3), 0.01)
)
IMAGE = np.full((12, 12, 3), 0.5, np.float32)


@functools.cache
def traced(method):
    """The method on two pictures, traced once for all platforms."""
    name = NAMES[method]

    def several(key, classifier, images):
        return jax.vmap(lambda image: explain(name, classifier, image, key, **few(name)))(images)

    return jax.jit(several).trace(jax.random.key(0), CLASSIFIER, jnp.stack([IMAGE, IMAGE]))


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_lowers(method, platform):
    text = traced(method).lower(lowering_platforms=(platform,)).as_text()
    assert "func.func public @main" in text


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_programs_of_the_engine_lower(platform):
    options = {"infill": mean(0.0), "steps": 3, "samples": 2}
    program, model = programs.program_and_model(ExplainRequest("fido", CLASSIFIER, options))
    keys = jax.random.split(jax.random.key(0), 2)
    batch = programs.Batch(keys, jnp.stack([IMAGE, IMAGE]), jnp.zeros(2, jnp.int32), {})
    slots = jax.eval_shape(functools.partial(programs.begin, program), model, batch)
    for one in (
        programs.begin.trace(program, model, batch),
        programs.advance.trace(program, model, slots, length=2),
        programs.readout.trace(program, model, slots),
    ):
        assert "@main" in one.lower(lowering_platforms=(platform,)).as_text()


def test_what_a_platform_lacks_is_seen():
    """The check is of lowering rules, which a primitive may have for the CPU alone."""
    from jax.extend import core
    from jax.interpreters import mlir

    only = core.Primitive("only_here")
    only.def_abstract_eval(lambda x: x)
    mlir.register_lowering(only, lambda context, x: [x], platform="cpu")
    found = jax.jit(only.bind).trace(jnp.ones(3))
    found.lower(lowering_platforms=("cpu",))
    with pytest.raises(NotImplementedError, match="only_here"):
        found.lower(lowering_platforms=("cuda",))
