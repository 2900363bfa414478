"""The engine's compiled programs on one batch: lowered, stepped and run to the end.

This is the only file of the benchmark that knows how the engine drives a method.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Sharding

from fidojax.bench.floors import bare_gradient
from fidojax.engine import (
    STEPS_PER_CALL,
    CallThreads,
    ExplainRequest,
    divided,
    image_keys,
    most_steps_per_call,
    pace,
    placements,
    programs,
    threads_per_device,
)
from fidojax.engine import explain as run
from fidojax.methods import LOOPS
from fidojax.types import Classifier, Device


class Work(NamedTuple):
    """A method on one batch.

    Attributes:
        method: a name in `METHODS`.
        classifier: the classifier that `fidojax.engine.options.prepared` returns.
        images: "n h w c".
        options: the options of the method.
        each: the options that differ per image.
        devices: the devices, as in `explain_batch`.
    """

    method: str
    classifier: Classifier
    images: np.ndarray
    options: Mapping[str, Any]
    each: Mapping[str, Any] = {}
    devices: Sequence[Device] | None = None

    @property
    def shown(self) -> Classifier:
        """The classifier as the devices evaluate it."""
        return divided(self.classifier, self.devices or ())

    @property
    def places(self) -> list[Device | Sharding]:
        """The place of each call; every call explains an equal part of the images.

        There are as many calls as the engine runs at a time, or fewer where the images cannot be
        divided equally.
        """
        devices, images = self.devices or jax.local_devices(), len(self.images)
        each = [place for place in placements(devices) for _ in range(threads_per_device(devices))]
        return each[: max(n for n in range(1, len(each) + 1) if images % n == 0)]

    @property
    def targets(self) -> np.ndarray:
        """The explained class, 0 for all images; it has no influence on the speed."""
        return np.zeros(len(self.images), np.int32)


def shortened(work: Work, steps: int) -> Work:
    """Return the work with fewer steps; all steps are the same program.

    Args:
        steps: the largest number of steps; on accelerators two compiled calls at least.
    """
    if work.method not in LOOPS:
        return work
    if jax.default_backend() != "cpu":
        steps = max(steps, 2 * STEPS_PER_CALL)
    fewer: dict[str, Any] = {"steps": min(steps, LOOPS[work.method](**work.options).steps)}
    if "warmup" in work.options:  # it may be longer
        fewer["warmup"] = 0
    return work._replace(options={**work.options, **fewer})


def lower(work: Work) -> jax.stages.Lowered:
    """The program that a run of `work` spends its time in, traced but not compiled.

    One call of it does `steps_per_call(work)` steps of a method that iterates, or else all of it.
    """
    length = steps_per_call(work) if work.method in LOOPS else 1
    return programs.lower(*_dealt(work)[0], length=length)


def steps_per_call(work: Work) -> int:
    """Steps of an iterating method in one compiled call."""
    return pace(LOOPS[work.method](**work.options).steps, most_steps_per_call(rewritten=True))[0]


def stepper(work: Work) -> Callable[[], Any]:
    """A function that does the next `steps_per_call(work)` steps, for methods that iterate."""
    parts = _dealt(work)
    started, states = CallThreads(len(parts)), [programs.begin(*part) for part in parts]

    def advance(at: int) -> Any:
        program, model, _ = parts[at]
        states[at], ended = programs.advance(
            program, model, states[at], length=steps_per_call(work)
        )
        return ended

    return lambda: started([partial(advance, at) for at in range(len(parts))])


def bare(call: Callable, work: Work, images: np.ndarray) -> Callable[[], Any]:
    """Return a function that makes a bare pass of the images, an equal part in each place.

    Args:
        call: the bare pass, a function of the classifier and images.
        work: the work, which holds the places and the classifier.
    """
    where = work.places
    parts = [
        jax.device_put((work.shown, part), place)
        for part, place in zip(np.split(images, len(where)), where, strict=True)
    ]
    started = CallThreads(len(parts))
    return lambda: started([partial(call, *part) for part in parts])


def whole(work: Work) -> Callable[[], Any]:
    """A function that explains the batch through the public engine, which must not shrink it."""
    batch_size = len(work.images) // len(work.places)

    def explain() -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "out of memory")
            return run.explain_batch(
                work.method, work.classifier, work.images, work.targets, options=work.options,
                each=work.each, batch_size=batch_size, devices=work.devices,
            ).saliency  # fmt: skip

    return explain


def _dealt(work: Work) -> list[tuple[programs.Program, programs.Model, programs.Batch]]:
    """Return the program, the model and the batch of each call."""
    request = ExplainRequest(work.method, work.shown, work.options)
    program, model = programs.program_and_model(request)
    where, count = work.places, len(work.images)
    size = count // len(where)
    found = []
    for place, first in zip(where, range(0, count, size), strict=True):
        rows = slice(first, first + size)
        keys = image_keys(0, range(count))[rows]
        each = jax.tree.map(lambda leaf: leaf[rows], dict(work.each))  # noqa: B023
        batch = programs.Batch(keys, work.images[rows], work.targets[rows], each)
        found.append((program, *jax.device_put((model, batch), place)))
    return found


class Paired(NamedTuple):
    """A step and its floor, to be handed to `fidojax.bench.clocks.interleaved` together.

    Attributes:
        step: a function that does `steps` steps of all images.
        gradient: the bare gradient on the images that one step evaluates, `steps` times.
        masks: the number of masks of all images.
        steps: the number of steps in one call of `step`.
    """

    step: Callable[[], Any]
    gradient: Callable[[], Any]
    masks: int
    steps: int


def paired(work: Work) -> Paired:
    """A step of a method that iterates, and the bare gradient beside it."""
    evaluations = LOOPS[work.method](**work.options).evaluations
    flat = np.repeat(work.images, evaluations, axis=0)
    steps = steps_per_call(work)
    floor = bare(partial(gradient, times=steps), work, flat)
    return Paired(stepper(work), floor, len(flat), steps)


def temporary_bytes(work: Work) -> tuple[int | None, int | None]:
    """The memory of temporary values of a call of `work`, and of the bare gradient beside it.

    By the compiled programs' own analysis, of all calls that run at a time; None where the backend
    reports none.
    """
    loop, places = LOOPS[work.method](**work.options), len(work.places)
    flat = np.repeat(work.images[: len(work.images) // places], loop.evaluations, axis=0)
    targets = np.zeros(len(flat), np.int32)
    programs = lower(work), bare_gradient.lower(work.shown, flat, targets, steps_per_call(work))
    sizes = [getattr(each.compile().memory_analysis(), TEMPORARY, None) for each in programs]
    one, other = (None if size is None else int(size) * places for size in sizes)
    return one, other


TEMPORARY = "temp_size_in_bytes"
"""The attribute of a compiled program's memory analysis; some backends have no analysis."""


def gradient(classifier: Classifier, images: Any, times: int = 1) -> Any:
    """The bare gradient, of class 0."""
    return bare_gradient(classifier, images, np.zeros(len(images), np.int32), times)
