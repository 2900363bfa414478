"""Maps of a whole data set, into a ledger: which rows are missing, explain those, store them.

`fidojax explain` and the evaluation share it. It keeps one batch of pictures and of maps in memory,
however many pictures there are; a stopped run loses the batch under way. Since the key of a picture
is folded from the seed and its id, maps do not depend on where a run was stopped, nor on how many
processes shared it, as long as `micro_batch` stays.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from fidojax.data import BadPicture, Picture
from fidojax.ledger import Ledger, pack
from fidojax.run import explain_batch
from fidojax.types import Classifier, Device, Explanation, Method

ROUNDS, QUICK = 8, 0.5
"""Batches that take less than so many seconds are stored up to so many at once."""
NOT_FINITE = "the explanation is not finite, so there is no map"


class Request(NamedTuple):
    """How every picture is explained.

    Attributes:
        method: a name in `fidojax.methods.METHODS` or a function like those.
        classifier: as it is called; on CPUs, in its fast form.
        options: the method's.
        seed: of the run.
        micro_batch: pictures per device and compiled call.
        devices: all local devices when None.
        each: options that differ per picture, made from a batch of pictures.
    """

    method: str | Method
    classifier: Classifier
    options: Mapping[str, Any]
    seed: int = 0
    micro_batch: int = 8
    devices: Sequence[Device] | None = None
    each: Callable[[Sequence[Picture]], Mapping[str, Any]] | None = None

    @property
    def batch(self) -> int:
        """Pictures that are explained at once; the fewest that are stored at once."""
        return self.micro_batch * len(self.devices or jax.local_devices())


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
    progress: Callable[[float, int], None] | None = None,
) -> Tally:
    """Explains the items, batch by batch, and stores their maps.

    A picture that cannot be read, has no class or no finite map is stored as failed, with the
    reason, and stops nothing.

    Args:
        ledger: gets the columns `maps` and `scale` (see `fidojax.ledger.pack`), `targets` and
            `seconds` (the only one that differs between two runs), and, of methods that have one,
            `deviation`, the map's standard deviation, with its `deviation_scale`.
        items: the missing ones; read as they are needed.
        finish: called with each batch before it is stored; returns the reason why a picture failed
            after all, or None. What else belongs to a finished picture is done here.
        progress: called with the pictures done, parts of them included, and those that are stored.
    """
    done, explained, rounds = 0, 0, 1
    failures: list[BadPicture] = []
    items = iter(items)
    while batch := list(itertools.islice(items, request.batch * rounds)):
        start = time.monotonic()
        good, classes, bad = _with_targets(batch, targets)
        if bad:
            rows, names = [item.row for item, _ in bad], [item.name for item, _ in bad]
            ledger.write(rows, names, {}, [reason for _, reason in bad])
            failures += [BadPicture(item.picture.source, reason) for item, reason in bad]
        if good:

            def tell(steps: int, of: int, before: int = done, size: int = len(good)) -> None:
                if progress:
                    progress(before + size * steps / of, before)

            finished = _explain(request, good, classes, tell)
            problems = finish(finished)
            ledger.write(
                [item.row for item in good],
                [item.name for item in good],
                _columns(finished),
                problems,
            )
            for item, reason in zip(good, problems, strict=True):
                if reason is not None:
                    failures.append(BadPicture(item.picture.source, reason))
            explained += sum(reason is None for reason in problems)
        done += len(batch)
        if progress:
            progress(done, done)
        rounds = int(max(1, min(ROUNDS, QUICK * rounds / (time.monotonic() - start + 1e-9))))
    return Tally(explained, failures)


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


def _explain(request: Request, items: list[Item], targets: list[int], progress) -> Explained:
    start = time.monotonic()
    shown: list[Picture] = [item.picture for item in items]  # type: ignore[misc]
    explanation = explain_batch(
        request.method, request.classifier, np.stack([picture.image for picture in shown]), targets,
        options=request.options, each=request.each(shown) if request.each else None,
        seed=request.seed, ids=[picture.id for picture in shown], micro_batch=request.micro_batch,
        devices=request.devices, progress=progress,
    )  # fmt: skip
    return Explained(items, targets, explanation, (time.monotonic() - start) / len(items))


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
