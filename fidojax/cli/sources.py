"""The pictures of a command: those behind an option of several values, the default, the boxes."""

import os
from dataclasses import replace

from fidojax.cli.options import Explain, ExplainSeveral, UsageError
from fidojax.cli.saved import KINDS
from fidojax.data import is_remote
from fidojax.methods import METHOD_ROWS
from infillers import INFILLERS

DEFAULT_PICTURES = ("skimage:chelsea", "skimage:coffee")


def check_boxes(asked: Explain) -> None:
    """Check that the pictures can have the boxes that the method needs.

    Raises:
        UsageError: they are files without a table of boxes.
    """
    sets = any(text.startswith("tfds:") for text in asked.paths)
    if "boxes" in METHOD_ROWS[asked.method].required and asked.boxes is None and not sets:
        raise UsageError(
            f"--method {asked.method}: it needs the boxes of the objects; give their table by "
            "--boxes FILE, or a data set that has them (tfds:NAME)"
        )


def pictures_apart(asked: ExplainSeveral) -> ExplainSeveral:
    """Return the command with pictures behind these options among its pictures."""
    given = {"method": asked.method, "infill": asked.infill, "target": asked.target,
             "save": asked.save}  # fmt: skip
    kept = {
        "method": [text for text in asked.method if text in METHOD_ROWS or not _is_path(text)],
        "infill": [text for text in asked.infill if not _is_picture(text)],
        # The first is a class, whatever files there are.
        "target": [*asked.target[:1], *(t for t in asked.target[1:] if not _is_picture(t))],
        "save": [text for text in asked.save if text in KINDS or not _is_path(text)],
    }
    found = [text for name, texts in given.items() for text in texts if text not in kept[name]]
    words = {name: tuple(texts) for name, texts in kept.items()}
    return replace(asked, **words, paths=(*asked.paths, *found))


def _is_path(text: str) -> bool:
    """Whether a word is a picture, there or not, and so no name of a method."""
    return _is_picture(text) or not {".", "/", ":"}.isdisjoint(text)


def _is_picture(text: str) -> bool:
    if text.partition(":")[0] in INFILLERS:
        return False
    return text.startswith(("skimage:", "tfds:")) or is_remote(text) or os.path.lexists(text)
