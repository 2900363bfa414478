"""Files of each map for other programs: `--save npy png overlay` writes them into OUT/maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Float

from fidojax.cli.records import ResultsFolder
from fidojax.core import check_name
from fidojax.data import Picture, write_atomically
from fidojax.methods import MethodRow
from fidojax.runs import pack, read_maps, unpack
from fidojax.viz import coloured, overlay

KINDS = {
    "npy": "maps/{name}.npy",
    "png": "maps/{name}.png",
    "overlay": "maps/{name}.overlay.png",
}
"""What `--save` writes: the map's values, float32 "h w"; the map in colours; and over the picture,
each of the classifier's size. NAME is the name of the picture's record."""

SMALL = 200
"""The smallest width in pixels of a picture in a column of the page."""


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise ValueError unless all are names in `KINDS`."""
    for kind in kinds:
        check_name("--save", kind, KINDS)


def save_map(
    results: ResultsFolder,
    name: str,
    kinds: Sequence[str],
    row: MethodRow,
    picture: Picture,
    saliency: Float[np.ndarray, "h w"],
) -> dict[str, str]:
    """Write files of a map; return their places in the folder of results, by kind.

    Args:
        results: the folder of results.
        name: the name of the picture's record.
        kinds: names in `KINDS`.
        row: the row of the method.
        picture: the explained picture.
        saliency: the map.
    """
    saliency = unpack(*pack(np.asarray(saliency)[None]).values())[0]  # as the ledger holds it
    signs: dict[str, Any] = {"limits": row.limits, "symmetric": row.is_signed(saliency)}
    files = {}
    if kinds:
        (results.folder / "maps").mkdir(exist_ok=True)
    for kind in dict.fromkeys(kinds):
        files[kind] = KINDS[kind].format(name=name)
        if kind == "npy":
            write_atomically(results.folder / files[kind], lambda file: np.save(file, saliency))
            continue
        drawn = (
            coloured(saliency, **signs)
            if kind == "png"
            else overlay(picture.image, saliency, **signs)
        )
        image = PIL.Image.fromarray(np.round(255 * drawn).astype(np.uint8))
        write_atomically(results.folder / files[kind], lambda file: image.save(file, "png"))  # noqa: B023
    return files


def save_small(
    results: ResultsFolder,
    name: str,
    row: MethodRow,
    picture: Picture,
    saliency: Float[np.ndarray, "h w"],
    alone: Float[np.ndarray, "h w c"] | None,
) -> dict[str, str]:
    """Write the picture of a column of the page; return its place in the folder of results.

    Args:
        results, name, row, picture, saliency: as in `save_map`.
        alone: the region alone, which stands below the map over the picture; None without one.
    """
    over = overlay(picture.image, saliency, limits=row.limits, symmetric=row.is_signed(saliency))
    shown = [over]
    if alone is not None:
        bar = np.ones((max(len(over) // 28, 1), *over.shape[1:]), np.float32)
        shown += [bar, np.broadcast_to(np.clip(alone, 0, 1), over.shape)]
    pixels = np.round(255 * np.concatenate(shown)).astype(np.uint8)
    larger = -(-SMALL // pixels.shape[1])  # of digits, each pixel stays a square
    image = PIL.Image.fromarray(pixels.repeat(larger, 0).repeat(larger, 1))
    place = f"figures/{name}.small.png"
    write_atomically(results.folder / place, lambda file: image.save(file, "png"))
    return {"small": place}


def save_missing(
    results: ResultsFolder,
    record: Mapping[str, Any],
    kinds: Sequence[str],
    row: MethodRow,
    picture: Picture,
) -> None:
    """Write the files that a picture which was explained before lacks, from its stored map.

    Raises:
        DamagedError: the map cannot be read.
        OSError: a file cannot be written.
    """
    files = record["files"]
    lacking = [
        kind for kind in kinds if kind not in files or not (results.folder / files[kind]).is_file()
    ]
    ledger = results.ledger(record) if lacking else None
    if ledger is None:
        return
    (saliency,) = read_maps(ledger, [record["map"]["row"]])
    more = save_map(results, record["name"], lacking, row, picture, saliency)
    results.store_record(record["name"], record, files | more)
