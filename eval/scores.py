"""Sets of numbers that are measured together on stored maps."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from eval.judging import judge
from eval.speckle import speckle, spread
from eval.subject import Drawn
from fidojax import metrics
from fidojax.engine import measure_batch
from fidojax.metrics import LEVELS, SHARES, agreement
from fidojax.runs import digest
from fidojax.types import Classifier, Infiller

if TYPE_CHECKING:
    from eval.study import StudyRow


class Number(NamedTuple):
    """One value per picture.

    Attributes:
        label: the name in tables.
        better: "low", "high" or "none".
        digits: digits after the point in tables.
        column: the stored column.
        index: of the column's second axis, if it has one.
        unit: the unit in tables.
    """

    label: str
    better: str
    digits: int
    column: str
    index: int | None = None
    unit: str = ""


class Curve(NamedTuple):
    """Several values per picture, over x."""

    label: str
    column: str
    x: Sequence[float]
    xlabel: str
    ylabel: str
    better: str


class Maps(NamedTuple):
    """Stored maps of one row and all that they are scored with, in the same order.

    Attributes:
        classifier: the classifier that was explained.
        drawn: the pictures with labels and boxes.
        targets: the explained classes.
        maps: "n h w".
        row: the row that made the maps.
        seed: of the run.
        maps_of: the maps of any row of the study, of the same pictures; NaN where a map failed,
            None where one is still missing.
        column: a column that is stored beside the maps, such as "seconds" or one that the row
            records.
    """

    classifier: Classifier
    drawn: Drawn
    targets: np.ndarray
    maps: np.ndarray
    row: "StudyRow"
    seed: int
    maps_of: Callable[[str], np.ndarray | None] = lambda row: None
    column: Callable[[str], np.ndarray] = lambda name: np.empty(0)

    def others(self) -> np.ndarray | None:
        """The maps of the row's `like`; None where one of them is still missing."""
        return self.maps_of(self.row.like)


class ScoreSet(NamedTuple):
    """Numbers that one function computes.

    Attributes:
        settings: all that decides the values beside the maps, as JSON.
        numbers: by key.
        curves: by key.
        compute: makes the columns "n ..." of n maps; no columns where it waits for another row.
        whole: whether a value depends on the other pictures, so that `compute` takes all maps at
            once.
        limit: only the first `limit` pictures are measured; all when None.
        compared: whether the maps are compared with those of the row's `like`.
        passes: forward passes of the classifier for each map, by which its time is foretold.
    """

    settings: Mapping[str, Any]
    numbers: Mapping[str, Number]
    compute: Callable[[Maps], dict[str, np.ndarray]]
    curves: Mapping[str, Curve] = {}
    whole: bool = False
    limit: int | None = None
    compared: bool = False
    passes: int = 0


def place(**choices: Any) -> ScoreSet:
    """Where the map lies: see `eval.judging.judge`, which takes the choices."""
    numbers = {
        "error": Number("WSL error", "low", 3, "error"),
        "metric": Number("saliency metric", "low", 3, "metric", unit="nats"),
        "outside": Number("out of box", "low", 3, "outside"),
        "pointing": Number("pointing game", "high", 3, "pointing"),
        "mass": Number("mass in box", "high", 3, "mass"),
        "rank": Number("rank accuracy", "high", 3, "rank"),
        "area": Number("area of its box", "none", 3, "area"),
        "empty": Number("empty masks", "none", 3, "empty"),
    }

    def compute(given: Maps) -> dict[str, np.ndarray]:
        found = judge(given.classifier, given.drawn, given.maps, given.row.cut, **choices)
        alphas = np.resize(np.array(found.alphas or (np.nan,), np.float32), len(given.maps))
        return {**found.numbers, "box": found.boxes, "alpha": alphas}

    return ScoreSet(choices, numbers, compute, whole=True, passes=1)


def order(
    infill: Infiller,
    fingerprint: str,
    *,
    steps: int = 24,
    insertion: bool = False,
    limit: int | None = None,
    prefix: str = "",
) -> ScoreSet:
    """Deletion, and insertion if asked, in the map's order.

    Args:
        infill: fills in what is deleted.
        fingerprint: of the infiller: its name, and a hash for the settings.
        prefix: of the numbers' keys.
    """
    options = {"steps": steps, "grid": "geometric"}
    judge = f"{fingerprint.partition(' ')[0]} infill"
    half, nine = LEVELS.index(0.5), LEVELS.index(0.9)
    numbers = {
        f"{prefix}deletion50": Number(f"pixels to 50%, {judge}", "low", 0, "needed", half),
        f"{prefix}deletion90": Number(f"pixels to 90%, {judge}", "low", 0, "needed", nine),
    }
    if insertion:
        numbers[f"{prefix}insertion50"] = Number(
            f"insertion: pixels to 50%, {judge}", "low", 0, "inserted", half
        )
    percent = [100 * level for level in LEVELS]
    curves = {
        f"{prefix}deletion": Curve(
            f"Deletion, {judge}",
            "needed",
            percent,
            "suppressed log-odds, %",
            "pixels needed",
            "low",
        )
    }

    def compute(given: Maps) -> dict[str, np.ndarray]:
        gone = measured("deletion", given, infill=infill, **options)
        found = {"needed": gone.needed, "auc": gone.auc}
        if insertion:
            shown = measured("insertion", given, infill=infill, **options)
            found |= {"inserted": shown.needed, "insertion": shown.auc}
        return found

    settings = options | {"infill": fingerprint, "insertion": insertion}
    passes = (steps + 1) * (1 + insertion)
    return ScoreSet(settings, numbers, compute, curves, limit=limit, passes=passes)


def erased(
    *, shares: Sequence[float] = (0.5,), erased: str = "black", limit: int | None = None
) -> ScoreSet:
    """How far all probabilities move when the map's lowest pixels are erased.

    Args:
        shares: some of `fidojax.metrics.SHARES`, a number "kl50" for each.
        erased: what erased pixels become, a name in `fidojax.metrics.ERASED`.
        limit: only the first `limit` pictures are measured; all when None.
    """
    numbers = {
        f"kl{100 * share:.0f}": Number(
            f"KL, lowest {share:.0%} {erased}", "low", 3, "kl", SHARES.index(share), "nats"
        )
        for share in shares
    }
    percent = [100 * share for share in SHARES]
    curves = {
        "kl": Curve("Erasing", "kl", percent, f"lowest pixels {erased}, %", "KL, nats", "low")
    }

    def compute(given: Maps) -> dict[str, np.ndarray]:
        return {"kl": measured("erasing", given, erased=erased).curve}

    settings = {"shares": SHARES} | ({} if erased == "black" else {"erased": erased})
    passes = len(SHARES) + 1
    return ScoreSet(settings, numbers, compute, curves, limit=limit, passes=passes)


def shape(*, size: str = "none") -> ScoreSet:
    """How much a map shows: size and entropy of masks, sparseness of any map.

    Args:
        size: which size is better ("low", "high" or "none"), for an experiment that claims one.
    """
    numbers = {
        "size": Number("size", size, 3, "size"),
        "entropy": Number("entropy", "none", 3, "entropy", unit="nats"),
        "gini": Number("Gini", "none", 3, "gini"),
    }

    def compute(given: Maps) -> dict[str, np.ndarray]:
        found = {"gini": measured("complexity", given).gini}
        if given.row.cut == "absolute":  # a mask
            found |= measured("mask_size", given)._asdict()
        return found

    return ScoreSet({}, numbers, compute)


def pieces() -> ScoreSet:
    """The artefacts of a mask's region above one half: its pieces, its border, how far it spreads.

    NaN for maps that are no masks, and where no pixel is above one half.

    Reference: FIDO sections 4.3 and 4.6, "fewer artifacts" and "more concentrated".
    """
    numbers = {
        "components": Number("components", "low", 1, "components"),
        "border": Number("length of its border", "low", 0, "total_variation", unit="pixel sides"),
        "spread": Number("spread", "low", 3, "spread"),
    }

    def compute(given: Maps) -> dict[str, np.ndarray]:
        if given.row.cut != "absolute":
            return {name.column: np.full(len(given.maps), np.nan) for name in numbers.values()}
        masks = given.maps > 0.5
        return {**speckle(masks), "spread": spread(masks)}

    return ScoreSet({"above": 0.5}, numbers, compute)


def likeness(*, sign: str = "signed", ssim: bool = False) -> ScoreSet:
    """How alike the map is to that of the row's `like`: correlation of ranks and of values.

    A constant map is like nothing: NaN.

    Args:
        sign: what is compared, see `fidojax.metrics.agreement`.
        ssim: also the structural similarity, each map brought to [0, 1].
    """
    names = {"spearman": "Spearman", "pearson": "Pearson"} | ({"ssim": "SSIM"} if ssim else {})
    suffix = "" if sign == "signed" else f", {sign}"
    numbers = {
        key: Number(f"likeness, {name}{suffix}", "none", 3, key) for key, name in names.items()
    }

    def compute(given: Maps) -> dict[str, np.ndarray]:
        others = given.others()
        if others is None:
            return {}
        found = alike(given.maps, others, sign=sign)
        return {key: np.asarray(found[key]) for key in names}

    settings = {} if (sign, ssim) == ("signed", False) else {"sign": sign, "ssim": ssim}
    return ScoreSet(settings, numbers, compute, whole=True, compared=True)


@partial(jax.jit, static_argnames=("sign", "scale"))
def alike(one: Any, other: Any, sign: str = "signed", scale: str = "range") -> dict[str, jax.Array]:
    """Agreement of each map "n h w" with its partner: columns `spearman`, `pearson` and `ssim`.

    Args:
        sign, scale: see `fidojax.metrics.agreement`.
    """
    window = min(7, *one.shape[1:])
    found = jax.vmap(partial(agreement, sign=sign, scale=scale, window=window))(one, other)
    return {"spearman": found.spearman, "pearson": found.pearson, "ssim": found.ssim}


def recorded(numbers: Mapping[str, Number], curves: Mapping[str, Curve] = {}) -> ScoreSet:
    """Numbers that the row itself records of its explanations, see `StudyRow.record`."""
    columns = sorted({one.column for one in (*numbers.values(), *curves.values())})

    def compute(given: Maps) -> dict[str, np.ndarray]:
        return {name: given.column(name) for name in columns}

    return ScoreSet({}, numbers, compute, curves)


def mixture(*, controls: bool = False, keep_image: bool = False) -> ScoreSet:
    """The class on the picture's own kept pixels, with the row's own infill and objective.

    Args:
        controls: also the class on random and centred masks of the same area.
        keep_image: store the mixture as the column `seen`, "n h w c" uint8.
    """
    numbers = {
        "kept": Number("kept area", "low", 3, "area"),
        "on mixture": Number("p on its mixture", "high", 3, "probability"),
        "on samples": Number("p on its samples", "high", 3, "sampled"),
        "samples' area": Number("their area", "low", 3, "sampled_area"),
    }
    if controls:
        numbers |= {
            "on random": Number("p, random pixels", "none", 3, "random"),
            "on blobs": Number("p, random blobs", "none", 3, "coarse"),
            "on centre": Number("p, centred box", "none", 3, "center"),
            "on random samples": Number("p, random samples of that area", "none", 3,
                                        "sampled_random"),
            "original": Number("p on the picture", "none", 3, "original"),
        }  # fmt: skip

    def compute(given: Maps) -> dict[str, np.ndarray]:
        options = given.row.options
        found = measured(
            "mixture", given, infill=options["infill"], objective=options.get("objective", "ssr")
        )
        columns = {number.column: getattr(found, number.column) for number in numbers.values()}
        seen = np.round(255 * np.clip(found.image, 0, 1)).astype(np.uint8)
        return columns | ({"seen": seen} if keep_image else {})

    settings = {"controls": controls, "keep_image": keep_image}
    return ScoreSet(settings, numbers, compute, passes=21)  # 5 masks, and 8 samples of 2 maps


def sufficiency(infill: Infiller | None = None, *, controls: bool = False) -> ScoreSet:
    """The smallest share of the pixels, in the map's order, that gives the class p / 2.

    Args:
        infill: stands for the other pixels; the row's own when None.
        controls: also the share that random pixels, random blobs and a centred box need.
    """
    numbers = {"needs": Number("smallest area for p/2", "low", 3, "needs")}
    if controls:
        numbers |= {
            "needs, random": Number("that of random pixels", "none", 3, "needs_random"),
            "needs, blobs": Number("that of random blobs", "none", 3, "needs_coarse"),
            "needs, centre": Number("that of centred boxes", "none", 3, "needs_center"),
        }

    def compute(given: Maps) -> dict[str, np.ndarray]:
        options = given.row.options
        found = measured(
            _needed,
            given,
            infill=options["infill"] if infill is None else infill,
            objective=options.get("objective", "ssr"),
            controls=controls,
        )
        return {column: np.asarray(values) for column, values in found.items()}

    settings = {"controls": controls} | ({} if infill is None else {"infill": digest(infill)})
    return ScoreSet(settings, numbers, compute, passes=51 * (4 if controls else 1))


def _needed(key, classifier, image, target, saliency, *, infill, objective, controls):
    orders = {"needs": saliency if objective == "ssr" else 1 - saliency}
    if controls:
        names = ("needs_random", "needs_coarse", "needs_center")
        first, second = jax.random.split(key)
        orders |= zip(names, metrics.controls((first, second), image.shape[:2]), strict=True)
    return {
        name: metrics.sufficiency(
            key, classifier, image, target, order, infill=infill, points=50, chunk=17
        ).share
        for name, order in orders.items()
    }


def measured(metric: Any, given: Maps, *, seed: int | None = None, **options: Any) -> Any:
    """A metric of all maps, see `fidojax.measure_batch`.

    Args:
        metric: a name in `fidojax.metrics.METRICS` or a function like those.
        seed: of what the metric draws; the run's seed + 1 when None, so that a random infill is
            drawn afresh and not as the method drew it.
    """
    return measure_batch(
        metric,
        given.classifier,
        given.drawn.images,
        given.targets,
        given.maps,
        options=options,
        seed=given.seed + 1 if seed is None else seed,
        ids=given.drawn.ids,
        rewrite=False,
    )
