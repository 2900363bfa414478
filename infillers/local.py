"""Infill with the mean of the kept neighbours: FIDO's "Local"."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.core import shown
from fidojax.networks import IMAGENET_MEAN
from fidojax.types import Image, Infiller, Mask, PRNGKey
from infillers.mean import in_channels


def local(window: int = 15, color: float | tuple[float, ...] | None = None) -> Infiller:
    """Return an infiller with the mean of the kept pixels in a square window around each pixel.

    It reads kept pixels only. Where the window has no kept pixel, the infill is `color`.

    Args:
        window: side of the window in pixels, odd.
        color: in [0, 1], one number or one per channel; ImageNet's mean when None, which is the
            authors' 0 after normalisation.

    Raises:
        ValueError: the window is not an odd positive number.

    Reference: FIDO section 4.1, "Local".

    Example:
        >>> import jax, infillers
        >>> image = jax.random.uniform(jax.random.key(0), (32, 32, 3))
        >>> mask = jax.random.bernoulli(jax.random.key(1), 0.5, (32, 32)).astype(float)
        >>> infill = infillers.local(window=9)
        >>> infill(jax.random.key(2), image, mask).shape
        (32, 32, 3)
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window is {window}, expected an odd positive number of pixels")
    return _Local(window, jnp.asarray(IMAGENET_MEAN if color is None else color, jnp.float32))


@functools.partial(jax.tree_util.register_dataclass, data_fields=["color"], meta_fields=["window"])
class _Local:
    __repr__ = shown

    def __init__(self, window: int, color: Float[Array, "..."]) -> None:
        self.window, self.color = window, color

    def __call__(self, key: PRNGKey, image: Image, mask: Mask) -> Image:
        del key
        rows, columns = (
            jnp.asarray(_box_matrix(n, self.window), image.dtype) for n in image.shape[:2]
        )
        seen = jnp.concatenate([image * mask[..., None], mask[..., None]], axis=-1)
        sums = jnp.einsum("ia,jb,abc->ijc", rows, columns, seen, precision="highest")
        total, count = sums[..., :-1], sums[..., -1:]
        # The sums of a hard mask are whole numbers up to rounding.
        empty = count < 0.5
        average = total / jnp.where(empty, 1.0, count)
        return jnp.where(empty, in_channels(self.color, image), average)


@functools.lru_cache
def _box_matrix(size: int, window: int) -> np.ndarray:
    at = np.arange(size)
    return (np.abs(at[:, None] - at[None, :]) <= window // 2).astype(np.float32)
