"""The page of the command line, generated from the help that its parser prints.

The block "```{commands}" of a page becomes one section per command, with its options.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterator
from typing import Any

BLOCK = re.compile(r"^```\{commands\}\n```$", re.MULTILINE)
WIDTH = "2000"  # columns, so that the help of an option is not broken into lines


def help_text(*arguments: str) -> str:
    """What `fidojax ARGUMENTS --help` prints on a very wide terminal."""
    from fidojax.cli import main

    before, os.environ["COLUMNS"] = os.environ.get("COLUMNS"), WIDTH
    try:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            main([*arguments, "--help"])
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return said.getvalue()


def commands() -> Iterator[str]:
    """The Markdown of all commands."""
    names = re.search(r"\{([\w,-]+)\}", help_text())
    if names is None:
        raise ValueError("the help of fidojax names no commands")
    for name in names[1].split(","):
        yield command(name, help_text(name))


def command(name: str, said: str) -> str:
    """The Markdown of one command, from its help."""
    head, _, rest = said.partition("\n ")  # titles and options are indented
    usage, *prose = head.strip().split("\n\n")
    usage = usage.removeprefix("usage: ")
    options = "\n\n".join(f"`{option}`\n: {plain(text)}" for option, text in options_in(rest))
    return "\n\n".join([f"## fidojax {name}", *map(plain, prose), f"    {usage}", options])


def options_in(rest: str) -> Iterator[tuple[str, str]]:
    """(option, meaning) of the part of a help text behind its prose.

    An option is indented by two spaces, and its meaning, which may follow in the next lines, by
    more.
    """
    found: list[list[str]] = []
    for line in rest.splitlines():
        if re.match(r"  \S", line):
            found.append(re.split(r"\s{2,}", line.strip(), maxsplit=1))
        elif re.match(r"   +\S", line) and found:
            found[-1].append(line.strip())
    for option, *text in found:
        yield option, " ".join(text) or "no description"


def plain(text: str) -> str:
    """Text in which nothing but `code` is markup."""
    parts = re.split(r"(`[^`]+`)", text.strip())
    parts[::2] = [re.sub(r"([\\*_\[\]<>|#$])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def _read(app: Any, name: str, source: list[str]) -> None:
    source[0] = BLOCK.sub(lambda _: "\n\n".join(commands()), source[0])


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
