"""The contract over all metrics: wrong outputs, targets that are no class, maps not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import fidojax
from fidojax.metrics import METRIC_ROWS, METRICS
from infillers import mean

IMAGE = jax.random.uniform(jax.random.key(0), (8, 8, 3))
MAP = jax.random.uniform(jax.random.key(1), (8, 8))
KEY = jax.random.key(2)
BOXES = jnp.array([[1, 1, 5, 5]])
ASKING = [name for name, row in METRIC_ROWS.items() if not row.boxes]
ASKING = [name for name in ASKING if name not in ("complexity", "mask_size", "hallucination")]
"""Those that ask the classifier."""


def options(name):
    row = METRIC_ROWS[name]
    return ({"infill": mean(0.0)} if row.infill else {}) | ({"boxes": BOXES} if row.boxes else {})


def measure(name, classifier, target=0, saliency=MAP):
    return METRICS[name](KEY, classifier, IMAGE, target, saliency, **options(name))


def colours(images):
    return images.mean((1, 2)) + 1


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize(
    "classifier", [lambda x: x.mean((1, 2, 3))[:, None], lambda x: (colours(x), x)], ids=range(2)
)
def test_a_wrong_output_is_refused(name, classifier):
    with pytest.raises((TypeError, ValueError), match="classifier returns"):
        jax.eval_shape(lambda: measure(name, Partial(classifier)))


@pytest.mark.parametrize("name", [name for name in ASKING if name != "erasing"])
@pytest.mark.parametrize("target", [3, -1])
def test_a_target_that_is_no_class(name, target):
    """Erasing compares all classes."""
    with pytest.raises(ValueError, match=f"target is {target}, expected 0 to 2"):
        jax.eval_shape(lambda: measure(name, Partial(colours), target))
    found = jax.jit(lambda target: measure(name, Partial(colours), target))(target)
    assert np.isnan(getattr(found, METRIC_ROWS[name].headline))


@pytest.mark.parametrize("name", METRICS)
def test_the_engine_refuses_both_for_every_metric(name):
    given = (np.asarray(IMAGE)[None], [3], np.asarray(MAP)[None])
    with pytest.raises(ValueError, match=r"targets\[0\] is 3, expected 0 to 2"):
        fidojax.measure_batch(name, colours, *given, boxes=BOXES[None])
    with pytest.raises(ValueError, match="one value per image"):
        fidojax.measure_batch(name, lambda x: x.mean((1, 2, 3)), *given, boxes=BOXES[None])


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_that_is_not_finite_has_no_finite_number(name, value):
    found = jax.jit(lambda saliency: measure(name, Partial(colours), saliency=saliency))
    number = getattr(found(MAP.at[2, 3].set(value)), METRIC_ROWS[name].headline)
    assert not np.isfinite(number)


@pytest.mark.parametrize("name", ASKING)
def test_logits_that_are_not_finite_have_no_number(name):
    classifier = Partial(lambda weight, images: weight * colours(images), jnp.float32(jnp.nan))
    found = jax.jit(lambda classifier: measure(name, classifier))(classifier)
    assert np.isnan(getattr(found, METRIC_ROWS[name].headline))
