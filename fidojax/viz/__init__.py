"""Figures of explanations."""

from fidojax.viz.figures import DIVERGING, SEQUENTIAL, Exhibit, Limits, figure, normalise, samples

__all__ = [
    "DIVERGING",
    "SEQUENTIAL",
    "Exhibit",
    "Limits",
    "figure",
    "normalise",
    "samples",
]
