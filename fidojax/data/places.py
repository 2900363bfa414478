"""Files and folders of this machine, or of an object store: `s3://BUCKET/FOLDER`, `gs://…`, `az://…`.

Object stores have no folders of their own and no renaming: a file is there as soon as it is whole.
Credentials and endpoints come from the environment, as obstore reads them (AWS_ACCESS_KEY_ID,
AWS_ENDPOINT_URL, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_NAME and their kin).
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fidojax.core import install_extra

SCHEMES = ("s3", "gs", "az")
"""The object stores, by the beginning of an address."""

if TYPE_CHECKING:
    Place = Path
else:
    Place = Any  # a Path, or an object of universal_pathlib with its methods


def is_remote(where: str | Place) -> bool:
    """Whether an address is that of an object store."""
    scheme, found, _ = str(where).partition("://")
    return bool(found) and scheme in SCHEMES


def place(where: str | Place) -> Place:
    """Return the path of a file or folder: a `Path`, or one with its methods for an object store.

    Raises:
        ValueError: it is in an object store and the extra `cloud` is not installed.
    """
    if not is_remote(where):
        return Path(where)
    if not isinstance(where, str):
        return where
    try:
        from obstore.fsspec import register
        from upath import UPath
    except ModuleNotFoundError:
        raise ValueError(
            f"{where}: folders of object stores need two packages: {install_extra('cloud')}"
        ) from None
    register(list(SCHEMES))
    return UPath(where)  # type: ignore[return-value]


@contextmanager
def as_os_error(path: Place) -> Iterator[None]:
    """Raise what an object store says (no bucket, no permission, no network) as OSError.

    Args:
        path: what is read or written, for the message.
    """
    try:
        yield
    except Exception as error:
        missing = isinstance(error, FileNotFoundError) or type(error).__name__ == "NotFoundError"
        if not is_remote(path) or not (missing or type(error).__module__.startswith("obstore")):
            raise
        told = re.search("<Message>(.*?)</Message>", str(error))  # of S3's protocol
        reason = told[1] if told else " ".join(str(error).partition("\n")[0].split())
        raise (FileNotFoundError if missing else OSError)(None, reason, str(path)) from None


def read_bytes(path: Place, most: int | None = None) -> bytes:
    """Read a file, or its first `most` bytes.

    Raises:
        OSError: it cannot be read.
    """
    if is_remote(path):
        with as_os_error(path):
            return path.fs.cat_file(path.path, start=None if most is None else 0, end=most)  # type: ignore[attr-defined]
    with path.open("rb") as file:
        return file.read(-1 if most is None else most)


def remove(path: Place) -> None:
    """Remove a file, or a folder with all that it holds, if it exists."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
    elif is_remote(path):
        path.fs.rm(path.path, recursive=True)  # type: ignore[attr-defined]
    else:
        shutil.rmtree(path)


def files_below(root: Place) -> Iterator[Place]:
    """Yield the files of a folder of an object store and its subfolders in alphabetical order."""
    with as_os_error(root):
        names = root.fs.find(root.path)  # type: ignore[attr-defined]
    base = root.path.rstrip("/")  # type: ignore[attr-defined]
    for name in sorted(names):
        yield root / name.removeprefix(base).lstrip("/")
