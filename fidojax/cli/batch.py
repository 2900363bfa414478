"""Pictures in batches: how many, and what the classifier says of them."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fidojax.batches import in_batches
from fidojax.cli.job import Job
from fidojax.memory import find_micro_batch
from fidojax.methods import LOOPS, METHODS
from fidojax.run import split_options
from fidojax.types import Classifier

CPU_PIXELS = 16 * 64 * 64
"""Pixels that the network looks at in one compiled step on CPUs: enough for all cores, and more
would only make the first result late."""
LARGEST = 64
"""Pictures per device for methods that do not ask the classifier."""


def fitting(job: Job, pictures: int, devices: Sequence[Any]) -> int:
    """Pictures per device and compiled call.

    Args:
        pictures: of the whole run, finished ones included, so that resuming computes the same.
    """
    most = -(-pictures // len(devices))
    if job.method in ("max", "center", "box"):
        return min(most, LARGEST)
    if devices[0].platform == "cpu":
        if job.method in LOOPS:
            looks = job.evaluations // job.steps
        elif job.explainer is not None:
            looks = 1
        else:  # it fills a batch of the classifier by itself
            return 1
        height, width, _ = job.pretrained.size
        return min(most, max(1, CPU_PIXELS // (height * width * looks)))
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
