"""Run an infiller at another size than the picture's."""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from fidojax.core import check_count, check_name, shown
from fidojax.types import Image, Infiller, Mask, PRNGKey
from infillers.resampling import enlarge, shrink_kept


def resized(
    infill: Infiller, size: int, *, enough: float = 0.05, composite: bool | None = None
) -> Infiller:
    """Return the infiller at `size` x `size` for pictures of any size.

    A pixel of the resized picture is the mean of the kept pixels in the square that it covers
    (`infillers.resampling`), and is kept if they cover enough of it. So the infiller sees a thin
    kept line and scattered kept pixels in their own colours, and a hole thinner than a coarse pixel
    as the mean of its surroundings. Where a side of the picture is shorter than `size`, the picture
    is enlarged. The infill is resized back by cubic convolution and clipped to [0, 1]. A picture of
    that size is not resized.

    Args:
        infill: the infiller to wrap; its leaves are the leaves of the result.
        size: side in pixels.
        enough: a coarse pixel is kept where more than this share of its area is kept.
        composite: whether the result has the picture's kept pixels exactly, and the infiller draws
            only the dropped coarse pixels. None: as the infiller's attribute `composite` says,
            False where it has none.

    Raises:
        ValueError: the size is not positive, or `enough` is not in [0, 1).

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
    if not 0 <= enough < 1:
        raise ValueError(f"enough is {enough}, expected a share of the area in [0, 1)")
    if composite is None:
        composite = bool(getattr(infill, "composite", False))
    return _Resized(infill, size, enough, composite)


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


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["infill"],
    meta_fields=["size", "enough", "composite"],
)
@dataclass(frozen=True)
class _Resized:
    infill: Infiller
    size: int
    enough: float
    composite: bool

    __repr__ = shown

    def __call__(self, key: PRNGKey, image: Image, mask: Mask) -> Image:
        new = (self.size, self.size)
        if mask.shape == new:
            drawn = self.infill(key, image, mask)
        else:
            color, share = shrink_kept(image, mask, new)
            kept = (share > self.enough).astype(mask.dtype)
            color = jnp.clip(color, 0.0, 1.0) * kept[..., None]
            drawn = self.infill(key, color, kept)
            if self.composite:
                drawn = _composited(color, kept, drawn)
            drawn = jnp.clip(enlarge(drawn, image.shape[:2]), 0.0, 1.0)
        return _composited(image, mask, drawn) if self.composite else drawn


def _composited(image: Image, mask: Mask, drawn: Image) -> Image:
    keep = mask[..., None]
    return keep * image + (1 - keep) * drawn
