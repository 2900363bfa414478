"""The loop of a training program: resume, step, log, save, stop.

The program defines `step(state, index) -> (state, metrics)`. The loop runs on the host because
XLA's CPU convolutions are many times slower inside `lax.scan`. All randomness must follow from the
index; then a run that was killed and started again ends with the same bits as one that was not.
"""

import csv
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from rich import progress

from train.checkpoints import Checkpoints


class Stopped(SystemExit):
    """SIGTERM or Ctrl-C ended the run after its state was saved."""


@jax.jit
def _finite(state: Any) -> jax.Array:
    leaves = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in leaves]))


class _Log:
    """metrics.csv; rows after the resumed step are dropped, since they will be written again."""

    def __init__(self, path: Path, start: int):
        self.path, self.rows = path, []
        if path.exists():
            with path.open(newline="", errors="replace") as file:
                found = list(csv.DictReader(file))
            whole = [row for row in found if None not in row.values() and None not in row]
            self.rows = [row for row in whole if 0 < _number(row.get("step")) <= start]
        self.fields = list(self.rows[0]) if self.rows else []
        if self.rows:
            self._rewrite()

    def _rewrite(self) -> None:
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.fields)
            writer.writeheader()
            writer.writerows(self.rows)

    def add(self, row: dict[str, Any]) -> None:
        if not self.fields:
            self.fields = list(row)
            self._rewrite()
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.fields).writerow(row)


def _number(text: str | None) -> int:
    """The number of steps in a row of the log; 0 if a damage has made it unreadable."""
    return int(text) if text is not None and text.isdecimal() else 0


def fit(
    state: Any,
    step: Callable[[Any, int], tuple[Any, dict[str, jax.Array]]],
    *,
    steps: int,
    directory: Path,
    save_every: int,
    evaluate: Callable[[Any, int], dict[str, float]] = lambda state, done: {},
    title: str = "training",
) -> Any:
    """Run `step` for index 0 .. steps - 1, or from the last checkpoint; return the last state.

    Args:
        state: the initial state, a pytree of arrays on their devices.
        step: `step(state, index) -> (state, metrics)`; metrics are scalars and hold "loss".
        steps: the number of steps in all.
        directory: folder of the checkpoints and metrics.csv.
        save_every: steps between checkpoints; each writes one row of metrics, the means since the
            last one.
        evaluate: further columns of that row, from the state and the number of steps done.
        title: text of the progress bar.

    Raises:
        FloatingPointError: the loss or the state of the named step is not finite. The last
            checkpoint stays.
        ValueError: there are checkpoints, but none can be read.
        Stopped: SIGTERM or Ctrl-C came, and the state is saved.
    """
    asked: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, frame: asked.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    keeper = Checkpoints(directory / "checkpoints")
    try:
        start, state = keeper.restore(state)
        log = _Log(directory / "metrics.csv", start)
        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(elapsed_when_finished=False),
            progress.TextColumn("{task.fields[note]}"),
        )
        with progress.Progress(*columns, refresh_per_second=1) as bar:
            task = bar.add_task(title, total=steps, completed=start, note="")
            recent: list[dict[str, float]] = []
            for index in range(start, steps):
                state, metrics = step(state, index)
                values = {name: float(value) for name, value in metrics.items()}
                if not math.isfinite(values["loss"]):
                    raise FloatingPointError(f"the loss is {values['loss']} at step {index}")
                recent.append(values)
                bar.advance(task)
                done = index + 1
                if done % save_every == 0 or done == steps or asked:
                    if not _finite(state):
                        raise FloatingPointError(f"a weight is not finite after step {index}")
                    row = {n: sum(r[n] for r in recent) / len(recent) for n in values}
                    row = {"step": done} | row | evaluate(state, done)
                    log.add(row)  # before the checkpoint: resuming drops a row without one
                    keeper.save(done, state)
                    recent = []
                    bar.update(task, note=" ".join(f"{k} {v:.4g}" for k, v in row.items()))
                if asked:
                    raise Stopped(f"stopped after step {index}; the same command continues")
    finally:
        keeper.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return state
