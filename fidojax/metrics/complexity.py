"""How much a map says: on how few pixels it lies, and how sure its probabilities are."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.special import entr

from fidojax.types import Mask, Saliency, Scalar


class Complexity(NamedTuple):
    """What `complexity` returns for one map; NaN where that is 0 everywhere or not finite.

    Attributes:
        gini: index of the absolute values: 0 where all are the same, near 1 where one has it all.
        entropy: of their shares of the sum, in nats: log(h w) where all are the same, 0 where one
            has it all.
    """

    gini: Scalar
    entropy: Scalar


def complexity(saliency: Saliency) -> Complexity:
    """Sparseness (Gini) and complexity (entropy) of a map's absolute values.

    Reference: Chalasani et al., "Concise Explanations of Neural Networks using Adversarial
    Training", ICML 2020 (Gini); Bhatt, Weller, Moura, IJCAI 2020 (entropy).
    """
    values = jnp.sort(jnp.abs(saliency), axis=None)
    shares = values / values.sum()
    places = 2 * jnp.arange(1, values.size + 1) - values.size - 1
    return Complexity(jnp.vdot(places, shares) / values.size, entr(shares).sum())


class MaskSize(NamedTuple):
    """What `mask_size` returns for one mask of probabilities.

    Attributes:
        size: expected share of the pixels that are kept, in [0, 1].
        entropy: mean over the pixels, in nats, from 0 (all are sure) to log 2 (all are 1/2).
    """

    size: Scalar
    entropy: Scalar


def mask_size(keep: Mask) -> MaskSize:
    """The expected size of a mask and how undecided it is.

    Args:
        keep: probability in [0, 1] that a pixel is kept; of a drop probability the size is that of
            what is dropped, and the entropy the same.
    """
    return MaskSize(keep.mean(), (entr(keep) + entr(1 - keep)).mean())
