"""The mean and standard error of a random method's map over several keys.

explanation = over_keys("fido", 8)(key, classifier, image, target, infill=infill)
explanation.saliency, explanation.info.error
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fidojax.methods.table import method_row
from fidojax.types import Classifier, Explanation, Image, Method, PRNGKey, Saliency, Target


class Repeated(NamedTuple):
    """The further results of a repeated method.

    Attributes:
        error: "h w", standard error of the mean map; times sqrt(repeats), the standard deviation
            of one map.
    """

    error: Saliency


def over_keys(method: str | Method, repeats: int) -> Method:
    """Return a method that runs `method` with `repeats` keys at once and returns the mean map.

    It has the one signature and the options of `method`; the key given to it is split. One `vmap`,
    so it takes the memory of `repeats` runs. Equal arguments give equal functions, which are
    compiled once.

    Args:
        method: a name in `fidojax.METHODS`, or any function of the method signature.
        repeats: keys, at least 2. The standard error itself is uncertain by about 1 part in
            sqrt(2 repeats).

    Raises:
        ValueError: an unknown name, or fewer than 2 repeats.

    Example:
        >>> repeated = fidojax.over_keys("rise", 4)
        >>> explanation = repeated(key, classifier, image, target, samples=50)
        >>> saliency = explanation.saliency  # "h w", mean over the keys
        >>> error = explanation.info.error  # standard error of the mean map
    """
    if isinstance(method, str):
        method = method_row(method).function
    if repeats < 2:
        raise ValueError(f"repeats is {repeats}, expected at least 2 for a standard error")
    return _OverKeys(method, repeats)


@dataclasses.dataclass(frozen=True)
class _OverKeys:
    """Compares by value, so that it can be a static argument of compiled functions."""

    method: Method
    repeats: int

    def __call__(
        self, key: PRNGKey, classifier: Classifier, image: Image, target: Target, **options: Any
    ) -> Explanation:
        def once(key):
            return self.method(key, classifier, image, target, **options).saliency

        maps = jax.vmap(once)(jax.random.split(key, self.repeats))
        error = jnp.std(maps, axis=0, ddof=1) / self.repeats**0.5
        return Explanation(jnp.mean(maps, axis=0), Repeated(error))
