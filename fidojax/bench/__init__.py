"""What an explanation costs on this machine: time, memory and compilation, beside their floors.

`fidojax bench` is its command line. One row is one method on one classifier at one batch size,
`fidojax.bench.measure.measure`; the times of a row are taken in turn in one run, so its ratios
stand on a busy machine too.
"""

from fidojax.bench.clocks import CLOCKS, interleaved
from fidojax.bench.floors import bare_forward, bare_gradient, matrix_product, operations
from fidojax.bench.measure import measure
from fidojax.bench.passes import Passes, count_passes, passes_per_map
from fidojax.bench.row import BenchRow, Case, How, markdown_table, terminal_table
from fidojax.bench.step import Work, paired, temporary_bytes

__all__ = [
    "CLOCKS",
    "BenchRow",
    "Case",
    "How",
    "Passes",
    "Work",
    "bare_forward",
    "bare_gradient",
    "count_passes",
    "interleaved",
    "markdown_table",
    "matrix_product",
    "measure",
    "operations",
    "paired",
    "passes_per_map",
    "temporary_bytes",
    "terminal_table",
]
