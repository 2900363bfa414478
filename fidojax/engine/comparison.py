"""Nonlinear and linear saliency maps of one picture for several classes, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from fidojax.engine.explain import explain_batch
from fidojax.methods import Comparison
from fidojax.types import Classifier


def compare_maps(
    classifier: Classifier,
    image: Float[np.ndarray, "h w c"],
    targets: Sequence[int] | np.ndarray,
    *,
    options: Mapping[str, Any],
    seed: int,
    name: str,
) -> Comparison:
    """Explain a picture for several classes by both methods; see `fidojax.methods.compare_classes`.

    Args:
        classifier: a callable pytree.
        image: "h w c", values in [0, 1].
        targets: the classes, explained in one batch.
        options: the options of both methods.
        seed: the seed of the run.
        name: the picture's id, on which its random numbers depend.
    """
    count = len(targets)
    images = np.stack([image] * count)
    both = (
        explain_batch(
            method,
            classifier,
            images,
            targets,
            options=options,
            seed=seed,
            ids=[name] * count,
            batch_size=count,
        )
        for method in ("nonlinear_saliency", "linear_saliency")
    )
    return Comparison(*both)
