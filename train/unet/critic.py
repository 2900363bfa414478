"""The critic of patches: which pixels were drawn?"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from infillers.unet import folded


class Critic(nnx.Module):
    """Four convolutions that answer for each 8 x 8 pixels; high = real.

    Args:
        width: channels of the first convolution.
    """

    def __init__(self, width: int = 48, *, rngs: nnx.Rngs):
        self.first = nnx.Conv(12, width, (3, 3), rngs=rngs)
        self.second = nnx.Conv(4 * width, 2 * width, (3, 3), rngs=rngs)
        self.third = nnx.Conv(8 * width, 2 * width, (3, 3), rngs=rngs)
        self.last = nnx.Conv(2 * width, 1, (3, 3), rngs=rngs)

    def __call__(self, images: Float[Array, "n h w 3"]) -> Float[Array, "n h8 w8"]:
        x = 2.0 * images - 1.0
        for layer in (self.first, self.second, self.third):
            x = nnx.leaky_relu(layer(folded(x)), 0.2)
        return self.last(x)[..., 0]


def dropped_share(masks: Float[Array, "n h w"]) -> Float[Array, "n h8 w8"]:
    """Return the share of dropped pixels in each 8 x 8 pixels."""
    n, h, w = masks.shape
    return 1.0 - masks.reshape(n, h // 8, 8, w // 8, 8).mean(axis=(2, 4))


def fooling(critic: Critic, drawn: Float[Array, "n h w 3"], share: Array) -> Array:
    """Return the network's loss: the critic takes drawn patches for real ones.

    Goodfellow et al. 2014 (arXiv 1406.2661), the loss that does not saturate, over dropped pixels.
    """
    return _mean(jax.nn.softplus(-critic(drawn)), share)


def telling(
    critic: Critic, real: Float[Array, "n h w 3"], drawn: Float[Array, "n h w 3"], share: Array,
    penalty: float,
) -> Array:  # fmt: skip
    """Return the critic's loss, with a penalty on its gradient at real pictures.

    The penalty is R1 of Mescheder et al. 2018 (arXiv 1801.04406).
    """

    def total(images):
        answers = critic(images)
        return answers.sum(), answers

    (_, answers), slopes = jax.value_and_grad(total, has_aux=True)(real)
    loss = jax.nn.softplus(-answers).mean() + _mean(jax.nn.softplus(critic(drawn)), share)
    return loss + 0.5 * penalty * (slopes**2).sum(axis=(1, 2, 3)).mean()


def _mean(values: Array, weights: Array) -> Array:
    return (values * weights).sum() / jnp.maximum(weights.sum(), 1.0)
