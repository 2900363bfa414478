"""Random augmentation of one picture in [0, 1]; `jax.vmap` makes it that of a batch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luminance (ITU-R BT.601)."""


def crop(
    key: Key[Array, ""],
    image: Float[Array, "h w c"],
    size: int,
    area: tuple[float, float],
    ratio: tuple[float, float],
    method: str = "linear",
) -> Float[Array, "size size c"]:
    """Cut out a random window and resize it with antialiasing to `size` x `size`.

    Args:
        area: range of the window's area as a fraction of the image's; above 1 the border is black.
        ratio: range of width / height, drawn uniformly on a logarithmic scale.
        method: an interpolation of `jax.image.scale_and_translate`.
    """
    height, width, channels = image.shape
    key_area, key_ratio, key_place = jax.random.split(key, 3)
    side = jnp.sqrt(jax.random.uniform(key_area, minval=area[0], maxval=area[1]))
    low, high = jnp.log(jnp.asarray(ratio))
    stretch = jnp.exp(0.5 * jax.random.uniform(key_ratio, minval=low, maxval=high))
    window = side * jnp.stack([1.0 / stretch, stretch])  # height and width, 1 = the whole image
    if area[1] <= 1.0:
        window = jnp.minimum(window, 1.0)
    start = jax.random.uniform(key_place, (2,)) * (1.0 - window)
    pixels = jnp.asarray([height, width], jnp.float32)
    scale = size / (window * pixels)
    moved = jax.image.scale_and_translate(
        image, (size, size, channels), (0, 1), scale, -start * pixels * scale, method
    )
    return jnp.clip(moved, 0.0, 1.0)


def flip(key: Key[Array, ""], image: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """Mirror left and right with probability one half."""
    return jnp.where(jax.random.bernoulli(key), image[:, ::-1], image)


def colours(
    key: Key[Array, ""], image: Float[Array, "h w 3"], strength: float
) -> Float[Array, "h w 3"]:
    """Multiply brightness, contrast and saturation, each by 1 - strength .. 1 + strength."""
    factors = jax.random.uniform(key, (3,), minval=1.0 - strength, maxval=1.0 + strength)
    brightness, contrast, saturation = factors
    image = image * brightness
    grey = (image @ jnp.asarray(GREY))[..., None]
    image = contrast * (image - grey.mean()) + grey.mean()
    grey = (image @ jnp.asarray(GREY))[..., None]
    return jnp.clip(saturation * (image - grey) + grey, 0.0, 1.0)


def grey(key: Key[Array, ""], image: Float[Array, "h w 3"], rate: float) -> Float[Array, "h w 3"]:
    """Remove the colours with probability `rate`."""
    plain = jnp.broadcast_to((image @ jnp.asarray(GREY))[..., None], image.shape)
    return jnp.where(jax.random.bernoulli(key, rate), plain, image)


def blur(
    key: Key[Array, ""], image: Float[Array, "h w c"], weight: tuple[float, float]
) -> Float[Array, "h w c"]:
    """Add a random `weight` of each neighbour along both axes; a negative weight sharpens."""
    side = jax.random.uniform(key, minval=weight[0], maxval=weight[1])
    height, width, _ = image.shape
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = side * (padded[:height] + padded[2:]) + (1 - 2 * side) * padded[1:-1]
    both = side * (rows[:, :width] + rows[:, 2:]) + (1 - 2 * side) * rows[:, 1:-1]
    return jnp.clip(both, 0.0, 1.0)
