"""Maps that do not depend on the picture, as controls of an evaluation."""

import jax

from fidojax.types import Explanation


def random(key, classifier, image, target):
    """Return a map of uniform noise."""
    return Explanation(jax.random.uniform(key, image.shape[:2]), None)
