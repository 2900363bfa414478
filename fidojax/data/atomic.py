"""Files that are written whole or not at all."""

import io
import json
import os
from collections.abc import Callable, Mapping
from typing import IO, Any

from fidojax.data.places import Place, as_os_error, is_remote, place


def write_atomically(path: str | Place, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file beside its place and rename it, so that a kill leaves the old file or the new.

    Args:
        path: the file's place; its folder must exist.
        write: called with the open binary file.

    Raises:
        OSError: the file cannot be written; the old one is untouched.
    """
    path = place(path)
    if is_remote(path):  # where a file is there as soon as it is whole
        content = io.BytesIO()
        write(content)
        with as_os_error(path):
            path.fs.pipe_file(path.path, content.getvalue())  # type: ignore[attr-defined]
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb") as file:
            write(file)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: str | Place, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: str | Place, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all.

    Raises:
        ValueError: a number is not finite, which JSON cannot hold.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")
