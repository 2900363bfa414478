"""Compiled programs kept on disk between runs of the command line and of the evaluation.

JAX's persistent compilation cache, in this user's cache folder. Importing fidojax never turns it
on; the environment variable FIDOJAX_NO_CACHE keeps it off, and a folder that JAX was given, say by
JAX_COMPILATION_CACHE_DIR, stays.
"""

import os
import sys
import warnings
from pathlib import Path

import jax

OFF = "FIDOJAX_NO_CACHE"
LIMIT = 2 << 30
"""Bytes that programs of former runs may take when a run starts."""
SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
"""JAX would keep small programs out, and a run compiles dozens of them."""


def folder() -> Path:
    """Where the programs are kept: the platform's folder for what can be made anew."""
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "fidojax" / "compiled"


def enable() -> Path | None:
    """Keep compiled programs on disk from now on; to be called before the first is compiled.

    Runs at the same time may share the folder, and what cannot be read in it is compiled anew.

    Returns:
        The folder; None where the cache is switched off, was set up already or cannot be written.
    """
    if os.environ.get(OFF) or jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return None
    try:
        where = folder()
        where.mkdir(mode=0o700, parents=True, exist_ok=True)  # whoever may write it can run code
        prune(where, LIMIT)
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    if not os.access(where, os.W_OK | os.X_OK):
        return None
    for name, value in {"jax_compilation_cache_dir": str(where), **SETTINGS}.items():
        jax.config.update(name, value)
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    return where


def prune(where: Path, limit: int) -> None:
    """Remove the programs that were not used for longest, until the rest take `limit` bytes.

    Also empty files, which a full disk leaves and JAX would never write again.

    JAX's own limit stops storing anything once a file of its bookkeeping is missing, as after a
    kill, and lists the whole folder for every program that it stores.
    """
    found = []
    for entry in os.scandir(where):
        try:
            known = entry.stat()
        except FileNotFoundError:  # another run was quicker
            continue
        if not known.st_size:
            Path(entry.path).unlink(missing_ok=True)
        found.append((max(known.st_atime, known.st_mtime), known.st_size, entry.path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= limit:
            break
        Path(path).unlink(missing_ok=True)
        total -= size
