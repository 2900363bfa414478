"""Pictures in files and folders, and the sample photos of scikit-image."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from fidojax.data.decode import UnreadableError, decode, plain
from fidojax.data.fit import fit
from fidojax.data.picture import BadPicture, Picture

SAMPLES = ("astronaut", "camera", "chelsea", "coffee", "rocket")
"""The photos that scikit-image's wheel contains, which need no download."""

# Files that operating systems leave in folders of pictures.
_LITTER = {"thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Files:
    """A picture file, or all files of a folder and its subfolders in alphabetical order.

    Hidden files are skipped, all others are read whatever their suffix. Folders of results of
    `fidojax explain` are skipped. The id of a picture is its path relative to the folder, with
    forward slashes; the id of a single file is its name.

    Attributes:
        paths: the files.
        ids: one per file.
    """

    paths: tuple[Path, ...]
    ids: tuple[str, ...]

    @classmethod
    def find(cls, source: str | Path) -> "Files":
        """Find the file, or the files of the folder.

        Raises:
            UnreadableError: there is no such file or folder, or the folder has no files.
        """
        root = Path(source).expanduser()
        if root.is_dir():
            paths = tuple(_walk(root))
            if not paths:
                raise UnreadableError("the folder has no files")
            return cls(paths, tuple(path.relative_to(root).as_posix() for path in paths))
        if root.exists():
            return cls((root,), (root.name,))
        raise UnreadableError("there is no such file or folder")

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, size: tuple[int, int, int], crop: float) -> Iterator[Picture | BadPicture]:
        """Decode and fit one file at a time."""
        for path, name in zip(self.paths, self.ids, strict=True):
            try:
                image, _ = fit(decode(path), size, crop)
            except (UnreadableError, OSError) as error:
                yield BadPicture(str(path), _reason(error))
            else:
                yield Picture(name, image, source=str(path))


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


def _walk(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root):
        if {"figures", "records", "runs"} <= set(subfolders) and (
            "index.html" in names or "results.zarr" in subfolders
        ):
            subfolders.clear()
            continue
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower() not in _LITTER:
                yield Path(folder, name)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"it cannot be read ({(error.strerror or str(error)).lower()})"
    return str(error)
