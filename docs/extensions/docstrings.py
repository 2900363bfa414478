"""The docstrings of the house as reStructuredText: plain paragraphs, `code`, a few sections."""

import re
import textwrap
from collections.abc import Iterator

LISTS = ("Args", "Attributes", "Raises", "Warns")
TEXTS = ("Returns", "Yields", "Example")
SECTION = re.compile(rf"({'|'.join(LISTS + TEXTS)}):$")
CODE = re.compile(r"(`[^`]+`)")


def inline(text: str) -> str:
    """One paragraph: `code` becomes literal text, and no other character is markup."""
    parts = CODE.split(" ".join(text.split()))
    for at, part in enumerate(parts):
        if at % 2 == 0:
            parts[at] = re.sub(r"([\\*|_<>`])", r"\\\1", part)
            continue
        before = "\\ " if at and re.search(r"\w$", parts[at - 1]) else ""
        after = "\\ " if re.match(r"\w", parts[at + 1]) else ""
        parts[at] = f"{before}`{part}`{after}"
    return "".join(parts).strip()


def to_rst(text: str) -> list[str]:
    """A whole docstring, in lines.

    Sections with items ("Args:") become bold titles and lists; examples, tables and any other
    indented lines become literal blocks.
    """
    lines: list[str] = []
    for title, body in _blocks(text):
        if title in LISTS:
            lines += [f"**{title}**", "", *_items(body), ""]
        elif title in TEXTS and not body.lstrip().startswith(">>>"):
            lines += [f"**{title}**", "", *to_rst(body), ""]
        elif title in TEXTS:
            lines += [f"**{title}**", "", *_literal(body, "pycon")]
        elif body.startswith((" ", "|")):
            lines += _literal(textwrap.dedent(body), "text")
        elif body.startswith("Reference:"):
            lines += [f"**Reference:** {inline(body.removeprefix('Reference:'))}", ""]
        else:
            lines += [inline(body), ""]
    return lines


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """(title of the section or "", text), a paragraph, a section or an indented block at a time."""
    for block in re.split(r"\n\s*\n(?=\S)", text.strip("\n")):
        head, _, rest = block.partition("\n")
        if SECTION.match(head):
            yield head[:-1], textwrap.dedent(rest)
            continue
        for indented, group in _by_indent(block):
            yield "", group if not indented else group.rstrip()


def _by_indent(block: str) -> Iterator[tuple[bool, str]]:
    """Runs of lines that are indented or belong to a table, and runs that are prose."""
    run: list[str] = []
    kind = False
    for line in block.splitlines():
        # An empty line belongs to the run that it stands in.
        now = line.startswith((" ", "|")) if line.strip() else kind
        if run and now != kind:
            yield kind, "\n".join(run)
            run = []
        kind = now
        run.append(line)
    if run:
        yield kind, "\n".join(run)


def _items(body: str) -> Iterator[str]:
    """The items "name: text" of a section as a list."""
    for item in re.split(r"\n(?=\S)", body.strip("\n")):
        name, colon, text = item.partition(":")
        if colon and re.fullmatch(r"[\w., *`]+", name):
            yield f"* ``{name.strip('`')}``: {inline(text)}"
        else:
            yield f"* {inline(item)}"


def _literal(body: str, language: str) -> list[str]:
    indented = [f"   {line}".rstrip() for line in body.strip("\n").splitlines()]
    return [f".. code-block:: {language}", "   :force:", "", *indented, ""]
