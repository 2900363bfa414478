"""One network of all forms of the CPU rewrite: exact in float64, and within 1e-5 in float32."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.tree_util import Partial

from benchmarks.cpu_agreement import error, evaluate
from fidojax.transforms import cpu, interpreter
from fidojax.transforms.cpu import taps as cpu_taps
from fidojax.transforms.cpu import winograd as cpu_winograd

pytestmark = pytest.mark.usefixtures("optimised")

SHAPES = {
    "stem": (7, 7, 3, 64),
    "patches": (8, 8, 3, 64),
    "square": (3, 3, 64, 64),
    "each": (3, 3, 1, 64),
    "point": (1, 1, 64, 64),
    "halve": (3, 3, 1, 64),
    "tiny": (3, 3, 64, 64),
    "wide": (5, 5, 64, 16),
    "dense": (1, 1, 16, 5),
}


def every_form(weights, images):
    """Each at the sizes and channels from which on `cpu.fast` uses it."""

    def conv(x, name, stride=1, pad: str | list = "SAME"):
        kernel = weights[name]
        return lax.conv_general_dilated(
            x, kernel, (stride, stride), pad, dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[3] // kernel.shape[2],
        )  # fmt: skip

    x = jax.nn.relu(conv(images - 0.5, "stem", 2, [(3, 3), (3, 3)]))  # by 16
    pads = ((0, 0), (1, 1), (1, 1), (0, 0))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), pads)
    x = x + conv(images, "patches", 4)  # strides that divide the kernel: by blocks
    x = jax.nn.relu6(3 * conv(x, "square"))  # of 8 x 8: Winograd's
    x = jax.nn.relu(conv(conv(x, "each"), "point"))
    x = jax.nn.relu(conv(conv(x, "halve", 2), "tiny"))  # of 4 x 4: a product for each tap
    x = jax.nn.relu(conv(x, "wide"))  # a kernel larger than its picture
    return x.mean((1, 2)) @ weights["dense"][0, 0]


@pytest.fixture(scope="module")
def network():
    """The classifier and its pictures, in float32."""
    draw = np.random.default_rng(0)
    weights = {
        name: jnp.asarray(draw.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape), jnp.float32)
        for name, shape in SHAPES.items()
    }
    return Partial(every_form, weights), jnp.asarray(draw.random((4, 32, 32, 3)), jnp.float32)


def logits_and_gradients(function, images):
    """The gradients are those of logit 1; what else the function returns comes last."""

    def picked(images):
        logits, *rest = function(images)
        return logits[:, 1].sum(), (logits, *rest)

    gradient, (logits, *rest) = jax.jit(jax.grad(picked, has_aux=True))(images)
    return jax.tree.map(np.asarray, (logits, gradient, *rest))


@pytest.fixture(scope="module")
def exact(network):
    """Logits and gradients of the classifier as it is, in float64."""
    with jax.enable_x64(True):
        classifier, images = jax.tree.map(lambda x: x.astype(jnp.float64), network)
        return logits_and_gradients(lambda x: (classifier(x),), images)


def test_values_and_gradients_in_float64(network, exact, float64):
    classifier, images = jax.tree.map(lambda x: x.astype(jnp.float64), network)
    with (
        mock.patch.object(cpu_winograd, "conv", wraps=cpu_winograd.conv) as winograd,
        mock.patch.object(cpu_taps, "conv", wraps=cpu_taps.conv) as taps,
    ):
        ours = logits_and_gradients(lambda x: (cpu.fast(classifier)(x),), images)
    assert winograd.called
    assert taps.called
    assert error(ours[0], exact[0]).max() < 1e-13
    assert error(ours[1], exact[1]).max() < 1e-12


def test_within_1e_5_in_float32_where_no_unit_crosses_its_kink(network, exact):
    classifier, images = network

    def read(bind, dtype, sides=None):
        with jax.enable_x64(dtype == np.float64):
            return logits_and_gradients(
                lambda x: evaluate(bind, dtype, classifier, x, sides), images.astype(dtype)
            )

    # The reading of the program in float64 is the program in float64.
    logits, gradients, sides = read(interpreter.bind, np.float64)
    assert error(logits, exact[0]).max() < 1e-13
    assert error(gradients, exact[1]).max() < 1e-12
    for bind in (interpreter.bind, cpu.bind):
        logits, gradients, _ = read(bind, np.float32, sides)
        assert gradients.dtype == np.float32
        assert error(logits, exact[0]).max() < 1e-5
        assert error(gradients, exact[1]).max() < 1e-5
