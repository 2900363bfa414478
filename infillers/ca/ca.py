"""Infill by the contextual attention GAN: FIDO's "CA", the infill of its main results."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jax.tree_util import Partial

from fidojax.core import shown
from fidojax.networks import weight_files
from fidojax.types import Image, Infiller, Mask, PRNGKey
from infillers.ca.generator import DECODER, Generator, encoder
from infillers.channels import OTHERS, check_channels, in_channels
from infillers.resized import at_size

WEIGHTS = Path(__file__).parents[1] / "weights"

SHIPPED = {"tiny_imagenet40": 64}
"""The side in pixels of the pictures that each shipped network was trained on."""


def ca(
    weights: str | Path = "tiny_imagenet40",
    *,
    composite: bool = True,
    size: int | str | None = "trained",
    network: Callable[[], nnx.Module] | None = None,
) -> Infiller:
    """Return an infiller that draws pictures with the contextual attention GAN from kept pixels.

    The network sees a grey picture as three equal channels, and its infill is averaged. The weights
    that Yu et al. published expect and draw BGR; those of `train.ca_gan` are RGB. Unlike FIDO's
    wrapper it does not round colours to 8 bits.

    Args:
        weights: "tiny_imagenet40" (64 x 64), or an .npz file written by `train.ca_gan`.
        composite: whether the infill has the picture's kept pixels, as in the code of FIDO's
            authors, or what the network draws there.
        size: the side at which the network runs; `resized` handles pictures of other sizes.
            "trained" for the side of the training pictures (the picture's own size for a file),
            None for the picture's own size, a multiple of 8.
        network: builds the network of a file; when None it is inferred from the shapes of the
            arrays, with dilations of 2, 4, 8, ... and the authors' attention.

    Raises:
        ValueError: an option is unknown, or the file's arrays do not fit; at the call: a picture
            that has neither 1 nor 3 channels, or a side that is no multiple of 8.
        FileNotFoundError: there is no such file.

    Reference: FIDO section 4.1, "CA"; Yu et al. 2018 (arXiv 1801.07892).

    Example:
        >>> import jax, infillers
        >>> image = jax.random.uniform(jax.random.key(0), (64, 64, 3))
        >>> mask = jax.random.bernoulli(jax.random.key(1), 0.5, (64, 64)).astype(float)
        >>> infill = infillers.ca(composite=False)
        >>> infill(jax.random.key(2), image, mask).shape
        (64, 64, 3)
    """
    path = WEIGHTS / f"ca_{weights}.npz" if weights in SHIPPED else Path(weights)
    network = network or _inferred(path, weight_files.headers(path))
    generator = weight_files.restore(path, network)
    return at_size(_Drawn(generator, composite), size, SHIPPED.get(str(weights)))


def _inferred(
    path: Path, arrays: Mapping[str, weight_files.ArrayHeader]
) -> Callable[[], nnx.Module]:
    """Infer the network from the number and the shapes of its arrays."""
    first = arrays.get("coarse/stack/convs/0/kernel")
    if first is None or not first.shape:
        raise ValueError(f"weights {path}: expected those of a contextual attention generator")
    layers = len({name for name in arrays if name.startswith("coarse/stack/convs/")}) // 2
    return _network(first.shape[-1], layers - len(encoder(2, 4)) - len(DECODER))


@functools.cache
def _network(width: int, dilated: int) -> Callable[[], nnx.Module]:
    """Return the same function for the same sizes, so that new weights do not retrace."""
    dilations = tuple(2 ** (i + 1) for i in range(dilated))
    return lambda: Generator(width, dilations, rngs=nnx.Rngs(0))


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["network"], meta_fields=["composite"]
)
class _Drawn:
    __repr__ = shown

    def __init__(self, network: Partial, composite: bool) -> None:
        self.network, self.composite = network, composite

    def __call__(self, key: PRNGKey, image: Image, mask: Mask) -> Image:
        del key
        check_channels(image, 3, "the network of ca", OTHERS)
        seen = image * mask[..., None]
        rgb = jnp.broadcast_to(seen, (*image.shape[:2], 3)).astype(jnp.float32)
        _, drawn = self.network((2.0 * rgb - 1.0)[None], mask.astype(jnp.float32)[None])
        drawn = (0.5 * drawn[0] + 0.5).astype(image.dtype)
        drawn = in_channels(drawn, image.shape[-1])
        return seen + drawn * (1 - mask[..., None]) if self.composite else drawn
