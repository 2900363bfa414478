"""Orders of a picture's pixels: by maps of several methods, and by controls that know nothing."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fidojax.core import check_name
from fidojax.methods import varsal
from fidojax.presets import PRESETS
from fidojax.types import Encoder, Explanation, Method
from infillers import mean
from infillers.patch_gaussian import fit_patch_gaussian, sample_patches

PDA = {"window": 6, "stride": 3, "samples": 4}
"""The authors' window of 10 and their 10 samples are for 224 pixels; every third window."""


class Ranking(NamedTuple):
    """Where an order of the pixels comes from.

    Attributes:
        method: what makes the maps: a name in `fidojax.methods.table.METHODS` or a function like those.
        options: for the method.
        limit: so many pictures, the first ones; all of them when None.
    """

    method: str | Method
    options: Mapping[str, Any]
    limit: int | None = None


def cheap(encoders: Mapping[str, Encoder]) -> dict[str, Ranking]:
    """Those for all pictures: controls, gradients, and the mean and a sample of each encoder."""
    return {
        "random": Ranking(random, {}),
        "center": Ranking(center, {}),
        "gradient": Ranking("gradient", {}),
        "input_x_gradient": Ranking("input_x_gradient", {}),
        "integrated_gradients": Ranking("integrated_gradients", {"chunk": 10}),
        "smoothgrad_squared": Ranking("smoothgrad_squared", {"chunk": 10}),
        **{name: Ranking(varsal, {"encoder": each}) for name, each in encoders.items()},
        **{
            f"{name} sampled": Ranking(sampled, {"encoder": each})
            for name, each in encoders.items()
        },
    }


def fido(preset: str, limit: int) -> Ranking:
    """FIDO's, of a preset's name, with mean infill."""
    check_name("preset", preset, PRESETS)
    return Ranking("fido", PRESETS[preset] | {"infill": mean()}, limit)


def pda(images: np.ndarray, seed: int, limit: int) -> Ranking:
    """The published PDA's, with the Gaussian of these pictures' patches."""
    side = PDA["window"] + 4
    patches = sample_patches(jax.random.key(seed), jnp.asarray(images), side=side)
    fill = jax.jit(partial(fit_patch_gaussian, window=PDA["window"]))(patches)
    return Ranking("pda", PDA | {"infill": fill, "chunk": 16}, limit)


def random(key, classifier, image, target):
    """A map of noise."""
    return Explanation(jax.random.uniform(key, image.shape[:2]), None)


def center(key, classifier, image, target):
    """A Gaussian's order: by the distance to the middle, as a share of the sides."""
    y, x = (jnp.linspace(-1, 1, side) for side in image.shape[:2])
    return Explanation(-(y[:, None] ** 2 + x**2), None)


def sampled(key, classifier, image, target, *, encoder):
    """One map of VarSal's posterior."""
    _, info = varsal(key, classifier, image, target, encoder=encoder, samples=1)
    return Explanation(info.samples[0], info)
