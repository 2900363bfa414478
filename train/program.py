"""What the training programs share: settings, devices, data, the frame of the loop."""

import dataclasses
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import tyro

from fidojax.cli import terminal
from fidojax.core import printable
from fidojax.data import write_text
from train import loop, pictures
from train.data_parallel import Placement, placement
from train.pictures import Pictures


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings that all programs have."""

    name: str
    """Data set; the files written are named after it."""
    out: Path
    """Folder for checkpoints, metrics.csv, grids and the result."""
    data_dir: Path | None = None
    """Folder of TFDS data sets; TFDS's own default if not given."""
    split: str = "validation"
    """The split that is measured and never trained on."""
    seed: int = 0
    devices: int = 0
    """Number of devices to split the CPU into; 0 takes the local devices as they are."""
    export: bool = False
    """Measure and write the weights of the last checkpoint without further training."""


NEUTRAL = ("out", "data_dir", "export")
"""Settings that do not change the trained weights."""


class Job(NamedTuple):
    """One call of a training program.

    Attributes:
        program: the module, as in `python -m MODULE`.
        config: the program's settings.
        placement: the devices.
        train: the pictures to train on.
        test: the pictures that are measured.
        started: the time from which the column "seconds" of metrics.csv counts.
    """

    program: str
    config: Any
    placement: Placement
    train: Pictures
    test: Pictures
    started: float

    @property
    def command(self) -> str:
        """The command line of this call."""
        return f"python -m {self.program} " + shlex.join(sys.argv[1:])

    @property
    def steps_per_epoch(self) -> int:
        """The number of full batches of training pictures."""
        return len(self.train.labels) // self.config.batch

    def batch(self, index: int, size: int | None = None) -> tuple[jax.Array, jax.Array]:
        """Return the training pictures and labels of one step, spread over the devices.

        Args:
            index: the number of the batch, counted over all epochs.
            size: pictures per batch, `config.batch` if not given.
        """
        count, size = len(self.train.labels), size or int(self.config.batch)
        rows = pictures.rows(count, size, self.config.seed, index)
        return jax.device_put(
            (self.train.images[rows], self.train.labels[rows]), self.placement.spread
        )

    def fit(
        self,
        run: Any,
        step: Callable[[Any, int], tuple[Any, dict[str, jax.Array]]],
        evaluate: Callable[[Any, int], dict[str, float]],
        *,
        steps: int,
        save_every: int,
        phase: str = "",
    ) -> Any:
        """Train from the last checkpoint to the last step; see `train.loop.fit`.

        With `--export` the state of the last checkpoint is returned as it is.

        Args:
            run: the initial state.
            step: `step(run, index) -> (run, metrics)`.
            evaluate: further columns of metrics.csv, to which "seconds" is added.
            steps: the number of steps in all.
            save_every: steps between checkpoints.
            phase: subfolder of `--out` for a program that trains in several phases.
        """
        config = self.config
        title = f"{config.name}: {phase}" if phase else config.name
        count = len(self.train.labels)
        print(f"{title}: {count} pictures, {steps} steps, {self.placement.count} devices")
        return loop.fit(
            self.placement.copied(run),
            step,
            steps=0 if config.export else steps,
            directory=config.out / phase,
            save_every=save_every,
            evaluate=lambda run, done: (
                evaluate(run, done) | {"seconds": time.time() - self.started}
            ),
            title=title,
        )


def begin(
    program: str,
    config: Any,
    data: Callable[[Any], tuple[Pictures, Pictures]],
    *,
    divisible: int | None = None,
) -> Job:
    """Place the devices, check the settings against those in `--out`, and read the data.

    Args:
        program: the module's name.
        config: the settings.
        data: returns the training pictures and the measured ones.
        divisible: the number that the devices must divide, `config.batch` if not given.

    Raises:
        ValueError: the batch cannot be divided among the devices, or `--out` holds a run with
            other settings.
    """
    started = time.time()
    devices = placement(config.devices, divisible or config.batch)
    same_settings(config)
    return Job(program, config, devices, *data(config), started)


def same_settings(config: Any) -> None:
    """Write settings.json into `config.out`, or check that it holds the same settings.

    Raises:
        ValueError: the folder holds a run with other settings, or of settings that cannot be read.
    """
    directory = config.out
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in NEUTRAL}
    path = directory / "settings.json"
    text = json.dumps(settings, indent=1, sort_keys=True, default=str)
    before = _read(path)
    if before not in (None, text):
        old, new = json.loads(before), json.loads(text)
        names = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
        raise ValueError(
            f"--out {directory} holds a run with another {', '.join(names)}: "
            "choose another folder, or the same settings to continue"
        )
    directory.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def command(main: Callable[[Any], None], configs: Mapping[str, tuple[str, Any]]) -> None:
    """Run a program with the settings of the command line; a problem is one sentence.

    The exit code is 2 where the input or a stored file is unusable, 3 where the loss is not finite.

    Args:
        main: called with the settings.
        configs: descriptions and settings by the name of a configuration.
    """
    with terminal("train"):
        try:
            main(tyro.extras.overridable_config_cli(dict(configs)))
        except (ValueError, OSError, FloatingPointError) as error:
            print(f"error: {printable(error)}", file=sys.stderr)
            sys.exit(3 if isinstance(error, FloatingPointError) else 2)


def _read(path: Path) -> str | None:
    """The text of settings.json; None if there is none."""
    if not path.exists():
        return None
    try:
        text = path.read_text()
        found = json.loads(text)
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); restore it, or choose another --out"
        ) from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no settings: restore it, or choose another --out")
    return text
