"""Photos whose file names begin with the index of their class, such as 0281_n02123045_tabby.jpg."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from eval.store import Store
from eval.subject import forward
from fidojax.data import BadPicture, pictures
from fidojax.metrics import sufficiency
from fidojax.networks import Pretrained


def labelled_photos(folder: Path, seed: int) -> list[Path]:
    """The files of a folder that begin with a class index, shuffled.

    Raises:
        ValueError: there is none.
    """
    paths = [path for path in sorted(folder.iterdir()) if re.match(r"\d+", path.name)]
    if not paths:
        raise ValueError(f"{folder} has no file whose name begins with a class index")
    return [paths[i] for i in np.random.default_rng(seed).permutation(len(paths))]


def classified_right(
    paths: Sequence[Path], model: Pretrained, store: Store, crop: float, console: Console
) -> Iterator[tuple[str, np.ndarray, int]]:
    """Name, image and class of each picture that is classified as its file name says.

    What the classifier says of a picture is stored under the file's name.
    """
    for path in paths:
        if not store.has(path.name):
            (picture,) = pictures([path], model.size, crop=crop)
            if isinstance(picture, BadPicture):  # the others are still explained
                console.print(f"left out {picture}", markup=False, soft_wrap=True)
                continue
            label = int(re.match(r"\d+", path.name)[0])  # type: ignore[index]
            logits = np.asarray(forward(model.classifier, picture.image[None])[0])
            if label >= len(logits):
                raise ValueError(f"{path.name}: the classifier has {len(logits)} classes")
            store.save(
                path.name, {"image": picture.image, "logits": logits},
                label=label, prediction=int(logits.argmax()),
            )  # fmt: skip
        arrays, record = store.load(path.name)
        if record["label"] == record["prediction"]:
            yield path.name, arrays["image"], record["label"]


@jax.jit
def needed_share(key, classifier, image, target, saliency, infill):
    """The smallest share of pixels, in the map's order, that gives the class p / 2."""
    return sufficiency(
        key, classifier, image, target, saliency, infill=infill, points=50, chunk=17
    ).share
