"""Run an evaluation protocol: `python -m eval.run PROTOCOL --out DIR`.

A run that was stopped goes on where it was when started again with the same options.
"""

import inspect
import sys
from collections.abc import Sequence

import matplotlib
import tyro

from eval.protocols import PROTOCOLS
from fidojax.cli import terminal
from fidojax.core import printable
from fidojax.runs import compile_cache

RENAMED = {
    "--images": "--data",
    "--source": "--data",
    "--group": "--batch-size",
    "--batch": "--batch-size",
    "--ca-limit": "--learned-limit",
}
"""Old options of protocols that take a `StudyRun` now; they go with the next release."""
POSITIONAL = ("fido-photos", "all-methods")
"""Protocols whose folder of pictures used to have no option."""


def main(arguments: list[str] | None = None) -> int:
    """Run the protocol that the command line names.

    Returns:
        The exit code: 0, 1 where its input is unusable or its results cannot be stored, or 130
        where the user has interrupted it.
    """
    compile_cache.enable()
    matplotlib.use("Agg")  # figures go to files; not on import, which would take notebooks' own
    words = sys.argv[1:] if arguments is None else arguments
    with terminal("eval"):
        return _main(words)


def _main(words: Sequence[str]) -> int:
    try:
        tyro.extras.subcommand_cli_from_dict(
            PROTOCOLS,
            prog="python -m eval.run",
            description=__doc__,
            args=current_words(words),
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {printable(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def current_words(words: Sequence[str]) -> list[str]:
    """The command line with the present names of options, and a line on stderr for each old one."""
    name, *rest = words or [""]
    if name not in PROTOCOLS or "run" not in inspect.signature(PROTOCOLS[name]).parameters:
        return list(words)
    if name in POSITIONAL and rest and not rest[0].startswith("-"):
        rest.insert(0, "--data")
        print("note: the folder of pictures is now given as --data FOLDER", file=sys.stderr)
    found = [name]
    for word in rest:
        option, equals, value = word.partition("=")
        new = RENAMED.get(option.replace("_", "-"), option)
        if new != option:
            print(f"note: {option} is now called {new}", file=sys.stderr)
        found.append(new + equals + value)
    return found


if __name__ == "__main__":
    sys.exit(main())
