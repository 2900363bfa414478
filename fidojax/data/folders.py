"""Find the files of a folder and its subfolders."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fidojax.core import printable
from fidojax.data.picture import BadPicture
from fidojax.data.places import Place, files_below, is_remote

# Files that operating systems leave in folders of pictures.
_LITTER = {"thumbs.db", "desktop.ini"}


def walk(root: Place) -> Iterator[Place | BadPicture]:
    """Yield the files of a folder and its subfolders in alphabetical order.

    Hidden files, and folders of results of `fidojax explain`, are left out. Symbolic links to
    folders are followed, except to a folder that holds the link. Folders that cannot be listed
    come last, each as a `BadPicture`.
    """
    if is_remote(root):
        yield from _listed(root)
        return
    closed: list[BadPicture] = []
    for folder, subfolders, names in os.walk(
        root, onerror=lambda error: closed.append(_closed(error)), followlinks=True
    ):
        if {"figures", "records", "runs"} <= set(subfolders) and (
            "index.html" in names or "results.zarr" in subfolders
        ):
            subfolders.clear()
            continue
        subfolders[:] = sorted(
            name for name in subfolders if not name.startswith(".") and not _above(folder, name)
        )
        for name in sorted(names):
            if not name.startswith(".") and name.lower() not in _LITTER:
                yield Path(folder, name)
    yield from closed


def _listed(root: Place) -> Iterator[Place]:
    """The same in an object store, whose folders are what its files' names begin with."""
    files = {PurePosixPath(str(file.relative_to(root))): file for file in files_below(root)}
    folders = {folder for name in files for folder in name.parents}
    results = {
        folder
        for folder in folders
        if {folder / "records", folder / "runs"} <= folders
        and (folder / "index.html" in files or folder / "results.zarr" in folders)
    }
    for name, file in files.items():
        hidden = any(part.startswith(".") for part in name.parts)
        if not hidden and name.name.lower() not in _LITTER and results.isdisjoint(name.parents):
            yield file


def _above(folder: str, name: str) -> bool:
    """Whether a link points to one of the folders that hold it, so that a walk would not end."""
    path = Path(folder, name)
    return path.is_symlink() and Path(folder).resolve().is_relative_to(path.resolve())


def _closed(error: OSError) -> BadPicture:
    if isinstance(error, PermissionError):
        reason = "no permission to list this folder"
    else:
        reason = f"the folder cannot be listed ({(error.strerror or str(error)).lower()})"
    return BadPicture(printable(error.filename), reason)
