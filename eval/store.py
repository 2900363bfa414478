"""Results on disk, one file per finished part: a kill loses the part under way and nothing else."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fidojax.runs import environment, write_atomically, write_json


class Store:
    """A folder of finished parts (NAME.npz) under one set of settings.

    A file stands under its name only when it is complete: it is written beside it and renamed.
    Several processes may work on one folder.
    """

    def __init__(self, out: str | Path, settings: Mapping[str, Any]) -> None:
        """Opens or continues the folder.

        Args:
            settings: everything that decides the results, as JSON values.

        Raises:
            ValueError: the folder holds results of other settings.
        """
        self.out = Path(out)
        (self.out / "parts").mkdir(parents=True, exist_ok=True)
        path = self.out / "settings.json"
        settings = json.loads(json.dumps(settings))
        if path.exists():
            before = json.loads(path.read_text("utf-8"))
            other = [k for k in {**before, **settings} if before.get(k) != settings.get(k)]
            if other:
                raise ValueError(
                    f"{self.out} holds results of other settings ("
                    + ", ".join(f"{k}: {before.get(k)!r}, now {settings.get(k)!r}" for k in other)
                    + "); choose another --out"
                )
        else:
            write_json(path, settings)
        self.settings = settings

    def has(self, name: str) -> bool:
        """Whether the part is finished."""
        return self._path(name).exists()

    def save(self, name: str, arrays: Mapping[str, np.ndarray], **record: Any) -> None:
        """Stores a finished part with its record (JSON values) and the versions that made it."""
        record = {**record, "environment": environment()}
        contents: Any = {"record": np.array(json.dumps(record)), **arrays}
        write_atomically(self._path(name), lambda file: np.savez_compressed(file, **contents))

    def load(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The arrays and the record of a finished part."""
        with np.load(self._path(name), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        return arrays, json.loads(str(arrays.pop("record")))

    def joined(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The arrays of finished parts, one after the other."""
        parts = [self.load(name)[0] for name in names]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def record(self, name: str) -> dict[str, Any]:
        """The record of a finished part alone."""
        with np.load(self._path(name), allow_pickle=False) as file:
            return json.loads(str(file["record"]))

    def _path(self, name: str) -> Path:
        return self.out / "parts" / f"{name}.npz"
