"""The options of a method or a metric: their names, which are required, and of what kind they are.

Static facts alone are checked: types and names, no values of arrays. Nothing is computed.
"""

import inspect
import operator
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.core import Tracer

from fidojax.core.checks import suggest
from fidojax.core.fills import EXPECTED, by_name

LEADING = ("key", "classifier", "image", "target")
"""The arguments before the options of a method; a metric takes a map, too."""
_EXPECTED = {
    "infill": EXPECTED,
    "boxes": 'the boxes of the object, an array "b 4" in pixels',
    "encoder": "a trained encoder, which fidojax.networks.load_encoder reads",
    "masker": "a trained masker, which fidojax.networks.load_masker reads",
}
"""What stands for the options that most of their methods require."""
_USUAL = {"lr": "learning_rate", "lambda": "lam", "lambda_": "lam"}
"""Usual names of options, and what they are called here."""
_KINDS = {
    bool: "True or False",
    int: "an integer",
    float: "a number",
    str: "a name",
    types.NoneType: "None",
}
"""The kinds that are told apart, in words."""


class Known(NamedTuple):
    """The options of a function.

    Attributes:
        name: of the function.
        parameters: its options, `inspect.Parameter` by name.
        passes_on: it hands unknown options on, so that only what takes them can refuse them.
    """

    name: str
    parameters: dict[str, inspect.Parameter]
    passes_on: bool


def known_options(function: Callable[..., Any], leading: int = len(LEADING)) -> Known:
    """Return the options of a function.

    Args:
        function: has the signature of a method or of a metric.
        leading: the number of arguments before the options.
    """
    name = getattr(function, "__name__", type(function).__name__)
    try:
        given = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):  # a callable of C does not tell
        return Known(name, {}, True)
    named = [p for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    placed = [p for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    first = {p.name for p in placed[:leading]}
    passes_on = any(p.kind is p.VAR_KEYWORD for p in given)
    return Known(name, {p.name: p for p in named if p.name not in first}, passes_on)


def checked_options(
    known: Known, options: Mapping[str, Any], each: Collection[str] = ()
) -> dict[str, Any]:
    """Return the options, with an infiller in place of its name.

    Args:
        known: the options of the function.
        options: what it is given.
        each: names of further options, which it is given for each picture.

    Raises:
        TypeError: an option is unknown, required and missing, or of the wrong kind.
        ValueError: there is no infiller of the name.
    """
    for option in () if known.passes_on else (*options, *each):
        if option not in known.parameters:
            raise TypeError(f"{known.name}: {_unknown(option, known.parameters)}")
    for option, parameter in known.parameters.items():
        if parameter.default is parameter.empty and option not in options and option not in each:
            expected = _EXPECTED.get(option, "which has no default")
            raise TypeError(f"{known.name} needs the option {option}: {expected}")
    checked = {}
    for option, value in options.items():
        parameter = known.parameters.get(option)
        kinds = _members(parameter.annotation) if parameter is not None else (Any,)
        if option == "infill":
            several = parameter is None or any(map(_is_sequence, kinds))
            optional = parameter is None or types.NoneType in kinds or parameter.default is None
            value = by_name(value, known.name, several=several, optional=optional)
        elif (expected := _wrong(value, kinds)) is not None:
            what = _EXPECTED.get(option, expected)
            raise TypeError(f"{known.name}: {option} is {_brief(value)}, expected {what}")
        checked[option] = value
    return checked


def _unknown(option: str, known: Collection[str]) -> str:
    if not known:
        return f"there is no option {option!r}; it has none"
    usual = _USUAL.get(option)
    near = f"did you mean {usual}?" if usual in known else suggest(option, known)
    return f"there is no option {option!r}; {near}"


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union; an annotation that says nothing allows everything."""
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return (Any,)
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return typing.get_args(annotation)
    return (annotation,)


def _is_sequence(kind: Any) -> bool:
    return kind is Any or typing.get_origin(kind) in (tuple, list, Sequence)


def _wrong(value: Any, kinds: tuple[Any, ...]) -> str | None:
    """What is expected in place of this value; None where it will do, or is not known to be wrong.

    Names, flags, None and whole numbers are told from others: they are static in every program.
    """
    rest = set(kinds) - {types.NoneType}
    if Any in rest:
        return None
    if value is None:
        wrong = types.NoneType not in kinds
    elif isinstance(value, str):
        wrong = str not in rest
    elif rest == {str}:
        wrong = True
    elif rest == {bool}:
        wrong = not isinstance(value, bool | np.bool_)
    elif rest == {int}:
        wrong = not _is_whole(value)
    else:
        wrong = False
    return _expected(kinds) if wrong else None


def _expected(kinds: tuple[Any, ...]) -> str:
    """The kinds of an option in words."""
    number = int in kinds or float in kinds
    arrays = [kind for kind in kinds if getattr(kind, "dim_str", None) == ""] if number else []
    return " or ".join(dict.fromkeys(_word(kind) for kind in kinds if kind not in arrays))


def _word(kind: Any) -> str:
    if kind in _KINDS:
        return _KINDS[kind]
    origin = typing.get_origin(kind)
    return {Callable: "a function", tuple: "a tuple", Sequence: "a tuple"}.get(origin, "an array")


def _is_whole(value: Any) -> bool:
    if isinstance(value, bool | np.bool_ | Tracer):
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"of type {type(value).__name__}"
