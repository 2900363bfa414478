"""Maps of a whole data set, into a ledger: which rows are missing, explain those, store them.

`fidojax explain` and the evaluation share it. It keeps a few batches of pictures and maps in
memory, however many pictures there are; a stopped run loses those that are under way. Since the
key of a picture is folded from the seed and its id, maps do not depend on where a run was stopped,
nor on how many processes shared it, as long as `batch_size` stays.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from fidojax.data import BadPicture, Picture
from fidojax.engine import Sample, Stop, concurrent_calls, explain_stream
from fidojax.runs.ledger import Ledger
from fidojax.runs.maps import pack
from fidojax.types import Classifier, Device, Explanation, Method

PICTURES, QUICK = 256, 0.5
"""At most so many pictures, of so many seconds together, are stored at once, or one batch."""
TOGETHER = 16
"""Pictures whose classes are looked up together, at least."""
NOT_FINITE = "the explanation is not finite, so there is no map"


class Request(NamedTuple):
    """How every picture is explained.

    Attributes:
        method: a name in `fidojax.methods.table.METHODS` or a function like those.
        classifier: as it is called.
        options: the method's.
        seed: of the run.
        batch_size: pictures per compiled call.
        devices: all local devices when None.
        each: options that differ per picture, made from a batch of pictures.
        precision, stop, rewrite: as `fidojax.explain_batch` takes them.
    """

    method: str | Method
    classifier: Classifier
    options: Mapping[str, Any]
    seed: int = 0
    batch_size: int = 8
    devices: Sequence[Device] | None = None
    each: Callable[[Sequence[Picture]], Mapping[str, Any]] | None = None
    precision: str | None = None
    stop: Stop | None = None
    rewrite: bool = True

    @property
    def batch(self) -> int:
        """Pictures that are explained at once."""
        return self.batch_size * concurrent_calls(self.devices or jax.local_devices())


class Item(NamedTuple):
    """A picture that is to be explained, or what stands in its place, and its row and name."""

    row: int
    name: str
    picture: Picture | BadPicture


class Explained(NamedTuple):
    """A batch of explained pictures, before it is stored.

    Attributes:
        items: of the pictures.
        targets: explained classes, one per picture.
        explanation: NumPy leaves with a leading axis of pictures.
        seconds: taken per picture.
    """

    items: list[Item]
    targets: list[int]
    explanation: Explanation
    seconds: float

    def problems(self) -> list[str | None]:
        """Why a picture has no map, or None."""
        return [
            None if np.isfinite(map_).all() else NOT_FINITE for map_ in self.explanation.saliency
        ]


class Tally(NamedTuple):
    """What became of the missing rows: how many were explained, and why the others were not."""

    explained: int
    failures: list[BadPicture]


Targets = Callable[[Sequence[Picture]], Sequence[int | str]]
"""The class to explain of each picture, or why there is none."""


def explain_missing(
    ledger: Ledger,
    request: Request,
    items: Iterable[Item],
    targets: Targets,
    *,
    finish: Callable[[Explained], Sequence[str | None]] = Explained.problems,
    record: Callable[[Any], Mapping[str, np.ndarray]] | None = None,
    progress: Callable[[float, int], None] | None = None,
    smaller: Callable[[int], None] | None = None,
) -> Tally:
    """Explains the items, batch by batch, and stores their maps.

    A picture that cannot be read, has no class or no finite map is stored as failed, with the
    reason, and stops nothing.

    Args:
        ledger: gets the columns `maps` and `scale` (see `fidojax.runs.maps.pack`), `targets`,
            `batch_size` (smaller than asked for where the memory was short), `seconds` (the only
            one that differs between two runs), and, of methods that have one, `deviation`, the
            map's standard deviation, with its `deviation_scale`.
        items: the missing ones; read as they are needed.
        targets: called with batches of pictures, in the order of the items.
        finish: called with each batch before it is stored; returns the reason why a picture failed
            after all, or None. What else belongs to a finished picture is done here.
        record: further columns "n ..." of a batch, made from the `info` of its explanation.
        progress: called with the pictures done, parts of them included, and those that are stored.
        smaller: told the new batch size where the memory was short.
    """
    return _Work(ledger, request, targets, finish, record, progress, smaller).go(iter(items))


class _Work:
    """One call of `explain_missing`, and what became of it so far."""

    def __init__(self, ledger, request, targets, finish, record, progress, smaller) -> None:
        self._ledger, self._request, self._targets = ledger, request, targets
        self._finish, self._progress = finish, progress or (lambda done, stored: None)
        self._tell = smaller or (lambda batch_size: None)
        self._record = record or (lambda info: {})
        self._pending: dict[int, tuple[Item, int]] = {}
        self._batch_size = request.batch_size
        self._stored = self._explained = 0
        self._failures: list[BadPicture] = []
        self._bad = 0

    def go(self, items: Iterator[Item]) -> Tally:
        request = self._request
        stream = explain_stream(
            request.method, request.classifier, self._samples(items), options=request.options,
            seed=request.seed, batch_size=request.batch_size, devices=request.devices,
            precision=request.precision, stop=request.stop, rewrite=request.rewrite,
            smaller=self._smaller,
            progress=lambda done: self._progress(self._bad + done, self._stored),
        )  # fmt: skip
        held: list[Explained] = []
        rounds, start = 1, time.monotonic()
        begun = start
        try:
            for numbers, explanation in stream:
                now = time.monotonic()
                held.append(self._explained_now(numbers, explanation, now - start))
                if len(held) >= rounds or now - begun >= QUICK:
                    groups, held = held, []
                    self._store(groups)
                    taken = time.monotonic() - begun + 1e-9
                    most = PICTURES // self._batch_size
                    rounds = int(max(1, min(most, QUICK * len(groups) / taken)))
                    begun = time.monotonic()
                start = time.monotonic()
        finally:  # what is finished is kept, also when the run is interrupted
            if held:
                self._store(held)
        self._progress(self._stored, self._stored)
        return Tally(self._explained, self._failures)

    def _explained_now(self, numbers: list[int], explanation: Explanation, seconds: float):
        items, targets = zip(*(self._pending.pop(number) for number in numbers), strict=True)
        return Explained(list(items), list(targets), explanation, seconds / len(items))

    def _samples(self, items: Iterator[Item]) -> Iterator[Sample]:
        """What is to be explained; the others are stored as failed."""
        numbers = itertools.count()
        while batch := list(itertools.islice(items, max(self._request.batch, TOGETHER))):
            good, classes, bad = _with_targets(batch, self._targets)
            if bad:
                rows, names = [item.row for item, _ in bad], [item.name for item, _ in bad]
                self._ledger.write(rows, names, {}, [reason for _, reason in bad])
                self._failures += [BadPicture(item.picture.source, reason) for item, reason in bad]
                self._stored += len(bad)
                self._bad += len(bad)
            shown: list[Picture] = [item.picture for item in good]  # type: ignore[misc]
            each = self._request.each(shown) if self._request.each and shown else {}
            for at, (item, target) in enumerate(zip(good, classes, strict=True)):
                number, picture = next(numbers), shown[at]
                self._pending[number] = item, target
                own = jax.tree.map(lambda leaf: leaf[at], dict(each))  # noqa: B023
                yield Sample(picture.id, picture.image, target, own)

    def _smaller(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._tell(batch_size)

    def _store(self, groups: list[Explained]) -> None:
        """Finish and store batches together."""
        one = Explained(
            [item for group in groups for item in group.items],
            [target for group in groups for target in group.targets],
            jax.tree.map(
                lambda *leaves: np.concatenate(leaves), *[group.explanation for group in groups]
            ),
            sum(group.seconds * len(group.items) for group in groups)
            / sum(len(group.items) for group in groups),
        )
        problems = self._finish(one)
        self._ledger.write(
            [item.row for item in one.items],
            [item.name for item in one.items],
            {
                **_columns(one),
                **self._record(one.explanation.info),
                "batch_size": np.full(len(one.items), self._batch_size, np.int32),
            },
            problems,
        )
        for item, reason in zip(one.items, problems, strict=True):
            if reason is not None:
                self._failures.append(BadPicture(item.picture.source, reason))
        self._explained += sum(reason is None for reason in problems)
        self._stored += len(one.items)
        self._progress(self._stored, self._stored)


def _with_targets(
    batch: list[Item], targets: Targets
) -> tuple[list[Item], list[int], list[tuple[Item, str]]]:
    """Items with their class, and items with the reason why they have none."""
    bad = [(item, item.picture.reason) for item in batch if isinstance(item.picture, BadPicture)]
    read = [item for item in batch if isinstance(item.picture, Picture)]
    found = targets([item.picture for item in read]) if read else []  # type: ignore[misc]
    pairs = list(zip(read, found, strict=True))
    bad += [(item, target) for item, target in pairs if isinstance(target, str)]
    good = [(item, int(target)) for item, target in pairs if not isinstance(target, str)]
    return [item for item, _ in good], [target for _, target in good], bad


def _columns(finished: Explained) -> dict[str, np.ndarray]:
    count = len(finished.items)
    columns = pack(np.asarray(finished.explanation.saliency))
    spread = getattr(finished.explanation.info, "standard_deviation", None)
    if spread is not None:
        packed = pack(spread)
        columns |= {"deviation": packed["maps"], "deviation_scale": packed["scale"]}
    columns["targets"] = np.array(finished.targets, np.int32)
    columns["seconds"] = np.full(count, finished.seconds, np.float32)
    return columns
