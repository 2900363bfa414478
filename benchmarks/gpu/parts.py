"""The parts of a benchmark, carried out one after the other, and their file of results."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from fidojax.bench.measure import reason
from fidojax.data import write_json

Found = dict[str, Any]
"""What a part has measured; {"problem": SENTENCE} where it could not."""


class Part(NamedTuple):
    """A part: its name, such as "fido/resnet50/bfloat16/paper", and what measures it."""

    name: str
    measure: Callable[[], Found]


class Results:
    """The results by the names of the parts, written to a JSON file after each of them.

    Args:
        path: the file; what it holds of the same machine and plan is kept.
        about: the machine, see `benchmarks.machine.description`.
        plan: what is measured; with another plan or device all parts are measured again.

    Attributes:
        found: the results of the finished parts.
        skipped: the names of the parts that the last run did not begin.
    """

    def __init__(self, path: Path, about: dict[str, Any], plan: dict[str, Any]) -> None:
        self._path = path
        self._head = {"about": about, "plan": plan}
        self.found: dict[str, Found] = {}
        self.skipped: list[str] = []
        if path.exists():
            self.found = self._kept(json.loads(path.read_text()))

    def _kept(self, before: dict[str, Any]) -> dict[str, Found]:
        same = all(
            before.get(name, {}).get(key) == self._head[name].get(key)
            for name, keys in (("about", ("device", "versions")), ("plan", self._head["plan"]))
            for key in keys
        )
        found = before.get("parts", {}) if same else {}
        return {name: row for name, row in found.items() if "problem" not in row}

    @property
    def failed(self) -> list[str]:
        """The names of the parts that could not be measured."""
        return [name for name, row in self.found.items() if "problem" in row]

    def add(self, name: str, row: Found) -> None:
        """Add a result and write the file."""
        self.found[name] = row
        self.write()

    def write(self) -> None:
        """Write the file."""
        write_json(self._path, {**self._head, "parts": self.found, "not_run": self.skipped})


def carry_out(
    wanted: Sequence[Part], results: Results, budget: float
) -> Iterator[tuple[str, Found]]:
    """Measure the parts that have no result yet; yield each when it is written.

    Args:
        budget: the seconds after which no part is begun.
    """
    start = time.monotonic()
    for part in wanted:
        if part.name in results.found:
            continue
        begun = time.monotonic()
        if begun - start > budget:
            results.skipped.append(part.name)
            continue
        try:
            row: Found = part.measure()
        except Exception as error:
            # A backend may raise anything, and the other parts are still wanted.
            row = Found(problem=reason(error))
        row["took"] = round(time.monotonic() - begun, 1)
        results.add(part.name, row)
        jax.clear_caches()
        yield part.name, row
    results.write()
