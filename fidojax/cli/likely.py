"""What the classifier sees in a picture, for those who named a class that it does not have."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from fidojax.cli.numbers import percent
from fidojax.cli.options import Explain
from fidojax.cli.sources import DEFAULT_PICTURES
from fidojax.core import logits_of
from fidojax.data import BadPicture, Picture, pictures
from fidojax.networks import Pretrained

MOST = 5
"""The number of classes that are named."""


def likely_classes(asked: Explain, pretrained: Pretrained) -> str:
    """Return a sentence with the most probable classes of the first picture that can be read.

    The sentence is empty where no picture can be read; that has an error of its own.
    """
    crop = pretrained.crop if asked.crop is None else asked.crop
    sources = asked.paths or DEFAULT_PICTURES
    try:
        picture = _first(pictures(sources, pretrained.size, asked.data_dir, crop=crop))
    except (ValueError, OSError):
        return ""
    if picture is None:
        return ""
    logits = logits_of(pretrained.classifier, jnp.asarray(picture.image)[None])
    probabilities = np.asarray(jax.nn.softmax(logits, axis=-1)[0])
    if not np.isfinite(probabilities).all():
        return ""
    seen = np.argsort(-probabilities, kind="stable")[:MOST]
    said = ", ".join(f"{pretrained.labels[i]} {percent(probabilities[i])}" for i in seen)
    return f"In {picture.id} the classifier sees {said}"


def _first(found: Iterable[Picture | BadPicture]) -> Picture | None:
    return next((item for item in found if isinstance(item, Picture)), None)
