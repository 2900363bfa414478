"""Maps of one picture for several classes, side by side, and what their regions say of each."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fidojax.core import Region, filled_logits, region
from fidojax.engine.explain import explain_batch
from fidojax.methods import Comparison
from fidojax.types import Classifier, Image, Infiller, Mask, PRNGKey, Scalar


class ClassRegions(NamedTuple):
    """What the region of each class says of all of them.

    `probability[i, :, :, j]` is p(class j) on the region of class i alone, and `without[i, :, :,
    j]` on the picture without it; NaN where class i has no region that holds.

    Attributes:
        region: of each class, leaves "classes ...".
        probability, without: "classes fills edges classes", the edges in the order hard, soft.
    """

    region: Region
    probability: Float[Array, "regions fills edges classes"]
    without: Float[Array, "regions fills edges classes"]


def compare_regions(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    targets: Int[Array, " classes"],
    maps: Float[Array, "classes h w"],
    *,
    infill: Infiller | tuple[Infiller, ...],
    hold: float | Scalar | str = 0.9,
    objective: str = "ssr",
    found: Region | None = None,
) -> ClassRegions:
    """Read the region of each of several classes out of its map, and ask each of all classes.

    Pure: it works under jit and vmap.

    Args:
        key: of the picture; all regions are filled with the same draws.
        image: "h w c", values in [0, 1].
        targets: the classes.
        maps: of each class, larger = more important.
        infill, hold, objective: as `fidojax.region` takes them.
        found: the regions that are asked, leaves "regions ..."; those of the classes, read out of
            their maps, when None.

    Raises:
        ValueError: as `fidojax.region`.
    """
    if found is None:
        found = jax.vmap(
            lambda target, saliency: region(
                key, classifier, image, target, saliency,
                infill=infill, hold=hold, objective=objective,
            )
        )(targets, maps)  # fmt: skip

    def ask(mask: Mask) -> Float[Array, "fills edges classes"]:
        logits = filled_logits(key, classifier, image, mask, infill)
        return jax.nn.softmax(logits)[..., targets]

    held = jnp.isfinite(found.area)[:, None, None, None]
    masks = jnp.nan_to_num(found.mask)
    alone, without = (jax.lax.map(ask, shown) for shown in (masks, 1 - masks))
    return ClassRegions(found, jnp.where(held, alone, jnp.nan), jnp.where(held, without, jnp.nan))


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
