"""What every training program can be told; their own settings follow."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Settings:
    """Which data, where to, on what."""

    name: str
    """Data set; the files written are called after it."""
    out: Path
    """Folder for checkpoints, metrics.csv, grids and the result."""
    data_dir: Path | None = None
    """Folder of TFDS data sets; TFDS's own default if not given."""
    split: str = "validation"
    """The split that is measured and never trained on."""
    seed: int = 0
    devices: int = 0
    """Devices to split the CPU into; 0 takes the local devices as they are."""
