"""Forecast what a study's missing maps and scores cost: passes of the classifier, and time."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from eval.scoring import scores_path
from eval.study import Study, StudyRow
from eval.subject import Subject, forward
from fidojax.bench import Passes, passes_per_map
from fidojax.engine import compile_seconds
from fidojax.methods import METHOD_ROWS, METHODS
from fidojax.runs import DONE, Ledger, duration, find_ledger, seconds_per_map
from fidojax.types import Classifier, Images


class Cost(NamedTuple):
    """What one row costs.

    Attributes:
        missing: the number of maps to explain.
        passes: of the classifier per map; None for a method outside the library.
        explaining: seconds of all missing maps: from the median of the finished ones where there
            are any, else from the classifier's passes alone, without the time of learned infillers.
        compiling: seconds to compile the row's programs, from those of the classifier's passes.
        scoring: seconds of all missing scores, from the classifier's passes.
        measured: whether there were finished maps.
    """

    missing: int
    passes: Passes | None
    explaining: float = 0.0
    compiling: float = 0.0
    scoring: float = 0.0
    measured: bool = False

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.explaining + self.compiling + self.scoring

    def line(self, name: str) -> dict[str, str]:
        """A line of a table, as text."""
        forward, backward = self.passes or ("", "")
        how = "measured" if self.measured else "passes"
        return {
            "row": name,
            "maps": str(self.missing),
            "forward": f"{forward}",
            "backward": f"{backward}",
            "maps take": duration(self.explaining),
            "from": how if self.missing else "",
            "compiling": duration(self.compiling),
            "scores": duration(self.scoring),
        }


class Trial(NamedTuple):
    """What the classifier's two passes take, in seconds.

    Attributes:
        forward, gradient: of one picture; a gradient without the forward pass before it.
        compiling_forward, compiling_gradient: to compile the two programs.
    """

    forward: float
    gradient: float
    compiling_forward: float
    compiling_gradient: float


def costs(
    study: Study, out: Path, ledgers: Mapping[str, Ledger | None], of: Subject, batch: int
) -> dict[str, Cost]:
    """Return the cost of every row; the classifier's two passes are timed once, if needed.

    Args:
        out: the folder of the results.
        ledgers: by row; None where there is none yet.
        batch: pictures per compiled call.
    """
    found = {}
    compiled: set[str] = set()  # sets of scores: rows after the first one use the same programs
    trial: Trial | None = None
    for name, row in study.rows.items():
        passes = passes_of(row, of.model.size, len(of.model.labels))
        count = row.count(len(of.drawn.ids))
        finished = _finished(ledgers[name], count)
        missing = count - len(finished)
        unscored = _unscored(study, out, name, count)
        if not missing and not unscored:
            found[name] = Cost(0, passes)
            continue
        trial = trial or _try(of.model.classifier, of.model.size, batch)
        forward, backward = passes or (0, 0)
        known = seconds_per_map(ledgers[name], finished)
        each = forward * trial.forward + backward * trial.gradient if known is None else known
        new = {kind for kind, more in unscored.items() if more} - compiled
        compiled |= new
        compiling = len(new) * trial.compiling_forward
        if missing and forward:
            compiling += trial.compiling_gradient if backward else trial.compiling_forward
            # The state at the start, and reading it out at the end.
            compiling += 2 * trial.compiling_forward if METHOD_ROWS[row.name].loop else 0
        scoring = sum(unscored.values()) * trial.forward
        found[name] = Cost(missing, passes, each * missing, compiling, scoring, known is not None)
    return found


def _finished(ledger: Ledger | None, count: int) -> np.ndarray:
    """The rows of a ledger that are done, of the first `count`."""
    return np.flatnonzero(ledger.status[:count] == DONE) if ledger is not None else np.array([])


def _unscored(study: Study, out: Path, name: str, count: int) -> dict[str, int]:
    """The classifier's passes of the scores that a row lacks, by set."""
    passes = {}
    for kind in study.sets_of(name):
        scores = study.scores[kind]
        limit = min(scores.limit or count, count)
        done = len(_finished(find_ledger(scores_path(study, out, name, kind)), limit))
        if done < limit:
            passes[kind] = (limit - done) * scores.passes
    return passes


def passes_of(row: StudyRow, size: tuple[int, int, int], classes: int) -> Passes | None:
    """The classifier's passes per map; None for a method outside the library."""
    if row.name not in METHODS:
        return None
    return passes_per_map(row.name, row.options, size, classes)


def _try(classifier: Classifier, size: tuple[int, int, int], batch: int) -> Trial:
    images = jnp.full((batch, *size), 0.5)
    forward_, compiling_forward = _best(forward, classifier, images)
    gradient, compiling_gradient = _best(_gradient, classifier, images)
    more = max(gradient - forward_, 0.0) / batch
    return Trial(forward_ / batch, more, compiling_forward, compiling_gradient)


def _best(
    function: Any, classifier: Classifier, images: Images, repeats: int = 3
) -> tuple[float, float]:
    """The seconds of a call, the least of several, and those to compile it."""
    before = compile_seconds()
    jax.block_until_ready(function(classifier, images))
    compiling = compile_seconds() - before
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(classifier, images))
        times.append(time.perf_counter() - start)
    return min(times), compiling


@jax.jit
def _gradient(classifier, images):
    return jax.grad(lambda shown: classifier(shown)[:, 0].sum())(images)
