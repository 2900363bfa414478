"""FIDO's maps for several weights of the region's size, in one run and one compilation.

maps = lambda_path(classifier, images, targets, (5e-4, 1e-3, 2e-3), options=presets.fast | more)
maps.saliency[1]  # "n h w", at 1e-3
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fidojax.core import as_fills, check_count
from fidojax.core import loop as loops
from fidojax.methods import readout
from fidojax.methods.fido.fido import fido_loop
from fidojax.types import Infiller, Scalar

PATH_LIMIT = 4.0
"""Bound on the logits from which the next weight starts: beyond it a pixel would hardly move."""


class PathState(NamedTuple):
    """The state between two steps.

    Attributes:
        loop: FIDO's state, its step counted as the schedule does.
        earlier: FIDO's state when the steps began that are repeated.
        masks: "lams rows columns", the mask of each weight so far.
        stage: the index of the present weight.
    """

    loop: loops.State
    earlier: loops.State
    masks: Float[Array, "lams rows columns"]
    stage: Int[Array, ""]


def fido_path_loop(
    *,
    infill: Infiller,
    lams: Float[Array, " lams"],
    again: int = 30,
    limit: float | Scalar = PATH_LIMIT,
    **options: Any,
) -> loops.Loop:
    """Return FIDO's loop over several weights `lams` for one image, see `fidojax.lambda_path`.

    The map is "lams h w", and every leaf of the info has that leading axis, too.
    """
    lams = jnp.asarray(lams)
    if lams.ndim != 1 or not lams.size:
        raise ValueError(f"lams has shape {lams.shape}, expected one number or more in a row")
    if "lam" in options:
        raise ValueError("options hold lam, expected the weights as lams alone")
    if options.get("hold") is not None:
        raise ValueError("options have a hold, which takes the place of the weights lams")
    check_count(again=again)
    objective = options.get("objective", "ssr")
    whole = fido_loop(infill=infill, lam=lams[0], **options)
    first = whole.steps
    if again > first:
        raise ValueError(f"again is {again}, expected at most the schedule's {first} steps")
    total = first + (len(lams) - 1) * again

    def init(key, classifier, image, target):
        state = whole.init(key, classifier, image, target)
        masks = jnp.zeros((len(lams), *state.params.shape), state.params.dtype)
        return PathState(state, state, masks + 0 * state.params, jnp.int32(0))

    def step(classifier, image, target, path):
        state, earlier, masks, stage = path
        # The weight before has ended: go back in the schedule, but for the map.
        ended = state.step == first
        stage = stage + ended
        back = earlier._replace(
            params=jnp.clip(state.params, -limit, limit),
            key=jax.random.fold_in(earlier.key, total + stage),
        )
        state = jax.tree.map(lambda a, b: jnp.where(ended, a, b), back, state)
        here = fido_loop(infill=infill, lam=lams[stage], **options)
        earlier = jax.tree.map(
            lambda a, b: jnp.where((stage == 0) & (state.step == first - again), a, b),
            state,
            earlier,
        )
        state, record = here.step(classifier, image, target, state)
        masks = masks.at[stage].set(state.average)
        return PathState(state, earlier, masks, stage), record

    def finish(classifier, image, target, path, history):
        picture = (path.earlier.key, classifier, image, target)
        one = partial(readout.read_out, *picture, infill=as_fills(infill)[0], objective=objective)
        return jax.vmap(one)(path.masks, jax.tree.map(by_weight, history))

    def by_weight(values):
        fill = jnp.full((len(lams) - 1, first - again), jnp.nan, values.dtype)
        later = jnp.concatenate([fill, values[first:].reshape(-1, again)], axis=1)
        return jnp.concatenate([values[None, :first], later])

    return loops.Loop(total, init, step, finish, whole.evaluations)


fido_path = loops.method(fido_path_loop)
