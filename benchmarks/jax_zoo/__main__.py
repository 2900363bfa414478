"""Trace and measure networks, or print the tables: see `benchmarks.jax_zoo`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import tyro

from benchmarks.jax_zoo import (
    equinox_models,
    flax_models,
    keras_models,
    methods,
    packages,
    report,
)


@dataclasses.dataclass(frozen=True)
class Trace:
    """Trace the methods on networks, without computing anything."""

    out: Path
    """File to which a line of JSON per network is added; networks that it has are left out."""
    names: tuple[str, ...] = ()
    """Of the networks, all when none is given."""
    libraries: tuple[str, ...] = ()
    """Whose networks, all when none is given."""


@dataclasses.dataclass(frozen=True)
class Measure(Trace):
    """Run cheap methods on networks."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Print the tables."""

    file: tyro.conf.Positional[Path]


def main(task: Trace | Measure | Report) -> None:
    """Trace, measure, or print what was found."""
    if isinstance(task, Report):
        print("\n".join(report.lines(rows_of(task.file))))
        return
    kind, work = "traced", methods.traced
    if isinstance(task, Measure):
        kind, work = "measured", methods.measured
    done = {(r["library"], r["name"]) for r in rows_of(task.out) if r["kind"] == kind}
    for source in (flax_models, equinox_models, packages, keras_models):
        for model in source.models():
            chosen = not task.names or model.name in task.names
            chosen &= not task.libraries or model.library in task.libraries
            if not chosen or (model.library, model.name) in done:
                continue
            print(model.library, model.name, flush=True)
            row = work(model)
            with task.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            jax.clear_caches()


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, none where there is none."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


if __name__ == "__main__":
    main(tyro.cli(Trace | Measure | Report))
