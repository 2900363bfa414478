"""Read data sets that tensorflow-datasets (TFDS) has prepared, in array_record, without TensorFlow.

    tfds:NAME[/CONFIG][:VERSION][/SPLIT][[START:STOP]]

For example `tfds:mnist`, `tfds:mnist/train[:100]`, `tfds:voc/2007:4.0.0/test`. The default
split is `test`, else `validation`, else the first one. Nothing is downloaded. The extra `tfds` has
the packages: array_record has no build for Windows and for Macs with an Intel processor.
"""

import importlib
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Int

from fidojax.core import install_extra, printable
from fidojax.data.decode import UnreadableError, decode, one_picture
from fidojax.data.fetched import fetched
from fidojax.data.fit import Placement, fit, place_boxes
from fidojax.data.picture import BadPicture, Picture
from fidojax.data.places import Place, as_os_error, is_remote, place

_ADDRESS = re.compile(r"(?P<path>[\w./:+-]+?)(\[(?P<start>\d*):(?P<stop>\d*)\])?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
# The features that name an example, in order of preference.
_NAMES = ("file_name", "filename", "image/filename", "image_id", "image/id", "id")


@dataclass(frozen=True)
class TfdsSet:
    """One split of a prepared TFDS set, or a part of it.

    The id of a picture is `NAME/SPLIT/` followed by its file name in the set, or by its index in
    the split if the set has no file names.

    Attributes:
        name: the set's name.
        split: the split's name.
        rows: the indices of the examples in the split.
        examples: the TFDS data source with random access and encoded pictures.
        features: the set's features.
    """

    name: str
    split: str
    rows: range
    examples: Any
    features: dict[str, Any]

    @classmethod
    def find(cls, address: str, data_dir: str | Place | None = None) -> "TfdsSet":
        """Open the set at an address (without `tfds:`).

        Args:
            data_dir: the folder that holds the set's folder; TFDS's own default when None, which
                is $TFDS_DATA_DIR, else ~/tensorflow_datasets.

        Raises:
            UnreadableError: the set is missing, or in another format than array_record, or the
                packages of the extra `tfds` are.
        """
        match = _ADDRESS.fullmatch(address)
        if not match:
            raise UnreadableError("expected tfds:NAME, tfds:NAME/SPLIT or tfds:NAME/SPLIT[:100]")
        root = place(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
        root = root if is_remote(root) else root.expanduser()
        with as_os_error(root):
            folder, split = _locate(root, match["path"])
        info, open_split = _builder(folder)
        if split is None:
            preferred = [name for name in ("test", "validation") if name in info.splits]
            split = (preferred or list(info.splits))[0]
        elif split not in info.splits:
            raise UnreadableError(f"it has no split {split!r}, only {', '.join(info.splits)}")
        features = dict(info.features.items())
        if not isinstance(features.get("image"), _features().Image):
            raise UnreadableError("the set has no pictures under the name image")
        examples = open_split(split)
        part = slice(*(int(match[end]) if match[end] else None for end in ("start", "stop")))
        return cls(info.name, split, range(len(examples))[part], examples, features)

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, size: tuple[int, int, int], crop: float) -> Iterator[Picture | BadPicture]:
        """Decode and fit one example at a time."""
        names = self._label_names()
        for row in self.rows:
            place = f"tfds:{self.name}/{self.split} example {row}"
            try:
                example = self.examples[row]
            except Exception as error:  # TFDS raises many types on a damaged record
                reason = f"the record is damaged ({type(error).__name__})"
                yield BadPicture(place, reason)
                continue
            try:
                with one_picture():
                    # No EXIF rotation: boxes and training pipelines use the stored orientation.
                    picture = decode(io.BytesIO(example["image"]), upright=False)
                    image, placement = fit(picture, size, crop)
            except UnreadableError as error:
                yield BadPicture(place, str(error))
                continue
            label = None if names is None else int(example["label"])
            label = None if label == -1 else label  # TFDS's value of a missing label
            yield Picture(
                id=f"{self.name}/{self.split}/{_example_name(example, row)}",
                image=image,
                label=label,
                boxes=_boxes(example, self.features, picture, placement),
                source=place,
                label_name=None if names is None or label is None else names[label],
                classes=None if names is None else len(names),
            )

    def _label_names(self) -> list[str] | None:
        labels = self.features.get("label")
        if labels is None or not isinstance(labels, _features().ClassLabel):
            return None
        return labels.names


def _locate(root: Place, path: str) -> tuple[Place, str | None]:
    """Return the prepared folder (the highest version), and the split if the path names one."""
    steps = re.split(r"[/:]", path)
    if (root / "dataset_info.json").exists() and steps[0] in (root.name, root.parent.name):
        folder, rest = root, steps[1:]  # data_dir is the prepared folder itself
    else:
        folder, rest = root / steps[0], steps[1:]
        while rest and (folder / rest[0]).is_dir():
            folder, rest = folder / rest[0], rest[1:]
        versions = [sub for sub in _subfolders(folder) if _VERSION.fullmatch(sub.name)]
        if versions:
            folder = max(versions, key=lambda sub: tuple(map(int, sub.name.split("."))))
    if not (folder / "dataset_info.json").exists():
        configs = [sub.name for sub in _subfolders(folder)]
        hint = f"; configurations there: {', '.join(configs)}" if configs else ""
        raise UnreadableError(
            f"no set of this name lies prepared in {root}{hint} (--data-dir names the folder that "
            f"holds {steps[0]}/; nothing is downloaded)"
        )
    if len(rest) > 1 or (rest and _VERSION.fullmatch(rest[0])):
        raise UnreadableError(f"there is no {'/'.join(rest)} in {folder}")
    return folder, rest[0] if rest else None


def _subfolders(folder: Place) -> list[Place]:
    return sorted(sub for sub in folder.iterdir() if sub.is_dir()) if folder.is_dir() else []


def import_tfds() -> Any:
    """Return the module `tensorflow_datasets`, which reads array_record.

    Raises:
        ImportError: one of the two packages is missing.
    """
    try:
        importlib.import_module("array_record")
        return importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise ImportError(
            f"prepared data sets need tensorflow-datasets: {install_extra('tfds')}"
        ) from error


def _builder(folder: Place) -> tuple[Any, Callable[[str], Any]]:
    """Return the set's info, and a function that opens one of its splits."""
    try:
        tfds = import_tfds()
    except ImportError as error:
        raise UnreadableError(str(error)) from None
    try:
        builder: Any = tfds.builder_from_directory(fetched(folder))
    except Exception as error:  # TFDS raises many types on incomplete folders
        raise UnreadableError(
            f"{folder} is not a whole TFDS set ({type(error).__name__})"
        ) from None
    kind = builder.info.file_format.file_suffix if builder.info.file_format else "unknown"
    if kind != "array_record":
        raise UnreadableError(
            f"it lies prepared as {kind}, which only TensorFlow reads; prepare it again with "
            "tfds build --file_format=array_record"
        )
    skip = {"image": tfds.decode.SkipDecoding()}
    return builder.info, lambda split: builder.as_data_source(split, decoders=skip)


def _features() -> Any:
    return import_tfds().features


def _example_name(example: dict[str, Any], row: int) -> str:
    for key in _NAMES:
        name = example.get(key)
        if isinstance(name, bytes):
            return printable(name.decode(errors="backslashreplace"))
        if isinstance(name, str):
            return printable(name)
    return str(row)


def _boxes(
    example: dict[str, Any],
    features: dict[str, Any],
    picture: PIL.Image.Image,
    placement: Placement,
) -> Int[np.ndarray, "b 4"] | None:
    """Return the boxes of `bbox`, or of `bbox` in a sequence `objects`, in the fitted image."""
    feature, shares = features.get("bbox"), example.get("bbox")
    if feature is None and "objects" in features:
        objects = dict(features["objects"].feature.items())
        feature, shares = objects.get("bbox"), example["objects"].get("bbox")
    kind = getattr(getattr(feature, "bbox_format", None), "value", None)
    if shares is None or kind != "REL_YXYX":
        return None
    pixels = np.tile([picture.height, picture.width], 2)
    return place_boxes(np.asarray(shares, np.float64).reshape(-1, 4) * pixels, placement)
