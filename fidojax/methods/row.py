"""The row of a method: everything that the rest of the library knows of it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fidojax.core import Loop, options_of
from fidojax.types import Method


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """A method and what captions, figures, benchmarks, evaluation and documents say of it.

    Attributes:
        function: the method itself; its name is the name of the row.
        says: what the map says, in one phrase for the documentation.
        unit: what the map's values are, in a few words for captions; "{keep}" in it becomes "keep"
            or "drop", see `drops`.
        papers: keys of `fidojax/papers.bib`, the method's own paper first.
        loop: makes the method's `Loop` from its options, for a method that the engine drives step
            by step; None for one that it calls once.
        limits: the smallest and the largest value that a map can have, for a mask that is clamped
            before each step up to its last step; None where the image and the classifier decide.
        mask: the map is a mask in [0, 1] that may be cut at one half.
        order_only: the values have any sign and their zero means nothing; only their order counts.
        deletes: the map shows what is to be dropped, whatever the options are.
        all_classes: the map is for all classes at once; the target changes nothing.
        control: the map does not depend on the classifier.
        black_box: only the classifier's outputs on changed pictures count, without gradients.
        features: the classifier has to show its features (`fidojax.Split`).
        attention: the classifier has to be a transformer; its attention is found in its program.
        remedy: what helps where the contributions do not add up to the difference of the scores,
            for methods that have a completeness (`fidojax.core.completeness`).
        passes: forward and backward passes of the classifier for one map, or a function that gives
            them for the method's options. None where the loop says it or a run can be counted; a
            method that reads the classifier's traced program cannot be counted. On CPUs, methods
            of few passes explain several pictures per call.
        figures: the figures that `fidojax explain` draws besides the usual one, a name in
            `fidojax.cli.figures`.
        preset: the name in `fidojax.presets.PRESETS` that the programs use unless told otherwise.
        quick: options of benchmarks and evaluations of a method that takes minutes per picture at
            its paper's constants. The cost of one pass stays the same.
        evaluation: further options of the evaluations; `infill` is the name of an infiller, or a
            tuple of names.
        differs: how `quick` and `evaluation` differ from the method's defaults, for tables.
        family: title of the method's rows in an evaluation that has one for each of several
            infillers; empty for a method that is evaluated with one infiller.
    """

    function: Method
    says: str
    unit: str
    papers: tuple[str, ...]
    loop: Callable[..., Loop] | None = None
    limits: tuple[float, float] | None = None
    mask: bool = False
    order_only: bool = False
    deletes: bool = False
    all_classes: bool = False
    control: bool = False
    black_box: bool = False
    features: bool = False
    attention: bool = False
    remedy: str = ""
    passes: tuple[int, int] | Callable[[Mapping[str, Any]], tuple[int, int]] | None = None
    figures: str | None = None
    preset: str | None = None
    quick: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    differs: str = ""
    family: str = ""

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__

    @property
    def defaults(self) -> dict[str, Any]:
        """The options and their defaults; `inspect.Parameter.empty` for a required option."""
        return options_of(self.function)

    @property
    def required(self) -> tuple[str, ...]:
        """The options without a default: `infill`, `boxes`, or a trained network."""
        empty = inspect.Parameter.empty
        return tuple(name for name, default in self.defaults.items() if default is empty)

    def known_passes(self, options: Mapping[str, Any]) -> tuple[int, int] | None:
        """`passes` with these options; None where they have to be counted."""
        return self.passes(options) if callable(self.passes) else self.passes

    @property
    def fills(self) -> bool:
        """Whether the method takes an infiller, required or not."""
        return "infill" in self.defaults

    def drops(self, options: Mapping[str, Any]) -> bool:
        """Whether the map shows what is to be dropped, not what is to be kept."""
        if "objective" in options:
            return options["objective"] == "sdr"
        return self.deletes or options.get("variant") == "delete"

    def meaning(self, options: Mapping[str, Any]) -> str:
        """What the map's values are with these options, in a few words."""
        return self.unit.replace("{keep}", "drop" if self.drops(options) else "keep")

    def is_signed(self, saliency: np.ndarray) -> bool:
        """Whether this map speaks for and against the class."""
        return self.limits is None and not self.order_only and bool(saliency.min() < 0)
