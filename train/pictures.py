"""Labelled pictures of a TFDS folder, decoded once into one array (array_record, no tensorflow)."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


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
