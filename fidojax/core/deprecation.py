"""Old names that still work for one release, with a warning that names the new one."""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def warn_renamed(what: str, old: str, new: str, *, stacklevel: int = 3) -> None:
    """Warn that a name has changed.

    Args:
        what: the kind of the name, such as "method" or "argument of explain_batch".
        old: the name that was used.
        new: the name to use from now on.
        stacklevel: as in `warnings.warn`; 3 points at the caller of the function that calls this.
    """
    message = f"{what}: {old!r} is now called {new!r}; the old name goes with the next release"
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel)


def current_name(what: str, name: str, renamed: Mapping[str, str]) -> str:
    """Return the present name of something, with a warning when an old name was given.

    Args:
        what: the kind of the name, for the warning.
        name: the name that was given.
        renamed: old names and what they are called now.
    """
    if name not in renamed:
        return name
    warn_renamed(what, name, renamed[name], stacklevel=4)
    return renamed[name]


def renamed_arguments(**renamed: str) -> Callable[[F], F]:
    """Return a decorator that lets a function take keyword arguments by their old names.

    Args:
        renamed: old names and what they are called now.

    Raises:
        TypeError: when the function is called with an argument by both of its names.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for old in renamed.keys() & kwargs.keys():
                new = renamed[old]
                if new in kwargs:
                    raise TypeError(f"{function.__name__} got both {old} and {new}; give {new}")
                warn_renamed(f"argument of {function.__name__}", old, new)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call  # type: ignore[return-value]

    return decorate
