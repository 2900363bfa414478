"""Methods and metrics in every precision: maps and numbers are at least float32.

Of a classifier that computes in half precision, they are those of the same numbers in float32.
"""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attending import attending
from jax.tree_util import Partial

from fidojax.core import Split
from fidojax.methods import METHOD_ROWS, METHODS
from fidojax.metrics import METRICS
from infillers import mean

SIDE = 8
KEY = jax.random.key(0)
PARTS = ("image", "weights", "logits")


def features(kernel, images):
    return jax.nn.relu(convolution(kernel, images.astype(kernel.dtype)))


def convolution(kernel, images):
    """It refuses images of another type than the kernel's."""
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=layout)


def head(logits, kernel, x):
    return (x.mean((1, 2)) @ kernel).astype(logits)


def network(weights, logits):
    """A small network with weights and logits of these types."""
    kernels = [
        jax.random.normal(jax.random.key(i), shape, jnp.float32).astype(weights)
        for i, shape in enumerate([(3, 3, 3, 4), (4, 3)])
    ]
    return Split(
        Partial(features, kernels[0]), Partial(functools.partial(head, logits), kernels[1])
    )


def an_encoder(weight, images):
    return images.sum(-1) * weight, images.mean(-1)


def a_masker(weight, targets, confidence, x):
    return jax.nn.sigmoid(x.sum(-1) * weight), x.sum(-1)


def the_image(images):
    return (images,)


BOX = jnp.array([[1.0, 2.0, 5.0, 6.0]])
OPTIONS = {
    "infill": mean(0.5), "steps": 2, "samples": 2, "window": 3, "boxes": BOX,
    "encoder": Partial(an_encoder, jnp.ones(())), "masker": Partial(a_masker, jnp.ones(())),
}  # fmt: skip


def call(name):
    """The method or metric of this name with small options: a function of its arrays."""
    function = {**METHODS, **METRICS}[name]
    known = inspect.signature(function).parameters
    options = {option: value for option, value in OPTIONS.items() if option in known}
    if name == "realtime":
        options["features"] = Partial(the_image)
    if name in METRICS:
        options.pop("steps", None)
        return lambda classifier, image: function(
            KEY, classifier, image, 0, image[..., 0], **options
        )
    if METHOD_ROWS[name].attention:
        return lambda classifier, image: function(KEY, attending(classifier), image, 0, **options)
    return lambda classifier, image: function(KEY, classifier, image, 0, **options)


def an_image(dtype):
    return jax.random.uniform(jax.random.key(2), (SIDE, SIDE, 3), jnp.float32).astype(dtype)


ALL = [*METHODS, *METRICS]


def check_types(name, part, dtype):
    types = dict.fromkeys(PARTS, "float32") | {part: dtype}
    classifier = network(types["weights"], types["logits"])
    found = jax.eval_shape(call(name), classifier, an_image(types["image"]))
    if name in METHODS:
        assert found.saliency.dtype == jnp.promote_types(types["image"], jnp.float32)
    check_leaves(found)


def check_leaves(found):
    for leaf in jax.tree.leaves(found):
        assert not jnp.issubdtype(leaf.dtype, jnp.floating) or leaf.dtype.itemsize >= 4


@pytest.mark.parametrize("name", ALL)
def test_half_precision_does_not_reach_maps_and_numbers(name):
    for part in PARTS:
        for dtype in ("float16", "bfloat16"):
            check_types(name, part, dtype)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ALL)
def test_double_precision_may_come_in_anywhere(name):
    for part in PARTS:
        check_types(name, part, "float64")


@pytest.mark.parametrize("name", ALL)
def test_values_are_those_of_the_same_numbers_in_float32(name):
    """Of an image and of logits in half precision, bit for bit."""
    half, image = network("float32", "bfloat16"), an_image("float16")

    def wide_head(kernel, x):
        return head("bfloat16", kernel, x).astype(jnp.float32)

    wide = Split(half.features, Partial(wide_head, *half.head.args))
    found, expected = jax.jit(
        lambda half, wide, image: (
            call(name)(half, image),
            call(name)(wide, image.astype(jnp.float32)),
        )
    )(half, wide, image)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("name", ALL)
def test_a_classifier_may_take_its_own_half_precision_alone(name):
    """As a convolution of JAX does, which refuses two types."""
    half = network("bfloat16", "bfloat16")
    classifier = Split(Partial(convolution, *half.features.args), half.head)
    with pytest.raises(TypeError, match="same dtypes"):
        classifier(an_image("float32")[None])
    found = jax.eval_shape(call(name), classifier, an_image("bfloat16"))
    check_leaves(found)
