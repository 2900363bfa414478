"""Which part of a run this process does."""

import jax

LONGEST = 7 * 24 * 3600
"""Seconds that a finished process waits for the others, which are not equally fast."""


def join_processes() -> None:
    """Join the processes that a launcher has started, by `jax.distributed`.

    It reads what SLURM's srun, Open MPI's mpirun, a TPU pod or Kubernetes tell each process. To be
    called before JAX is used.

    Raises:
        ValueError: none of them has started this process, or the others do not answer.
    """
    try:
        jax.distributed.initialize(shutdown_timeout_seconds=LONGEST)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"distributed: expected a process started by srun, mpirun, Kubernetes or on a TPU pod "
            f"({reason})"
        ) from None


def parse_shard(text: str | None) -> tuple[int, int]:
    """(index from 0, number of shards) of "I/N", I from 1.

    Without a text it is the process's place among those that `jax.distributed` has joined, so that
    a launcher's processes share a run by themselves.

    Raises:
        ValueError: it is not of this form.
    """
    if text is None:
        return jax.process_index(), jax.process_count()
    index, slash, shards = text.partition("/")
    if not (slash and index.isdecimal() and shards.isdecimal() and 1 <= int(index) <= int(shards)):
        raise ValueError(f"shard is {text!r}, expected I/N with I from 1 to N, such as 1/4")
    return int(index) - 1, int(shards)
