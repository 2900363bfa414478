"""Figures of explanations."""

from fidojax.viz.exhibit import Exhibit, View
from fidojax.viz.gallery import figure, gallery
from fidojax.viz.overlay import DIVERGING, SEQUENTIAL, SPREAD, Limits, coloured, normalise, overlay
from fidojax.viz.samples import samples
from fidojax.viz.sheet import sheet
from fidojax.viz.show import show

__all__ = [
    "DIVERGING",
    "SEQUENTIAL",
    "SPREAD",
    "Exhibit",
    "Limits",
    "View",
    "coloured",
    "figure",
    "gallery",
    "normalise",
    "overlay",
    "samples",
    "sheet",
    "show",
]
