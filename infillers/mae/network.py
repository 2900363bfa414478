"""The masked autoencoder of vision transformers, ViT-MAE.

He, Chen, Xie, Li, Dollár, Girshick, "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022
(arXiv 2111.06377), section 3. Names of arrays are this project's (`infillers.mae.files`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float


class Sizes(NamedTuple):
    """The sizes of a masked autoencoder.

    Attributes:
        side: side of the pictures in pixels.
        patch: side of a patch in pixels.
        width, heads, layers, hidden: of the encoder: channels of a token, attention heads, layers,
            channels inside a layer's MLP.
        decoder_width, decoder_heads, decoder_layers, decoder_hidden: the same of the decoder.
        biases: whether queries, keys and values have biases.
        epsilon: what layer normalisation adds to the variance.
    """

    side: int
    patch: int
    width: int
    heads: int
    layers: int
    hidden: int
    decoder_width: int
    decoder_heads: int
    decoder_layers: int
    decoder_hidden: int
    biases: bool = True
    epsilon: float = 1e-12

    @property
    def grid(self) -> int:
        """The number of patches along a side."""
        return self.side // self.patch


class Layer(nnx.Module):
    """Attention and an MLP, each behind a layer normalisation and added to the tokens."""

    def __init__(self, sizes: Sizes, width: int, heads: int, hidden: int, *, rngs: nnx.Rngs):
        def linear(c_in: int, c_out: int, bias: bool = True) -> nnx.Linear:
            return nnx.Linear(c_in, c_out, use_bias=bias, rngs=rngs)

        self.heads = heads
        self.before = nnx.LayerNorm(width, epsilon=sizes.epsilon, rngs=rngs)
        self.query = linear(width, width, sizes.biases)
        self.key = linear(width, width, sizes.biases)
        self.value = linear(width, width, sizes.biases)
        self.out = linear(width, width)
        self.after = nnx.LayerNorm(width, epsilon=sizes.epsilon, rngs=rngs)
        self.up = linear(width, hidden)
        self.down = linear(hidden, width)

    def __call__(
        self, x: Float[Array, "n t d"], visible: Bool[Array, "n t"] | None = None
    ) -> Float[Array, "n t d"]:
        """Return the tokens; those that are not visible are attended to by none."""
        n, t, width = x.shape
        y = self.before(x)
        parts = (n, t, self.heads, width // self.heads)
        q, k, v = (part(y).reshape(parts) for part in (self.query, self.key, self.value))
        mask = None if visible is None else visible[:, None, None, :]
        attended = jax.nn.dot_product_attention(q, k, v, mask=mask)
        x = x + self.out(attended.reshape(n, t, width))
        return x + self.down(jax.nn.gelu(self.up(self.after(x)), approximate=False))


class ViTMAE(nnx.Module):
    """An encoder of the visible patches and a decoder of all, from pictures to patches.

    The number of visible patches differs from mask to mask, and compiled shapes are static. So the
    encoder takes all patches and lets none attend to invisible ones; the result for the visible
    ones is that of an encoder which takes them alone, at the cost of all patches.
    """

    def __init__(self, sizes: Sizes, *, rngs: nnx.Rngs):
        self.sizes = sizes
        count, pixels = sizes.grid**2, 3 * sizes.patch**2
        width, decoder_width = sizes.width, sizes.decoder_width
        self.embed = nnx.Linear(pixels, width, rngs=rngs)
        self.cls = nnx.Param(jnp.zeros((1, 1, width)))
        self.positions = nnx.Param(jnp.zeros((1, count + 1, width)))
        shape = (width, sizes.heads, sizes.hidden)
        self.encoder = nnx.List([Layer(sizes, *shape, rngs=rngs) for _ in range(sizes.layers)])
        self.norm = nnx.LayerNorm(width, epsilon=sizes.epsilon, rngs=rngs)
        self.to_decoder = nnx.Linear(width, decoder_width, rngs=rngs)
        self.mask_token = nnx.Param(jnp.zeros((1, 1, decoder_width)))
        self.decoder_positions = nnx.Param(jnp.zeros((1, count + 1, decoder_width)))
        shape = (decoder_width, sizes.decoder_heads, sizes.decoder_hidden)
        self.decoder = nnx.List(
            [Layer(sizes, *shape, rngs=rngs) for _ in range(sizes.decoder_layers)]
        )
        self.decoder_norm = nnx.LayerNorm(decoder_width, epsilon=sizes.epsilon, rngs=rngs)
        self.pixels = nnx.Linear(decoder_width, pixels, rngs=rngs)

    def __call__(
        self, patches: Float[Array, "n t p"], visible: Bool[Array, "n t"]
    ) -> Float[Array, "n t p"]:
        """Return the decoder's patches.

        Args:
            patches: pixels of the patches, less ImageNet's mean over its standard deviation, in
                rows, columns and channels; the grid's patches row by row.
            visible: the patches that the encoder sees.
        """
        positions = self.positions[...]
        x = self.embed(patches) + positions[:, 1:]
        cls = jnp.broadcast_to(self.cls[...] + positions[:, :1], (len(x), 1, x.shape[2]))
        x = jnp.concatenate([cls, x], axis=1)
        seen = jnp.pad(visible, ((0, 0), (1, 0)), constant_values=True)
        for layer in self.encoder:
            x = layer(x, seen)
        x = self.to_decoder(self.norm(x))
        x = jnp.where(seen[..., None], x, self.mask_token[...]) + self.decoder_positions[...]
        for layer in self.decoder:
            x = layer(x)
        return self.pixels(self.decoder_norm(x))[:, 1:]


def patches_of(values: Float[Array, "h w c"], patch: int) -> Float[Array, "t p"]:
    """Cut a picture into its patches, row by row; each has its pixels in "rows columns c"."""
    h, w, c = values.shape
    cut = values.reshape(h // patch, patch, w // patch, patch, c).transpose(0, 2, 1, 3, 4)
    return cut.reshape(-1, patch * patch * c)


def picture_of(patches: Float[Array, "t p"], grid: int, patch: int) -> Float[Array, "h w c"]:
    """Put patches together: the inverse of `patches_of` for a square grid."""
    cut = patches.reshape(grid, grid, patch, patch, -1).transpose(0, 2, 1, 3, 4)
    return cut.reshape(grid * patch, grid * patch, -1)
