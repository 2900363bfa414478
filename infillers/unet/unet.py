"""Infill by a U-Net that draws the picture in scales, trained on masks as FIDO makes them."""

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
from infillers.channels import OTHERS, check_channels, in_channels
from infillers.unet.network import UNet

WEIGHTS = Path(__file__).parents[1] / "weights"
SHIPPED = ("imagenette",)
"""The names of the shipped weights."""


def unet(weights: str | Path = "imagenette") -> Infiller:
    """Return an infiller that draws the picture from kept pixels, coarsely first, then in detail.

    The network sees the whole picture at 64 x 64 and adds detail scale by scale, so that it takes
    pictures of any size. It sees a grey picture as three equal channels, and its infill is
    averaged. Kept pixels are the picture's.

    Args:
        weights: "imagenette" (photos, trained at 128 x 128 on masks as FIDO draws them), or an
            .npz file written by `train.unet`.

    Raises:
        ValueError: the file's arrays do not fit; at the call: a picture that has neither 1 nor 3
            channels.
        FileNotFoundError: there is no such file.

    Reference: Yu et al. 2019 (arXiv 1806.03589) for gated convolutions.

    Example:
        >>> import jax, infillers
        >>> image = jax.random.uniform(jax.random.key(0), (96, 64, 3))
        >>> mask = jax.random.bernoulli(jax.random.key(1), 0.5, (96, 64)).astype(float)
        >>> infillers.unet()(jax.random.key(2), image, mask).shape
        (96, 64, 3)
    """
    path = WEIGHTS / f"unet_{weights}.npz" if weights in SHIPPED else Path(weights)
    return _Drawn(weight_files.restore(path, _inferred(path, weight_files.headers(path))))


def _inferred(
    path: Path, arrays: Mapping[str, weight_files.ArrayHeader]
) -> Callable[[], nnx.Module]:
    """Infer the network from the number and the shapes of its arrays."""

    def width(part: str, level: str) -> int:
        found = arrays.get(f"{part}/levels/{level}/kernel")
        if found is None or len(found.shape) != 4:
            raise ValueError(f"weights {path}: expected those of a U-Net of train.unet")
        return found.shape[-1]

    parts = ("coarse", "detail")
    coarse, detail = ((width(part, "up"), width(part, "down")) for part in parts)
    blocks = sum(name.endswith("/places") for name in arrays)
    return _network(coarse, detail, blocks)


@functools.cache
def _network(
    coarse: tuple[int, int], detail: tuple[int, int], blocks: int
) -> Callable[[], nnx.Module]:
    """Return the same function for the same sizes, so that new weights do not retrace."""
    return lambda: UNet(coarse, detail, blocks, rngs=nnx.Rngs(0))


@functools.partial(jax.tree_util.register_dataclass, data_fields=["network"], meta_fields=[])
class _Drawn:
    __repr__ = shown

    def __init__(self, network: Partial) -> None:
        self.network = network

    def __call__(self, key: PRNGKey, image: Image, mask: Mask) -> Image:
        del key
        check_channels(image, 3, "the network of unet", OTHERS)
        seen = image * mask[..., None]
        rgb = jnp.broadcast_to(seen, (*image.shape[:2], 3)).astype(jnp.float32)
        drawn = self.network(rgb[None], mask.astype(jnp.float32)[None])[-1][0]
        drawn = jnp.clip(drawn, 0.0, 1.0).astype(image.dtype)
        drawn = in_channels(drawn, image.shape[-1])
        return seen + drawn * (1 - mask[..., None])
