"""Other classifiers of the same classes, which judge what one classifier has explained."""

from collections.abc import Sequence
from functools import partial

import jax
from jax.tree_util import Partial

from fidojax import networks
from fidojax.networks import Pretrained
from fidojax.transforms.cpu import fast
from fidojax.types import Classifier


def load_judges(texts: Sequence[str], model: Pretrained) -> dict[str, Classifier]:
    """Load classifiers for the pictures of another one, by name.

    Args:
        texts: NAME or NAME=WEIGHTS each, as `fidojax.networks.load` takes them.
        model: the classifier of the run; pictures of its size are resized to the judge's.

    Raises:
        ValueError: a judge has another number of classes, or is named twice.
    """
    found: dict[str, Classifier] = {}
    for text in texts:
        name, _, weights = text.partition("=")
        if name in found:
            raise ValueError(f"judge names {name} twice")
        found[name] = _load(name, weights or None, model)
    return found


def _load(name: str, weights: str | None, model: Pretrained) -> Classifier:
    judge = networks.load(name, weights)
    if len(judge.labels) != len(model.labels):
        raise ValueError(
            f"judge {name} has {len(judge.labels)} classes, expected the"
            f" {len(model.labels)} of {model.name}"
        )
    if judge.size == model.size:
        return fast(judge.classifier)
    return fast(Partial(partial(resized, judge.size), judge.classifier))


def resized(size, classifier, images):
    """The logits of images that are resized first; the size is "h w c"."""
    return classifier(jax.image.resize(images, (len(images), *size), "linear"))
