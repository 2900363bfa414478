"""Run an evaluation protocol: `python -m eval.run PROTOCOL --out DIR`.

A run that was stopped goes on where it was when started again with the same options.
"""

import sys

import tyro

from eval.protocols import PROTOCOLS
from fidojax.runs import compile_cache


def main(arguments: list[str] | None = None) -> int:
    """Runs the protocol that the command line names; 1 where its input is unusable."""
    compile_cache.enable()
    try:
        tyro.extras.subcommand_cli_from_dict(
            PROTOCOLS,
            prog="python -m eval.run",
            description=__doc__,
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
