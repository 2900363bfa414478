"""Infillers as they are written on the command line: `blur`, `blur:sigma=5`."""

import ast
import inspect
from typing import Any

from fidojax.core import check_name
from infillers import INFILLERS


def make_infill(spec: str) -> Any:
    """The infiller of `NAME` or `NAME:OPTION=VALUE,...`, such as `mean:color=(0.5,0.5,0.5)`.

    Raises:
        ValueError: there is no such infiller, or it has no such option.
    """
    name, _, text = spec.partition(":")
    check_name("--infill", name, INFILLERS)
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        assert isinstance(call, ast.Call)
        options = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        if call.args or None in options:
            raise SyntaxError
    except (SyntaxError, ValueError, AssertionError):
        raise ValueError(f"--infill: expected {name}:OPTION=VALUE, got {spec!r}") from None
    known = inspect.signature(INFILLERS[name]).parameters
    for option in options:
        check_name(f"--infill {name}", option, known)
    try:
        return INFILLERS[name](**options)
    except OSError as error:
        raise ValueError(f"--infill: {error}") from None
    except TypeError:
        raise ValueError(f"--infill: {text} does not suit {name}{_signature(name)}") from None


def _signature(infiller: str) -> str:
    return str(inspect.signature(INFILLERS[infiller])).partition(" ->")[0]
