"""The measures of a map in the tables of this package, as cells with 95% intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from eval.intervals import Interval, difference, means

Values = Mapping[str, Float[np.ndarray, " n"]]
"""One value per picture, by the names of the measures."""

TITLES = {
    "objective": "J",
    "outside": "outside box",
    "deletion": "deleted",
    "correlation": "seeds",
    "long_run": "like the paper's map",
}
"""Columns by measure; the first three are better where they are lower."""


def known(rows: Sequence[Values], names: Sequence[str]) -> list[str]:
    """Return the measures that any row has: without boxes there is no share outside them."""
    return [name for name in names if any(usable(values, name) for values in rows)]


def usable(values: Values, name: str) -> bool:
    """Whether any picture has a value of the measure."""
    return name in values and not np.isnan(values[name]).all()


def mean(values: Values, name: str) -> Interval:
    """Return the mean over the pictures that have a value."""
    return means(values[name][:, None])[0]


def cells(values: Values, names: Sequence[str]) -> dict[str, str]:
    """Return the means of measures as text, by the columns' titles; empty where unknown."""
    return {
        TITLES[name]: mean(values, name).text(2 if name == "objective" else 3)
        if usable(values, name)
        else ""
        for name in names
    }


def against(values: Values, others: Values) -> str:
    """Return the paired difference of the objective as text."""
    return difference(values["objective"], others["objective"]).text(2, signed=True)
