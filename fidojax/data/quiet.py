"""libtiff writes its complaints about a file to standard error by itself; this keeps them back."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ONE_AT_A_TIME = threading.Lock()
"""Since standard error belongs to the whole process."""


@contextmanager
def quiet(kind: str | None) -> Iterator[None]:
    """Keep back what libtiff writes to standard error while a picture is decoded.

    What other threads write there meanwhile is lost, too; an error of the picture is raised as
    always.

    Args:
        kind: the picture's format in Pillow's terms; nothing is done for others than "TIFF".
    """
    if kind != "TIFF":
        yield
        return
    with _ONE_AT_A_TIME:
        try:
            before = os.dup(2)
        except OSError:  # the process has no standard error
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            os.close(nowhere)
