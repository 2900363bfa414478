"""Labelled pictures of a TFDS folder, decoded once into one array (array_record, no tensorflow)."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key


class Pictures(NamedTuple):
    """`images` uint8 "n h w c", `labels` int32 "n", `names` of the classes."""

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    def first(self, count: int) -> "Pictures":
        """The first so many."""
        return Pictures(self.images[:count], self.labels[:count], self.names)


def folder(data_dir: str | Path | None, name: str) -> Path:
    """The newest version's folder of a prepared TFDS data set, `data_dir/name/version`.

    `data_dir=None` means TFDS's own default. Raises FileNotFoundError where there is none.
    """
    root = Path(data_dir or "~/tensorflow_datasets").expanduser()
    versions = sorted((root / name).glob("*/dataset_info.json"))
    if not versions:
        raise FileNotFoundError(
            f"--data-dir {root} holds no prepared {name}: expected {name}/VERSION/dataset_info.json"
        )
    return versions[-1].parent


def read(data_dir: str | Path | None, name: str, split: str) -> Pictures:
    """All pictures of one split, in the order on disk."""
    import tensorflow_datasets as tfds

    builder: Any = tfds.builder_from_directory(folder(data_dir, name))
    source = builder.as_data_source(split)
    records = source.__getitems__(range(len(source)))
    return Pictures(
        np.stack([record["image"] for record in records]),
        np.asarray([record["label"] for record in records], np.int32),
        tuple(builder.info.features["label"].names),
    )


def both(data_dir: str | Path | None, name: str, split: str) -> tuple[Pictures, Pictures]:
    """The pictures to train on, and those of the split that is measured."""
    return read(data_dir, name, "train"), read(data_dir, name, split)


def synthetic(count: int, size: int, classes: int, seed: int) -> Pictures:
    """Stripes in noise: the class sets their colour and direction; learnable in seconds."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count).astype(np.int32)
    images = rng.integers(0, 120, (count, size, size, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        stripes = image if label < 3 else image.swapaxes(0, 1)
        stripes[::6, :, label % 3] += 130
        stripes[1::6, :, label % 3] += 130
    return Pictures(images, labels, tuple(f"class {index}" for index in range(classes)))


@lru_cache(maxsize=1)
def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch depends on seed and epoch only, so that a resumed run sees the same."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def rows(count: int, batch: int, seed: int, index: int) -> np.ndarray:
    """Which of `count` pictures make the batch of that index, over all epochs.

    An epoch's rest that fills no batch is left out.
    """
    epoch, place = divmod(index, count // batch)
    return order(count, seed, epoch)[place * batch : (place + 1) * batch]


GREY = (0.299, 0.587, 0.114)


def crop(
    key: Key[Array, ""],
    image: Float[Array, "h w c"],
    size: int,
    area: tuple[float, float],
    ratio: tuple[float, float],
    method: str = "linear",
) -> Float[Array, "size size c"]:
    """A random window of the image, resized with antialiasing to `size` x `size`.

    Args:
        area: range of the window's area, as a fraction of the image's; above 1 the border is black.
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
    """Mirrors left and right with probability one half."""
    return jnp.where(jax.random.bernoulli(key), image[:, ::-1], image)


def colours(
    key: Key[Array, ""], image: Float[Array, "h w 3"], strength: float
) -> Float[Array, "h w 3"]:
    """Brightness, contrast and saturation, each times a factor of 1 - strength .. 1 + strength."""
    factors = jax.random.uniform(key, (3,), minval=1.0 - strength, maxval=1.0 + strength)
    brightness, contrast, saturation = factors
    image = image * brightness
    grey = (image @ jnp.asarray(GREY))[..., None]
    image = contrast * (image - grey.mean()) + grey.mean()
    grey = (image @ jnp.asarray(GREY))[..., None]
    return jnp.clip(saturation * (image - grey) + grey, 0.0, 1.0)


def grey(key: Key[Array, ""], image: Float[Array, "h w 3"], rate: float) -> Float[Array, "h w 3"]:
    """Takes the colours away with probability `rate`."""
    plain = jnp.broadcast_to((image @ jnp.asarray(GREY))[..., None], image.shape)
    return jnp.where(jax.random.bernoulli(key, rate), plain, image)


def blur(
    key: Key[Array, ""], image: Float[Array, "h w c"], weight: tuple[float, float]
) -> Float[Array, "h w c"]:
    """Adds a random `weight` of each neighbour along both axes; a negative one sharpens."""
    side = jax.random.uniform(key, minval=weight[0], maxval=weight[1])
    height, width, _ = image.shape
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = side * (padded[:height] + padded[2:]) + (1 - 2 * side) * padded[1:-1]
    both = side * (rows[:, :width] + rows[:, 2:]) + (1 - 2 * side) * rows[:, 1:-1]
    return jnp.clip(both, 0.0, 1.0)
