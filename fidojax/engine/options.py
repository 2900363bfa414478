"""Options of methods: which are static in the compiled programs and which are traced."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fidojax.core import loop as loops
from fidojax.core import untransformed
from fidojax.methods import METHOD_ROWS, loop_maker, method_row
from fidojax.transforms import cpu, in_precision
from fidojax.types import Classifier, Method


def prepared(
    classifier: Classifier, precision: str | None = None, rewrite: bool | None = None
) -> Classifier:
    """Return the classifier in the form that the engine evaluates.

    Args:
        precision: as `explain_batch` takes it.
        rewrite: use the fast form for the CPU; when None, if the CPU is JAX's default backend.
    """
    if precision is not None:
        # The precision applies to the operations as they were written, before the rewrite.
        classifier = in_precision(untransformed(classifier), precision)
    rewrite = jax.default_backend() == "cpu" if rewrite is None else rewrite
    return cpu.fast(classifier) if rewrite else classifier


def method_by_name(method: str | Method) -> Method:
    """Return the method of that name; a function is returned as it is.

    Raises:
        ValueError: there is no method of that name; the message names similar ones.
    """
    return method if callable(method) else method_row(method).function


def remedy_of(method: Method) -> str:
    """Return what helps where the method's contributions do not add up."""
    row = METHOD_ROWS.get(getattr(method, "__name__", ""))
    return (row and row.remedy) or "the method's options may help"


def split_options(options: Mapping[str, Any]) -> tuple[tuple[tuple[str, Any], ...], dict[str, Any]]:
    """Split options into static ones (hashable) and traced ones (arrays).

    Floats and arrays are traced: a new value does not recompile. Integers, strings, flags and None
    are static, and so are tuples of them.
    """
    static, traced = {}, {}
    for name, value in options.items():
        if isinstance(value, float | np.floating):
            traced[name] = jnp.float32(value)
        elif _is_static(value):
            static[name] = value
        else:
            traced[name] = value
    return tuple(sorted(static.items())), traced


def _is_static(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_static, value))
    return value is None or isinstance(value, bool | int | str)


def loop_of(method: Method, **options: Any) -> loops.Loop:
    """Return the loop of an iterative method with these options.

    Raises:
        ValueError: the method does not iterate.
    """
    maker = loop_maker(method)
    if maker is None:
        raise ValueError(f"{method} is not an iterative method")
    return maker(**options)


def is_iterative(method: Method) -> bool:
    """Whether the method has a loop that the engine runs step by step."""
    return loop_maker(method) is not None
