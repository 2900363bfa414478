"""Adam with its learning rate, as the programs of amortised explainers use it."""

import optax

from fidojax.core import check_name

SCHEDULES = ("constant", "cosine")


def rate(schedule: str, peak: float, steps: int) -> optax.Schedule:
    """Constant, or a cosine to 0 after a warm-up of a twentieth of the steps.

    Raises:
        ValueError: the schedule is no name in `SCHEDULES`.
    """
    check_name("schedule", schedule, SCHEDULES)
    if schedule == "constant":
        return optax.constant_schedule(peak)
    return optax.warmup_cosine_decay_schedule(0.0, peak, round(0.05 * steps), steps)


def adam(
    rate: optax.Schedule, weight_decay: float, betas: tuple[float, float] = (0.9, 0.999)
) -> optax.GradientTransformation:
    """With the weight decay added to the gradient, as PyTorch's is."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(rate, *betas))
