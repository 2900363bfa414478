"""The share of this process in a run."""

import jax

LONGEST = 7 * 24 * 3600
"""Seconds that a finished process waits for the slower ones."""


def join_processes() -> None:
    """Join the other processes of a launcher by `jax.distributed`.

    It reads the environment that SLURM's srun, Open MPI's mpirun, a TPU pod or Kubernetes gives to
    each process. Call it before JAX is used.

    Raises:
        ValueError: no launcher has started this process, or the other processes do not answer.
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
    """Return (index from 0, number of shards) of a text "I/N" with I from 1.

    Without a text, the shard is this process's index among the processes that `jax.distributed` has
    joined, so that the processes of a launcher share a run without further options.

    Raises:
        ValueError: the text does not have this form.
    """
    if text is None:
        return jax.process_index(), jax.process_count()
    index, slash, shards = text.partition("/")
    if not (slash and index.isdecimal() and shards.isdecimal() and 1 <= int(index) <= int(shards)):
        raise ValueError(f"shard is {text!r}, expected I/N with I from 1 to N, such as 1/4")
    return int(index) - 1, int(shards)
