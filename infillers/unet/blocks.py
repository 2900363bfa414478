"""The parts of the U-Net's two networks."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

Features = Float[Array, "n h w c"]


class Gated(nnx.Module):
    """A residual block with a gated convolution (Yu et al. 2019, arXiv 1806.03589).

    The gate learns where features are to be believed: beside a hole, or far inside it.
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        self.norm = nnx.RMSNorm(channels, rngs=rngs)
        self.conv = nnx.Conv(channels, 2 * channels, (3, 3), rngs=rngs)
        self.project = nnx.Conv(channels, channels, (1, 1), kernel_init=_SMALL, rngs=rngs)

    def __call__(self, x: Features) -> Features:
        features, gate = jnp.split(self.conv(self.norm(x)), 2, axis=-1)
        return x + self.project(nnx.leaky_relu(features) * nnx.sigmoid(gate))


class Attention(nnx.Module):
    """A residual block in which every position attends to all, with a learned embedding of each.

    Args:
        side: rows and columns of its input.
    """

    def __init__(self, channels: int, side: int, heads: int = 4, *, rngs: nnx.Rngs):
        self.norm = nnx.RMSNorm(channels, rngs=rngs)
        self.places = nnx.Param(0.02 * jax.random.normal(rngs.params(), (side, side, channels)))
        self.mixed = nnx.Linear(channels, 3 * channels, rngs=rngs)
        self.project = nnx.Linear(channels, channels, kernel_init=_SMALL, rngs=rngs)
        self.heads = heads

    def __call__(self, x: Features) -> Features:
        n, h, w, c = x.shape
        mixed = self.mixed(self.norm(x) + self.places[...])
        queries, keys, values = jnp.unstack(
            mixed.reshape(n, h * w, 3, self.heads, c // self.heads), axis=2
        )
        found = jax.nn.dot_product_attention(queries, keys, values)
        return x + self.project(found.reshape(x.shape))


class Bottom(nnx.Module):
    """The lowest level: gated blocks, with attention after each where the size is fixed.

    Args:
        side: rows and columns of its input; None for any, without attention.
    """

    def __init__(self, channels: int, blocks: int, side: int | None, *, rngs: nnx.Rngs):
        layers: list[nnx.Module] = []
        for _ in range(blocks):
            layers.append(Gated(channels, rngs=rngs))
            if side is not None:
                layers.append(Attention(channels, side, rngs=rngs))
        self.layers = nnx.List(layers)

    def __call__(self, x: Features) -> Features:
        for layer in self.layers:
            x = layer(x)
        return x


class Level(nnx.Module):
    """Gated blocks before and after the level below, which sees half the size.

    Args:
        blocks: their number before, and after.
        below: the level below.
        inner: its channels.
    """

    def __init__(
        self,
        channels: int,
        blocks: tuple[int, int],
        below: nnx.Module,
        inner: int,
        *,
        rngs: nnx.Rngs,
    ):
        before, after = blocks
        self.before = nnx.List([Gated(channels, rngs=rngs) for _ in range(before)])
        self.down = nnx.Conv(4 * channels, inner, (1, 1), rngs=rngs)
        self.below = below
        self.up = nnx.Conv(inner, channels, (1, 1), rngs=rngs)
        self.after = nnx.List([Gated(channels, rngs=rngs) for _ in range(after)])

    def __call__(self, x: Features) -> Features:
        for block in self.before:
            x = block(x)
        # Enlarged by nearest pixels: a strided kernel would draw a lattice.
        x = x + self.up(self.below(self.down(folded(x)))).repeat(2, axis=1).repeat(2, axis=2)
        for block in self.after:
            x = block(x)
        return x


def folded(x: Features) -> Float[Array, "n h2 w2 c4"]:
    """Stack each 2 x 2 pixels into channels."""
    n, h, w, c = x.shape
    blocks = x.reshape(n, h // 2, 2, w // 2, 2, c).swapaxes(2, 3)
    return blocks.reshape(n, h // 2, w // 2, 4 * c)


def unfolded(x: Features) -> Float[Array, "n h2 w2 c4"]:
    """Return 2 x 2 pixels from the channels of each."""
    n, h, w, c = x.shape
    blocks = x.reshape(n, h, w, 2, 2, c // 4).swapaxes(2, 3)
    return blocks.reshape(n, 2 * h, 2 * w, c // 4)


_SMALL = nnx.initializers.variance_scaling(0.02, "fan_in", "normal")
"""Of the last layer of a block, so that at first a block changes little."""
