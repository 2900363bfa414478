"""Orders of a picture's pixels: by maps of several methods, and by controls that know nothing."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from eval.controls import random
from eval.study import StudyRow
from fidojax.core import check_name
from fidojax.methods import varsal
from fidojax.presets import PRESETS
from fidojax.types import Encoder, Explanation
from infillers import mean
from infillers.patch_gaussian import fit_patch_gaussian, sample_patches

PDA = {"window": 6, "stride": 3, "samples": 4}
"""The authors' window of 10 and their 10 samples are for 224 pixels; every third window."""


def cheap(encoders: Mapping[str, Encoder]) -> dict[str, StudyRow]:
    """Rows for all pictures: controls, gradients, and each encoder's mean map and a sampled one."""
    rows = {
        "random": StudyRow(random, {}, "controls"),
        "center": StudyRow(center, {}, "controls"),
        "gradient": StudyRow("gradient", {}),
        "input_x_gradient": StudyRow("input_x_gradient", {}),
        "integrated_gradients": StudyRow("integrated_gradients", {"chunk": 10}),
        "smoothgrad_squared": StudyRow("smoothgrad_squared", {"chunk": 10}),
    }
    for name, encoder in encoders.items():
        rows[name] = StudyRow(varsal, {"encoder": encoder})
    for name, encoder in encoders.items():
        rows[f"{name} sampled"] = StudyRow(sampled, {"encoder": encoder})
    return rows


def fido(preset: str, limit: int) -> StudyRow:
    """FIDO with mean infill on the first `limit` pictures; `preset` is a name in `PRESETS`."""
    check_name("preset", preset, PRESETS)
    options = PRESETS[preset] | {"infill": mean()}
    return StudyRow("fido", options, why=f"preset {preset}, first {limit} pictures", limit=limit)


def pda(images: np.ndarray, seed: int, limit: int) -> StudyRow:
    """The published PDA on the first `limit` pictures, with the Gaussian of the images' patches."""
    side = PDA["window"] + 4
    patches = sample_patches(jax.random.key(seed), jnp.asarray(images), side=side)
    fill = jax.jit(partial(fit_patch_gaussian, window=PDA["window"]))(patches)
    options = PDA | {"infill": fill, "chunk": 16}
    return StudyRow("pda", options, why=f"first {limit} pictures", limit=limit)


def center(key, classifier, image, target):
    """Return the negative squared distance to the middle: a Gaussian's order."""
    y, x = (jnp.linspace(-1, 1, side) for side in image.shape[:2])
    return Explanation(-(y[:, None] ** 2 + x**2), None)


def sampled(key, classifier, image, target, *, encoder):
    """Return one map drawn from VarSal's posterior."""
    _, info = varsal(key, classifier, image, target, encoder=encoder, samples=1)
    return Explanation(info.samples[0], info)
