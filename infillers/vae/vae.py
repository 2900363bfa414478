"""Infill by a variational autoencoder: FIDO's and VDSM's "VAE"."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fidojax.core import check_name, shown
from fidojax.networks import weight_files
from fidojax.types import Image, Infiller, Mask, PRNGKey
from infillers.channels import OTHERS, check_channels, in_channels
from infillers.resized import at_size
from infillers.vae import authors
from infillers.vae.mnist import MnistVAE
from infillers.vae.natural import NaturalVAE

WEIGHTS = Path(__file__).parents[1] / "weights"
SHIPPED = {"tiny_imagenet40": 64, "mnist": 28}
"""The side in pixels of the pictures that each shipped network was trained on."""


def vae(
    weights: str | Path = "tiny_imagenet40",
    *,
    latent: str = "sample",
    sample: bool = False,
    size: int | str | None = "trained",
    network: Callable[[], nnx.Module] | None = None,
) -> Infiller:
    """Return an infiller that draws pictures with a variational autoencoder from the kept pixels.

    The network sees the kept pixels and the mask. The infill is the decoder's mean, in [0, 1], for
    one sample of the latent, as in the authors' code, so that it depends on the key. A network for
    colours sees a grey picture as three equal channels, and its infill is averaged.

    Args:
        weights: "tiny_imagenet40" (colour, 64 x 64) or "mnist" (grey, 28 x 28), or an .npz file
            written by `train.vae`, or one with the arrays of the PyTorch state dict of VDSM's
            MNIST network ("encode.0.weight", ...).
        latent: "sample", or "mean" for an infill that does not depend on the key.
        sample: whether to draw the pixels from the decoder's distribution instead of its mean.
        size: the side at which the network runs; `resized` handles pictures of other sizes.
            "trained" for the side of the training pictures (28 for a file of the MNIST network, the
            picture's own size for other files), None for the picture's own size, a multiple of 4.
        network: builds the network of a file, without batch norm; when None it is inferred from
            the shapes of the arrays, with dilations of 2, 4, 8, ...

    Raises:
        ValueError: an option is unknown, or the file's arrays do not fit; at the call: a
            picture that is neither grey nor of the network's channels, or a side that is no
            multiple of 4.
        FileNotFoundError: there is no such file.

    Reference: FIDO section 4.1, "VAE"; VDSM section 4.3.

    Example:
        >>> import jax, infillers
        >>> image = jax.random.uniform(jax.random.key(0), (28, 28, 1))
        >>> mask = jax.random.bernoulli(jax.random.key(1), 0.5, (28, 28)).astype(float)
        >>> infill = infillers.vae("mnist", latent="mean")
        >>> infill(jax.random.key(2), image, mask).shape
        (28, 28, 1)
    """
    check_name("latent", latent, ("sample", "mean"))
    path = WEIGHTS / f"vae_{weights}.npz" if weights in SHIPPED else Path(weights)
    headers = weight_files.headers(path)
    if authors.is_authors(headers):
        arrays = authors.convert(weight_files.read(path), path)
        function = weight_files.assemble(network or _inferred(path, arrays), arrays, path)
    else:
        function = weight_files.restore(path, network or _inferred(path, headers))
    kind = type(nnx.merge(*function.args))
    infill = _VAE(function, kind, latent == "sample", sample)
    return at_size(infill, size, SHIPPED.get(str(weights), 28 if kind is MnistVAE else None))


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["network"],
    meta_fields=["kind", "draw", "sample"],
)
@dataclass(frozen=True)
class _VAE:
    """The infiller; `kind`, the network's class, says how a decoder's output becomes a picture."""

    network: Callable[..., Any]
    kind: Any
    draw: bool
    sample: bool

    __repr__ = shown

    def __call__(self, key: PRNGKey, image: Image, mask: Mask) -> Image:
        height, width, channels = image.shape
        check_channels(image, self.kind.channels, "the network of vae", OTHERS)
        if height % 4 or width % 4:
            raise ValueError(
                f"image is {height} x {width}, expected multiples of 4; or give vae a size"
            )
        colours = jnp.broadcast_to(image, (height, width, self.kind.channels)).astype(jnp.float32)
        latent_key, pixel_key = jax.random.split(key)
        drawn = (latent_key,) if self.draw else ()
        decoded = self.network(colours[None], mask[None].astype(jnp.float32), *drawn)
        picture = self.kind.picture(decoded, pixel_key if self.sample else None)[0]
        return in_channels(picture, channels).astype(image.dtype)


def _inferred(
    path: Path, arrays: Mapping[str, np.ndarray] | Mapping[str, weight_files.ArrayHeader]
) -> Callable[[], nnx.Module]:
    """Infer the network from the shapes of its arrays; `assemble` then checks each array."""
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


# Cached, since `weight_files.assemble` knows a network by the function that builds it.
@functools.cache
def _mnist(width: int, latent: int) -> Callable[[], nnx.Module]:
    return lambda: MnistVAE(width, latent, norm=False, rngs=nnx.Rngs(0))


@functools.cache
def _natural(
    widths: tuple[int, int, int], latent: int, dilated: int, variance: bool
) -> Callable[[], nnx.Module]:
    dilations = tuple(2 ** (i + 1) for i in range(dilated))
    return lambda: NaturalVAE(widths, latent, dilations, variance, norm=False, rngs=nnx.Rngs(0))
