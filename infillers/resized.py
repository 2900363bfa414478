"""An infiller at another size than the picture's."""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.core import check_count, separable
from fidojax.types import Image, Infiller, Mask, PRNGKey


def resized(infill: Infiller, size: int) -> Infiller:
    """The same infiller, working on pictures of `size` x `size` whatever the picture's size.

    Picture and mask go to that size and the infill comes back, bilinear with corners on corners;
    where the picture shrinks, the triangles widen, so that every pixel counts. The mask is
    rounded. A pixel of the resized picture is the weighted mean of the kept pixels only: nothing of
    a dropped one gets in. A picture of that size already passes untouched.

    Args:
        infill: the infiller to wrap, whose leaves become the wrapper's.
        size: side in pixels.

    Raises:
        ValueError: the size is not positive.

    Reference: FIDO's authors run CA-GAN at 256 on pictures of 224 in this way.
    """
    check_count(size=size)
    return _Resized(infill, size)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["infill"], meta_fields=["size"])
@dataclass(frozen=True)
class _Resized:
    infill: Infiller
    size: int

    def __call__(self, key: PRNGKey, image: Image, mask: Mask) -> Image:
        new = (self.size, self.size)
        if mask.shape == new:
            return self.infill(key, image, mask)
        seen = jnp.concatenate([image * mask[..., None], mask[..., None]], axis=-1)
        seen = _resize(seen, new)
        color, kept = seen[..., :-1], seen[..., -1:]
        some = kept > 1e-6
        color = jnp.clip(jnp.where(some, color / jnp.where(some, kept, 1.0), 0.0), 0.0, 1.0)
        hard = jnp.round(kept[..., 0])
        return _resize(self.infill(key, color * hard[..., None], hard), mask.shape)


def _resize(image: Image, shape: tuple[int, ...]) -> Float[Array, "rows columns c"]:
    rows, columns = (
        jnp.asarray(_triangles(old, new), image.dtype)
        for old, new in zip(image.shape[:2], shape, strict=True)
    )
    return separable(image, rows, columns)


@functools.lru_cache
def _triangles(old: int, new: int) -> np.ndarray:
    """Weights "new old" of linear interpolation, wider where it shrinks; rows sum to 1."""
    at = np.linspace(0.0, old - 1, new)[:, None]
    reach = max(1.0, (old - 1) / max(new - 1, 1))
    weights = np.maximum(0.0, 1.0 - np.abs(at - np.arange(old)) / reach)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
