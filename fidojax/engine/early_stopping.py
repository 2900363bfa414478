"""When a picture's map has converged, so that its optimisation may end before its last step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fidojax.core import check_count
from fidojax.types import Scalar


class Stop(NamedTuple):
    """A criterion on mask and objective, looked at every so many steps.

    The map has converged when neither the mask has moved nor the objective has fallen since it was
    last looked at. The objective is noisy, so its means over the steps in between are compared.
    The defaults were chosen for FIDO's published schedule (docs/schedules.md): the preset `fast`
    ends before they are met.

    Attributes:
        move: largest mean absolute change of the mask, whose values are in [0, 1].
        gain: largest fall of the mean objective, in its own units (nats of log-odds).
        every: steps between two looks.
        least: steps that are done in any case.
    """

    move: float | Scalar = 0.003
    gain: float | Scalar = 0.1
    every: int = 10
    least: int = 20

    def checked(self) -> "Stop":
        """Itself, if its counts are counts.

        Raises:
            ValueError: `every` or `least` is below 1.
        """
        check_count(every=self.every, least=self.least)
        return self


class Watch(NamedTuple):
    """What the criterion remembers of one picture.

    Attributes:
        mask: at the last look.
        before: mean objective between the last two looks.
        total: sum of the objective since the last look.
    """

    mask: Float[Array, "..."]
    before: Scalar
    total: Scalar


def watch(mask: Float[Array, "..."]) -> Watch:
    """What there is to remember before the first step."""
    return Watch(mask, jnp.asarray(jnp.inf, mask.dtype), jnp.zeros((), mask.dtype))


def observe(
    stop: Stop, seen: Watch, mask: Float[Array, "..."], objective: Scalar, step: Int[Array, ""]
) -> tuple[Watch, Bool[Array, ""]]:
    """After a step: what to remember now, and whether the map has converged.

    Args:
        mask: what would be read out now.
        objective: of this step.
        step: number of steps done, this one included.
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
