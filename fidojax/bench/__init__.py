"""What an explanation costs on this machine: times, memory and compilation, beside their floors.

`fidojax bench` is its command line. One row is one method on one classifier at one batch size,
`fidojax.bench.measure.measure`; the times of a row are taken in turn in one run, so its ratios
stand on a busy machine too.
"""
