"""The features that a classifier of any framework computes, one array for each resolution.

    coarsest, *finer = feature_pyramid.features(classifier, images)

The classifier's program is traced and evaluated operation by operation, so that a network needs no
layer names.
"""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float

from fidojax.core import as_classifier, untransformed
from fidojax.transforms import cpu, interpreter
from fidojax.types import Classifier, Images

Features = tuple[Float[Array, "n _ _ _"], ...]
"""Arrays "n rows columns channels", the coarsest first; each has at least twice the places."""


def features(classifier: Classifier, images: Images) -> Features:
    """Return the last activations at each resolution below the images' own, without gradients.

    Activations are the results of convolutions, pooling and elementwise operations from the first
    convolution on; the layout of the last convolution tells rows from channels. Padded arrays,
    single values per channel and results inside loops are ignored. Of two nearly equal resolutions
    the coarser one is taken.

    Args:
        classifier: has convolutions over two axes; channels may come first inside.
        images: "n h w c".

    Raises:
        ValueError: the classifier has no such activations.
    """
    found = _features(as_classifier(untransformed(classifier), images.shape[1:]), images)
    if not found:
        raise ValueError(
            "classifier has no convolutional features coarser than its images, expected some: give"
            " `features`, a function that returns them"
        )
    return found


@jax.jit
def _features(classifier: Classifier, images: Images) -> Features:
    n, height, width, _ = images.shape
    found: dict[tuple[int, int], Any] = {}
    layout: tuple[int, ...] = ()  # the axes that are batch, rows, columns and channels

    def rule(eqn, *operands):
        nonlocal layout
        inner = interpreter.body(eqn)
        if inner is not None:
            return interpreter.run(rule, inner, list(operands))
        results = cpu.bind(eqn, *operands)
        name = eqn.primitive.name
        if name == "conv_general_dilated" and results[0].ndim == 4:
            batch, channels, *space = eqn.params["dimension_numbers"].out_spec
            layout = (batch, *space, channels)
        if layout and _makes_features(name) and _is_batch_of_pictures(results[0]):
            x = results[0].transpose(layout)
            if x.shape[0] == n and 1 < x.shape[1] < height and 1 < x.shape[2] < width:
                found[x.shape[1:3]] = x
        return results

    interpreter.evaluate(rule, classifier, images)
    return jax.lax.stop_gradient(_ladder(found))


def _makes_features(name: str) -> bool:
    return name in _SPATIAL or name in interpreter.ELEMENTWISE or name.startswith("reduce_window")


_SPATIAL = {"conv_general_dilated", "concatenate", "dot_general"}


def _is_batch_of_pictures(value: Any) -> bool:
    return value.ndim == 4 and jax.numpy.issubdtype(value.dtype, jax.numpy.floating)


def _ladder(found: dict[tuple[int, int], Any]) -> Features:
    steps: list[Any] = []
    for rows, columns in sorted(found, key=lambda sides: sides[0] * sides[1]):
        if not steps or rows * columns >= 2 * steps[-1].shape[1] * steps[-1].shape[2]:
            steps.append(found[rows, columns])
    return tuple(steps)


Source = Callable[[Images], Features]
"""A replacement for `features` of a classifier: a callable pytree, images -> features."""
