"""What both variational autoencoders are made of: layers, the latent, what is fed in."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fidojax.types import Images, PRNGKey


class Latent(NamedTuple):
    """A Gaussian with independent components, `mean` and `log_variance` "n h w k"."""

    mean: Float[Array, "n h w k"]
    log_variance: Float[Array, "n h w k"]

    def sample(self, key: PRNGKey) -> Float[Array, "n h w k"]:
        """mean + sigma * noise, differentiable in both."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.exp(0.5 * self.log_variance) * noise

    def divergence(self) -> Float[Array, " n"]:
        """KL(this || N(0, I)) in nats, summed over the components of each picture."""
        mean, log_variance = self
        each = 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance)
        return each.sum((1, 2, 3))


def seen(images: Float[Array, "n h w c"], masks: Float[Array, "n h w"]) -> Any:
    """The input of an encoder: the kept pixels, and a channel that is 1 where one is dropped."""
    masks = masks[..., None].astype(images.dtype)
    return jnp.concatenate([images * masks, 1.0 - masks], axis=-1)


class Conv(nnx.Conv):
    """A convolution that pads by zeros on both sides alike, as PyTorch does at any stride."""

    def __init__(
        self, c_in: int, c_out: int, side: int = 3, stride: int = 1, dilation: int = 1, *, rngs: Any
    ):
        pad = dilation * (side // 2)
        super().__init__(
            c_in,
            c_out,
            (side, side),
            stride,
            padding=((pad, pad), (pad, pad)),
            kernel_dilation=dilation,
            rngs=rngs,
        )


class Up(nnx.Module):
    """The transposed convolution of side 4 and stride 2 that doubles the height and width.

    In `lax.conv_transpose`'s layout: the kernel is (4, 4, in, out), and PyTorch's, mirrored.

    Written as a product of matrices, since XLA:CPU has no good path for the gradients of a
    transposed convolution: on one core they take ten times as long.
    """

    def __init__(self, c_in: int, c_out: int, *, rngs: nnx.Rngs):
        # Each pixel sees 4 of the 16 taps.
        init = nnx.initializers.variance_scaling(4.0, "fan_in", "truncated_normal")
        self.kernel = nnx.Param(init(rngs.params(), (4, 4, c_in, c_out)))
        self.bias = nnx.Param(jnp.zeros(c_out))

    def __call__(self, x: Float[Array, "n h w a"]) -> Float[Array, "n h2 w2 b"]:
        n, h, w, c_in = x.shape
        # Output (2i + a, 2j + b) is the sum over (u, v) in {0, 1}^2 of the taps (2u + a, 2v + b)
        # at the input (i + a + u - 1, j + b + v - 1).
        taps = self.kernel[...].reshape(2, 2, 2, 2, c_in, -1)
        taps = taps.transpose(0, 2, 4, 1, 3, 5).reshape(4 * c_in, -1)
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = jnp.concatenate(
            [x[:, u : u + h + 1, v : v + w + 1] for u in (0, 1) for v in (0, 1)], -1
        )
        y = (x @ taps).reshape(n, h + 1, w + 1, 2, 2, -1)
        rows = [[y[:, a : a + h, b : b + w, a, b] for b in (0, 1)] for a in (0, 1)]
        y = jnp.stack([jnp.stack(row, axis=3) for row in rows], axis=2)
        return y.reshape(n, 2 * h, 2 * w, -1) + self.bias[...]


class Affine(nnx.Module):
    """What batch norm is once it is trained: a scale and a shift per channel.

    It follows the relu, and what comes next pads by zeros, so it fits into neither.
    """

    def __init__(self, channels: int):
        self.scale = nnx.Param(jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Any) -> Any:
        return x * self.scale[...] + self.bias[...]


class Layer(nnx.Module):
    """Convolution, then relu, then batch norm (`norm=True`) or its `Affine`."""

    def __init__(self, conv: Conv | Up, *, norm: bool, rngs: nnx.Rngs):
        bias: Any = conv.bias  # optional in the types only
        channels = bias[...].shape[0]
        self.conv = conv
        self.norm = nnx.BatchNorm(channels, momentum=0.9, rngs=rngs) if norm else Affine(channels)

    def __call__(self, x: Any, train: bool) -> Any:
        x = nnx.relu(self.conv(x))
        if isinstance(self.norm, nnx.BatchNorm):
            return self.norm(x, use_running_average=not train)
        return self.norm(x)

    def fold_into(self, plain: Any) -> None:
        """Set the scale and the shift of the layer without batch norm."""
        norm: Any = self.norm  # its arrays are optional in the types only
        gain = norm.scale[...] / jnp.sqrt(norm.var[...] + norm.epsilon)
        plain.norm.scale.set_value(gain)
        plain.norm.bias.set_value(norm.bias[...] - norm.mean[...] * gain)


class Autoencoder(nnx.Module):
    """Layers down to a latent, and up again to what the decoder says of each pixel."""

    down: nnx.List
    latent: Conv
    up: nnx.List
    pixels: Conv | Up

    def encode(
        self, images: Float[Array, "n h w c"], masks: Float[Array, "n h w"], *, train: bool = False
    ) -> Latent:
        """Pictures in [0, 1] and masks -> the latent's distribution, "n h/4 w/4 latent"."""
        x = seen(images, masks)
        for layer in self.down:
            x = layer(x, train)
        return Latent(*jnp.split(self.latent(x), 2, axis=-1))

    def decode(
        self, latent: Float[Array, "n a b k"], *, train: bool = False
    ) -> Float[Array, "n h w p"]:
        """A sample of the latent -> what the class says of each pixel."""
        for layer in self.up:
            latent = layer(latent, train)
        return self.pixels(latent)

    def __call__(self, images: Images, masks: Any, key: PRNGKey | None = None) -> Any:
        """The decoder's output for one sample of the latent, or for its mean without a key."""
        latent = self.encode(images, masks)
        return self.decode(latent.mean if key is None else latent.sample(key))
