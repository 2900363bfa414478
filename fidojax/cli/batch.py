"""Pictures in batches: how many, and what the classifier says of them."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fidojax.batches import in_batches
from fidojax.cli.job import Job
from fidojax.lanes import calls_of
from fidojax.memory import find_micro_batch, on_cpu
from fidojax.methods import LOOPS, METHODS
from fidojax.run import split_options
from fidojax.types import Classifier

LARGEST = 64
"""Pictures per call for methods that do not ask the classifier."""


def fitting(job: Job, pictures: int, devices: Sequence[Any]) -> int:
    """Pictures per compiled call.

    Args:
        pictures: of the whole run, finished ones included, so that resuming computes the same.
    """
    most = -(-pictures // calls_of(devices))
    if job.method in ("max", "center", "box"):
        return min(most, LARGEST)
    if devices[0].platform == "cpu":
        looks = 1 if job.explainer is not None else None
        if job.method in LOOPS:
            looks = job.evaluations // job.steps
        return on_cpu(job.pretrained.size, looks, most)
    static, dynamic = split_options(job.call_options)
    found = find_micro_batch(
        METHODS[job.method], job.pretrained.classifier, job.pretrained.size, most,
        static=static, options=dynamic, device=devices[0],
    )  # fmt: skip
    return -(-most // -(-most // found))  # as many groups, but evenly filled


def softmax(
    classifier: Classifier, images: Float[np.ndarray, "n h w c"], size: int
) -> Float[np.ndarray, "n k"]:
    """The classifier's probabilities, computed in batches of `size` so as to compile once."""
    return in_batches(lambda rows: _softmax(classifier, images[rows]), len(images), size)


@jax.jit
def _softmax(classifier: Any, images: Any) -> Any:
    return jax.nn.softmax(classifier(jnp.asarray(images)).astype(jnp.float32))
