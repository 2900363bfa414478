"""The compiled programs that explain a batch of pictures, each in a slot, on one device.

Every array of a batch has a leading axis of slots. All devices run this same program on slots of
their own: one program that a compiler has split over a mesh of devices consists of other
operations than that of a single device, with other last bits.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.stages import Lowered
from jaxtyping import Array, Bool, Int

from fidojax.core import loop as loops
from fidojax.engine import early_stopping as stops
from fidojax.engine.options import LOOP_OF
from fidojax.types import Method


class Program(NamedTuple):
    """What shapes the compiled programs.

    Attributes:
        method: of `fidojax.methods`, or like those.
        static: options that shape the program, as `fidojax.engine.options.split_options` returns them.
        every, least: of the criterion to stop, or None.
    """

    method: Method
    static: tuple[tuple[str, Any], ...]
    every: int | None = None
    least: int | None = None

    def loop(self, *options: dict[str, Any]) -> loops.Loop:
        """The iterative method's loop with these options, later ones winning."""
        merged = dict(self.static)
        for more in options:
            merged |= more
        return LOOP_OF[self.method](**merged)


class Model(NamedTuple):
    """What all pictures share.

    Attributes:
        classifier: a callable pytree.
        options: the method's options that are data.
        stop: move and gain of the criterion to stop, or nothing.
    """

    classifier: Any
    options: dict[str, Any]
    stop: tuple[Any, Any] | tuple[()] = ()


class Batch(NamedTuple):
    """Pictures and what belongs to each.

    Attributes:
        keys: "n".
        images: "n h w c".
        targets: "n".
        each: the options that differ per picture.
    """

    keys: Any
    images: Any
    targets: Any
    each: dict[str, Any]


class Slots(NamedTuple):
    """An iterative method under way.

    Attributes:
        batch: the pictures.
        state: of the method's loop.
        history: the records of all steps, "n steps"; NaN where a step is not done.
        step: "n", number of steps done.
        done: "n", whether it has ended; then it stays as it is.
        watch: what the criterion to stop remembers, or nothing.
    """

    batch: Batch
    state: Any
    history: Any
    step: Int[Array, " n"]
    done: Bool[Array, " n"]
    watch: stops.Watch | tuple[()]


@partial(jax.jit, static_argnames="program")
def one_shot(program: Program, model: Model, batch: Batch) -> Any:
    """The explanations of a batch by a method that does not iterate."""

    def one(key, image, target, each):
        options = {**dict(program.static), **model.options, **each}
        return program.method(key, model.classifier, image, target, **options)

    return jax.vmap(one)(*batch)


@partial(jax.jit, static_argnames="program")
def begin(program: Program, model: Model, batch: Batch) -> Slots:
    """A batch before its first step."""

    def one(key, image, target, each):
        loop = program.loop(model.options, each)
        state = loop.init(key, model.classifier, image, target)
        step = partial(loop.step, partial(_blank, model.classifier), image, target)
        _, record = jax.eval_shape(step, state)
        history = jax.tree.map(lambda leaf: _nothing((loop.steps, *leaf.shape), leaf.dtype), record)
        seen = stops.watch(loop.mask(state)) if program.every and loop.mask else ()
        return state, history, jnp.int32(0), jnp.array(False), seen

    return Slots(batch, *jax.vmap(one)(*batch))


@partial(jax.jit, static_argnames=("program", "length"), donate_argnames="slots")
def advance(program: Program, model: Model, slots: Slots, *, length: int) -> tuple[Slots, Array]:
    """`length` steps of every slot that has not ended; the slots, and again which have ended."""
    step = jax.vmap(partial(_step, program, model))
    if length == 1:
        slots = step(slots)
    else:
        slots, _ = jax.lax.scan(lambda slots, _: (step(slots), None), slots, length=length)
    return slots, jnp.copy(slots.done)  # the slots will be given away


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
    """`to` with the slots `take` of the source at its places `put`; none where that is no place.

    Args:
        take, put: "n".
    """
    return jax.tree.map(lambda t, s: t.at[put].set(s[take], mode="drop"), to, source)


@partial(jax.jit, static_argnames="program")
def readout(program: Program, model: Model, slots: Slots) -> Any:
    """The explanations of a batch."""

    def one(slot):
        _, image, target, each = slot.batch
        loop = program.loop(model.options, each)
        return loop.readout(model.classifier, image, target, slot.state, slot.history)

    return jax.vmap(one)(slots)


def lower(program: Program, model: Model, batch: Batch, *, length: int = 1) -> Lowered:
    """What a run spends its time in, lowered: `length` steps, or all of a method without steps.

    Args:
        model, batch: arrays or their shapes.
    """
    if program.method not in LOOP_OF:
        return one_shot.lower(program, model, batch)
    begun = jax.eval_shape(partial(begin, program), model, batch)
    return advance.lower(program, model, begun, length=length)


def _blank(classifier: Any, images: Any) -> Any:
    """Zeros like the classifier's logits; its gradient takes long to trace, and is not needed."""
    logits = jax.eval_shape(classifier, images)
    return jnp.zeros(logits.shape, logits.dtype) + 0 * images.mean()


def _nothing(shape: tuple[int, ...], dtype: Any) -> Array:
    return jnp.full(shape, jnp.nan if jnp.issubdtype(dtype, jnp.floating) else 0, dtype)
