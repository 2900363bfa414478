"""The parts of both variational autoencoders: layers, the latent, the encoder's input."""

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
        """Return a sample, differentiable in the mean and the log-variance."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.exp(0.5 * self.log_variance) * noise

    def divergence(self) -> Float[Array, " n"]:
        """Return KL(this || N(0, I)) of each picture in nats, summed over the components."""
        mean, log_variance = self
        each = 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance)
        return each.sum((1, 2, 3))


def seen(images: Float[Array, "n h w c"], masks: Float[Array, "n h w"]) -> Any:
    """Return the input of an encoder: the kept pixels, and a channel that is 1 where dropped."""
    masks = masks[..., None].astype(images.dtype)
    return jnp.concatenate([images * masks, 1.0 - masks], axis=-1)


class Conv(nnx.Conv):
    """A convolution with equal zero padding on both sides at any stride, as in PyTorch."""

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

    The kernel is (4, 4, in, out) in `lax.conv_transpose`'s layout, PyTorch's mirrored. The layer is
    computed as a matrix product, since the gradients of a transposed convolution take ten times as
    long on a core of the CPU.
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
    """A scale and a shift per channel: trained batch norm.

    It follows the ReLU and precedes zero padding, so that it folds into neither convolution.
    """

    def __init__(self, channels: int):
        self.scale = nnx.Param(jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Any) -> Any:
        return x * self.scale[...] + self.bias[...]


class Layer(nnx.Module):
    """A convolution, then ReLU, then batch norm (`norm=True`) or its `Affine` (`norm=False`)."""

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
    """Layers down to a latent, and up to the decoder's output for each pixel."""

    down: nnx.List
    latent: Conv
    up: nnx.List
    pixels: Conv | Up

    def encode(
        self, images: Float[Array, "n h w c"], masks: Float[Array, "n h w"], *, train: bool = False
    ) -> Latent:
        """Return the distribution of the latent, "n h/4 w/4 latent", for pictures in [0, 1]."""
        x = seen(images, masks)
        for layer in self.down:
            x = layer(x, train)
        return Latent(*jnp.split(self.latent(x), 2, axis=-1))

    def decode(
        self, latent: Float[Array, "n a b k"], *, train: bool = False
    ) -> Float[Array, "n h w p"]:
        """Return the decoder's output for each pixel, given a sample of the latent."""
        for layer in self.up:
            latent = layer(latent, train)
        return self.pixels(latent)

    def __call__(self, images: Images, masks: Any, key: PRNGKey | None = None) -> Any:
        """Return the decoder's output for a sample of the latent, or for its mean without a key."""
        latent = self.encode(images, masks)
        return self.decode(latent.mean if key is None else latent.sample(key))
