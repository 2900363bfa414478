"""Pictures in files and folders, and the sample photos of scikit-image."""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import PIL.Image

from fidojax.core import printable
from fidojax.data.annotations import Annotation, Annotations
from fidojax.data.decode import UnreadableError, decode, one_picture, plain
from fidojax.data.fit import fit, place_boxes
from fidojax.data.folders import walk
from fidojax.data.kinds import is_picture
from fidojax.data.picture import BadPicture, Picture
from fidojax.data.places import Place, as_os_error, is_remote, place, read_bytes

SAMPLES = ("astronaut", "camera", "chelsea", "coffee", "rocket")
"""The photos that scikit-image's wheel contains, which need no download."""


@dataclass(frozen=True)
class Files:
    """A picture file, or all pictures of a folder and its subfolders in alphabetical order.

    Hidden files and folders of results of `fidojax explain` are skipped; so are files that neither
    are named as pictures nor begin like pictures, which are counted. The id of a picture is its
    path relative to the folder, with forward slashes; the id of a single file is its name. Both are
    `printable`.

    If all files lie in two or more subfolders of the folder, these are the classes: the label of a
    picture is the place of its subfolder in alphabetical order, as in torchvision's ImageFolder.

    Attributes:
        paths: the files.
        ids: one per file.
        closed: subfolders that cannot be listed.
        ignored: the number of other files in the folder.
        classes: names of the classes; empty if they are unknown.
        annotations: boxes and labels by the file's id.
    """

    paths: tuple[Place, ...]
    ids: tuple[str, ...]
    closed: tuple[BadPicture, ...] = ()
    ignored: int = 0
    classes: tuple[str, ...] = ()
    annotations: dict[str, Annotation] = field(default_factory=dict)

    @classmethod
    def find(cls, source: str | Place, annotations: Annotations | None = None) -> "Files":
        """Find the file, or the files of the folder.

        Raises:
            UnreadableError: there is no such file or folder, or the folder has no pictures, or the
                annotations name several of its files alike.
        """
        # Unlike Path.expanduser, it takes "~name" as it is if there is no such user.
        root = place(os.path.expanduser(source) if isinstance(source, str | Path) else source)
        with one_picture(), as_os_error(root):
            if root.is_dir():
                return cls._folder(root, annotations)
            if root.exists() or root.is_symlink():
                ids = (printable(root.name),)
                own = {} if annotations is None else annotations.of(ids)
                return cls((root,), ids, annotations=own)
        raise UnreadableError("there is no such file or folder")

    @classmethod
    def _folder(cls, root: Place, annotations: Annotations | None) -> "Files":
        found = list(walk(root))
        closed = tuple(item for item in found if isinstance(item, BadPicture))
        paths = [item for item in found if not isinstance(item, BadPicture)]
        if annotations is not None:  # which may lie beside the pictures
            paths = [path for path in paths if not annotations.is_file(path)]
        listed = len(paths)
        paths = [path for path in paths if is_picture(path)]
        ignored = listed - len(paths)
        if not paths and not closed:
            others = f", {ignored} other file{'s' * (ignored > 1)}" if ignored else ""
            raise UnreadableError(f"the folder has no pictures{others}")
        ids = tuple(printable(path.relative_to(root).as_posix()) for path in paths)
        folders = {name.partition("/")[0] for name in ids if "/" in name}
        alone = any("/" not in name for name in ids)
        classes = () if alone or len(folders) < 2 else tuple(sorted(folders))
        own = {} if annotations is None else annotations.of(ids)
        return cls(tuple(paths), ids, closed, ignored, classes, own)

    def __len__(self) -> int:
        return len(self.paths) + len(self.closed)

    def read(self, size: tuple[int, int, int], crop: float) -> Iterator[Picture | BadPicture]:
        """Decode and fit one file at a time."""
        for path, name in zip(self.paths, self.ids, strict=True):
            try:
                with one_picture(), as_os_error(path):
                    item = self._picture(path, name, size, crop)
            except UnreadableError as error:
                yield BadPicture(printable(path), str(error))
            else:
                yield item
        yield from self.closed

    def _picture(self, path: Place, name: str, size: tuple[int, int, int], crop: float) -> Picture:
        decoded = decode(io.BytesIO(read_bytes(path)) if is_remote(path) else path)
        image, placement = fit(decoded, size, crop)
        label = label_name = count = boxes = None
        if self.classes:
            label_name = name.partition("/")[0]
            label, count = self.classes.index(label_name), len(self.classes)
        own = self.annotations.get(name)
        if own is not None:
            boxes = place_boxes(own.within(decoded.size), placement)
            if own.label is not None:
                label, label_name, count = own.label, own.label_name, own.classes
        return Picture(name, image, label, boxes, printable(path), label_name, count)


@dataclass(frozen=True)
class Sample:
    """A sample photo of scikit-image, `skimage:NAME`; its id is the name."""

    name: str

    @classmethod
    def find(cls, name: str) -> "Sample":
        """Check the name.

        Raises:
            UnreadableError: scikit-image's wheel has no photo of this name.
        """
        if name not in SAMPLES:
            raise UnreadableError(f"scikit-image's photos are {', '.join(SAMPLES)}")
        return cls(name)

    def __len__(self) -> int:
        return 1

    def read(self, size: tuple[int, int, int], crop: float) -> Iterator[Picture | BadPicture]:
        """Yield the photo."""
        import skimage.data

        photo = PIL.Image.fromarray(getattr(skimage.data, self.name)())
        yield Picture(self.name, fit(plain(photo), size, crop)[0], source=f"skimage:{self.name}")
