"""FIDO under a constraint: the smallest region on which the class holds.

The published FIDO pays a price for every pixel. Here is given instead what must hold, and the
price follows, as in GECO (Rezende & Viola 2018). GECO moves the price by the constraint's
violation; the area follows a price only after the optimiser's momentum, so that both swing around
the constraint (docs/schedules.md). Here the violation moves the area itself. Every step improves
the region at the present area, and the price is the multiplier of that area.

Among the masks of every step is the region itself, without noise: pixels that are kept with a
probability of a third keep the class in the sampled masks, but not in the region that is shown.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from fidojax.core import (
    EDGES,
    concrete,
    logits_of,
    margin,
    mix,
    probability,
    references,
    senses_of,
    soft_edge,
    total_variation,
)
from fidojax.methods.fido.area import (
    LARGEST,
    SMALLEST,
    Map,
    at_area,
    coarsened,
    multiplier,
    next_area,
)
from fidojax.methods.fido.draws import fill_numbers, relaxed_masks
from fidojax.methods.fido.held_readout import HeldRecord, read_out_held
from fidojax.types import Classifier, Explanation, Image, Infiller, Logits, Mask, Scalar, Target


class Held(NamedTuple):
    """What is kept between two steps beside the map.

    Attributes:
        area: the expected share of the picture in the region, in [0, 1].
        original: "k", the logits of the picture.
        sampled: mean probability of the class on the sampled masks of the last step.
    """

    area: Scalar
    original: Logits
    sampled: Scalar


class View(NamedTuple):
    """How one mask of a step is shown.

    Attributes:
        sense: "ssr" shows the region, "sdr" the picture without it.
        fill: number of the infiller.
    """

    sense: str
    fill: int


class Holding(NamedTuple):
    """FIDO with `hold`, as `fido_loop` drives it; the attributes are its options.

    Its map `theta` is the logit of the probability of being in the region.
    """

    fills: tuple[Infiller, ...]
    objective: str
    hold: float | Scalar | str
    tv: float | Scalar
    samples: int
    antithetic: bool
    pace: float | Scalar
    available: Mask | None

    def views(self) -> tuple[list[View], list[View]]:
        """How the sampled masks of a step are shown, and how the region itself.

        The region is shown on every infiller, with hard and with soft edges; with "dual" in both
        senses, while the sampled masks are shown in one sense and in the other in turn.
        """
        senses = senses_of(self.objective)
        numbers = fill_numbers(self.samples, len(self.fills), self.antithetic)
        sampled = [View(senses[at % len(senses)], fill) for at, fill in enumerate(numbers)]
        shown = [View(s, fill) for s in senses for fill in range(len(self.fills)) for _ in EDGES]
        return sampled, shown

    @property
    def masks(self) -> int:
        """The number of masks of one step, each of them one evaluation."""
        return sum(map(len, self.views()))

    def start(self, keep: Map, classifier: Classifier, image: Image) -> tuple[Map, Held]:
        """Return the map and what is kept before the first step; the area is the start's."""
        region = 1 - keep if self.objective == "sdr" else keep
        theta = jax.scipy.special.logit(region)
        original = logits_of(classifier, image[None])[0]
        area = jnp.clip(region.mean(), SMALLEST, LARGEST)
        held = Held(area, original, jnp.zeros_like(area))
        return self.settle(theta, held), held

    def step(
        self,
        theta: Map,
        held: Held,
        noise: Float[Array, "samples rows2 columns2"],
        keys: Key[Array, " masks"],
        classifier: Classifier,
        image: Image,
        target: Target,
        temperature: float | Scalar,
        warmup: float | Scalar,
    ) -> tuple[Map, HeldRecord, Held]:
        """Return the gradient at the present area, the history's entry, and the next area."""
        look = jax.value_and_grad(self.objective_of, has_aux=True)
        (value, (margins, sampled)), grads = look(
            theta, held.original, noise, keys, classifier, image, target, temperature, warmup
        )
        price, slope = multiplier(grads, theta, coarsened(self.available, theta.shape))
        mean = margins[: self.samples].mean()
        worst = jnp.minimum(mean, margins[self.samples :].min())
        per_pixel = price * theta.size / (image.shape[0] * image.shape[1])
        record = HeldRecord(value, mean, worst, held.area, per_pixel)
        area = next_area(held.area, worst, self.pace)
        return grads + price * slope, record, Held(area, held.original, sampled)

    def settle(self, theta: Map, held: Held) -> Map:
        """Return the map brought to the area."""
        return at_area(theta, coarsened(self.available, theta.shape), held.area)

    def keep(self, theta: Map) -> Map:
        """The keep probability at the sides of the map."""
        region = coarsened(self.available, theta.shape) * jax.nn.sigmoid(theta)
        return 1 - region if self.objective == "sdr" else region

    def read_out(
        self, classifier: Classifier, image: Image, target: Target, state: Any, history: HeldRecord
    ) -> Explanation:
        """Return the map, and its region that holds."""
        return read_out_held(
            state.key, classifier, image, target, state.average, history, state.constant.sampled,
            fills=self.fills, objective=self.objective, hold=self.hold, available=self.available,
        )  # fmt: skip

    def objective_of(
        self, theta, original, noise, keys, classifier, image, target, temperature, warmup
    ) -> tuple[Scalar, tuple[Float[Array, " masks"], Scalar]]:
        """Return the minimised value, the margin of every mask in nats, and p on the samples."""
        region, z = relaxed_masks(theta, noise, image.shape[:2], temperature)
        if self.available is not None:
            open_ = (self.available > 0.5).astype(region.dtype)
            region, z = region * open_, z * open_
        sampled, shown = self.views()
        # The sample that no noise moves.
        own = concrete(jnp.zeros_like(region), region, temperature)
        edges = jnp.stack([own, soft_edge(own)])
        masks = jnp.concatenate([z, jnp.tile(edges, (len(shown) // len(EDGES), 1, 1))])
        senses = [view.sense for view in sampled + shown]
        deletes = jnp.asarray([sense == "sdr" for sense in senses])
        masks = jnp.where(deletes[:, None, None], 1 - masks, masks)
        reference = references(
            self.fills, [view.fill for view in sampled + shown], keys, image, masks
        )
        logits = logits_of(classifier, jax.vmap(mix, in_axes=(None, 0, 0))(image, masks, reference))
        given = (logits, target, original, self.hold)
        margins = jnp.where(deletes, margin(*given, "sdr"), margin(*given, "ssr"))
        p = probability(logits[: len(z)], target).mean()
        return warmup * self.tv * total_variation(region) - margins.mean(), (margins, p)
