"""Figures of explanations."""

from fidojax.viz.figures import (
    DIVERGING,
    SEQUENTIAL,
    SPREAD,
    Exhibit,
    Limits,
    figure,
    gallery,
    normalise,
    overlay,
    samples,
)

__all__ = [
    "DIVERGING",
    "SEQUENTIAL",
    "SPREAD",
    "Exhibit",
    "Limits",
    "figure",
    "gallery",
    "normalise",
    "overlay",
    "samples",
]
