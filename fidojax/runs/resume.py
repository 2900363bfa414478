"""Explain the missing pictures of a data set and store their maps in a ledger.

`fidojax explain` and the evaluation share it. It holds a few batches of pictures and maps in
memory, however many pictures there are; a run that is stopped loses only those. The key of a
picture is folded from the seed and its id, so maps depend neither on where a run was stopped nor on
how many processes shared it, as long as `batch_size` stays the same.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from fidojax.core import Region, as_classifier, check_classifier, check_target
from fidojax.data import BadPicture, Picture
from fidojax.engine import ExplainRequest, Sample, Stopwatch, explain_samples
from fidojax.runs.explained import Explained, Item, joined
from fidojax.runs.ledger import DONE, Ledger
from fidojax.types import Explanation

PICTURES, QUICK = 256, 0.5
"""Batches that take less than `QUICK` seconds are stored together, up to this many pictures."""
TOGETHER = 16
"""The smallest number of pictures whose classes are looked up together."""


class Tally(NamedTuple):
    """The number of pictures that were explained, and those that were not, with the reason."""

    explained: int
    failures: list[BadPicture]


Targets = Callable[[Sequence[Picture]], Sequence[int | str]]
"""Returns for each picture the class to explain, or the reason why there is none."""
Each = Callable[[Sequence[Picture]], Mapping[str, Any]]
"""Returns the per-picture options of several pictures, leaves with a leading axis of pictures."""
Regions = Callable[[Explained], Region | None]
"""Reads out the regions of the maps of explained pictures."""


def explain_missing(
    ledger: Ledger,
    request: ExplainRequest,
    items: Iterable[Item],
    targets: Targets,
    *,
    each: Each | None = None,
    regions: Regions | None = None,
    finish: Callable[[Explained], Sequence[str | None]] = Explained.problems,
    stored: Callable[[Explained], None] | None = None,
    record: Callable[[Any], Mapping[str, np.ndarray]] | None = None,
    progress: Callable[[float, int], None] | None = None,
    smaller: Callable[[int], None] | None = None,
    watch: Stopwatch | None = None,
) -> Tally:
    """Explain the items, batch by batch, and store their maps.

    A picture that cannot be read, or has no class or no finite map, is stored as failed with the
    reason; the run goes on.

    Args:
        ledger: receives the columns `maps` and `scale` (see `fidojax.runs.pack`), `targets`,
            `batch_size` (below the requested one after the memory ran out), `seconds` (the only
            column that differs between two runs) and, for methods that return a standard
            deviation, `deviation` with its `deviation_scale`. With regions: their masks `region`,
            `region_area`, `region_level`, `region_probability` and `region_without`, see
            `fidojax.Region`.
        request: how the pictures are explained; its batch size must be given.
        items: the missing pictures; read as they are needed.
        targets: called with several pictures at a time, in the order of the items.
        each: called with the same pictures; returns the options that differ per picture.
        regions: called with explained pictures; returns the regions that go into the ledger,
            leaves with a leading axis of pictures. None takes those of the method (`info.region`).
        finish: called with explained pictures before they are stored; returns for each the reason
            why it failed, or None.
        stored: called with the same pictures when their rows are stored. Whatever else belongs to
            a finished picture is written here, so that none of it is there without its map.
        record: called with the `info` of explained pictures; returns further columns, "n ...".
        progress: called with the number of pictures done, a fraction for those under way, and with
            the number of pictures stored.
        smaller: called with the new batch size after the memory ran out.
        watch: divides the wall time among the pictures, reading out their regions included.

    Returns:
        How many items were explained, and which were not.

    Raises:
        ValueError: as `fidojax.explain_batch`, or the request leaves its batch size open.
    """
    work = _Work(
        ledger, request, targets, each, regions, finish, stored, record, progress, smaller,
        watch or Stopwatch(),
    )  # fmt: skip
    return work.run(iter(items))


class _Work:
    """One call of `explain_missing` and its results so far."""

    def __init__(
        self, ledger, request, targets, each, regions, finish, stored, record, progress, smaller,
        watch,
    ) -> None:  # fmt: skip
        self._ledger, self._request = ledger, request
        self._targets, self._each = targets, each
        self._regions, self._watch = regions, watch
        self._finish, self._progress = finish, progress or (lambda done, stored: None)
        self._tell = smaller or (lambda batch_size: None)
        self._record = record or (lambda info: {})
        self._after = stored or (lambda explained: None)
        self._pending: dict[int, tuple[Item, int]] = {}
        self._batch_size = request.batch_size
        self._stored = self._explained = 0
        self._failures: list[BadPicture] = []
        self._bad = 0

    def run(self, items: Iterator[Item]) -> Tally:
        stream = explain_samples(
            self._request,
            self._samples(items),
            progress=lambda done: self._progress(self._bad + done, self._stored),
            smaller=self._smaller,
            watch=self._watch,
        )
        held: list[Explained] = []
        batches, stored = 1, time.monotonic()
        try:
            for numbers, explanation in stream:
                held.append(self._explained_now(numbers, explanation))
                if len(held) >= batches or time.monotonic() - stored >= QUICK:
                    groups, held = held, []
                    self._store(groups)
                    taken = time.monotonic() - stored + 1e-9
                    most = PICTURES // self._batch_size
                    batches = int(max(1, min(most, QUICK * len(groups) / taken)))
                    stored = time.monotonic()
        finally:  # finished pictures are stored even when the run is interrupted
            if held:
                self._store(held)
        self._progress(self._stored, self._stored)
        return Tally(self._explained, self._failures)

    def _explained_now(self, numbers: list[int], explanation: Explanation) -> Explained:
        items, targets = zip(*(self._pending.pop(number) for number in numbers), strict=True)
        seconds = np.array([self._watch.take(number) for number in numbers])
        return Explained(list(items), list(targets), explanation, seconds)

    def _samples(self, items: Iterator[Item]) -> Iterator[Sample]:
        """Yield the pictures that can be explained; store the others as failed."""
        numbers = itertools.count()
        together = max(self._request.pictures_at_once, TOGETHER)
        while batch := list(itertools.islice(items, together)):
            good, classes, bad = _with_targets(batch, self._targets, self._request.classifier)
            if bad:
                rows, names = [item.row for item, _ in bad], [item.name for item, _ in bad]
                self._ledger.write(rows, names, {}, [reason for _, reason in bad])
                self._failures += [BadPicture(item.picture.source, reason) for item, reason in bad]
                self._stored += len(bad)
                self._bad += len(bad)
            shown: list[Picture] = [item.picture for item in good]  # type: ignore[misc]
            each = self._each(shown) if self._each and shown else {}
            for at, (item, target) in enumerate(zip(good, classes, strict=True)):
                number, picture = next(numbers), shown[at]
                self._pending[number] = item, target
                own = jax.tree.map(lambda leaf: leaf[at], dict(each))  # noqa: B023
                yield Sample(picture.id, picture.image, target, own)

    def _with_regions(self, one: Explained) -> Explained:
        """Add the regions of the maps, and the time that this took."""
        if self._regions is None:
            return one._replace(region=getattr(one.explanation.info, "region", None))
        found = self._regions(one)
        share = self._watch.passed() / len(one.items)
        return one._replace(region=found, seconds=one.seconds + share)

    def _smaller(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._tell(batch_size)

    def _store(self, groups: list[Explained]) -> None:
        """Finish several batches and store them together."""
        one = self._with_regions(joined(groups))
        problems = self._finish(one)
        self._ledger.write(
            [item.row for item in one.items],
            [item.name for item in one.items],
            {
                **one.columns(),
                **self._record(one.explanation.info),
                "batch_size": np.full(len(one.items), self._batch_size, np.int32),
            },
            problems,
        )
        for item, reason in zip(one.items, problems, strict=True):
            if reason is not None:
                self._failures.append(BadPicture(item.picture.source, reason))
        self._after(one)
        self._explained += sum(reason is None for reason in problems)
        self._stored += len(one.items)
        self._progress(self._stored, self._stored)


def seconds_per_map(
    ledger: Ledger | None, rows: Sequence[int] | np.ndarray | None = None
) -> float | None:
    """The median time of the stored maps, in seconds; None if no time is known.

    Args:
        ledger: as `explain_missing` writes it.
        rows: the rows that count; None counts all.
    """
    if ledger is None:
        return None
    done = np.flatnonzero(ledger.status == DONE)
    done = done if rows is None else np.intersect1d(done, rows)
    seconds = ledger.read("seconds", done) if len(done) else np.array([])
    return float(np.nanmedian(seconds)) if np.isfinite(seconds).any() else None


def _with_targets(
    batch: list[Item], targets: Targets, classifier: Any
) -> tuple[list[Item], list[int], list[tuple[Item, str]]]:
    """Split a batch into items with their classes, and items with the reason why they have none."""
    bad = [(item, item.picture.reason) for item in batch if isinstance(item.picture, BadPicture)]
    read = [item for item in batch if isinstance(item.picture, Picture)]
    found = targets([item.picture for item in read]) if read else []  # type: ignore[misc]
    pairs = list(zip(read, found, strict=True))
    if pairs:
        image = read[0].picture.image  # type: ignore[union-attr]
        classes = check_classifier(as_classifier(classifier), image.shape)
        pairs = [(item, _class_or_reason(target, classes)) for item, target in pairs]
    bad += [(item, target) for item, target in pairs if isinstance(target, str)]
    good = [(item, int(target)) for item, target in pairs if not isinstance(target, str)]
    return [item for item, _ in good], [target for _, target in good], bad


def _class_or_reason(target: int | str, classes: int) -> int | str:
    """Return the class, or the reason why it is none."""
    try:
        if not isinstance(target, str):
            check_target(target, classes)
    except (TypeError, ValueError) as error:
        return str(error)
    return target
