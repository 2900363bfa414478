"""How alike the maps of a changed classifier are to those of the trained one."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from eval.scores import Maps, Number, ScoreSet, alike
from eval.subject import logits


class Measure(NamedTuple):
    """A number of `fidojax.metrics.agreement`: its field there, and the options `sign`, `scale`."""

    label: str
    field: str
    sign: str = "signed"
    scale: str = "range"


def likeness(measures: Mapping[str, Measure]) -> ScoreSet:
    """Agreement of a row's maps with those of its `like`, beside the agreement of other pictures.

    Column KEY compares the picture's two maps; "KEY of others", the floor, compares the `like`'s
    map with its map of another picture; "KEY above others" is the difference. A constant map
    agrees with nothing: NaN.
    """
    numbers = {key: Number(each.label, "low", 2, key) for key, each in measures.items()}
    numbers |= {
        f"{key} above others": Number(
            f"{each.label}, above other pictures", "low", 2, f"{key} above others"
        )
        for key, each in measures.items()
    }

    def compute(given: Maps) -> dict[str, np.ndarray]:
        reference = given.others()
        if reference is None:
            return {}
        found = {}
        for key, each in measures.items():
            own = compared(reference, given.maps, each)
            floor = compared(reference, np.roll(reference, 1, axis=0), each)
            found |= {key: own, f"{key} of others": floor, f"{key} above others": own - floor}
        return found

    settings = {key: [*each[1:]] for key, each in measures.items()}
    return ScoreSet(settings, numbers, compute, whole=True, compared=True)


def compared(one: np.ndarray, other: np.ndarray, measure: Measure) -> np.ndarray:
    """One measure of each map of the stack "n h w" and its partner: "n"."""
    return np.asarray(alike(one, other, measure.sign, measure.scale)[measure.field])


def classes() -> ScoreSet:
    """Whether the row's classifier reads the explained class; its logits are stored, too."""
    numbers = {"same": Number("same class", "none", 2, "same")}

    def compute(given: Maps) -> dict[str, np.ndarray]:
        found = logits(given.classifier, given.drawn.images)
        return {"logits": found, "same": (found.argmax(1) == given.targets).astype(np.float32)}

    return ScoreSet({}, numbers, compute, passes=1)
