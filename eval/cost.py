"""Forecast what a study's missing maps cost: passes of the classifier, and time."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from eval.study import StudyRow
from eval.subject import Subject, forward
from fidojax.bench import Passes, passes_per_map
from fidojax.methods import METHODS
from fidojax.runs import DONE, Ledger, duration, seconds_per_map
from fidojax.types import Classifier, Images


class Cost(NamedTuple):
    """What one row costs.

    Attributes:
        missing: the number of maps to explain.
        passes: of the classifier per map; None for a method outside the library.
        seconds: for all missing maps: from the median of the finished ones where there are any,
            else from the classifier's passes alone, without the time of learned infillers.
        measured: whether there were finished maps.
    """

    missing: int
    passes: Passes | None
    seconds: float
    measured: bool

    def line(self, name: str) -> dict[str, str]:
        """A line of a table, as text."""
        forward, backward = self.passes or ("", "")
        how = "measured" if self.measured else "classifier's passes alone"
        return {
            "row": name,
            "maps": str(self.missing),
            "forward passes each": f"{forward}",
            "backward": f"{backward}",
            "time": duration(self.seconds),
            "from": how if self.missing else "",
        }


def costs(
    rows: Mapping[str, StudyRow], ledgers: Mapping[str, Ledger | None], of: Subject, batch: int
) -> dict[str, Cost]:
    """Return the cost of every row; the classifier's two passes are timed once, if needed.

    Args:
        ledgers: by row; None where there is none yet.
        batch: pictures per compiled call.
    """
    found = {}
    timed: tuple[float, float] | None = None
    for name, row in rows.items():
        ledger = ledgers[name]
        passes = passes_of(row, of.model.size, len(of.model.labels))
        count = row.count(len(of.drawn.ids))
        status = ledger.status[:count] if ledger is not None else np.array([])
        finished = np.flatnonzero(status == DONE)
        missing = count - len(finished)
        each = seconds_per_map(ledger, finished)
        if each is not None:
            found[name] = Cost(missing, passes, each * missing, True)
            continue
        timed = timed or _time(of.model.classifier, of.model.size, batch)
        forward, backward = passes or (0, 0)
        found[name] = Cost(
            missing, passes, missing * (forward * timed[0] + backward * timed[1]), False
        )
    return found


def passes_of(row: StudyRow, size: tuple[int, int, int], classes: int) -> Passes | None:
    """The classifier's passes per map; None for a method outside the library."""
    if row.name not in METHODS:
        return None
    return passes_per_map(row.name, row.options, size, classes)


def _time(classifier: Classifier, size: tuple[int, int, int], batch: int) -> tuple[float, float]:
    """Seconds of a picture's forward pass, and the further seconds of a gradient."""
    images = jnp.full((batch, *size), 0.5)
    one = _best(forward, classifier, images) / batch
    return one, max(_best(_gradient, classifier, images) / batch - one, 0.0)


def _best(function: Any, classifier: Classifier, images: Images, repeats: int = 3) -> float:
    jax.block_until_ready(function(classifier, images))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(classifier, images))
        times.append(time.perf_counter() - start)
    return min(times)


@jax.jit
def _gradient(classifier, images):
    return jax.grad(lambda shown: classifier(shown)[:, 0].sum())(images)
