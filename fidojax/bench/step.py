"""The engine's compiled programs on one batch: lowered, stepped and run to the end.

All that a benchmark knows of how the engine drives a method is here.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fidojax import cpu, run, slots
from fidojax.bench.bare import bare_gradient
from fidojax.keys import image_keys
from fidojax.methods import LOOPS, METHODS
from fidojax.precision import lowered
from fidojax.table import CHUNK, pace
from fidojax.types import Classifier


class Work(NamedTuple):
    """A method on one batch.

    Attributes:
        method: a name in `METHODS`.
        classifier: as `in_precision` returns it.
        images: "n h w c".
        options: of the method.
        each: options that differ per image.
    """

    method: str
    classifier: Classifier
    images: np.ndarray
    options: Mapping[str, Any]
    each: Mapping[str, Any] = {}

    @property
    def targets(self) -> np.ndarray:
        """The class that is explained, which is no matter of speed."""
        return np.zeros(len(self.images), np.int32)


def in_precision(classifier: Classifier, precision: str | None) -> Classifier:
    """The classifier as the engine evaluates it.

    Args:
        precision: a name in `fidojax.precision.PRECISIONS`; JAX's own choice when None.
    """
    stock = cpu.stock(classifier)
    classifier = stock if precision is None else lowered(stock, precision)
    return cpu.fast(classifier) if jax.default_backend() == "cpu" else classifier


def shortened(work: Work, steps: int) -> Work:
    """The same with few steps, which tell of the rest: each is the same program.

    Args:
        steps: at most so many, but on accelerators two chunks.
    """
    if work.method not in LOOPS:
        return work
    if jax.default_backend() != "cpu":
        steps = max(steps, 2 * CHUNK)
    fewer: dict[str, Any] = {"steps": min(steps, LOOPS[work.method](**work.options).steps)}
    if "warmup" in work.options:  # it may be longer
        fewer["warmup"] = 0
    return work._replace(options={**work.options, **fewer})


def lower(work: Work) -> jax.stages.Lowered:
    """The program that a run of `work` spends its time in, traced but not compiled.

    One call of it does `chunk(work)` steps of a method that iterates, or else all of it.
    """
    program, model, batch = _placed(work)
    if work.method not in LOOPS:
        return slots.one_shot.lower(program, model, batch)
    begun = jax.eval_shape(slots.begin, program, model, batch)
    return slots.advance.lower(program, model, begun, length=chunk(work))


def chunk(work: Work) -> int:
    """Steps of an iterating method in one compiled call."""
    return pace(LOOPS[work.method](**work.options).steps)[0]


def stepper(work: Work) -> Callable[[], Any]:
    """A function that does the next `chunk(work)` steps, for methods that iterate."""
    program, model, batch = _placed(work)
    state = slots.begin(program, model, batch)

    def step() -> Any:
        nonlocal state
        state, ended = slots.advance(program, model, state, length=chunk(work))
        return ended

    return step


def whole(work: Work) -> Callable[[], Any]:
    """A function that explains the batch through the public engine, which must not shrink it."""

    def explain() -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "out of memory")
            return run.explain_batch(
                work.method, work.classifier, work.images, work.targets, options=work.options,
                each=work.each, micro_batch=len(work.images), devices=jax.local_devices()[:1],
            ).saliency  # fmt: skip

    return explain


def _placed(work: Work) -> tuple[slots.Program, slots.Model, slots.Batch]:
    static, dynamic = run.split_options(work.options)
    keys = image_keys(0, range(len(work.images)))
    model = slots.Model(work.classifier, dynamic)
    batch = slots.Batch(keys, work.images, work.targets, dict(work.each))
    device = jax.local_devices()[0]
    return slots.Program(METHODS[work.method], static), *jax.device_put((model, batch), device)


class Paired(NamedTuple):
    """A step and its floor, to be handed to `fidojax.bench.timing.interleaved` together.

    Attributes:
        step: does `steps` steps of all images.
        gradient: the bare gradient on as many images as one step evaluates.
        masks: so many, of all images.
        steps: in one call of `step`.
    """

    step: Callable[[], Any]
    gradient: Callable[[], Any]
    masks: int
    steps: int


def paired(work: Work) -> Paired:
    """A step of a method that iterates, and the bare gradient beside it."""
    evaluations = LOOPS[work.method](**work.options).evaluations
    flat = jnp.repeat(jnp.asarray(work.images), evaluations, axis=0)
    targets = jnp.zeros(len(flat), jnp.int32)
    return Paired(
        stepper(work),
        lambda: bare_gradient(work.classifier, flat, targets),
        len(flat),
        chunk(work),
    )
