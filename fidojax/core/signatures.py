"""Functions that pass their options on to another function, and still list them by name."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def options_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword-only parameters and their defaults; `inspect.Parameter.empty` for none."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def with_options_of(source: Callable[..., Any], *without: str) -> Callable[[F], F]:
    """Return a decorator that shows a function's `**options` as the options of `source`.

    The options are the keyword-only parameters of `source`. `inspect.signature` of the decorated
    function, which the command line and the documentation read, lists each by its name, default
    and type. Calls are not changed: `source` itself refuses an unknown option.

    Args:
        source: the function that takes the options in the end.
        without: options that the decorated function sets itself.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        taken = inspect.signature(source).parameters.values()
        further = any(p.kind is p.VAR_KEYWORD for p in taken)  # the source hands them on, too
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        rest = [p for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD and further]
        hidden = {*without, *(p.name for p in own)}
        options = [p for p in taken if p.kind is p.KEYWORD_ONLY and p.name not in hidden]
        function.__signature__ = signature.replace(parameters=[*own, *options, *rest])  # type: ignore
        return function

    return decorate
