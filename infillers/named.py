"""Infillers as they are written on the command line: `blur`, `blur:sigma=5`."""

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from fidojax.core import check_name
from fidojax.types import Infiller
from infillers.table import INFILLERS, required_constants


def make_infill(spec: str, what: str = "--infill") -> Infiller:
    """Make an infiller from its name and constants.

    Args:
        spec: as `parse_infill` takes it.
        what: the option that `spec` was given for, for messages.

    Raises:
        ValueError: there is no such infiller, it has no such constant, or its weights are not
            there.
    """
    name, options = parse_infill(spec, what)
    try:
        return INFILLERS[name](**options)
    except (OSError, ImportError) as error:
        raise ValueError(f"{what}: {error}") from None
    except TypeError:
        text = spec.partition(":")[2]
        raise ValueError(f"{what}: {text} does not suit {name}{_signature(name)}") from None


def parse_infill(
    spec: str,
    what: str = "--infill",
    known: Mapping[str, Callable[..., Infiller]] = INFILLERS,
    *,
    first: bool = False,
) -> tuple[str, dict[str, Any]]:
    """Split the text of an infiller into its name and its constants.

    Args:
        spec: `NAME`, or `NAME:CONSTANT=VALUE,...` such as `mean:color=(0.5,0.5,0.5)`.
        what: the option that `spec` was given for, for messages.
        known: factories by name.
        first: `NAME:VALUE` is allowed, too, with the value of the first constant: a number, or the
            name of a file. An infiller that must be given its first constant always allows it.

    Raises:
        ValueError: there is no such infiller, it has no such constant, or it needs one that is not
            given.
    """
    name, _, text = spec.partition(":")
    check_name(what, name, known)
    constants = [*inspect.signature(known[name]).parameters]
    required = required_constants(known[name])
    if (first or required) and text and "=" not in text:
        return name, {constants[0]: _value(text)}
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        assert isinstance(call, ast.Call)
        given = {word.arg: word.value for word in call.keywords}
        if call.args or None in given:
            raise SyntaxError
    except (SyntaxError, AssertionError):
        raise ValueError(f"{what}: expected {name}:OPTION=VALUE, got {spec!r}") from None
    options = {}
    for option, value in given.items():
        check_name(f"{what} {name}", str(option), constants)
        options[str(option)] = _constant(f"{what} {name}: {option}", value)
    for option in required:
        if option not in options:
            raise ValueError(f"{what}: {name} needs its {option}, write {name}:{option.upper()}")
    return name, options


def _constant(what: str, value: ast.expr) -> Any:
    """The value of a Python literal; everything else is refused."""
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError):  # such as a name, or {[]}
        text = ast.unparse(value)
        raise ValueError(
            f"{what} is {text}, expected a number, or text in quotes: '{text}'"
        ) from None


def _value(text: str) -> Any:
    """A Python literal, or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _signature(infiller: str) -> str:
    return str(inspect.signature(INFILLERS[infiller])).partition(" ->")[0]
