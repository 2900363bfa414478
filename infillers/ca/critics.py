"""The critics of DeepFill v1 and its losses: Wasserstein on the hole, discounted reconstruction.

Yu et al., "Generative Image Inpainting with Contextual Attention", CVPR 2018 (arXiv 1801.07892),
section 3, with the constants of its authors' code (v1.0.0). Pictures are in [-1, 1], masks 1 =
keep; every picture of a batch has a mask of its own.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int

from fidojax.types import Mask, Scalar
from infillers import holes

GAMMA = 0.9
"""The discount of the reconstruction error per step from the hole's edge."""


class Hole(NamedTuple):
    """The hole of one picture, or with a first axis of each, as the losses need it.

    Attributes:
        mask: "h w", 1 = keep.
        corner: the first row and column of the local critic's patch.
        weights: "h w", the weights of the reconstruction error; they sum to at most 1.
    """

    mask: Float[Array, "*n h w"]
    corner: Int[Array, "*n 2"]
    weights: Float[Array, "*n h w"]


class Critic(nnx.Module):
    """5 x 5 convolutions of stride 2 with leaky ReLU, then one number for each picture."""

    def __init__(self, side: int, widths: tuple[int, ...], *, rngs: nnx.Rngs):
        glorot = nnx.initializers.glorot_uniform()
        convs, c_in = [], 3
        for width in widths:
            conv = nnx.Conv(c_in, width, (5, 5), 2, padding="VALID", kernel_init=glorot, rngs=rngs)
            convs.append(conv)
            c_in, side = width, -(-side // 2)
        self.convs = nnx.List(convs)
        self.out = nnx.Linear(side * side * c_in, 1, kernel_init=glorot, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w 3"]) -> Float[Array, " n"]:
        for conv in self.convs:
            x = nnx.leaky_relu(conv(_padded(x)), 0.2)
        return self.out(x.reshape(x.shape[0], -1))[:, 0]


def _padded(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
    """Pad as "SAME" does; XLA:CPU is slow for kernels larger than the unpadded input."""
    pads = [(n - 1) // 2 * 2 + 5 - n for n in x.shape[1:3]]
    x = jnp.pad(x, ((0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)))
    return lax.optimization_barrier(x)


class Critics(nnx.Module):
    """A critic of whole pictures and one of patches with half their side.

    Args:
        side: side of the pictures in pixels, even.
        width: channels of the first layers, 64 in the paper; later layers double them.
    """

    def __init__(self, side: int = 256, width: int = 64, *, rngs: nnx.Rngs):
        up = (width, 2 * width, 4 * width)
        self.whole = Critic(side, (*up, 4 * width), rngs=rngs)
        self.local = Critic(side // 2, (*up, 8 * width), rngs=rngs)


def local_patch(
    x: Float[Array, "n h w *c"], corners: Int[Array, "n 2"]
) -> Float[Array, "n h2 w2 *c"]:
    """Return the patch of half the sides at each picture's corner."""
    sizes = (x.shape[1] // 2, x.shape[2] // 2, *x.shape[3:])

    def cut(picture, corner):
        start = (corner[0], corner[1], *[0] * (picture.ndim - 2))
        return lax.dynamic_slice(picture, start, sizes)

    return jax.vmap(cut)(x, corners)


def completed(
    images: Float[Array, "n h w 3"], drawn: Float[Array, "n h w 3"], masks: Float[Array, "n h w"]
) -> Float[Array, "n h w 3"]:
    """Return the images with their holes filled from the drawn pictures."""
    kept = masks[..., None]
    return images * kept + drawn * (1.0 - kept)


def critic_loss(
    critics: Critics,
    real: Float[Array, "n h w 3"],
    fake: Float[Array, "n h w 3"],
    hole: Hole,
    between: Float[Array, " n"],
    penalty: float = 10.0,
) -> tuple[Scalar, Scalar]:
    """Return the loss of the critics, and the Wasserstein distance that they measure.

    Args:
        real: pictures in [-1, 1].
        fake: the same pictures with their holes filled.
        hole: the hole of each picture.
        between: in [0, 1], the point between real and fake at which the gradient is penalised.
        penalty: the weight of the gradient penalty.
    """
    holes_ = 1.0 - hole.mask
    pairs = (
        (critics.whole, real, fake, holes_),
        (critics.local, *(local_patch(x, hole.corner) for x in (real, fake, holes_))),
    )
    distance, slopes = jnp.zeros(()), jnp.zeros(())
    for critic, x, y, dropped in pairs:
        values = critic(jnp.concatenate([x, y]))
        distance += jnp.mean(values[: len(x)] - values[len(x) :])
        slopes += gradient_penalty(critic, x + between[:, None, None, None] * (y - x), dropped)
    return penalty * slopes - distance, distance


def gradient_penalty(
    critic: Callable, x: Float[Array, "n h w 3"], dropped: Float[Array, "n h w"]
) -> Scalar:
    """Return the mean squared difference from 1 of the gradient's norm over the hole's pixels."""
    slope = jax.grad(lambda x: jnp.sum(critic(x)))(x)
    square = jnp.sum(dropped[..., None] * slope**2, axis=(1, 2, 3))
    # A patch without a hole has norm 0, where the square root has no gradient.
    norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
    return jnp.mean((norm - 1.0) ** 2)


def adversarial_loss(
    critics: Critics, fake: Float[Array, "n h w 3"], corners: Int[Array, "n 2"]
) -> Scalar:
    """Return the adversarial part of the generator's loss."""
    return -jnp.mean(critics.whole(fake)) - jnp.mean(critics.local(local_patch(fake, corners)))


def reconstruction_loss(
    images: Float[Array, "n h w 3"],
    coarse: Float[Array, "n h w 3"],
    fine: Float[Array, "n h w 3"],
    hole: Hole,
    first: float = 1.2,
) -> tuple[Scalar, Scalar]:
    """Return the discounted L1 error in the hole and the L1 error of the known pixels.

    Args:
        coarse: pictures of the first stage.
        fine: pictures of the second stage.
        first: weight of the first stage's error.
    """
    error = first * jnp.abs(images - coarse) + jnp.abs(images - fine)
    error = jnp.mean(error, axis=-1)
    known = jnp.mean(error * hole.mask) / jnp.maximum(jnp.mean(hole.mask), 1e-6)
    return jnp.mean(jnp.sum(error * hole.weights, axis=(1, 2))), known


def box_weights(
    shape: tuple[int, int], corner: Int[Array, "2"], gamma: float = GAMMA
) -> Float[Array, "h w"]:
    """Return gamma to the steps from the edge of the box at `corner`, over the box's area.

    The box has half the sides of the picture.

    Reference: the authors' `spatial_discounting_mask`.
    """
    sides = (shape[0] // 2, shape[1] // 2)
    inside = [jnp.arange(n) - at for n, at in zip(shape, corner, strict=True)]
    rows, columns = (gamma ** jnp.minimum(i, n - i) for i, n in zip(inside, sides, strict=True))
    weights = jnp.maximum(rows[:, None], columns[None, :]) / (sides[0] * sides[1])
    return weights * (1.0 - holes.box(shape, corner[0], corner[1], sides))


def hole_weights(mask: Mask, gamma: float = GAMMA) -> Float[Array, "h w"]:
    """Return gamma to the steps from the nearest known pixel, over the area of the hole.

    Neighbours across corners are one step apart; a pixel beside a known one is 0 steps away.
    """
    dropped = 1.0 - mask

    def further(_, near):
        padded = jnp.pad(near, 1)
        rows = jnp.maximum(jnp.maximum(padded[:-2], padded[1:-1]), padded[2:])
        both = jnp.maximum(jnp.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
        return jnp.where(dropped > 0, gamma * both, 1.0)

    start = jnp.where(dropped > 0, 0.0, 1.0)
    near = lax.fori_loop(0, max(mask.shape) // 2, further, start) / gamma
    return dropped * near / jnp.maximum(jnp.sum(dropped), 1.0)
