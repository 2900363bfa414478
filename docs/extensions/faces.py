"""Reference pages: what a package exports, each name once, with its docstring.

A page has a block with the package's name, which becomes directives of autodoc:

    ```{face} fidojax.core
    ```
"""

import ast
import functools
import importlib
import inspect
import re
import sys
from types import ModuleType
from typing import Any

from docstrings import to_rst

FACES = (
    "fidojax",
    "fidojax.presets",
    "fidojax.types",
    "fidojax.methods",
    "infillers",
    "fidojax.metrics",
    "fidojax.engine",
    "fidojax.data",
    "fidojax.networks",
    "fidojax.runs",
    "fidojax.viz",
    "fidojax.transforms",
    "fidojax.core",
    "fidojax.bench",
    "fidojax.cli",
)
"""The packages and modules that have a reference page, in the order of the index."""

BLOCK = re.compile(r"^```\{face\} (\S+)\n```$", re.MULTILINE)


def public_names(face: str) -> list[str]:
    """The names that a package exports; for a module without `__all__`, what it defines."""
    module = importlib.import_module(face)
    if hasattr(module, "__all__"):
        return list(module.__all__)
    defined = [name for name in _texts(face) if not name.startswith("_")]
    return sorted(defined, key=lambda name: (not name[0].isupper(), name))


def docstring(face: str, name: str) -> str:
    """The docstring of a public name, empty where it has none of its own.

    A constant's is the string after its assignment, in the module that makes the assignment.
    """
    value = getattr(importlib.import_module(face), name)
    if isinstance(value, type) or inspect.isroutine(value) or hasattr(value, "__wrapped__"):
        text = value.__doc__ or ""
        made = re.compile(rf"{re.escape(getattr(value, '__name__', name))}\(.*\)", re.DOTALL)
        if text and not made.fullmatch(text.strip()):  # not by NamedTuple or dataclass
            return inspect.cleandoc(text)
    if isinstance(value, ModuleType):
        return inspect.getdoc(value) or ""
    here = [each for each in _modules(face) if vars(sys.modules[each]).get(name) is value]
    return next((text for text in (_texts(each).get(name) for each in here) if text), "")


def _modules(face: str) -> list[str]:
    """The imported modules of the two packages, those inside the face first."""
    known = [each for each in sys.modules if each.partition(".")[0] in ("fidojax", "infillers")]
    return sorted(known, key=lambda each: (not f"{each}.".startswith(f"{face}."), each))


@functools.cache
def _texts(module: str) -> dict[str, str]:
    """The names that a module defines, with the strings that document them."""
    path = getattr(sys.modules.get(module), "__file__", None)
    if path is None or not path.endswith(".py"):
        return {}
    with open(path, encoding="utf-8") as file:
        body = ast.parse(file.read()).body
    found: dict[str, str] = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = ast.get_docstring(node) or ""
        for target in _targets(node):
            found[target] = _text(after)
    return found


def _text(node: ast.AST | None) -> str:
    """The text of a statement that is nothing but a string."""
    value = node.value if isinstance(node, ast.Expr) else None
    text = value.value if isinstance(value, ast.Constant) else None
    return inspect.cleandoc(text) if isinstance(text, str) else ""


def _targets(node: ast.AST) -> list[str]:
    """The names that a statement assigns to."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    inside = [getattr(each, "elts", [each]) for each in targets]  # a tuple has several
    return [each.id for some in inside for each in some if isinstance(each, ast.Name)]


def directives(face: str) -> str:
    """The reStructuredText of a face: its docstring, then its names by kind.

    A name that the face of `fidojax` exports, too, is documented there alone.
    """
    module = importlib.import_module(face)
    home = {} if face == "fidojax" else vars(importlib.import_module("fidojax"))
    kinds: dict[str, list[str]] = {"Methods": [], "Functions": [], "Classes": [], "Data": []}
    elsewhere = []
    for name in public_names(face):
        value = getattr(module, name)
        if name in home and home[name] is value and name in home["__all__"]:
            elsewhere.append(f":py:obj:`{name} <fidojax.{name}>`")
        elif not isinstance(value, ModuleType):
            kinds[_kind(name, value)].append(_directive(face, name, value))
    lines = [*to_rst(inspect.getdoc(module) or ""), ""]
    if elsewhere:
        lines += [f"Also names of ``fidojax`` itself: {', '.join(elsewhere)}.", ""]
    for kind, members in kinds.items():
        if members:
            lines += [f".. rubric:: {kind}", "", *members]
    return "\n".join(lines)


def _kind(name: str, value: Any) -> str:
    from fidojax import METHODS

    if isinstance(value, type):
        return "Classes"
    if not _is_function(value):
        return "Data"
    return "Methods" if METHODS.get(name) is value else "Functions"


def _is_function(value: Any) -> bool:
    return inspect.isroutine(value) or hasattr(value, "__wrapped__")


def _directive(face: str, name: str, value: Any) -> str:
    if isinstance(value, type) and value.__module__.partition(".")[0] in ("fidojax", "infillers"):
        members = "" if hasattr(value, "_fields") else "   :members:\n"
        return f".. autoclass:: {face}.{name}\n{members}\n"
    if _is_function(value) and not isinstance(value, type):
        return f".. autofunction:: {face}.{name}\n"
    text = "\n".join(f"   {line}" for line in to_rst(docstring(face, name)))
    return f".. py:data:: {face}.{name}\n\n{text}\n"


def _read(app: Any, name: str, source: list[str]) -> None:
    """Put the directives into the source of a page."""

    def written(block: re.Match[str]) -> str:
        return f"```{{eval-rst}}\n{directives(block[1])}\n```"

    source[0] = BLOCK.sub(written, source[0])


def _process(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Write a docstring as reStructuredText."""
    lines[:] = to_rst("\n".join(lines))


def _sign(
    app: Any, what: str, name: str, value: Any, options: Any, signature: str, returns: str
) -> tuple[str | None, str | None]:
    """Name JAX's array type as users import it."""
    short = [text and text.replace("jaxlib._jax.Array", "Array") for text in (signature, returns)]
    return short[0], short[1]


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-signature", _sign)
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}
