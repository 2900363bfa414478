"""Pictures that stand behind an option of several values: `--infill blur photo.jpg`."""

import os
from dataclasses import replace

from fidojax.cli.options import Explain
from infillers import INFILLERS


def pictures_apart(asked: Explain) -> Explain:
    """Return the command with pictures behind `--infill` and `--target` among its pictures."""
    fills = tuple(text for text in asked.infill if not _is_picture(text))
    # The first is a class, whatever files there are.
    classes = tuple(
        text for at, text in enumerate(asked.target) if at == 0 or not _is_picture(text)
    )
    given = (*asked.infill, *asked.target[1:])
    found = [text for text in given if text not in fills and text not in classes]
    return replace(asked, infill=fills, target=classes, paths=(*asked.paths, *found))


def _is_picture(text: str) -> bool:
    if text.partition(":")[0] in INFILLERS:
        return False
    return text.startswith(("skimage:", "tfds:")) or os.path.lexists(text)
