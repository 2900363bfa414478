"""A picture from its kept pixels, in scales: a coarse picture of the whole, then details.

The coarse network sees the whole picture at 64 x 64 and draws all of it. The second network takes
a picture of about half the size, or the coarse one, and adds detail. It is applied again until the
size is reached, with the same weights at each scale: 64, 128; or 64, 120, 224.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from infillers.resampling import enlarge, shrink_kept
from infillers.unet.blocks import Bottom, Features, Level, folded, unfolded

COARSE = 64
"""Side of the coarse picture in pixels."""

STRIDE = 8
"""A size at which the second network runs is a multiple of it."""

SEEN = 7
"""Channels of what a network sees: the picture with its holes filled, the filling, the mask."""

PAINT = 8
"""Channels of each pixel before the last convolution."""

Pictures = Float[Array, "n h w 3"]
Kept = Float[Array, "n h w 1"]


def _alike(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Draw the same weights for each of 4 x 4 pixels, so that training starts without a lattice.

    Aitken et al. 2017 (arXiv 1707.02937).
    """
    one = nnx.initializers.lecun_normal()(key, (*shape[:-1], shape[-1] // 16), dtype)
    return jnp.tile(one, 16)


class Draw(nnx.Module):
    """A U-Net whose first level sees 4 x 4 pixels as one; what it draws is added to a picture.

    Args:
        levels: the first level.
        channels: of the first level.
    """

    def __init__(self, levels: nnx.Module, channels: int, *, rngs: nnx.Rngs):
        self.enter = nnx.Conv(16 * SEEN, channels, (3, 3), rngs=rngs)
        self.levels = levels
        self.norm = nnx.RMSNorm(channels, rngs=rngs)
        self.leave = nnx.Conv(channels, 16 * PAINT, (1, 1), kernel_init=_alike, rngs=rngs)
        self.paint = nnx.Conv(
            PAINT + SEEN, 3, (3, 3), kernel_init=nnx.initializers.normal(0.01), rngs=rngs
        )

    def __call__(self, seen: Features) -> Float[Array, "n h w 3"]:
        features = self.leave(self.norm(self.levels(self.enter(folded(folded(seen))))))
        features = without_seams(unfolded(unfolded(features)))
        # A fifth, since the optimiser moves all weights alike, and these change every pixel.
        return 0.2 * self.paint(jnp.concatenate([features, seen], axis=-1))


def without_seams(x: Features) -> Features:
    """Smooth by a kernel that takes out all that repeats every 4 pixels, and little else.

    The kernel 1 2 2 2 1 is the mean of two pixels of the mean of four; it is applied to the rows
    and to the columns. A lattice of the 4 x 4 pixels that were one cannot pass.
    """
    for axis in (1, 2):
        pad = [(0, 0)] * x.ndim
        pad[axis] = (2, 2)
        around, size = jnp.pad(x, pad, mode="edge"), x.shape[axis]
        taken = [jax.lax.slice_in_dim(around, at, at + size, axis=axis) for at in range(5)]
        x = (taken[0] + 2.0 * (taken[1] + taken[2] + taken[3]) + taken[4]) / 8.0
    return x


class UNet(nnx.Module):
    """Both networks.

    Args:
        coarse: channels of the coarse network at 16 and at 8 pixels a side.
        detail: channels of the second network at a quarter and an eighth of the size.
        blocks: attention blocks of the coarse network at 8 x 8.
    """

    def __init__(
        self,
        coarse: tuple[int, int] = (96, 160),
        detail: tuple[int, int] = (64, 96),
        blocks: int = 3,
        *,
        rngs: nnx.Rngs,
    ):
        first, second = coarse
        bottom = Bottom(second, blocks, COARSE // 8, rngs=rngs)
        self.coarse = Draw(Level(first, (2, 3), bottom, second, rngs=rngs), first, rngs=rngs)
        first, second = detail
        bottom = Bottom(second, 2, None, rngs=rngs)
        self.detail = Draw(Level(first, (1, 1), bottom, second, rngs=rngs), first, rngs=rngs)

    def __call__(
        self, images: Pictures, masks: Float[Array, "n h w"], scales: int | None = None
    ) -> list[Float[Array, "n _ _ 3"]]:
        """Return the drawn pictures by scale, the last at the size of `images`.

        Dropped pixels of the images are not looked at; where a mask is 1, a drawn picture has the
        image's colours, but for what a scale smaller than the image's averages.

        Args:
            images: values in [0, 1].
            masks: 1 = keep, 0 = drop.
            scales: the number of scales to draw, from the coarsest on; None for all.
        """
        rows, columns = images.shape[1:3]
        pad = ((0, 0), (0, -rows % STRIDE), (0, -columns % STRIDE))
        images, masks = jnp.pad(images, (*pad, (0, 0))), jnp.pad(masks, pad)
        found = []
        for size in sizes((images.shape[1], images.shape[2]))[:scales]:
            seen, known = shrunk(images, masks, size)
            if found:
                rough = enlarged(found[-1], size)
                base = rough + continued(seen - rough, known, halvings=3)
                network = self.detail
            else:
                base = 0.5 + continued(seen - 0.5, known, halvings=6)
                network = self.coarse
            mixed = known * seen + (1.0 - known) * base
            change = network(jnp.concatenate([mixed, base, known], axis=-1) - 0.5)
            found.append(mixed + (1.0 - known) * change)
        if scales is None:
            found[-1] = found[-1][:, :rows, :columns]
        return found


def sizes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the sizes of the scales, from `COARSE` to `shape`, each at most about twice the last.

    All but the last are multiples of `STRIDE`.
    """
    steps = max(1, math.ceil(math.log2(max(shape) / COARSE) - 0.05))
    found = [(COARSE, COARSE)]
    for step in range(1, steps):
        rows, columns = (COARSE * (side / COARSE) ** (step / steps) for side in shape)
        found.append((_multiple(rows), _multiple(columns)))
    return [*found, shape]


def _multiple(side: float) -> int:
    return STRIDE * max(1, round(side / STRIDE))


def shrunk(
    images: Pictures, masks: Float[Array, "n h w"], size: tuple[int, int]
) -> tuple[Float[Array, "n rows columns 3"], Float[Array, "n rows columns 1"]]:
    """Return `shrink_kept` of each picture."""
    colours, share = jax.vmap(lambda image, mask: shrink_kept(image, mask, size))(images, masks)
    return colours, share[..., None]


def enlarged(images: Pictures, size: tuple[int, int]) -> Float[Array, "n rows columns 3"]:
    """Return `enlarge` of each picture."""
    return jax.vmap(lambda image: enlarge(image, size))(images)


def continued(values: Pictures, share: Kept, halvings: int) -> Pictures:
    """Continue the values of kept pixels smoothly into the holes, and towards 0 far from them.

    Each dropped pixel is about the mean of its four neighbours: a coarse solution of Laplace's
    equation. It is found at a smaller size first, and improved by `SWEEPS` of Jacobi's at each.

    Args:
        values: the sides are multiples of 2 ** halvings.
        share: of each pixel that is kept.
        halvings: number of smaller sizes; it limits how far values reach.
    """
    start = jnp.where(share > 0, values, 0.0)
    if halvings:
        n, rows, columns = values.shape[:3]
        pooled = jnp.concatenate([values * share, share], axis=-1)
        pooled = pooled.reshape(n, rows // 2, 2, columns // 2, 2, 4).mean(axis=(2, 4))
        means, weight = pooled[..., :3], pooled[..., 3:]
        means = jnp.where(weight > 0, means / jnp.where(weight > 0, weight, 1.0), 0.0)
        # A mean of a few pixels is worth less than the mean of what lies around.
        outer = continued(means, jnp.minimum(1.0, 2.0 * weight), halvings - 1)
        start = enlarged(outer, (rows, columns))

    def sweep(_: Any, found: Pictures) -> Pictures:
        return share * values + (1.0 - share) * _neighbours(found)

    return jax.lax.fori_loop(0, SWEEPS, sweep, start)


SWEEPS = 16
"""Sweeps of Jacobi's method at each size."""


def _neighbours(x: Pictures) -> Pictures:
    """Return the mean of each pixel's four neighbours; beyond the border lies the border."""
    around = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = around[:, :-2, 1:-1] + around[:, 2:, 1:-1]
    return 0.25 * (rows + around[:, 1:-1, :-2] + around[:, 1:-1, 2:])
