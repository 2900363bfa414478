"""The pictures of a stream and their order."""

import collections
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np


class Sample(NamedTuple):
    """A picture to be explained.

    Attributes:
        id: an integer or a string; the picture's random numbers depend on it and the seed alone.
        image: "h w c", values in [0, 1].
        target: the index of the class to explain.
        each: the picture's own options.
    """

    id: int | str
    image: np.ndarray
    target: int
    each: Mapping[str, Any] = {}


class Queue:
    """The samples in order; a sample is kept until its explanation is finished."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._waiting = enumerate(samples)
        self._running: dict[int, Sample] = {}
        self._requeued: collections.deque[tuple[int, Sample]] = collections.deque()
        self.finished = 0

    @property
    def taken(self) -> int:
        """The number of samples taken so far, finished ones included."""
        return self.finished + len(self._running)

    def take(self, count: int) -> dict[int, Sample]:
        """Take at most `count` samples; return them by their number."""
        samples = itertools.chain(_popped(self._requeued), self._waiting)
        taken = dict(itertools.islice(samples, count))
        self._running |= taken
        return taken

    def finish(self, numbers: list[int]) -> None:
        """Drop samples whose explanations are finished."""
        for number in numbers:
            del self._running[number]
        self.finished += len(numbers)

    def requeue(self) -> None:
        """Put the samples that were taken and are not finished back to the front."""
        self._requeued.extendleft(sorted(self._running.items(), reverse=True))
        self._running = {}


def _popped(queue: collections.deque) -> Iterator[Any]:
    while queue:
        yield queue.popleft()
