"""Many images at once: requests, continuous batching, devices, memory, early stopping."""

from fidojax.engine.batches import in_batches
from fidojax.engine.comparison import ClassRegions, compare_maps, compare_regions
from fidojax.engine.devices import (
    Spread,
    check_divisible,
    concurrent_calls,
    cores,
    divided,
    dividing_threads,
    placements,
    split_cpu,
    threads_per_device,
)
from fidojax.engine.early_stopping import Stop
from fidojax.engine.explain import (
    Progress,
    explain_batch,
    explain_samples,
    explain_stream,
    lambda_path,
)
from fidojax.engine.keys import image_keys
from fidojax.engine.measure import measure_batch
from fidojax.engine.memory import find_batch_size, free_bytes, needed_bytes, on_cpu
from fidojax.engine.options import prepared, split_options
from fidojax.engine.regions import Regions, regions
from fidojax.engine.request import ExplainRequest
from fidojax.engine.samples import Sample
from fidojax.engine.scheduler import is_out_of_memory
from fidojax.engine.slots import STEPS_PER_CALL, most_steps_per_call, pace
from fidojax.engine.stopwatch import Stopwatch, compile_seconds
from fidojax.engine.threads import CallThreads

__all__ = [
    "STEPS_PER_CALL",
    "CallThreads",
    "ClassRegions",
    "ExplainRequest",
    "Progress",
    "Regions",
    "Sample",
    "Spread",
    "Stop",
    "Stopwatch",
    "check_divisible",
    "compare_maps",
    "compare_regions",
    "compile_seconds",
    "concurrent_calls",
    "cores",
    "divided",
    "dividing_threads",
    "explain_batch",
    "explain_samples",
    "explain_stream",
    "find_batch_size",
    "free_bytes",
    "image_keys",
    "in_batches",
    "is_out_of_memory",
    "lambda_path",
    "measure_batch",
    "most_steps_per_call",
    "needed_bytes",
    "on_cpu",
    "pace",
    "placements",
    "prepared",
    "regions",
    "split_cpu",
    "split_options",
    "threads_per_device",
]
