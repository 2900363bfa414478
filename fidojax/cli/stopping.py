"""Why a run cannot go on although the command is right: disk, memory, threads, a damaged store."""

import jax

from fidojax.engine import is_out_of_memory
from fidojax.runs import DamagedError


class StoppedError(Exception):
    """The run cannot go on; the message is one sentence for the user."""


def reason_of(error: BaseException) -> str | None:
    """Return why the machine stopped the run; None for an error of the program."""
    match error:
        case DamagedError():
            return str(error)
        case OSError():
            file = error.filename2 or error.filename  # a file is renamed to the second
            return f"{file}: {error.strerror or error}" if file else str(error.strerror or error)
        case MemoryError():
            return "the memory is exhausted"
        case jax.errors.JaxRuntimeError() if is_out_of_memory(error):
            return "out of memory with one picture at a time"
        case RuntimeError() if "can't start new thread" in str(error):
            return "no more threads can be started (ulimit -u tells how many may run)"
    return None
