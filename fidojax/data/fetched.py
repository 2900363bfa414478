"""Copies of files of object stores, for readers that need files of this machine."""

import hashlib
import shutil
from pathlib import Path

from fidojax.data.atomic import write_atomically
from fidojax.data.cache_folder import cache_folder
from fidojax.data.places import Place, as_os_error, files_below, is_remote


def fetched(folder: Place) -> Path:
    """Return a copy of a folder in the user's cache; a folder of this machine as it is.

    Files that were fetched before and have the same size are not fetched again.

    Raises:
        OSError: a file cannot be read or written.
    """
    if not is_remote(folder):
        return folder
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    root = cache_folder() / "fetched" / f"{folder.name}-{digest}" / folder.name
    for file in files_below(folder):
        copy = root / str(file.relative_to(folder))
        with as_os_error(file):
            if copy.is_file() and copy.stat().st_size == file.stat().st_size:
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            with file.open("rb") as source:
                write_atomically(copy, lambda target: shutil.copyfileobj(source, target))
    return root
