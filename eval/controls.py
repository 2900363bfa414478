"""Maps that do not depend on the picture, as controls of an evaluation."""

import jax

from fidojax.metrics import controls
from fidojax.types import Explanation


def random(key, classifier, image, target):
    """Return a map of uniform noise."""
    return Explanation(jax.random.uniform(key, image.shape[:2]), None)


def centre(key, classifier, image, target):
    """Return each pixel's nearness to the centre: centred boxes, the smallest first."""
    return Explanation(controls((key, key), image.shape[:2])[2], None)
