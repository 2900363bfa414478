"""Every method shows an example in its docstring that runs as it stands.

The examples find these names, as a user has them: `fidojax`, `infillers`, `jnp`; a `key`; a
`classifier` with features, that knows two classes; an `image`, 16 x 16 RGB, and its `target`;
`images` and `targets`, two of them; VarSal's `encoder` and Realtime's `masker`.
"""

import doctest
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from attending import attending
from jax.tree_util import Partial

import fidojax
import infillers

SIDES = (16, 16)
METHODS = [getattr(row, "function", row) for row in fidojax.METHODS.values()]
FUNCTIONS = {
    function.__name__: function
    for function in (*METHODS, fidojax.over_keys, fidojax.start_from, fidojax.lambda_path)
}


def features(kernel, images):
    """Sixty-four places of four features."""
    convolved = jax.lax.conv_general_dilated(
        images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jax.nn.relu(convolved)


def head(weights, activations):
    return activations.mean((1, 2)) @ weights


def encoder(images):
    return images.mean(-1), 0 * images.mean(-1)


def masker(targets, confidence, coarsest):
    del targets, confidence
    return jax.nn.sigmoid(coarsest.mean(-1)), coarsest.mean(-1)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    kernel_key, weights_key, image_key = jax.random.split(jax.random.key(0), 3)
    kernel = jax.random.normal(kernel_key, (3, 3, 3, 4))
    weights = jax.random.normal(weights_key, (4, 2))
    images = jax.random.uniform(image_key, (2, *SIDES, 3))
    return {
        "fidojax": fidojax,
        "infillers": infillers,
        "jnp": jnp,
        "key": jax.random.key(1),
        "classifier": fidojax.Split(Partial(features, kernel), Partial(head, weights)),
        "image": images[0],
        "target": 1,
        "images": images,
        "targets": [1, 0],
        "encoder": encoder,
        "masker": masker,
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_runs_and_explains(name, names):
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(FUNCTIONS[name]) or "")
    source = "".join(example.source for example in examples)
    assert 3 <= len(source.splitlines()) <= 6, f"{name}: expected an Example of 3 to 6 lines"
    assert f"fidojax.{name}(" in source
    space = dict(names)
    if name in ("attention_rollout", "attention_relevance"):  # a vision transformer
        space["classifier"] = attending(space["classifier"])
    exec(source, space)
    assert isinstance(space["explanation"], fidojax.Explanation)
    assert space["explanation"].saliency.shape[-2:] == SIDES
