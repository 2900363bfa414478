"""Tables and figures of stored results; `python -m eval.report DIR` writes a run's report."""

from eval.report.figures import Panel, Triptych, box_plots, panels, triptychs
from eval.report.tables import Box, markdown_table, progress_bars, quartile_table, terminal_table

__all__ = [
    "Box",
    "Panel",
    "Triptych",
    "box_plots",
    "markdown_table",
    "panels",
    "progress_bars",
    "quartile_table",
    "terminal_table",
    "triptychs",
]
