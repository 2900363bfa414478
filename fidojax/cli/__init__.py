"""The command line: `fidojax explain`, `fidojax bench`, `fidojax list`, `fidojax cite`.

Exit codes: 0 all is well, 1 some pictures or rows failed, 2 the command cannot be carried out as
given, 3 the machine stopped it (a full disk, no memory, no threads), 70 an error of fidojax itself,
130 interrupted. Each but the first two comes with one sentence on standard error, 70 also with its
traceback. Results go to standard output, progress and problems to standard error. Heavy imports
happen in the commands, so that help and errors come at once.
"""

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import tyro

from fidojax.cli.options import Bench, Cite, ExplainSeveral, List, UsageError
from fidojax.cli.renamed import current_arguments
from fidojax.cli.terminal import terminal
from fidojax.core import check_name, printable

__all__ = ["main", "terminal"]

Command = (
    Annotated[ExplainSeveral, tyro.conf.subcommand("explain")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Cite, tyro.conf.subcommand("cite")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        arguments: the words after the program's name; the process's own when None.
    """
    with terminal("fidojax"):
        try:
            return _main(current_arguments(sys.argv[1:] if arguments is None else arguments))
        except UsageError as error:
            code, said = 2, str(error)
        except KeyboardInterrupt:
            code, said = 130, "interrupted before the work began"
        except Exception as error:
            code, said = _stopped(error)
        print(f"fidojax: {printable(said)}", file=sys.stderr)
        return code


def _stopped(error: Exception) -> tuple[int, str]:
    """The exit code and the sentence of an exception that is not about the command line."""
    from fidojax.cli.stopping import StoppedError, reason_of

    reason = str(error) if isinstance(error, StoppedError) else reason_of(error)
    if reason is not None:
        return 3, reason
    traceback.print_exc()
    return 70, "an error of fidojax itself; please report it with the lines above"


def _main(arguments: list[str]) -> int:
    if arguments in (["--version"], ["-V"]):
        from fidojax import __version__

        print(f"fidojax {__version__}")
        return 0
    first = arguments[0] if arguments else "-"
    if not first.startswith("-"):
        try:
            check_name("command", first, ("explain", "bench", "list", "cite"))
        except ValueError as error:
            raise UsageError(f"{error} See fidojax --help.") from None
    try:
        command = tyro.cli(
            Command,  # type: ignore[arg-type]
            prog="fidojax",
            description="Explain image classifiers: which pixels does the decision rest on?",
            args=arguments or ["--help"],
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.DisallowNone),
        )
    except SystemExit as stop:  # tyro has printed help, or what is wrong
        return int(stop.code or 0)
    return _run(command)


def _run(command: ExplainSeveral | Bench | List | Cite) -> int:
    match command:
        case ExplainSeveral():
            from fidojax.cli.explain import explain
            from fidojax.runs import compile_cache

            compile_cache.enable()
            return explain(command)
        case Bench():
            from fidojax.cli.bench import bench
            from fidojax.runs import compile_cache

            compile_cache.enable()
            return bench(command)
        case List():
            from fidojax.cli.listing import show_list

            try:
                return show_list(command)
            except ValueError as error:
                raise UsageError(str(error)) from None
        case Cite():
            from fidojax.cli.citing import cited

            try:
                print(cited(command.names))
            except ValueError as error:
                raise UsageError(str(error)) from None
            return 0
