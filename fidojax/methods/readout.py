"""What the iterative methods share at their doors: option checks and the final counterfactual."""

import jax
import jax.numpy as jnp

from fidojax.counterfactual import mix
from fidojax.score import probability
from fidojax.types import Classifier, Image, Infiller, Mask, PRNGKey, Scalar, Target


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless `value` is one of the `choices` of the option `name`."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(choices)}")


def check_count(**counts: int) -> None:
    """Raise ValueError unless every named option is at least 1."""
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} is {value}, expected at least 1")


def optimised_shape(image: Image, size: int | None) -> tuple[int, int]:
    """Sides of the optimised map: `size` square, or a quarter of the image's sides when None."""
    if size is None:
        return (-(-image.shape[0] // 4), -(-image.shape[1] // 4))
    check_count(size=size)
    return (size, size)


def counterfactual(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    keep: Mask,
    infill: Infiller,
) -> tuple[Image, Image, Scalar, Scalar]:
    """What the classifier sees of a finished explanation.

    Returns the infill given the pixels with keep > 0.5, those pixels mixed with it, and the
    target's probability on the mixture and on the image.
    """
    infill_key = jax.random.fold_in(key, jnp.iinfo(jnp.int32).max)  # no step's key
    reference = infill(infill_key, image, harden(keep))
    return reference, *judge(classifier, image, target, keep, reference)


def judge(
    classifier: Classifier, image: Image, target: Target, keep: Mask, reference: Image
) -> tuple[Image, Scalar, Scalar]:
    """The pixels with keep > 0.5 on the reference, and p(target) there and on the image."""
    mixture = mix(image, harden(keep), reference)
    shown, original = probability(classifier(jnp.stack([mixture, image])), target)
    return mixture, shown, original


def harden(keep: Mask) -> Mask:
    """The most probable mask: 1 where keep > 0.5, else 0."""
    return (keep > 0.5).astype(keep.dtype)
