"""Schedules of `fast` by their evaluations, and maps of cheaper methods to start FIDO from."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from benchmarks.fido_cost.maps import Subjects
from fidojax import METHODS, presets, start_from
from fidojax.transforms.cpu import fast
from fidojax.types import Encoder

WARM: dict[str, Any] = presets.fast | {"smooth": 0.06}
"""`fast` with a shorter coarse phase, which would otherwise undo a start."""
Start = Literal["cold", "flat", "center", "gradient", "varsal"]
STARTS: tuple[Start, ...] = ("cold", "flat", "center", "gradient", "varsal")


def schedule(start: str, evaluations: int, more: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Return options of FIDO that take `evaluations` of the classifier.

    Args:
        start: "cold" means `fast`, any other start `WARM`.
        evaluations: forward and backward passes for one map.
        more: changes of `WARM`.
    """
    options = presets.fast if start == "cold" else WARM | dict(more)
    steps = evaluations // options["samples"]
    return options | {"steps": steps, "warmup": max(1, steps // 10)}


def starting(
    name: str,
    subjects: Subjects,
    encoder: Encoder | None,
    *,
    objective: str,
    level: float = 0.4,
    spread: float = 1.0,
) -> Float[np.ndarray, "n rows columns"]:
    """Return the keep probability of each picture before the first step.

    Args:
        name: one of `STARTS`.
        subjects: the pictures.
        encoder: VarSal's, for the start "varsal".
        objective: as FIDO takes it.
        level: as `fidojax.start_from` takes it.
        spread: as `fidojax.start_from` takes it.
    """
    height, width, _ = subjects.network.size
    one = partial(start_from, objective=objective, level=level, spread=spread)
    if name in ("cold", "flat"):
        flat = partial(start_from, scale="value", level=0.5 if name == "cold" else level)
        start = flat(jnp.zeros((height, width)), objective=objective)
        return np.tile(start, (len(subjects.pictures), 1, 1))
    if name == "center":
        rows, columns = (np.linspace(-1, 1, side) for side in (height, width))
        bump = np.exp(-2 * (rows[:, None] ** 2 + columns**2)).astype(np.float32)
        return np.tile(one(jnp.asarray(bump)), (len(subjects.pictures), 1, 1))
    options = {"encoder": encoder} if name == "varsal" else {}
    classifier = fast(subjects.network.classifier)

    @jax.jit
    def found(classifier, options, image, target):
        return one(METHODS[name](jax.random.key(0), classifier, image, target, **options).saliency)

    pairs = zip(subjects.pictures, subjects.targets, strict=True)
    return np.stack([found(classifier, options, p.image, target) for p, target in pairs])
