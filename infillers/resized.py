"""Run an infiller at another size than the picture's."""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.core import check_count, check_name, separable
from fidojax.types import Image, Infiller, Mask, PRNGKey


def resized(infill: Infiller, size: int) -> Infiller:
    """Return the infiller at `size` x `size` for pictures of any size.

    Picture and mask are resized to that size and the infill is resized back, bilinear with aligned
    corners, and antialiased where the picture shrinks. The mask is rounded. A pixel of the resized
    picture is the weighted mean of kept pixels only. A picture of that size is not resized.

    Args:
        infill: the infiller to wrap; its leaves are the leaves of the result.
        size: side in pixels.

    Raises:
        ValueError: the size is not positive.

    Reference: FIDO's authors run CA-GAN at 256 on pictures of 224 in this way.

    Example:
        >>> import jax, infillers
        >>> image = jax.random.uniform(jax.random.key(0), (32, 32, 3))
        >>> mask = jax.random.bernoulli(jax.random.key(1), 0.5, (32, 32)).astype(float)
        >>> infill = infillers.resized(infillers.blur(), 16)
        >>> infill(jax.random.key(2), image, mask).shape
        (32, 32, 3)
    """
    check_count(size=size)
    return _Resized(infill, size)


def at_size(infill: Infiller, size: int | str | None, trained: int | None) -> Infiller:
    """Return a network's infiller at the size that its factory was asked for.

    Args:
        size: a side in pixels; "trained" for the side `trained`; None for the picture's own.
        trained: the side that the network was trained at; None if it takes any.

    Raises:
        ValueError: the size is not positive, or another word.
    """
    if isinstance(size, str):
        check_name("size", size, ("trained",))
        size = trained
    return infill if size is None else resized(infill, size)


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
    """Return the matrix "new old" of linear interpolation, antialiased; its rows sum to 1."""
    at = np.linspace(0.0, old - 1, new)[:, None]
    reach = max(1.0, (old - 1) / max(new - 1, 1))
    weights = np.maximum(0.0, 1.0 - np.abs(at - np.arange(old)) / reach)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
