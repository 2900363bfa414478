"""A variational autoencoder's picture of what was dropped: FIDO's and VDSM's "VAE"."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fidojax.core import check_name
from fidojax.networks import weight_files
from fidojax.types import Image, Infiller, Mask, PRNGKey
from infillers.resized import resized
from infillers.vae import authors
from infillers.vae.mnist import MnistVAE
from infillers.vae.natural import NaturalVAE

WEIGHTS = Path(__file__).parents[1] / "weights"
SHIPPED = {"tiny_imagenet40": 64, "mnist": 28}
"""The side in pixels of the pictures that each was trained on."""


def vae(
    weights: str | Path = "tiny_imagenet40",
    *,
    latent: str = "sample",
    sample: bool = False,
    size: int | str | None = "trained",
    network: Callable[[], nnx.Module] | None = None,
) -> Infiller:
    """Infill with what a variational autoencoder makes of the kept pixels.

    The network sees the kept pixels and the mask. The infill is its decoder's mean, in [0, 1], for
    one sample of the latent, as the authors do it: another key gives another infill.

    Args:
        weights: "tiny_imagenet40" (colour, 64 x 64) or "mnist" (grey, 28 x 28), or an .npz file
            written by `train.vae`. A file with the arrays of the state dict of VDSM's authors, by
            their names in PyTorch ("encode.0.weight", ...), is read too: it is their MNIST network.
        latent: "sample", or "mean" for an infill that does not depend on the key.
        sample: draw the pixels from the decoder's distribution, rather than take its mean.
        size: the side at which the network runs, to and from which pictures of other sizes are
            brought by `resized`; "trained" is the shipped network's own, or for a file 28 if it
            is of the MNIST network and the picture's own if not. None: always the picture's own,
            whose sides must be multiples of 4.
        network: builds the network, without batch norm, that a file is for; what its arrays show
            when None, which assumes dilations of 2, 4, 8, ...

    Grey pictures go through a network for colours as three equal colours, and come back averaged.

    Raises:
        ValueError: an option is unknown, or the file's arrays do not fit; at the call: a colour
            picture for a grey network, a side that is no multiple of 4.
        FileNotFoundError: there is no such file.

    Reference: FIDO section 4.1, "VAE"; VDSM section 4.3.
    """
    check_name("latent", latent, ("sample", "mean"))
    if isinstance(size, str):
        check_name("size", size, ("trained",))
    path = WEIGHTS / f"vae_{weights}.npz" if weights in SHIPPED else Path(weights)
    arrays = weight_files.read(path)
    if authors.is_authors(arrays):
        arrays = authors.convert(arrays)
    function = weight_files.assemble(network or _shown(path, arrays), arrays, path)
    kind = type(nnx.merge(*function.args))
    infill = _VAE(function, kind, latent == "sample", sample)
    if size == "trained":
        size = SHIPPED.get(str(weights), 28 if kind is MnistVAE else None)
    return infill if size is None else resized(infill, int(size))


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["network"],
    meta_fields=["kind", "draw", "sample"],
)
@dataclass(frozen=True)
class _VAE:
    """The weights are leaves; what the decoder's output means belongs to the network's class."""

    network: Callable[..., Any]
    kind: Any
    draw: bool
    sample: bool

    def __call__(self, key: PRNGKey, image: Image, mask: Mask) -> Image:
        height, width, channels = image.shape
        if channels > self.kind.channels:
            raise ValueError(
                f'image has {channels} channels, but these weights are for grey pictures "h w 1"'
            )
        if height % 4 or width % 4:
            raise ValueError(
                f"image is {height} x {width}, expected multiples of 4; or give vae a size"
            )
        colours = jnp.broadcast_to(image, (height, width, self.kind.channels)).astype(jnp.float32)
        latent_key, pixel_key = jax.random.split(key)
        drawn = (latent_key,) if self.draw else ()
        decoded = self.network(colours[None], mask[None].astype(jnp.float32), *drawn)
        picture = self.kind.picture(decoded, pixel_key if self.sample else None)[0]
        if channels < self.kind.channels:
            picture = picture.mean(axis=-1, keepdims=True)
        return picture.astype(image.dtype)


def _shown(path: Path, arrays: Mapping[str, np.ndarray]) -> Callable[[], nnx.Module]:
    """The network whose arrays these seem to be; `stored.assemble` then looks at each of them."""
    try:
        hidden = [
            arrays[f"down/{i}/conv/kernel"].shape[3]
            for i in range(len(arrays))
            if f"down/{i}/conv/kernel" in arrays
        ]
        latent = arrays["up/0/conv/kernel"].shape[2]
        outputs = arrays["pixels/kernel"].shape[-1]
    except (KeyError, IndexError):
        hidden, latent, outputs = [], 0, 0
    if outputs == 1 and len(hidden) == 2:
        return _mnist(hidden[0], latent)
    if outputs in (3, 6) and len(hidden) >= 6:
        widths = (hidden[0], hidden[1], hidden[3])
        return _natural(widths, latent, len(hidden) - 6, outputs == 6)
    raise ValueError(f"weights {path}: expected the arrays of a MnistVAE or a NaturalVAE")


# Cached: `stored.assemble` does not build twice what the same function builds.
@functools.cache
def _mnist(width: int, latent: int) -> Callable[[], nnx.Module]:
    return lambda: MnistVAE(width, latent, norm=False, rngs=nnx.Rngs(0))


@functools.cache
def _natural(
    widths: tuple[int, int, int], latent: int, dilated: int, variance: bool
) -> Callable[[], nnx.Module]:
    dilations = tuple(2 ** (i + 1) for i in range(dilated))
    return lambda: NaturalVAE(widths, latent, dilations, variance, norm=False, rngs=nnx.Rngs(0))
