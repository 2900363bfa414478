"""Training programs that end before their time in the process of a test, and go on there."""

import dataclasses
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from train.program import NEUTRAL, Job


class BrokenOff(BaseException):
    """No program expects it; what it had not saved is lost."""


def broken_off(program: str, words: list[str], checkpoint: Path) -> None:
    """Run `python -m PROGRAM WORDS` in this process, up to the step after its first checkpoint."""
    batch = Job.batch

    def last(job: Job, *arguments: Any) -> Any:
        if checkpoint.exists():
            raise BrokenOff
        return batch(job, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "batch", last)
        patch.setattr(sys, "argv", [program, *words])
        patch.delitem(sys.modules, f"{program}.__main__")  # it runs as `__main__` instead
        with pytest.raises(BrokenOff):
            runpy.run_module(program, run_name="__main__", alter_sys=True)


def traced_once(patch: pytest.MonkeyPatch, modules: tuple[Any, ...], name: str) -> None:
    """Let programs with the same settings share the steps that the function `name` makes."""
    made: dict[str, Any] = {}
    make: Callable[..., Any] = getattr(modules[0], name)

    def shared(config: Any, *rest: Any) -> Any:
        settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in NEUTRAL}
        key = repr(settings)
        if key not in made:
            made[key] = make(config, *rest)
        return made[key]

    for module in modules:
        patch.setattr(module, name, shared)
