"""What holds for every faithfulness metric: each row of one table, on classifiers of known answers.

Peers break one or another of these. What belongs to one metric alone (published numbers, slow
loops, ties, step 0, areas) is tested beside it.
"""

from collections.abc import Callable
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from test_faithfulness import multilayer

import infillers
from fidojax.metrics import METRIC_ROWS, METRICS, roc_auc

SIDE = 8
RANDOM = 8
BLACK, ROAD = infillers.mean(0.0), infillers.road(0.0, 0.0)
SIGNED, SEVERAL = ("linear", "object", "nonlinear"), ("evidence", "presence", "conjunction")
"""Classifiers that have pixels for and against the class, and for it alone; see `planted`."""


class Row(NamedTuple):
    """A metric.

    Attributes:
        metric: its name.
        of: what it returns -> some of its numbers; larger is better.
        options: of the metric.
        reads: what a perfect map holds, a key of `Planted.maps`.
        kinds: of classifiers.
        empty: whether a map of zeros has a number, and then whether another constant one has.
    """

    metric: str
    of: Callable[[Any], tuple]
    options: Any = MappingProxyType({})
    reads: str = "parts"
    kinds: tuple[str, ...] = SIGNED
    empty: tuple[bool, bool] = (True, True)


def _fall(found):
    return -found.auc, -found.needed[4]


def _correlations(found):
    return found[:2]


def _error(found):
    return (-found.relative,)


def _statistic(found):
    return (found.statistic,)


STEPS = {"steps": 16, "infill": BLACK}
FEW = {"samples": 48, "infill": BLACK}
NO, SCALED = (False, False), (False, True)
ROWS = {
    "deletion": Row("deletion", _fall, STEPS, empty=NO),
    "ROAD": Row("deletion", _fall, STEPS | {"infill": ROAD}, kinds=SEVERAL[1:], empty=NO),
    "insertion": Row("insertion", lambda found: (found.auc,), STEPS, empty=NO),
    "removal": Row("removal", _statistic, {"stride": 3, "infill": BLACK}),
    "preservation": Row("preservation", _statistic, {"stride": 3, "infill": BLACK}),
    "sufficiency": Row(
        "sufficiency", lambda found: (-found.share,), {"infill": BLACK}, kinds=SEVERAL
    ),
    "region": Row("region", lambda found: (-found.area,), {"infill": BLACK}),
    "erasing, lowest": Row("erasing", lambda found: (-found.curve.mean(),), kinds=SEVERAL),
    "erasing, highest": Row(
        "erasing", lambda found: (found.curve.mean(),), {"order": "highest"}, kinds=SEVERAL
    ),
    "faithfulness": Row("faithfulness", _correlations, FEW, empty=NO),
    "faithfulness, ranked": Row(
        "faithfulness", _correlations, FEW | {"drop": "ranked", "samples": 16}, empty=NO
    ),
    "infidelity": Row("infidelity", _error, FEW, empty=SCALED),
    "infidelity, noise": Row(
        "infidelity", _error, FEW | {"perturbation": "noise"}, reads="slopes", empty=SCALED
    ),
    "expected objective": Row(
        "expected_objective",
        lambda found: (-found.objective,),
        {"lam": 0.0, "tv": 0.0, "samples": 16, "infill": BLACK},
        reads="mask",
    ),
    "mixture": Row(
        "mixture",
        lambda found: (found.probability,),
        {"samples": 1, "infill": BLACK},
        reads="mask",
    ),
    "conciseness-preciseness": Row(
        "conciseness_preciseness",
        lambda found: (found.score,),
        {"infill": BLACK},
        reads="mask",
        kinds=SEVERAL[1:],  # where evidence is everywhere, a few dark pixels have a high ratio
        empty=NO,
    ),
    "saliency metric": Row(
        "saliency_metric", lambda found: (-found.value,), reads="mask", kinds=("bright",)
    ),
}
EVERY = pytest.mark.parametrize("name", ROWS)


def test_every_metric_has_a_row():
    asking = {name for name, row in METRIC_ROWS.items() if row.infill}
    asking.remove("hallucination")  # which does not ask the classifier
    assert {row.metric for row in ROWS.values()} == asking | {"erasing", "saliency_metric"}


def _classifier(linear, one, other, bend, bright, offset, images):
    """Evidence for class 0 in the grey picture."""
    grey = images.mean(axis=-1)
    value, first, second = (jnp.einsum("nhw,hw->n", grey, w) for w in (linear, one, other))
    value += jnp.minimum(first, second) + bright * grey.mean((1, 2)) + offset
    value = jnp.tanh(bend * value) / bend
    return jnp.stack([value, jnp.zeros_like(value)], axis=-1)


class Planted(NamedTuple):
    """A classifier, its perfect maps by name, and a grey picture "h w"."""

    classifier: Partial
    maps: dict[str, np.ndarray]
    image: np.ndarray


def block(top, left, bottom, right):
    found = np.zeros((SIDE, SIDE), np.float32)
    found[top:bottom, left:right] = 1
    return found


OBJECT, OTHER, AGAINST = block(1, 1, 4, 4), block(4, 5, 7, 8), block(5, 1, 7, 4)
BAND = block(0, 0, SIDE, 3)


@cache
def planted(kind: str, constant: bool = False) -> Planted:
    """Bright regions on a dark ground, or a constant picture, and what is to be seen there."""
    draw = np.random.default_rng(0)
    weights, texture = draw.normal(size=(SIDE, SIDE)), 0.05 * draw.random((SIDE, SIDE))
    bright_parts = BAND if kind == "bright" else OBJECT + OTHER + AGAINST
    image = np.full((SIDE, SIDE), 0.6) if constant else np.clip(bright_parts, 0.1, 0.9) + texture
    nothing = np.zeros((SIDE, SIDE))
    linear, one, other, bend, bright, offset = nothing, nothing, nothing, 1e-3, 0.0, 0.0
    if kind == "linear":
        linear = weights - (np.vdot(weights, image) - 1) / image.sum()  # the score is 1
    elif kind == "object":  # by the mean of a region, with another one against it
        linear = 0.6 * OBJECT - 0.8 * AGAINST
    elif kind == "nonlinear":  # two regions that are both needed, saturating
        linear, one, other, bend = -1.2 * AGAINST, OBJECT, OTHER, 0.2
    elif kind == "evidence":
        linear = np.abs(weights) ** 3
    elif kind == "presence":
        linear = OBJECT
    elif kind == "conjunction":
        one, other, bend = OBJECT, OTHER, 0.2
    elif kind == "bright":  # wherever it is
        bright, offset = 12.0, -6.0
    slopes = linear + (one + other) / 2
    if kind in SEVERAL:
        offset = 1 - np.vdot(slopes, image)
    maps = {"slopes": slopes, "parts": slopes * image}
    maps["mask"] = BAND if kind == "bright" else (slopes * image > 0)
    leaves = (jnp.asarray(leaf, jnp.float32) for leaf in (linear, one, other, bend, bright, offset))
    as_float32 = {name: np.asarray(values, np.float32) for name, values in maps.items()}
    return Planted(Partial(_classifier, *leaves), as_float32, np.asarray(image, np.float32))


@cache
def scorer(name: str):
    """(key, classifier, images "n h w c", maps "n h w") -> "n numbers", larger is better."""
    row = ROWS[name]

    def one(key, classifier, image, saliency):
        metric = METRICS[row.metric]
        return jnp.stack(row.of(metric(key, classifier, image, 0, saliency, **row.options)))

    return jax.jit(jax.vmap(one, in_axes=(None, None, 0, 0)))


COUNT = 2 + RANDOM
"""Pictures of every call, so that each row is one program."""


def numbers(name, own, maps, images=None):
    """Of so many maps, for the classifier's own picture in three equal colours."""
    if images is None:
        images = np.broadcast_to(own.image[..., None], (COUNT, SIDE, SIDE, 3))
    return np.asarray(scorer(name)(jax.random.key(0), own.classifier, images, maps))


def of_values(name, own):
    """A perfect map, its inverse, and the same values at random places."""
    perfect = own.maps[ROWS[name].reads]
    inverse = 1 - perfect if ROWS[name].reads == "mask" else -perfect
    draw = np.random.default_rng(1)
    shuffled = [draw.permuted(perfect.ravel()).reshape(perfect.shape) for _ in range(RANDOM)]
    return np.stack([perfect, inverse, *shuffled])


def check_order(found):
    for perfect, inverse, *random in found.T:
        assert perfect >= max(random)
        assert perfect > np.mean(random) > inverse


@EVERY
def test_a_perfect_map_beats_random_ones_which_beat_its_inverse(name):
    for kind in ROWS[name].kinds:
        own = planted(kind)
        check_order(numbers(name, own, of_values(name, own)))


@pytest.mark.parametrize("name", [name for name in ROWS if ROWS[name].kinds != ("bright",)])
def test_so_it_does_on_a_constant_picture(name):
    """Whose minimum or mean as a fill would change nothing; as ROAD's neighbours do, by design."""
    for kind in ROWS[name].kinds:
        own = planted(kind, constant=True)
        found = numbers(name, own, of_values(name, own))
        if name == "ROAD":
            np.testing.assert_allclose(found[:, 0], found[0, 0], atol=1e-5)
        else:
            check_order(found)


@EVERY
def test_a_number_does_not_depend_on_the_neighbours_in_the_batch(name):
    """Among itself, and among brighter pictures and broken, empty and louder maps."""
    own = planted(ROWS[name].kinds[-1])
    chosen = of_values(name, own)[2]
    alone = numbers(name, own, np.broadcast_to(chosen, (COUNT, SIDE, SIDE)))
    np.testing.assert_allclose(alone, np.broadcast_to(alone[0], alone.shape), atol=1e-6)
    maps = np.stack([chosen * factor for factor in (np.nan, 0, 1e4, -1, 50)] * 2)
    images = np.random.default_rng(2).random((COUNT, SIDE, SIDE, 3), np.float32)
    images[::2] *= 1000
    for place in (0, COUNT - 1):
        others, pictures = maps.copy(), images.copy()
        others[place], pictures[place] = chosen, own.image[..., None]
        found = numbers(name, own, others, pictures)
        np.testing.assert_allclose(found[place], alone[0], atol=1e-5)


@EVERY
def test_colours_go_together(name):
    """What averages the colours does not see which of them a picture has."""
    own = planted(ROWS[name].kinds[-1])
    maps = of_values(name, own)
    grey = numbers(name, own, maps)
    tint = 0.05 * np.random.default_rng(3).random((SIDE, SIDE))
    colours = np.clip(own.image[..., None] + tint[..., None] * [1, -1, 0], 0, 1)
    images = np.broadcast_to(colours.astype(np.float32), (COUNT, SIDE, SIDE, 3))
    np.testing.assert_allclose(
        numbers(name, own, maps, images), grey, atol=2e-3 if name == "ROAD" else 1e-4
    )


NOT_ELSEWHERE = (
    "erasing, lowest",
    "faithfulness, ranked",
    "region",
    "sufficiency",
    "saliency metric",
)


@pytest.mark.parametrize("name", NOT_ELSEWHERE)
def test_three_equal_colours_are_one(name):
    own = planted(ROWS[name].kinds[-1])
    maps = of_values(name, own)
    single = np.broadcast_to(own.image[..., None], (COUNT, SIDE, SIDE, 1))
    found = numbers(name, own, maps, single)
    np.testing.assert_allclose(found, numbers(name, own, maps), atol=1e-4)


@EVERY
def test_maps_that_say_nothing(name):
    """Zeros, another constant, and numbers that are not finite: a number or NaN, as documented."""
    row, own = ROWS[name], planted(ROWS[name].kinds[0])
    ramp = np.arange(SIDE**2, dtype=np.float32).reshape(SIDE, SIDE) / SIDE**2
    broken = [ramp.copy() for _ in range(2)]
    broken[0][2, 3], broken[1][4, 1] = np.nan, np.inf
    constant = np.full((SIDE, SIDE), 0.3, np.float32)
    maps = np.stack([np.zeros_like(ramp), constant, *broken, *[ramp] * (COUNT - 4)])
    found = numbers(name, own, maps)[:, 0]
    expected = [*row.empty, False, False, True]
    np.testing.assert_array_equal(np.isfinite(found[:5]), expected)


def test_published_numbers_that_no_other_file_has():
    """MET-0, the classifier of the published infidelities, and Q-LOC4 of a single row."""
    rows, targets = jnp.arange(1.0, 13).reshape(4, 3), jnp.array([0, 0, 1, 0])
    logits = multilayer(rows, 8.0, rows[:, None, :, None])
    found = jnp.take_along_axis(logits, targets[:, None], axis=1)[:, 0]
    np.testing.assert_array_equal(found, [320, 896, 1488, 2048])
    halves, own = jnp.repeat(jnp.array([[0.0, 1.0]]), 112, axis=1), planted("linear")
    given = jax.random.key(0), own.classifier, halves[..., None], 0, halves
    assert float(roc_auc(*given, boxes=jnp.array([[0, 0, 1, 112]])).auc) == 0
