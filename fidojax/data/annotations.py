"""Object boxes and labels of picture files, from a table beside them.

A table is one of
    a CSV with the columns file, x0, y0, x1, y1 and perhaps label (or class), one line for each box;
    ImageNet's LOC_train_solution.csv or LOC_val_solution.csv (ImageId, PredictionString);
    a JSON of COCO (images, annotations with bbox = [x, y, width, height], categories).

Boxes are in pixels of the picture as it is shown, upright, and half-open: x1 and y1 are the first
column and row behind the object.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from fidojax.core import printable
from fidojax.data.decode import UnreadableError

_CSV = ("file", "x0", "y0", "x1", "y1")
_LOC = ("imageid", "predictionstring")
_EXPECTED = (
    "expected a CSV with the columns file, x0, y0, x1, y1 (and label), ImageNet's "
    "LOC_*_solution.csv, or COCO's JSON"
)


@dataclass(frozen=True)
class Annotation:
    """The boxes and the label of one picture.

    Attributes:
        boxes: "b 4" half-open (top, left, bottom, right) in pixels of the original picture.
        size: width and height of the original picture, if the table has them.
        label: place of the label among the table's labels; None if the boxes have no label, or
            several.
        label_name: the name of `label`.
        classes: the number of the table's labels.
    """

    boxes: Float[np.ndarray, "b 4"]
    size: tuple[int, int] | None = None
    label: int | None = None
    label_name: str | None = None
    classes: int | None = None

    def within(self, size: tuple[int, int]) -> Float[np.ndarray, "b 4"]:
        """Return the boxes, for a picture of this width and height.

        Raises:
            UnreadableError: the boxes belong to a picture of another size.
        """
        shown = f"{size[0]} x {size[1]}"
        if self.size is not None and self.size != size:
            width, height = self.size
            raise UnreadableError(f"its boxes are for {width} x {height} pixels, it has {shown}")
        width, height = size
        for top, left, bottom, right in self.boxes:
            if not (top < height and left < width and bottom > 0 and right > 0):
                box = f"({left:g}, {top:g}, {right:g}, {bottom:g})"
                raise UnreadableError(f"its box {box} lies outside of its {shown} pixels")
        return self.boxes


@dataclass(frozen=True)
class Annotations:
    """A table of boxes and labels.

    Attributes:
        path: the table's file.
        pictures: the annotations by the name that the table gives each picture.
    """

    path: Path
    pictures: dict[str, Annotation]

    def is_file(self, path: Path) -> bool:
        """Whether a path is the table itself."""
        return path.name == self.path.name and path.resolve() == self.path.resolve()

    def of(self, ids: Sequence[str]) -> dict[str, Annotation]:
        """Return the annotations of some pictures by id.

        A picture is found by its path relative to the folder, by its file name, or by its file
        name without suffix.

        Raises:
            UnreadableError: a name in the table belongs to several of the pictures.
        """
        found: dict[str, Annotation] = {}
        users: dict[str, str] = {}
        for name in ids:
            path = PurePosixPath(name)
            keys = (name, path.name, path.with_suffix("").as_posix(), path.stem)
            key = next((key for key in keys if key in self.pictures), None)
            if key is None:
                continue
            if key in users:
                both = f"{users[key]} and {name}"
                raise UnreadableError(f"boxes {printable(self.path)}: {key!r} may be {both}")
            users[key] = name
            found[name] = self.pictures[key]
        return found


class _Line(NamedTuple):
    """One box of a table; `where` names its line or entry in messages."""

    where: str
    picture: str
    corners: Sequence[Any]
    label: str | None
    size: tuple[int, int] | None = None


def read_annotations(path: str | Path) -> Annotations:
    """Read a table of boxes.

    Raises:
        ValueError: it is none of the known kinds, or has a box that is none: without area, not
            finite, or in shares of the sides instead of pixels.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    said = f"boxes {printable(path)}"
    if not path.is_file():
        raise FileNotFoundError(f"{said}: there is no such file")
    try:
        text = path.read_text("utf-8-sig")
        read: Callable[[str], tuple[list[_Line], list[str]]]
        read = _coco if text.lstrip().startswith("{") else _csv
        lines, labels = read(text)
        return Annotations(path, dict(_grouped(lines, labels)))
    except _TableError as error:
        raise ValueError(f"{said}: {error}") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, csv.Error):
        raise ValueError(f"{said}: {_EXPECTED}") from None


class _TableError(Exception):
    """A table that is read but holds a box that is none."""


def _grouped(lines: Iterable[_Line], labels: list[str]) -> Iterator[tuple[str, Annotation]]:
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    names: dict[str, set[str | None]] = defaultdict(set)
    sizes: dict[str, tuple[int, int] | None] = {}
    for line in lines:
        boxes[line.picture].append(_box(line))
        names[line.picture].add(line.label)
        sizes[line.picture] = line.size
    every = np.array([box for own in boxes.values() for box in own])
    if len(every) and every.max() <= 1:
        raise _TableError("all boxes lie within one pixel: expected pixels, not shares of sides")
    for picture, own in boxes.items():
        name = names[picture].pop() if len(names[picture]) == 1 else None
        label = None if name is None else labels.index(name)
        count = len(labels) or None
        yield picture, Annotation(np.array(own), sizes[picture], label, name, count)


def _box(line: _Line) -> list[float]:
    """Return (top, left, bottom, right)."""
    try:
        x0, y0, x1, y1 = map(float, line.corners)
    except (TypeError, ValueError):
        raise _TableError(f"{line.where} has no four numbers x0, y0, x1, y1") from None
    if not (np.isfinite([x0, y0, x1, y1]).all() and x0 < x1 and y0 < y1):
        raise _TableError(
            f"{line.where} has the box ({x0:g}, {y0:g}, {x1:g}, {y1:g}), expected x0 < x1, y0 < y1"
        )
    return [y0, x0, y1, x1]


def _csv(text: str) -> tuple[list[_Line], list[str]]:
    rows = csv.reader(text.splitlines())
    names = [name.strip().lower() for name in next(rows, [])]
    if set(_LOC) <= set(names):
        lines = list(_loc(rows, names))
    elif set(_CSV) <= set(names):
        lines = list(_boxes(rows, names))
    else:
        raise ValueError
    return lines, sorted({line.label for line in lines if line.label is not None})


def _boxes(rows: Iterable[list[str]], names: list[str]) -> Iterator[_Line]:
    for number, row in enumerate(rows, 2):
        if row:
            cells = dict(zip(names, row, strict=False))
            corners = [cells.get(name) for name in _CSV[1:]]
            file = str(PurePosixPath(cells["file"]))
            label = cells.get("label") or cells.get("class") or None
            yield _Line(f"line {number}", file, corners, label)


def _loc(rows: Iterable[list[str]], names: list[str]) -> Iterator[_Line]:
    picture, boxes = (names.index(name) for name in _LOC)
    for number, row in enumerate(rows, 2):
        words = row[boxes].split() if row else []
        if len(words) % 5:
            raise _TableError(f"line {number} has no groups of a class and four numbers")
        for at in range(0, len(words), 5):
            yield _Line(f"line {number}", row[picture], words[at + 1 : at + 5], words[at])


def _coco(text: str) -> tuple[list[_Line], list[str]]:
    table = json.loads(text)
    categories = {entry["id"]: entry["name"] for entry in table.get("categories", [])}
    pictures = {entry["id"]: entry for entry in table["images"]}
    lines = []
    for number, entry in enumerate(table["annotations"]):
        where = f"annotations[{number}]"
        picture = pictures.get(entry["image_id"])
        if picture is None:
            raise _TableError(f"{where} is of the image {entry['image_id']}, which is not there")
        left, top, width, height = entry["bbox"]
        size = (picture["width"], picture["height"]) if "width" in picture else None
        corners = (left, top, left + width, top + height)
        label = categories.get(entry.get("category_id"))
        lines.append(_Line(where, picture["file_name"], corners, label, size))
    return lines, list(categories.values())
