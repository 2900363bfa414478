"""The published objective of one step: a price for every pixel."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from fidojax.core import OBJECTIVES, SCORES, as_fills, logits_of, mix, references
from fidojax.core import loop as loops
from fidojax.methods import readout
from fidojax.methods.fido.area import Map
from fidojax.methods.fido.draws import fill_numbers, relaxed_masks
from fidojax.types import Classifier, Explanation, Image, Infiller, Scalar, Target


def sampled_objective(
    theta: Float[Array, "rows columns"],
    noise: Float[Array, "samples rows2 columns2"],
    keys: Key[Array, " samples"],
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    infill: Infiller | Sequence[Infiller],
    objective: str,
    lam: float | Scalar,
    tv: float | Scalar,
    temperature: float | Scalar,
    warmup: float | Scalar = 1.0,
    score: str = "log_odds",
    antithetic: bool = False,
) -> tuple[Scalar, Scalar]:
    """Return the minimised value and the mean score of one step, differentiable in `theta`.

    Args:
        theta: logit of the keep probability, before upsampling.
        noise: standard logistic noise, one map per mask, of the image's sides or of theta's.
        keys: one per mask, for the infiller.
        warmup: the regularisers' weight in this step, in [0, 1].
        antithetic: the second half of the noise mirrors the first; a mirrored mask has the next
            infiller.

    The other arguments are those of `fido_loop`.
    """
    fills = as_fills(infill)
    keep, z = relaxed_masks(theta, noise, image.shape[:2], temperature)
    # The classifier sees the relaxed mask, the infiller the rounded one, and no gradient passes it.
    reference = references(fills, fill_numbers(len(z), len(fills), antithetic), keys, image, z)
    logits = logits_of(classifier, jax.vmap(mix, in_axes=(None, 0, 0))(image, z, reference))
    mean = jnp.mean(SCORES[score](logits, target))
    return OBJECTIVES[objective](mean, keep, lam, tv, warmup), mean


class Priced(NamedTuple):
    """The published FIDO, as `fido_loop` drives it; the attributes are its options."""

    fills: tuple[Infiller, ...]
    objective: str
    lam: float | Scalar
    tv: float | Scalar
    samples: int
    antithetic: bool
    score: str

    @property
    def masks(self) -> int:
        """The number of masks of one step, each of them one evaluation."""
        return self.samples

    def start(self, keep: Map, classifier: Classifier, image: Image) -> tuple[Map, tuple[()]]:
        """Return the map before the first step; nothing else is kept."""
        del classifier, image
        return jax.scipy.special.logit(keep), ()

    def step(
        self, theta, constant, noise, keys, classifier, image, target, temperature, warmup
    ) -> tuple[Map, loops.Record, tuple[()]]:
        """Return the gradient and the history's entry."""

        def value(theta):
            return sampled_objective(
                theta, noise, keys, classifier, image, target,
                infill=self.fills, objective=self.objective, lam=self.lam, tv=self.tv,
                temperature=temperature, warmup=warmup, score=self.score,
                antithetic=self.antithetic,
            )  # fmt: skip

        (minimised, mean), grads = jax.value_and_grad(value, has_aux=True)(theta)
        return grads, loops.Record(minimised, mean), constant

    def settle(self, theta: Map, constant: tuple[()]) -> Map:
        """Return the updated map as it is."""
        del constant
        return theta

    def keep(self, theta: Map) -> Map:
        """The keep probability at the sides of the map."""
        return jax.nn.sigmoid(theta)

    def read_out(
        self, classifier: Classifier, image: Image, target: Target, state: Any, history: Any
    ) -> Explanation:
        """Return the map and `MaskInfo`, with the first infiller's mixture."""
        return readout.read_out(
            state.key, classifier, image, target, state.average, history,
            infill=self.fills[0], objective=self.objective,
        )  # fmt: skip
