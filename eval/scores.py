"""Sets of numbers that are measured together, of stored maps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eval import agreement
from eval.judging import judge
from eval.subject import Drawn
from fidojax.engine import measure_batch
from fidojax.metrics import LEVELS, SHARES
from fidojax.types import Classifier, Infiller


class Number(NamedTuple):
    """One value per picture.

    Attributes:
        label: for people.
        better: "low", "high" or "none".
        digits: that are shown.
        column: of the stored set.
        index: of the column's second axis, if it has one.
        unit: for people.
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
    """What is scored: pictures and their maps, in the same order.

    Attributes:
        classifier: that was explained.
        drawn: pictures with labels and boxes.
        targets: explained classes.
        maps: "n h w".
        cut: see `eval.study.StudyRow`.
        seed: of the run.
        others: the maps of the row's `like`, of the same pictures; None where it is not finished.
    """

    classifier: Classifier
    drawn: Drawn
    targets: np.ndarray
    maps: np.ndarray
    cut: str
    seed: int
    others: Callable[[], np.ndarray | None] = lambda: None


class ScoreSet(NamedTuple):
    """Numbers that one function computes.

    Attributes:
        settings: all that decides the values beside the maps, as JSON.
        numbers: by key.
        curves: by key.
        compute: the columns, "n ...", of so many maps.
        whole: whether a value depends on the other pictures, so that it takes all maps at once.
        limit: so many pictures, the first ones; all when None.
        compared: whether the maps are compared with those of the row's `like`.
    """

    settings: Mapping[str, Any]
    numbers: Mapping[str, Number]
    compute: Callable[[Maps], dict[str, np.ndarray]]
    curves: Mapping[str, Curve] = {}
    whole: bool = False
    limit: int | None = None
    compared: bool = False


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
        found = judge(given.classifier, given.drawn, given.maps, given.cut, **choices)
        alphas = np.resize(np.array(found.alphas or (np.nan,), np.float32), len(given.maps))
        return {**found.numbers, "box": found.boxes, "alpha": alphas}

    return ScoreSet(choices, numbers, compute, whole=True)


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
        infill: stands for what is gone.
        fingerprint: of the infiller: its name, and a hash for the settings.
        prefix: of the keys.
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
        gone = _measured("deletion", given, infill=infill, **options)
        found = {"needed": gone.needed, "auc": gone.auc}
        if insertion:
            shown = _measured("insertion", given, infill=infill, **options)
            found |= {"inserted": shown.needed, "insertion": shown.auc}
        return found

    settings = options | {"infill": fingerprint, "insertion": insertion}
    return ScoreSet(settings, numbers, compute, curves, limit=limit)


def erased(*, limit: int | None = None) -> ScoreSet:
    """How far all probabilities move when the map's lowest pixels turn black."""
    middle = SHARES.index(0.5)
    numbers = {"kl50": Number("KL, lowest 50% black", "low", 3, "kl", middle, unit="nats")}
    percent = [100 * share for share in SHARES]
    curves = {"kl": Curve("Erasing", "kl", percent, "lowest pixels black, %", "KL, nats", "low")}

    def compute(given: Maps) -> dict[str, np.ndarray]:
        return {"kl": _measured("erasing", given).curve}

    return ScoreSet({"shares": SHARES}, numbers, compute, curves, limit=limit)


def shape(*, size: str = "none") -> ScoreSet:
    """How much a map says: size and entropy of masks, sparseness of any map.

    Args:
        size: which size is better, for an experiment that claims one.
    """
    numbers = {
        "size": Number("size", size, 3, "size"),
        "entropy": Number("entropy", "none", 3, "entropy", unit="nats"),
        "gini": Number("Gini", "none", 3, "gini"),
    }

    def compute(given: Maps) -> dict[str, np.ndarray]:
        found = {"gini": _measured("complexity", given).gini}
        if given.cut == "absolute":  # a mask
            found |= _measured("mask_size", given)._asdict()
        return found

    return ScoreSet({}, numbers, compute)


def likeness() -> ScoreSet:
    """How alike the map is to that of the row's `like`: correlation of ranks and of values."""
    numbers = {
        "spearman": Number("likeness, Spearman", "none", 3, "spearman"),
        "pearson": Number("likeness, Pearson", "none", 3, "pearson"),
    }

    def compute(given: Maps) -> dict[str, np.ndarray]:
        others = given.others()
        if others is None:
            return {}
        flat = agreement.flat(given.maps), agreement.flat(others)
        return {
            "spearman": agreement.spearman(given.maps, others),
            "pearson": agreement.correlation(*flat),
        }

    return ScoreSet({}, numbers, compute, whole=True, compared=True)


def _measured(metric: str, given: Maps, **options: Any) -> Any:
    """A metric of all maps."""
    # Another seed than the method's own, so that a random infill is drawn afresh.
    return measure_batch(
        metric, given.classifier, given.drawn.images, given.targets, given.maps,
        options=options, seed=given.seed + 1, ids=given.drawn.ids, rewrite=False,
    )  # fmt: skip
