"""Checkpoints of a training run: each with a digest, so that a damaged one is passed over."""

import warnings
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from fidojax.runs import digest


class Checkpoints:
    """The last two checkpoints of a run.

    Args:
        directory: their folder.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        keep: Any = ocp.training.preservation_policies.LatestN(2)
        self._keeper = ocp.training.Checkpointer(
            str(directory.absolute()), preservation_policy=keep, cleanup_tmp_directories=True
        )

    def restore(self, state: Any) -> tuple[int, Any]:
        """Return the number of steps done and the state of the last checkpoint that can be read.

        Args:
            state: the initial state, which is returned with 0 if there is no checkpoint.

        Raises:
            ValueError: there are checkpoints, but none can be read.
        """
        steps = sorted((found.step for found in self._keeper.checkpoints), reverse=True)
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
        )
        problems: list[str] = []
        for number, step in enumerate(steps):
            try:
                found = self._load(step, abstract)
            except Exception as error:  # whatever Orbax and its codecs say
                problems.append(f"{self._directory / str(step)}: {_reason(error)}")
                continue
            for problem, damaged in zip(problems, steps[:number], strict=True):
                warnings.warn(f"{problem}; the run goes on from step {step}", stacklevel=2)
                self._keeper.delete(damaged)
            return step, found
        if problems:
            raise ValueError(
                f"no checkpoint can be read ({'; '.join(problems)}): restore one, or choose "
                f"another --out"
            )
        return 0, state

    def save(self, step: int, state: Any) -> None:
        """Save the state after that number of steps."""
        self._keeper.save(step, state, force=True, custom_metadata={"digest": digest(state)})

    def close(self) -> None:
        """Wait until the last checkpoint is written."""
        self._keeper.close()

    def _load(self, step: int, abstract: Any) -> Any:
        state = self._keeper.load(step, abstract)
        stored: Any = self._keeper.metadata(step).custom_metadata
        expected = (stored or {}).get("digest")
        if expected not in (None, digest(state)):  # None: of an earlier version
            raise ValueError("its values do not match their digest")
        return state


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
