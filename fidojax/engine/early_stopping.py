"""The criterion by which a picture's optimisation ends before its last step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fidojax.core import check_count
from fidojax.types import Scalar


class Stop(NamedTuple):
    """A convergence criterion on mask and objective, checked at regular intervals.

    A map has converged when the mask has stayed still and the objective has not fallen since the
    last check. The objective is noisy, so its means over the intervals are compared. The defaults
    were chosen for FIDO's published schedule (docs/schedules.md); the preset `fast` ends before
    they are met.

    Attributes:
        move: the largest mean absolute change of the mask, whose values are in [0, 1].
        gain: the largest fall of the mean objective, in its own units (nats of log-odds).
        every: steps between two checks.
        least: the smallest number of steps.
    """

    move: float | Scalar = 0.003
    gain: float | Scalar = 0.1
    every: int = 10
    least: int = 20

    def checked(self) -> "Stop":
        """Return the criterion itself after checking its counts.

        Raises:
            ValueError: `every` or `least` is below 1.
        """
        check_count(every=self.every, least=self.least)
        return self


class Watch(NamedTuple):
    """The memory of the criterion for one picture.

    Attributes:
        mask: the mask at the last check.
        before: the mean objective between the last two checks.
        total: the sum of the objective since the last check.
    """

    mask: Float[Array, "..."]
    before: Scalar
    total: Scalar


def watch(mask: Float[Array, "..."]) -> Watch:
    """Return the memory before the first step."""
    return Watch(mask, jnp.asarray(jnp.inf, mask.dtype), jnp.zeros((), mask.dtype))


def observe(
    stop: Stop, seen: Watch, mask: Float[Array, "..."], objective: Scalar, step: Int[Array, ""]
) -> tuple[Watch, Bool[Array, ""]]:
    """Update the memory after a step; return it and whether the map has converged.

    Args:
        mask: the mask after this step.
        objective: the objective of this step.
        step: the number of steps done, this one included.
    """
    total = seen.total + objective
    mean = total / stop.every
    due = step % stop.every == 0
    still = jnp.mean(jnp.abs(mask - seen.mask)) <= stop.move
    flat = seen.before - mean <= stop.gain
    new = Watch(mask, mean, jnp.zeros_like(total))
    kept = seen._replace(total=total)
    seen = jax.tree.map(lambda a, b: jnp.where(due, a, b), new, kept)
    return seen, due & still & flat & (step >= stop.least)
