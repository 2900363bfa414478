"""The examples in the docstrings of the public metrics run, and give what they name."""

import inspect
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from fidojax import metrics
from fidojax.methods import METHODS
from fidojax.metrics import METRIC_ROWS, METRICS

SHAPE = (8, 8)
OTHERS = (
    "agreement",
    "alpha_search",
    "infill_quality",
    "reconstruction",
    "sensitivity",
    "stability",
)


def _logits(weights, images):
    value = jnp.einsum("nhwc,hwc->n", images, weights)
    return jnp.stack([value, jnp.zeros_like(value)], axis=-1)


@pytest.fixture
def names():
    """What the examples take as given: a picture of 8 x 8 pixels, its map, its box, its mask."""
    saliency = jax.random.uniform(jax.random.key(1), SHAPE)
    return {
        "key": jax.random.key(0),
        "classifier": Partial(_logits, jax.random.normal(jax.random.key(2), (*SHAPE, 3))),
        "image": jax.random.uniform(jax.random.key(3), (*SHAPE, 3)),
        "target": 0,
        "saliency": saliency,
        "boxes": jnp.array([[1, 2, 5, 6]]),
        "mask": (saliency > 0.5).astype(jnp.float32),
        "method": METHODS["gradient"],
    }


def example(function) -> str:
    """The indented lines below "Example:" in the docstring."""
    _, found, after = (inspect.getdoc(function) or "").partition("Example:\n")
    assert found, f"{function.__name__} has no example"
    lines = []
    for line in after.splitlines():
        if line and not line.startswith("    "):
            break
        lines.append(line)
    return textwrap.dedent("\n".join(lines)).strip()


@pytest.mark.parametrize("name", [*METRICS, *OTHERS])
def test_an_example_is_short_and_runs(name, names):
    source = example(getattr(metrics, name))
    code = [line for line in source.splitlines() if line.strip()]
    assert 3 <= len(code) <= 6, source
    exec(source, names)
    if name in METRIC_ROWS:
        number = getattr(names["found"], METRIC_ROWS[name].headline)
        assert np.isfinite(number)
        assert np.shape(number) == ()
