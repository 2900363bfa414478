"""The compiled programs that explain a batch of pictures on one device, one slot per picture.

Every array of a batch has a leading axis of slots. All devices run the same program on slots of
their own. A program that the compiler has partitioned over a mesh consists of other operations
than the program of a single device, and its results differ in the last bits.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.stages import Lowered
from jaxtyping import Array, Bool, Int

from fidojax.core import checked_explanation
from fidojax.core import loop as loops
from fidojax.engine import early_stopping as stops
from fidojax.engine.options import is_iterative, loop_of, split_options
from fidojax.engine.request import ExplainRequest
from fidojax.types import Method


class Program(NamedTuple):
    """The static part of a request: a new value compiles new programs.

    Attributes:
        method: a function of the method signature.
        static: the method's static options, as `fidojax.engine.split_options` returns them.
        every, least: the step counts of `Stop`; None without early stopping.
    """

    method: Method
    static: tuple[tuple[str, Any], ...]
    every: int | None = None
    least: int | None = None

    def loop(self, *options: dict[str, Any]) -> loops.Loop:
        """The loop of an iterative method; later options replace earlier ones."""
        merged = dict(self.static)
        for more in options:
            merged |= more
        return loop_of(self.method, **merged)


class Model(NamedTuple):
    """The traced part of a request, which all pictures share.

    Attributes:
        classifier: a callable pytree.
        options: the method's traced options, as `fidojax.engine.split_options` returns them.
        stop: `move` and `gain` of `Stop`; empty without early stopping.
    """

    classifier: Any
    options: dict[str, Any]
    stop: tuple[Any, Any] | tuple[()] = ()


def program_and_model(request: ExplainRequest) -> tuple[Program, Model]:
    """Return the static and the traced part of a request that is `ready`."""
    static, traced = split_options(request.options)
    stop = request.stop
    if stop is None:
        return Program(request.function, static), Model(request.classifier, traced)
    return (
        Program(request.function, static, stop.every, stop.least),
        Model(request.classifier, traced, (stop.move, stop.gain)),
    )


class Batch(NamedTuple):
    """The pictures of a batch.

    Attributes:
        keys: "n", the random keys.
        images: "n h w c", values in [0, 1].
        targets: "n", the classes to explain.
        each: per-picture options, leaves "n ...".
    """

    keys: Any
    images: Any
    targets: Any
    each: dict[str, Any]


class Slots(NamedTuple):
    """The state of an iterative method, one slot per picture.

    Attributes:
        batch: the pictures in the slots.
        state: the states of the method's loop, leaves "n ...".
        history: the records of all steps, "n steps ..."; NaN for steps that have not run.
        step: "n", the number of steps done.
        done: "n", whether the picture has ended; its slot no longer changes.
        watch: the memory of the stopping criterion; empty without early stopping.
    """

    batch: Batch
    state: Any
    history: Any
    step: Int[Array, " n"]
    done: Bool[Array, " n"]
    watch: stops.Watch | tuple[()]


@partial(jax.jit, static_argnames="program")
def one_shot(program: Program, model: Model, batch: Batch) -> Any:
    """Explain a batch by a method that does not iterate."""

    def one(key, image, target, each):
        options = {**dict(program.static), **model.options, **each}
        return program.method(key, model.classifier, image, target, **options)

    return jax.vmap(one)(*batch)


@partial(jax.jit, static_argnames="program")
def begin(program: Program, model: Model, batch: Batch) -> Slots:
    """Initialise the slots of a batch."""

    def one(key, image, target, each):
        loop = program.loop(model.options, each)
        state = loop.init(key, model.classifier, image, target)
        step = partial(loop.step, partial(_blank, model.classifier), image, target)
        _, record = jax.eval_shape(step, state)
        history = jax.tree.map(lambda leaf: _empty((loop.steps, *leaf.shape), leaf.dtype), record)
        seen = stops.watch(loop.mask(state)) if program.every and loop.mask else ()
        return state, history, jnp.int32(0), jnp.array(False), seen

    return Slots(batch, *jax.vmap(one)(*batch))


@partial(jax.jit, static_argnames=("program", "length"), donate_argnames="slots")
def advance(program: Program, model: Model, slots: Slots, *, length: int) -> tuple[Slots, Array]:
    """Run `length` steps of all slots that have not ended; return them and a copy of `done`."""
    step = jax.vmap(partial(_step, program, model))
    if length == 1:
        slots = step(slots)
    else:
        slots, _ = jax.lax.scan(lambda slots, _: (step(slots), None), slots, length=length)
    return slots, jnp.copy(slots.done)  # the next call donates the slots


def _step(program: Program, model: Model, slot: Slots) -> Slots:
    _, image, target, each = slot.batch
    loop = program.loop(model.options, each)
    state, record = loop.step(model.classifier, image, target, slot.state)
    # An index past the end writes nothing.
    at = jnp.where(slot.done, loop.steps, slot.step)
    history = jax.tree.map(lambda h, r: h.at[at].set(r, mode="drop"), slot.history, record)
    count = slot.step + 1
    ended, seen = count >= loop.steps, slot.watch
    if program.every and program.least and loop.mask and isinstance(seen, stops.Watch):
        move, gain = model.stop  # type: ignore[misc]
        stop = stops.Stop(move, gain, program.every, program.least)
        seen, converged = stops.observe(stop, seen, loop.mask(state), record.objective, count)
        ended |= converged
    old = (slot.state, slot.step, slot.done, slot.watch)
    state, step, done, watch = jax.tree.map(
        partial(jnp.where, slot.done), old, (state, count, ended, seen)
    )
    return Slots(slot.batch, state, history, step, done, watch)


@partial(jax.jit, donate_argnames="to")
def move(to: Slots, source: Slots, take: Array, put: Array) -> Slots:
    """Return `to` with the source's slots `take` copied into its slots `put`.

    Args:
        take, put: "n", slot numbers; a number in `put` beyond the last slot copies nothing.
    """
    return jax.tree.map(lambda t, s: t.at[put].set(s[take], mode="drop"), to, source)


@partial(jax.jit, static_argnames="program")
def readout(program: Program, model: Model, slots: Slots) -> Any:
    """Return the explanations of all slots."""

    def one(slot):
        _, image, target, each = slot.batch
        loop = program.loop(model.options, each)
        found = loop.readout(model.classifier, image, target, slot.state, slot.history)
        return checked_explanation(found)

    return jax.vmap(one)(slots)


def lower(program: Program, model: Model, batch: Batch, *, length: int = 1) -> Lowered:
    """Lower the program that dominates a run: `length` steps, or a whole one-shot explanation.

    Args:
        model, batch: arrays or their shapes.
    """
    if not is_iterative(program.method):
        return one_shot.lower(program, model, batch)
    begun = jax.eval_shape(partial(begin, program), model, batch)
    return advance.lower(program, model, begun, length=length)


def _blank(classifier: Any, images: Any) -> Any:
    """Zeros of the logits' shape: tracing the classifier's gradient here would only take time."""
    logits = jax.eval_shape(classifier, images)
    return jnp.zeros(logits.shape, logits.dtype) + 0 * images.mean()


def _empty(shape: tuple[int, ...], dtype: Any) -> Array:
    return jnp.full(shape, jnp.nan if jnp.issubdtype(dtype, jnp.floating) else 0, dtype)
