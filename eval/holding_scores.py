"""Scores of a map's region: its area, and whether the class holds on it, also for other judges."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from eval import judging
from eval.scores import Maps, Number, ScoreSet, measured
from eval.speckle import speckle
from fidojax import metrics
from fidojax.core import filled_logits, margin, probability, rank, senses_of
from fidojax.data import padded
from fidojax.engine import measure_batch
from fidojax.runs import digest
from fidojax.types import Classifier, Infiller, Mask

CONTROLS = ("random", "blobs", "centre")
"""Masks of the region's area that know nothing: random pixels, random blobs, a centred box."""


class Judge(NamedTuple):
    """Who is asked whether the class holds on a region.

    Attributes:
        infill: the fills of the other pixels.
        classifier: that of the maps when None.
    """

    infill: tuple[Infiller, ...]
    classifier: Classifier | None = None


def record_region(info: Any) -> dict[str, np.ndarray]:
    """The region that a method has read out itself, for `StudyRow.record`; zeros for none."""
    return {"region": np.nan_to_num(info.region.mask).astype(np.uint8)}


def holding_scores(
    judges: Mapping[str, Judge],
    *,
    hold: float | str = 0.9,
    holds: Sequence[float] = (0.5, 0.9),
    objective: str = "ssr",
    boxes: bool = False,
) -> ScoreSet:
    """The smallest region of the map's order that holds, and who sees the class on the region.

    The region shown is the one that the method itself has read out (`record_region`), else the one
    that is read out here. All judges see it with new random draws. Where there is no region, the
    areas are NaN, and the region holds for nobody: the numbers "held" say of how many pictures.
    The columns of `judged` are stored with the judge's place behind their names, "alone0", and for
    controls as "alone_controls".

    Args:
        judges: by name. The fills of the first are those that the region has to hold under; it
            also judges controls of the region's area.
        hold, objective: of the region shown, as `fidojax.region` takes them.
        holds: the areas of the regions that hold for these shares are measured, too.
        boxes: also the share of the region outside the true boxes.
    """
    fills = next(iter(judges.values())).infill
    numbers = {
        f"area {each:g}": Number(f"area at hold {each:g}", "low", 3, "areas", index)
        for index, each in enumerate(holds)
    }
    numbers["area shown"] = Number("area of the region", "low", 3, "area")
    for at, name in enumerate(judges):
        numbers[f"held, {name}"] = Number(f"class holds, {name}", "high", 3, f"held{at}")
    numbers["components"] = Number("components of the region", "low", 1, "components")
    numbers["total variation"] = Number(
        "total variation of the region", "low", 0, "total_variation", unit="pixel sides"
    )
    numbers["hallucination"] = Number("hallucination of the region", "low", 3, "hallucination")
    numbers["conciseness"] = Number("conciseness-preciseness", "high", 3, "conciseness")
    if boxes:
        numbers["outside"] = Number("region outside the boxes", "low", 3, "outside")

    def compute(given: Maps) -> dict[str, np.ndarray]:
        asked = {"infill": fills, "objective": objective}
        found = {each: measured("region", given, hold=each, **asked) for each in {*holds, hold}}
        own = given.row.record is record_region
        masks = given.column("region") if own else np.nan_to_num(found[hold].mask)
        masks = masks.astype(np.float32)
        there = masks.any(axis=(1, 2))
        columns = {
            "areas": np.stack([found[each].area for each in holds], axis=1),
            "level": found[hold].level,
            "area": np.where(there, masks.mean(axis=(1, 2)), np.nan),
            "region": masks.astype(np.uint8),
            **speckle(masks),
        }
        shown = {"infill": fills, "objective": "sdr" if objective == "sdr" else "ssr"}
        region = given._replace(maps=masks)
        invented = measured("hallucination", region, **shown).share
        retained = measured("conciseness_preciseness", region, **shown).score
        columns["hallucination"] = np.where(there, invented, np.nan)
        columns["conciseness"] = np.where(there, retained, np.nan)
        for at, judge in enumerate(judges.values()):
            seen = region._replace(classifier=judge.classifier or given.classifier)
            said = measured(
                judged, seen, infill=judge.infill, hold=hold, objective=objective,
                controls=at == 0, seed=given.seed + 2,
            )  # fmt: skip
            columns |= {f"{key}{at}": values[:, 0] for key, values in said.items()}
            if at == 0:
                columns |= {f"{key}_controls": values[:, 1:] for key, values in said.items()}
        if boxes:
            pairs = zip(masks > 0, given.drawn.boxes, strict=True)
            columns["outside"] = np.array([judging.outside(*pair) for pair in pairs])
        return columns

    settings = {"hold": hold, "holds": list(holds), "objective": objective, "boxes": boxes}
    settings |= {"judges": {name: digest(judge) for name, judge in judges.items()}}
    # See `fidojax.region` and `judged`; with more fills than two it takes a little more.
    passes = 57 * len({*holds, hold}) + 24 + 9 * len(judges)
    return ScoreSet(settings, numbers, compute, passes=passes)


def judged(
    key, classifier, image, target, saliency, *, infill, hold, objective, controls
) -> dict[str, jax.Array]:
    """What a judge sees on a region, and first on controls of its area: "masks" of each number.

    `held` is whether the class holds under each fill and edge, `alone` the lowest p(target) on the
    region, `without` the highest one without it, `original` p(target) on the picture. Where the
    region is empty, the class does not hold; where the judge does not know the class, all is NaN.

    Args:
        saliency: the region, a mask.
        controls: whether the controls are judged, too.
    """
    random_key, coarse_key, infill_key = jax.random.split(key, 3)
    shape = image.shape[:2]
    orders = metrics.controls((random_key, coarse_key), shape) if controls else ()
    masks = jnp.stack([saliency, *(rank(order) < saliency.sum() for order in orders)])
    original = classifier(image[None])[0]
    known = probability(original, target) > 1 / original.shape[-1]

    def look(mask: Mask) -> dict[str, jax.Array]:
        masks = {"ssr": mask, "sdr": 1 - mask}
        shown = {
            sense: filled_logits(infill_key, classifier, image, own, infill)
            for sense, own in masks.items()
        }
        least = jnp.stack([
            margin(shown[sense], target, original, hold, sense).min()
            for sense in senses_of(objective)
        ]).min()  # fmt: skip
        p = {sense: probability(logits, target) for sense, logits in shown.items()}
        there = mask.any()
        return {
            "held": ((least >= 0) & there).astype(image.dtype),
            "alone": jnp.where(there, p["ssr"].min(), jnp.nan),
            "without": jnp.where(there, p["sdr"].max(), jnp.nan),
            "original": probability(original, target),
        }

    found = jax.lax.map(look, masks.astype(image.dtype))
    return {name: jnp.where(known, values, jnp.nan) for name, values in found.items()}


def boxed() -> ScoreSet:
    """The pointing game, and the share of the map's first tenth outside the true boxes."""
    numbers = {
        "pointing": Number("pointing game", "high", 3, "pointing"),
        "first tenth": Number("first tenth outside the boxes", "low", 3, "tenth"),
    }

    def compute(given: Maps) -> dict[str, np.ndarray]:
        drawn, count = given.drawn, given.maps[0].size // 10
        tenths = np.asarray(jax.vmap(rank)(jnp.asarray(given.maps))) < count
        hits = measure_batch(
            "pointing_game", given.classifier, drawn.images, given.targets, given.maps,
            boxes=padded(drawn.boxes), rewrite=False,
        )  # fmt: skip
        pairs = zip(tenths, drawn.boxes, strict=True)
        outside = np.array([judging.outside(*pair) for pair in pairs])
        return {"pointing": np.asarray(hits.hit), "tenth": outside}

    return ScoreSet({}, numbers, compute)
