"""Infillers as they are written on the command line: `blur`, `blur:sigma=5`."""

import ast
import inspect

from fidojax.core import check_name
from fidojax.types import Infiller
from infillers.table import INFILLER_ROWS, INFILLERS


def make_infill(spec: str, what: str = "--infill") -> Infiller:
    """Make the infiller of `NAME` or `NAME:OPTION=VALUE,...`, such as `mean:color=(0.5,0.5,0.5)`.

    Args:
        spec: the name of an infiller and its constants, those not given at their defaults.
        what: the option that `spec` was given for, for messages.

    Raises:
        ValueError: there is no such infiller, or it has no such option.
    """
    name, _, text = spec.partition(":")
    check_name(what, name, INFILLERS)
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        assert isinstance(call, ast.Call)
        options = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        if call.args or None in options:
            raise SyntaxError
    except (SyntaxError, ValueError, AssertionError):
        raise ValueError(f"{what}: expected {name}:OPTION=VALUE, got {spec!r}") from None
    known = INFILLER_ROWS[name].defaults
    for option in options:
        check_name(f"{what} {name}", option, known)
    try:
        return INFILLERS[name](**options)
    except OSError as error:
        raise ValueError(f"{what}: {error}") from None
    except TypeError:
        raise ValueError(f"{what}: {text} does not suit {name}{_signature(name)}") from None


def _signature(infiller: str) -> str:
    return str(inspect.signature(INFILLERS[infiller])).partition(" ->")[0]
