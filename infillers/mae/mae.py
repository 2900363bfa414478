"""Infill by a masked autoencoder of vision transformers (ViT-MAE)."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float

from fidojax.core import shown
from fidojax.networks import IMAGENET_MEAN, IMAGENET_STD, normalised, weight_files
from fidojax.types import Image, Infiller, Mask, PRNGKey
from infillers.channels import OTHERS, check_channels, in_channels
from infillers.local import local
from infillers.mae import files
from infillers.mae.network import Sizes, ViTMAE, patches_of, picture_of
from infillers.resized import resized


def mae(
    weights: str | Path, *, norm_pix_loss: bool | None = None, composite: bool = True
) -> Infiller:
    """Return an infiller that draws pictures with a masked autoencoder from their visible patches.

    A patch is visible if at least half of its pixels are kept; its dropped pixels are filled with
    the mean of the kept ones around them (`local`, with a window of one patch). Other patches are
    drawn. ImageNet's normalisation is part of the infiller, and pictures of another size than the
    network's are resized (`resized`). The network sees a grey picture as three equal channels, and
    its infill is averaged. The infill does not depend on the key.

    A network that was trained with `norm_pix_loss` draws every patch with mean 0 and variance 1.
    The patch is given the mean and the standard deviation of the visible patches around it,
    weighted by a Gaussian of one patch, since the true ones are unknown.

    Args:
        weights: a file .safetensors, a folder with `config.json` and `model.safetensors` as
            transformers writes them, or the name of a repository of Hugging Face that is fetched,
            "facebook/vit-mae-base". A state dict of PyTorch is read, too, without running its
            pickle.
        norm_pix_loss: whether the network was trained on normalised patches; as config.json says
            when None, and False without one. MAE's authors published both kinds: their "visualize"
            weights draw pixels, those for fine-tuning ("full") draw normalised patches. Pictures in
            which each patch is flat or has the wrong brightness tell that it is wrong.
        composite: whether the infill has the picture's kept pixels, or what the network draws.

    Raises:
        ImportError: `safetensors` or `huggingface_hub` is missing (the extra `mae`).
        FileNotFoundError: there is no such file, or it cannot be fetched.
        ValueError: the file is damaged, or its arrays are those of another network; at the call: a
            picture that has neither 1 nor 3 channels.

    Reference: He et al. 2022 (arXiv 2111.06377).

    Example:
        >>> import infillers
        >>> infill = infillers.mae("facebook/vit-mae-base")  # doctest: +SKIP
        >>> drawn = infill(key, image, mask)  # doctest: +SKIP
    """
    found = files.find(weights)
    arrays = files.read(found.path)
    sizes = files.sizes_of(arrays, found)
    network = weight_files.assemble(_network(sizes), arrays, found.path)
    if norm_pix_loss is None:
        norm_pix_loss = bool(found.config.get("norm_pix_loss", False))
    return resized(_Drawn(network, sizes, norm_pix_loss, composite), sizes.side)


@functools.cache
def _network(sizes: Sizes) -> Callable[[], nnx.Module]:
    """Return the same function for the same sizes, so that new weights do not retrace."""
    return lambda: ViTMAE(sizes, rngs=nnx.Rngs(0))


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["network"],
    meta_fields=["sizes", "normalised", "composite"],
)
@dataclass(frozen=True)
class _Drawn:
    network: Partial
    sizes: Sizes
    normalised: bool
    composite: bool

    __repr__ = shown

    def __call__(self, key: PRNGKey, image: Image, mask: Mask) -> Image:
        check_channels(image, 3, "the network of mae", OTHERS)
        patch, grid = self.sizes.patch, self.sizes.grid
        keep = mask[..., None]
        # Rounded, since `local` counts the pixels of a hard mask.
        around = local(patch | 1)(key, image, jnp.round(mask))
        rgb = jnp.broadcast_to(keep * image + (1 - keep) * around, (*mask.shape, 3))
        patches = patches_of(normalised(rgb.astype(jnp.float32)[None])[0], patch)
        visible = patches_of(keep, patch).mean(axis=1) >= 0.5
        drawn = self.network(patches[None], visible[None])[0]
        if self.normalised:
            drawn = _denormalised(drawn, patches, visible, grid)
        drawn = jnp.where(visible[:, None], patches, drawn) if self.composite else drawn
        drawn = picture_of(drawn, grid, patch)
        drawn = drawn * jnp.asarray(IMAGENET_STD) + jnp.asarray(IMAGENET_MEAN)
        drawn = jnp.clip(drawn, 0.0, 1.0).astype(image.dtype)
        drawn = in_channels(drawn, image.shape[-1])
        return keep * image + (1 - keep) * drawn if self.composite else drawn


def _denormalised(
    drawn: Float[Array, "t p"],
    patches: Float[Array, "t p"],
    visible: Bool[Array, " t"],
    grid: int,
) -> Float[Array, "t p"]:
    """Scale and shift each patch by the moments of the visible patches around it."""
    distances = jnp.where(visible, jnp.asarray(_distances(grid)), jnp.inf)
    # With no visible patch: of all patches, which `local` has filled with one colour.
    distances = jnp.where(jnp.any(visible), distances, 0.0)
    weights = jax.nn.softmax(-0.5 * distances, axis=1)
    moments = jnp.stack([patches.mean(axis=1), patches.std(axis=1, ddof=1)], axis=1)
    mean, deviation = jnp.split(jnp.matmul(weights, moments, precision="highest"), 2, axis=1)
    return drawn * deviation + mean


@functools.lru_cache
def _distances(grid: int) -> np.ndarray:
    """Return the squared distances between the patches, in patches."""
    rows, columns = np.divmod(np.arange(grid * grid), grid)
    return (np.subtract.outer(rows, rows) ** 2 + np.subtract.outer(columns, columns) ** 2) * 1.0
