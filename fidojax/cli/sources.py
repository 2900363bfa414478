"""Pictures that stand behind an option of several values: `--infill blur photo.jpg`."""

import os
from dataclasses import replace

from fidojax.cli.options import Explain
from infillers import INFILLERS


def pictures_apart(asked: Explain) -> Explain:
    """Return the command with pictures behind `--infill` among its pictures."""
    fills = [text for text in asked.infill if not _is_picture(text)]
    found = [text for text in asked.infill if _is_picture(text)]
    return replace(asked, infill=tuple(fills), paths=(*asked.paths, *found))


def _is_picture(text: str) -> bool:
    if text.partition(":")[0] in INFILLERS:
        return False
    return text.startswith(("skimage:", "tfds:")) or os.path.lexists(text)
