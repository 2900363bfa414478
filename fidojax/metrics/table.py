"""METRICS: one row holds what the library knows of a metric."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fidojax.core import Column, add_row, check_name, region
from fidojax.metrics.complexity import complexity, mask_size
from fidojax.metrics.conciseness import conciseness_preciseness
from fidojax.metrics.deletion import deletion, insertion
from fidojax.metrics.erasing import erasing
from fidojax.metrics.faithfulness import faithfulness
from fidojax.metrics.hallucination import hallucination
from fidojax.metrics.infidelity import infidelity
from fidojax.metrics.localisation import (
    localisation,
    pointing_game,
    relevance_mass,
    relevance_rank,
    roc_auc,
)
from fidojax.metrics.mixture import mixture
from fidojax.metrics.objective import expected_objective
from fidojax.metrics.removal import preservation, removal
from fidojax.metrics.saliency_metric import saliency_metric
from fidojax.metrics.sufficiency import sufficiency

BETTER = ("lower", "higher", "none")


class MetricRow(NamedTuple):
    """A metric: what it needs, how to read its headline number, and what to cite.

    Attributes:
        function: `function(key, classifier, image, target, saliency, *, options)`, which returns a
            NamedTuple for one map of one image.
        headline: field of that NamedTuple with the number that stands for the metric.
        better: direction of the headline number, one of `BETTER`.
        unit: unit of the headline number.
        papers: keys of fidojax/papers.bib, the metric's own paper first.
        infill: whether the option `infill` must be given.
        boxes: whether the option `boxes`, the true boxes of the object, must be given.
        mask: whether the map must be a mask in [0, 1].
    """

    function: Callable[..., Any]
    headline: str
    better: str
    unit: str
    papers: tuple[str, ...]
    infill: bool = False
    boxes: bool = False
    mask: bool = False

    @property
    def name(self) -> str:
        """The metric's name, which is its function's."""
        return self.function.__name__

    @property
    def needs(self) -> tuple[str, ...]:
        """What the metric needs beside a map: "infill", "boxes", "mask in [0, 1]"."""
        asked = {"infill": self.infill, "boxes": self.boxes, "mask in [0, 1]": self.mask}
        return tuple(name for name, needed in asked.items() if needed)


METRIC_ROWS: dict[str, MetricRow] = {}
"""The row of every metric, by name."""

METRICS: Mapping[str, Callable[..., Any]] = Column(METRIC_ROWS, "function", "metric")
"""The function of every metric, by name: those that judge one map of one image."""


def register_metric(row: MetricRow) -> None:
    """Add a metric to the table, and so to everything that takes metrics by name.

    Raises:
        ValueError: the direction is unknown, or another metric has the name.
    """
    check_name("better", row.better, BETTER)
    add_row(METRIC_ROWS, row, "metric")


SCORE, SHARE = "units of the score", "share"
_ROWS = (
    MetricRow(removal, "statistic", "higher", SCORE, ("vdsm",), infill=True),
    MetricRow(preservation, "statistic", "higher", SCORE, ("vdsm",), infill=True),
    MetricRow(expected_objective, "objective", "lower", SCORE, ("fido",), infill=True, mask=True),
    MetricRow(mixture, "probability", "higher", "probability", ("fido",), infill=True, mask=True),
    MetricRow(hallucination, "share", "lower", SHARE, ("shearletx",), infill=True, mask=True),
    MetricRow(
        conciseness_preciseness,
        "score",
        "higher",
        "ratio of shares",
        ("shearletx",),
        infill=True,
        mask=True,
    ),
    MetricRow(sufficiency, "share", "lower", SHARE, ("fido",), infill=True),
    MetricRow(region, "area", "lower", SHARE, ("extremal_perturbation",), infill=True),
    MetricRow(deletion, "auc", "lower", SCORE, ("rise", "fido"), infill=True),
    MetricRow(insertion, "auc", "higher", SCORE, ("rise", "fido"), infill=True),
    MetricRow(faithfulness, "correlation", "higher", "correlation", ("bhatt", "senn"), infill=True),
    MetricRow(
        infidelity, "error", "lower", "squared units of the score", ("infidelity",), infill=True
    ),
    MetricRow(erasing, "mean", "lower", "nats", ("varsal", "full_gradient")),
    MetricRow(saliency_metric, "value", "lower", "nats", ("realtime", "fido")),
    MetricRow(localisation, "hit", "higher", "0 or 1", ("fido",), boxes=True),
    MetricRow(pointing_game, "hit", "higher", "0 or 1", ("excitation_backprop",), boxes=True),
    MetricRow(relevance_mass, "share", "higher", SHARE, ("clevr_xai",), boxes=True),
    MetricRow(relevance_rank, "share", "higher", SHARE, ("clevr_xai",), boxes=True),
    MetricRow(roc_auc, "auc", "higher", "probability", ("roc",), boxes=True),
    MetricRow(complexity, "gini", "none", "Gini index", ("chalasani", "bhatt")),
    MetricRow(mask_size, "size", "none", SHARE, ("fido",), mask=True),
)
for _row in _ROWS:
    register_metric(_row)
