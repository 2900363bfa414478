"""The loop that I-GOS and iGOS++ share; they differ in their masks and in what they minimise."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fidojax.core import SCORES, as_fills, check_count, check_name, upsample
from fidojax.core import loop as loops
from fidojax.methods import readout
from fidojax.methods.igos.descent import TRIALS, line_search
from fidojax.methods.igos.problem import Masks, Problem, descent_direction, values_of
from fidojax.types import Explanation, Image, Infiller, Scalar

STEPS, POINTS = 15, 20
"""The authors' numbers of steps and of pictures on a path."""
Pose = Callable[[Image, Image], Problem]
"""`pose(image, reference)` -> what is minimised."""


def descend(
    pose: Pose,
    masks: int,
    terms: int,
    *,
    infill: Infiller | tuple[Infiller, ...],
    size: int | None,
    steps: int,
    points: int,
    noise: float | Scalar,
    step_size: float | Scalar,
    score: str,
    chunk: int,
) -> loops.Loop:
    """Return the loop of a method whose masks start at 1 and descend along integrated gradients.

    Args:
        pose: the problem for an image and its reference.
        masks: number of optimised masks; their product is read out.
        terms: number of terms of the problem.

    The other arguments are the options of `igos`.
    """
    check_name("score", score, SCORES)
    check_count(steps=steps, points=points, chunk=chunk)
    stepping = optax.scale(-1.0)

    def init(key, classifier, image, target):
        del classifier, target
        key, infill_key = jax.random.split(key)
        reference = as_fills(infill)[0](infill_key, image, jnp.zeros(image.shape[:2], image.dtype))
        sides = readout.optimised_shape(image, size, part=8)
        start = jnp.ones((masks, *sides), image.dtype) + 0 * image[0, 0, 0]
        return loops.start(key, start, stepping, reference)

    def step(classifier, image, target, state):
        problem = pose(image, state.constant)
        key = jax.random.fold_in(state.key, state.step)
        direction, scores, penalty = descent_direction(
            problem, key, classifier, target, state.params, points, noise
        )
        record = loops.Record(problem.weights @ scores + penalty, scores[0])

        def values(candidates):
            return values_of(problem, classifier, target, candidates)

        direction *= line_search(state.params, direction, values, step_size)
        state = loops.update(state, direction, stepping)
        return state._replace(params=jnp.clip(state.params, 0, 1)), record

    def finish(classifier, image, target, state, history):
        keep, reference = upsample(mask_of(state), image.shape[:2]), state.constant
        info = readout.mask_info(classifier, image, target, keep, reference, history)
        return Explanation(1 - keep, info)

    def mask_of(state: Any) -> Masks:
        return jnp.prod(state.params, axis=0)

    evaluations = terms * (points + 1 + TRIALS)
    return loops.Loop(steps, init, step, finish, evaluations, mask_of)


def passes(terms: int) -> Callable[[Mapping[str, Any]], tuple[int, int]]:
    """Return what gives the forward and backward passes of a map: the line search has no gradient.

    The result is a function of the method's options, for `MethodRow.passes`.
    """

    def of_options(options: Mapping[str, Any]) -> tuple[int, int]:
        steps, points = options.get("steps", STEPS), options.get("points", POINTS)
        return steps * terms * (points + 1 + TRIALS), steps * terms * points

    return of_options
