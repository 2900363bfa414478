"""Many images at once: batching, scheduling, devices, memory, early stopping."""

from fidojax.engine.batches import in_batches
from fidojax.engine.devices import (
    Spread,
    check_divisible,
    concurrent_calls,
    cores,
    divided,
    placements,
    split_cpu,
    threads_per_device,
)
from fidojax.engine.early_stopping import Stop
from fidojax.engine.explain import Progress, explain_batch, explain_stream, lambda_path
from fidojax.engine.keys import image_keys
from fidojax.engine.measure import measure_batch
from fidojax.engine.memory import find_batch_size, free_bytes, needed_bytes, on_cpu
from fidojax.engine.options import prepared, split_options
from fidojax.engine.scheduler import Sample, is_out_of_memory
from fidojax.engine.slots import CHUNK, longest_chunk, pace
from fidojax.engine.threads import CallThreads

__all__ = [
    "CHUNK",
    "CallThreads",
    "Progress",
    "Sample",
    "Spread",
    "Stop",
    "check_divisible",
    "concurrent_calls",
    "cores",
    "divided",
    "explain_batch",
    "explain_stream",
    "find_batch_size",
    "free_bytes",
    "image_keys",
    "in_batches",
    "is_out_of_memory",
    "lambda_path",
    "longest_chunk",
    "measure_batch",
    "needed_bytes",
    "on_cpu",
    "pace",
    "placements",
    "prepared",
    "split_cpu",
    "split_options",
    "threads_per_device",
]
