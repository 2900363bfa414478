"""The loop of a training program: resume, step, log, save, stop.

What a step does is the program's business: `step(state, index) -> (state, metrics)`. The loop runs
on the host because XLA's CPU convolutions are many times slower inside `lax.scan`. Everything
random must follow from the index; then a run that was killed and started again ends with the same
bits as one that was not.
"""

import csv
import dataclasses
import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from orbax.checkpoint import v1 as ocp
from rich import progress


class Stopped(SystemExit):
    """The run was asked to stop (SIGTERM or Ctrl-C) and has saved its state."""


@jax.jit
def _finite(state: Any) -> jax.Array:
    leaves = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in leaves]))


PLACES = ("out", "data_dir", "export")
"""Fields of a program's settings that its results do not depend on."""


def same_settings(config: Any) -> None:
    """Writes the settings beside the checkpoints, or raises ValueError where others are there.

    Args:
        config: a dataclass; its field `out` is the folder.
    """
    directory = config.out
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in PLACES}
    path = directory / "settings.json"
    text = json.dumps(settings, indent=1, sort_keys=True, default=str)
    if path.exists() and path.read_text() != text:
        old = json.loads(path.read_text())
        new = json.loads(text)
        names = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
        raise ValueError(
            f"--out {directory} holds a run with another {', '.join(names)}: "
            "choose another folder, or the same settings to continue"
        )
    directory.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class _Log:
    """metrics.csv; rows beyond the resumed step are dropped, they will be written again."""

    def __init__(self, path: Path, start: int):
        self.path, self.rows = path, []
        if path.exists():
            with path.open(newline="") as file:
                whole = [r for r in csv.DictReader(file) if None not in r.values()]
            self.rows = [row for row in whole if int(row["step"]) <= start]
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
    """Runs `step` for index 0 .. steps - 1 and returns the last state; resumes from `directory`.

    Args:
        state: the initial state, a pytree of arrays, already placed on its devices.
        step: `step(state, index) -> (state, metrics)`; metrics are scalars and hold "loss".
        steps: how many in all.
        directory: holds the checkpoints and metrics.csv.
        save_every: steps between checkpoints; each writes one row of metrics, means since the last.
        evaluate: further columns of that row, from the state and the number of steps done.
        title: what the progress bar says.

    Raises:
        FloatingPointError: loss or state is not finite; names the step. The last checkpoint stays.
        Stopped: after SIGTERM or Ctrl-C, when the state is saved.
    """
    asked: list[int] = []
    handlers = {s: signal.signal(s, lambda number, frame: asked.append(number))
                for s in (signal.SIGTERM, signal.SIGINT)}  # fmt: skip
    keep: Any = ocp.training.preservation_policies.LatestN(2)
    keeper = ocp.training.Checkpointer(
        str((directory / "checkpoints").absolute()),
        preservation_policy=keep,
        cleanup_tmp_directories=True,
    )
    try:
        start = 0
        if keeper.latest is not None:
            start = keeper.latest.step
            abstract = jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
            )
            state = keeper.load(start, abstract)
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
                    log.add(row)  # first: a row without its checkpoint is dropped on resuming
                    keeper.save(done, state, force=True)
                    recent = []
                    bar.update(task, note=" ".join(f"{k} {v:.4g}" for k, v in row.items()))
                if asked:
                    raise Stopped(f"stopped after step {index}; the same command continues")
    finally:
        keeper.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return state


@dataclasses.dataclass(frozen=True)
class Settings:
    """Which data, where to, on what."""

    name: str
    """Data set; the files written are called after it."""
    out: Path
    """Folder for checkpoints, metrics.csv, grids and the result."""
    data_dir: Path | None = None
    """Folder of TFDS data sets; TFDS's own default if not given."""
    split: str = "validation"
    """The split that is measured and never trained on."""
    seed: int = 0
    devices: int = 0
    """Devices to split the CPU into; 0 takes the local devices as they are."""
