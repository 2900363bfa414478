"""Compiled programs kept on disk between runs of the command line and of the evaluation.

It is JAX's persistent compilation cache in the user's cache folder. Importing fidojax never turns
it on. The environment variable FIDOJAX_NO_CACHE keeps it off, and a folder that JAX has been given,
for instance by JAX_COMPILATION_CACHE_DIR, is respected.
"""

import os
import warnings
from pathlib import Path

import jax

from fidojax.data import cache_folder

OFF = "FIDOJAX_NO_CACHE"
LIMIT = 2 << 30
"""The bytes that the programs of earlier runs may take when a run starts."""
SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
"""By default JAX does not store small programs, of which a run compiles dozens."""


def enable() -> Path | None:
    """Turn the cache on; call it before the first program is compiled.

    Runs at the same time may share the folder. A program that cannot be read is compiled again.

    Returns:
        The folder; None where the cache is switched off, already set up, or not writable.
    """
    if os.environ.get(OFF) or jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return None
    try:
        where = cache_folder() / "compiled"
        where.mkdir(mode=0o700, parents=True, exist_ok=True)  # whoever may write it can run code
        prune(where, LIMIT)
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None
    if not os.access(where, os.W_OK | os.X_OK):
        return None
    for name, value in {"jax_compilation_cache_dir": str(where), **SETTINGS}.items():
        jax.config.update(name, value)
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    return where


def prune(where: Path, limit: int) -> None:
    """Remove the least recently used programs until the others take at most `limit` bytes.

    Empty files go too: a full disk leaves them, and JAX would never replace them. JAX's own limit
    is not used, since it stops storing programs once a kill has left its bookkeeping incomplete,
    and lists the whole folder for every program.
    """
    found = []
    for entry in os.scandir(where):
        try:
            known = entry.stat()
        except FileNotFoundError:  # another run has removed it
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
