"""The photos of the gallery, its rows, and the map of each photo by each row.

Maps are kept in runs/gallery, one file for a row and a photo.
"""

from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fidojax
import infillers
from eval.explainers import setting
from fidojax import data, networks
from fidojax.data import write_atomically
from fidojax.methods import METHOD_ROWS

ROOT = Path(__file__).resolve().parents[1]
MAPS = ROOT / "runs" / "gallery"
NETWORK = "efficientnet_lite0"
HOLD = "first"
"""The class has to stay the first one: what `fidojax.region` measures the share of."""


class Photo(NamedTuple):
    """A photo that may be shown.

    Attributes:
        name: what the page calls it.
        package: the package whose wheel has it.
        path: where it is in the package.
        credit: who took it, and the licence.
        note: what the network makes of it, where that is not what it shows.
    """

    name: str
    package: str
    path: str
    credit: str
    note: str = ""

    def file(self) -> str:
        return str(resources.files(self.package).joinpath(self.path))


BY = "CC BY 2.0"
PHOTOS = (
    Photo("cat", "skimage", "data/chelsea.png", "Stéfan van der Walt, CC0"),
    Photo("coffee", "skimage", "data/coffee.png", "Rachel Michetti, CC0"),
    Photo("cameraman", "skimage", "data/camera.png", "Lav Varshney, CC0"),
    Photo("motorcycle", "skimage", "data/motorcycle_left.png", "Middlebury stereo data, 2014"),
    Photo("rocket", "skimage", "data/rocket.jpg", "SpaceX, public domain"),
    Photo("palace", "sklearn", "datasets/images/china.jpg", f"danielbuechele, {BY}"),
    Photo(
        "flower",
        "sklearn",
        "datasets/images/flower.jpg",
        f"vultilion, {BY}",
        "The flower is a dahlia, of which the network has no class: it calls it a daisy.",
    ),
    Photo(
        "officer", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "US Navy, public domain"
    ),
)


class Row(NamedTuple):
    """A row of the gallery: a method with its options, and how they differ from its defaults."""

    method: str
    options: dict[str, Any]
    why: str = ""


SHORTER: dict[str, tuple[dict[str, Any], str]] = {
    "bbmp": ({"steps": 150}, "150 steps, not 300"),
    "meaningful_perturbation": ({"steps": 150}, "150 steps, not 300"),
    "extremal_perturbation": ({"steps": 60}, "60 steps, not 800"),
    "igos": ({"steps": 8}, "8 steps, not 15"),
    "igos_pp": ({"steps": 5}, "5 steps, not 15"),
    "rise": ({"samples": 200}, "200 masks, not 4000"),
}
"""Fewer steps and masks for the methods that would take minutes for a photo on one core."""
OMITTED = ("attention", "encoder", "masker", "boxes")


def rows() -> dict[str, Row]:
    """The rows by name: every method that the network allows, and FIDO with every infiller."""
    found = {}
    for name, row in METHOD_ROWS.items():
        if row.attention or set(OMITTED) & {*row.required}:
            continue
        options, why = dict(setting(name).options), setting(name).why
        more, said = SHORTER.get(name, ({}, why))
        found[name] = Row(name, options | more, said)
        if name == "fido":
            options |= {"hold": HOLD}
            found[name] = Row(name, options, "preset hold")
            found |= {
                f"fido-{fill}": Row(
                    name, options | {"infill": infillers.make_infill(fill)}, "preset hold"
                )
                for fill in infillers.default_infillers()
            }
    return found


def fills() -> tuple[Any, ...]:
    """What the class has to hold under: the fills of `fidojax explain`."""
    return infillers.mean(), infillers.blur()


class Known(NamedTuple):
    """What is known of a photo: as the network takes it, the class that it sees, and how surely."""

    photo: Photo
    image: np.ndarray
    target: int
    label: str
    probability: float


def known(network: networks.Pretrained) -> list[Known]:
    """The photos as the network sees them."""
    found = []
    for photo in PHOTOS:
        (picture,) = data.pictures([photo.file()], network.size)
        if isinstance(picture, data.BadPicture):
            raise SystemExit(f"{photo.name}: {picture.reason}")
        logits = np.asarray(network.classifier(picture.image[None]))[0]
        chances = np.exp(logits - logits.max())
        target = int(logits.argmax())
        p = float(chances[target] / chances.sum())
        found.append(Known(photo, picture.image, target, network.labels[target], p))
    return found


def explain(network: networks.Pretrained, name: str, row: Row, known: Known) -> Path:
    """The file with the map of a photo and its region; it is made if it is not there."""
    file = MAPS / name / f"{known.photo.name}.npz"
    if file.exists():
        return file
    seen = network.classifier, known.image[None], [known.target]
    shared = {"ids": [known.photo.name], "batch_size": 1}
    saliency = fidojax.explain_batch(row.method, *seen, options=row.options, **shared).saliency
    asked = {"infill": fills(), "hold": HOLD}
    region = fidojax.measure_batch("region", *seen, saliency, options=asked, **shared)
    kept = {"saliency": saliency[0], "mask": region.mask[0], "area": region.area[0]}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, lambda out: np.savez_compressed(out, **kept))
    return file
