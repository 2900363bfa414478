"""Which part of a run this process does."""

import jax


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
