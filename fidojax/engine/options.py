"""options that shape the program, options that are data."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fidojax.core import check_name
from fidojax.core import loop as loops
from fidojax.methods import LOOPS, METHODS
from fidojax.transforms import cpu, in_precision
from fidojax.types import Classifier, Method


def prepared(
    classifier: Classifier, precision: str | None = None, rewrite: bool | None = None
) -> Classifier:
    """The classifier as the engine evaluates it.

    Args:
        precision: as `explain_batch` takes it.
        rewrite: for the CPU; when None, where that is the default backend.
    """
    if precision is not None:
        # Only operations that are as they were written can be lowered.
        classifier = in_precision(cpu.stock(classifier), precision)
    rewrite = jax.default_backend() == "cpu" if rewrite is None else rewrite
    return cpu.fast(classifier) if rewrite else classifier


def method_by_name(method: str | Method) -> Method:
    """The function of that name; functions pass through. ValueError names the known ones."""
    if callable(method):
        return method
    check_name("method", method, METHODS)
    return METHODS[method]


def split_options(options: Mapping[str, Any]) -> tuple[tuple[tuple[str, Any], ...], dict[str, Any]]:
    """Options that shape the program (hashable), and options that are data of it (arrays).

    Floats are data: a new value does not recompile. Integers, strings, flags and None shape it.
    """
    static, dynamic = {}, {}
    for name, value in options.items():
        if isinstance(value, float | np.floating):
            dynamic[name] = jnp.float32(value)
        elif value is None or isinstance(value, bool | int | str):
            static[name] = value
        else:
            dynamic[name] = value
    return tuple(sorted(static.items())), dynamic


def loop_of(method: Method, **options: Any) -> loops.Loop:
    """The loop of an iterative method with these options."""
    return LOOP_OF[method](**options)


def is_iterative(method: Method) -> bool:
    """Whether the method has a loop that can be driven step by step."""
    return method in LOOP_OF


LOOP_OF = {METHODS[name]: loop for name, loop in LOOPS.items()}
"""Iterative method -> what makes its loop of its options."""
