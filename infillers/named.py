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
        options = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        if call.args or None in options:
            raise SyntaxError
    except (SyntaxError, ValueError, AssertionError):
        raise ValueError(f"{what}: expected {name}:OPTION=VALUE, got {spec!r}") from None
    for option in options:
        check_name(f"{what} {name}", option, constants)
    for option in required:
        if option not in options:
            raise ValueError(f"{what}: {name} needs its {option}, write {name}:{option.upper()}")
    return name, options


def _value(text: str) -> Any:
    """A Python literal, or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _signature(infiller: str) -> str:
    return str(inspect.signature(INFILLERS[infiller])).partition(" ->")[0]
