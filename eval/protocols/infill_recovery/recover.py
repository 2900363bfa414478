"""Fill every kind of holes of a picture, and let several classifiers judge what came out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from eval import scores
from eval.protocols.infill_recovery.kinds import HOLES, REGION, rates
from eval.scores import Curve, Number, ScoreSet
from fidojax.core import logits_of, mix, probability
from fidojax.metrics import copied, feature_distance, reconstruction
from fidojax.transforms import feature_pyramid
from fidojax.types import Classifier, Explanation, Image, Images, Infiller, Mask, Scalar, Target

WINDOW = 15
"""Side in pixels of the window in which any kept pixel counts as the source of a copy."""


class Recovery(NamedTuple):
    """What `recover` measures of a picture. All numbers are NaN where a mask keeps nothing.

    Attributes:
        kept: the share of kept pixels.
        probability: p(target) on the filled picture, of each judge.
        distance: the `feature_distance` of the filled picture from the picture, in the features of
            each judge; NaN where a judge has no convolutional features.
        absolute, rms: see `fidojax.metrics.reconstruction`.
        copied, copied_within: see `fidojax.metrics.copied`; None where they are not measured.
        rates: the places of random pixels among the holes, from few to many kept pixels.
        masks: the masks, 1 = keep.
        images: the filled pictures.
    """

    kept: Float[Array, " holes"]
    probability: Float[Array, "judges holes"]
    distance: Float[Array, "judges holes"]
    absolute: Float[Array, " holes"]
    rms: Float[Array, " holes"]
    copied: Float[Array, " holes"] | None
    copied_within: Float[Array, " holes"] | None
    rates: Array
    masks: Float[Array, "holes h w"]
    images: Float[Array, "holes h w c"]


def recover(
    key,
    classifier,
    image,
    target,
    *,
    infill: Infiller,
    holes: str,
    judges: tuple[Classifier, ...] = (),
    copies: bool = True,
    one_by_one: bool = False,
    region: Mask | None = None,
) -> Explanation:
    """Fill every kind of holes of a picture: the map of its errors, and a `Recovery`.

    The map has the mean absolute error of each pixel over the masks that drop it.

    Args:
        holes: kinds of holes, joined by spaces.
        judges: further classifiers, after the first.
        copies: whether copied pixels are counted, which takes most of the time of large pictures.
        one_by_one: fill the masks one after the other. A solver then ends with each mask, not with
            the slowest; networks fill all at once, since XLA's convolutions are slow in the body of
            a loop on the CPU.
        region: the mask of the kind `REGION`; it keeps nothing where there is no region.
    """
    names = holes.split()
    hole_key, fill_key = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
    drawn = {name: HOLES[name].draw(hole_key, image.shape[:2]) for name in names if name != REGION}
    if REGION in names:
        if region is None:
            raise ValueError(f"region is None, expected a mask for the kind {REGION!r}")
        drawn[REGION] = region
    masks = jnp.stack([drawn[name] for name in names]).astype(image.dtype)

    def fill(mask: Mask) -> tuple[Image, dict[str, Scalar]]:
        reference = infill(fill_key, image, mask)
        numbers = reconstruction(image, mask, reference)._asdict()
        if copies:
            numbers["copied"] = copied(image, mask, reference)
            numbers["copied_within"] = copied(image, mask, reference, window=WINDOW)
        return mix(image, mask, reference), numbers

    seen, numbers = jax.lax.map(fill, masks) if one_by_one else jax.vmap(fill)(masks)
    shown = jnp.concatenate([image[None], seen])
    looks = [_look(judge, shown, target) for judge in (classifier, *judges)]
    some = masks.any(axis=(1, 2))
    numbers |= {
        name: jnp.stack(each) for name, each in zip(_LOOK, zip(*looks, strict=True), strict=True)
    }
    dropped = (masks == 0) & some[:, None, None]
    error = (jnp.abs(seen - image).mean(axis=-1) * dropped).sum(axis=0)
    error /= jnp.maximum(dropped.sum(axis=0), 1)
    info: dict[str, Any] = {"copied": None, "copied_within": None}
    info |= {name: jnp.where(some, values, jnp.nan) for name, values in numbers.items()}
    info |= {"kept": masks.mean(axis=(1, 2)), "masks": masks, "images": seen}
    info["rates"] = jnp.asarray([*rates(names).values()], jnp.int32)
    return Explanation(error, Recovery(**info))


_LOOK = ("probability", "distance")
_OF_FILLS = ("absolute", "rms", "copied", "copied_within")


def _look(
    judge: Classifier, images: Images, target: Target
) -> tuple[Float[Array, " holes"], Float[Array, " holes"]]:
    """What a judge sees on filled pictures: p(target), and the distance from the first picture."""
    p = jax.vmap(probability, (0, None))(logits_of(judge, images), target)[1:]
    try:
        first, *more = zip(*feature_pyramid.features(judge, images), strict=True)
    except ValueError:
        return p, jnp.full_like(p, jnp.nan)
    return p, jnp.stack([feature_distance(first, other) for other in more])


def columns(info: Recovery) -> dict[str, np.ndarray]:
    """The numbers of a batch: NAME by kind of holes, "NAME by rate" by the share of kept pixels.

    The numbers of the judges after the first have their place behind the name, "probability1".
    """
    stored = {name: np.asarray(v) for name, v in info._asdict().items() if v is not None}
    found = {name: stored[name] for name in _OF_FILLS if name in stored}
    for name in _LOOK:
        for place, values in enumerate(np.moveaxis(stored[name], 1, 0)):
            found[f"{name}{place or ''}"] = values
    if not stored["rates"].size:
        return found | {"kept": stored["kept"]}
    curves = {
        f"{name} by rate": np.take_along_axis(values, stored["rates"], axis=1)
        for name, values in found.items()
    }
    return found | curves | {"kept": stored["kept"]}


def numbers(judges: Sequence[str], copies: bool = True) -> dict[str, tuple[str, str]]:
    """By stored column its label in tables and which values are better.

    Args:
        judges: names of the classifiers that judge, the run's first.
    """

    def by(name: str) -> str:
        return f", {name}" if len(judges) > 1 else ""

    found = {
        f"probability{at or ''}": (f"p(class) after infill{by(name)}", "high")
        for at, name in enumerate(judges)
    }
    found |= {
        f"distance{at or ''}": (f"feature distance{by(name)}", "low")
        for at, name in enumerate(judges)
    }
    found |= {"absolute": ("mean absolute error", "low"), "rms": ("root mean square error", "low")}
    if copies:
        found["copied"] = ("copies of the nearest kept pixel", "none")
        found["copied_within"] = (f"copies within a window of {WINDOW}", "none")
    return found


def quality(
    measured: Mapping[str, tuple[str, str]], kinds: Mapping[str, str], panels: Sequence[str]
) -> ScoreSet:
    """The recorded numbers of the panels, and their curves over the share of kept pixels.

    Args:
        measured: as `numbers` returns it.
        kinds: titles by kind of holes, in the order of the stored columns.
        panels: kinds that have numbers.
    """
    places = [*kinds]
    found = {
        f"{name} {kind}": Number(f"{label}, {kinds[kind]}", better, 3, name, places.index(kind))
        for name, (label, better) in measured.items()
        for kind in panels
    }
    shares = tuple(rates(places))
    curves = {
        name: Curve(label, f"{name} by rate", shares, "share of kept pixels, random", label, better)
        for name, (label, better) in measured.items()
        if len(shares) > 1
    }
    recorded = scores.recorded(found, curves)

    def compute(given: scores.Maps) -> dict[str, np.ndarray]:
        # The kinds beside the panels are in tables only.
        return {name: given.column(name) for name in ("kept", *measured)} | recorded.compute(given)

    return recorded._replace(compute=compute)
