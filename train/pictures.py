"""Labelled pictures of a TFDS folder, decoded into one array, and the order of their batches."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fidojax.data import BadPicture, import_tfds, pictures


class Pictures(NamedTuple):
    """Pictures with their classes.

    Attributes:
        images: uint8 "n h w c".
        labels: int32 "n".
        names: the classes by label.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    def first(self, count: int) -> "Pictures":
        """Return the first `count` pictures."""
        return Pictures(self.images[:count], self.labels[:count], self.names)

    def split(self, count: int, seed: int) -> tuple["Pictures", "Pictures"]:
        """Return all pictures but `count` drawn at random, and those."""
        order = np.random.default_rng(seed).permutation(len(self.labels))
        some, rest = np.sort(order[count:]), order[:count]
        return (
            Pictures(self.images[some], self.labels[some], self.names),
            Pictures(self.images[rest], self.labels[rest], self.names),
        )


def folder(data_dir: str | Path | None, name: str) -> Path:
    """Return the folder of a prepared TFDS data set's newest version, `data_dir/name/version`.

    Args:
        data_dir: TFDS's own default if None.
        name: the data set.

    Raises:
        FileNotFoundError: the data set is not prepared there.
    """
    root = Path(data_dir or "~/tensorflow_datasets").expanduser()
    versions = sorted((root / name).glob("*/dataset_info.json"))
    if not versions:
        raise FileNotFoundError(
            f"--data-dir {root} holds no prepared {name}: expected {name}/VERSION/dataset_info.json"
        )
    return versions[-1].parent


def read(data_dir: str | Path | None, name: str, split: str) -> Pictures:
    """Read all pictures of one split, in the order on disk, from array_record files."""
    builder: Any = import_tfds().builder_from_directory(folder(data_dir, name))
    source = builder.as_data_source(split)
    records = source.__getitems__(range(len(source)))
    return Pictures(
        np.stack([record["image"] for record in records]),
        np.asarray([record["label"] for record in records], np.int32),
        tuple(builder.info.features["label"].names),
    )


def read_folder(data_dir: str | Path | None, side: int) -> Pictures:
    """Read a folder of folders of pictures, one per class, cut and resized to `side` x `side`.

    Raises:
        ValueError: there is no picture in a folder of a folder, or one cannot be read.
    """
    root = Path(data_dir or ".")
    classes = sorted(path.name for path in root.glob("*") if path.is_dir())
    images, labels = [], []
    for label, name in enumerate(classes):
        for found in pictures([str(root / name)], size=(side, side, 3)):
            if isinstance(found, BadPicture):
                raise ValueError(str(found))
            images.append(np.rint(255 * found.image).astype(np.uint8))
            labels.append(label)
    if not images:
        raise ValueError(f"--data-dir {root}: expected CLASS/PICTURE, found no such picture")
    return Pictures(np.stack(images), np.asarray(labels, np.int32), tuple(classes))


def both(config: Any, counts: tuple[int, int], size: int) -> tuple[Pictures, Pictures]:
    """Return the pictures to train on, and those that are measured.

    Args:
        config: `data_dir`, `split` and the data set's `name`; "smoke" means synthetic pictures.
        counts: the numbers of synthetic pictures to train on and to measure.
        size: side of the synthetic pictures in pixels.
    """
    if config.name == "smoke":
        train, test = counts
        return synthetic(train, size, 6, seed=1), synthetic(test, size, 6, seed=2)
    data_dir, name = config.data_dir, config.name
    return read(data_dir, name, "train"), read(data_dir, name, config.split)


def synthetic(count: int, size: int, classes: int, seed: int) -> Pictures:
    """Draw stripes in noise whose colour and direction are the class; learnable in seconds."""
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
    """Return the order of an epoch's pictures, which depends on seed and epoch alone."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def rows(count: int, batch: int, seed: int, index: int) -> np.ndarray:
    """Return the rows of `count` pictures that make the batch `index`, counted over all epochs.

    The end of an epoch that fills no batch is left out.
    """
    epoch, place = divmod(index, count // batch)
    return order(count, seed, epoch)[place * batch : (place + 1) * batch]
