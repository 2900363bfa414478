"""Adam and its learning rate for the amortised explainers."""

import optax

from fidojax.core import check_name

SCHEDULES = ("constant", "cosine")


def rate(schedule: str, peak: float, steps: int) -> optax.Schedule:
    """Return a constant rate, or a cosine to 0 after a warm-up of a twentieth of the steps.

    Raises:
        ValueError: `SCHEDULES` does not have the schedule.
    """
    check_name("schedule", schedule, SCHEDULES)
    if schedule == "constant":
        return optax.constant_schedule(peak)
    return optax.warmup_cosine_decay_schedule(0.0, peak, round(0.05 * steps), steps)


def adam(
    rate: optax.Schedule, weight_decay: float, betas: tuple[float, float] = (0.9, 0.999)
) -> optax.GradientTransformation:
    """Return Adam with the weight decay added to the gradient, as in PyTorch."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(rate, *betas))
