"""The folder in which fidojax keeps what can be made again."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """The folder of fidojax within the platform's cache folder of this user; it may not exist.

    Raises:
        RuntimeError: the user has no home folder.
    """
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "fidojax"
