"""The results on disk: per picture a row of the ledger, a figure and a record; per run failures.

    OUT/index.html               made from all the others, see `fidojax.cli.page`
    OUT/figures/NAME.png         and NAME.KIND.png, where a method has figures of its own
    OUT/maps/NAME.npy            and NAME.png, NAME.overlay.png, see `fidojax.cli.saved`
    OUT/records/NAME.json        the record of a picture, and the place of its map
    OUT/results.zarr/METHOD-SETTINGS
                                 the maps, a ledger (`fidojax.runs.Ledger`) with a row per picture
                                 and the columns of `fidojax.runs.explain_missing`; its id is NAME
    OUT/runs/SETTINGS.json       one for each settings, with the pictures that failed; for a
                                 shard SETTINGS.I-of-N.json

NAME ends with a hash of the settings and of the picture's values. Different results therefore never
overwrite each other. A finished picture is recognised by its name: its row is DONE, and its record
and figures, which are written after the row, can be read. Every file is written beside its place
and renamed, so that a killed process leaves only whole files.
"""

import functools
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Float
from matplotlib.figure import Figure

from fidojax.data import (
    Place,
    place,
    read_bytes,
    write_atomically,
    write_json,
    write_text,
)  # fmt: skip
from fidojax.runs import RECORD, RUN, Ledger, find_ledger, read_records, read_stored

EXPLAINED, FAILED = "explained", "failed"


class ResultsFolder:
    """The folder of results of `fidojax explain`.

    Attributes:
        folder: the folder.
        damaged: records and files of runs that could not be read and were left out.
    """

    def __init__(self, folder: str | Place) -> None:
        self.folder = place(folder)
        self.damaged: set[Place] = set()

    def make(self) -> None:
        """Make the folder and its subfolders.

        Raises:
            OSError: they cannot be made.
        """
        for name in ("figures", "records", "runs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def find(self, name: str, *, figure: bool) -> dict[str, Any] | None:
        """Return the record of an explained picture with its `name`.

        None if it cannot be read, or a figure of it cannot.

        Args:
            name: the name of the picture.
            figure: whether the usual figure must be among the files.
        """
        record = read_stored(self.folder / "records" / f"{name}.json", RECORD)
        if not record or record["status"] != EXPLAINED:
            return None
        if figure and "figure" not in record["files"]:
            return None
        figures = (file for file in record["files"].values() if file.startswith("figures/"))
        if not all(_is_whole(self.folder / file) for file in figures):
            return None
        return {**record, "name": name}

    def ledger(self, record: Mapping[str, Any]) -> Ledger | None:
        """Open the ledger with the map of a record; None if there is none."""
        place = record.get("map")
        return find_ledger(self.folder / place["ledger"]) if place else None

    def store(
        self,
        name: str,
        record: Mapping[str, Any],
        figures: Mapping[str, Figure] | None = None,
        saved: Mapping[str, str] | None = None,
    ) -> None:
        """Write a picture's figures and its record.

        Args:
            name: the name of the picture.
            record: the content of the JSON; `files` is added.
            figures: the usual one as "figure", a method's own figures by other names.
            saved: the places of further files that are written already, by kind.
        """
        files = dict(saved or {})
        for kind, figure in (figures or {}).items():
            files[kind] = (
                f"figures/{name}.png" if kind == "figure" else f"figures/{name}.{kind}.png"
            )
            save = functools.partial(figure.savefig, dpi=120, format="png")
            write_atomically(self.folder / files[kind], save)
        self.store_record(name, record, files)

    def store_record(self, name: str, record: Mapping[str, Any], files: Mapping[str, str]) -> None:
        """Write a picture's record, and beside it nothing."""
        content = {key: value for key, value in record.items() if key != "name"}
        write_json(self.folder / "records" / f"{name}.json", {**content, "files": dict(files)})

    def store_run(self, digest: str, shard: tuple[int, int], run: Mapping[str, Any]) -> None:
        """Write the file of one shard of a run: its settings and its failures."""
        write_json(self._run(digest, shard), run)

    def failures(self, digest: str, shard: tuple[int, int]) -> list[dict[str, str]]:
        """The failures of that shard of the run so far."""
        return (read_stored(self._run(digest, shard), RUN) or {}).get("failures", [])

    def write_page(self, html: str) -> None:
        """Write index.html."""
        write_text(self.folder / "index.html", html)

    def runs(self) -> dict[str, dict[str, Any]]:
        """The stored runs by digest: of several shards the latest, with the failures of all."""
        runs: dict[str, dict[str, Any]] = {}
        found = [
            (path.name.partition(".")[0], run)
            for path in sorted((self.folder / "runs").glob("*.json"))
            if (run := self._read(path, RUN))
        ]
        for digest, run in sorted(found, key=lambda pair: pair[1]["updated"]):
            failures = runs.get(digest, {}).get("failures", []) + run["failures"]
            # A file that several shards tried is listed once.
            by_source = {bad["source"]: bad for bad in failures}
            runs[digest] = {**run, "failures": list(by_source.values())}
        return runs

    def records(self) -> Iterator[dict[str, Any]]:
        """All records of pictures with their `name`, see `fidojax.runs.read_records`."""
        return read_records(self.folder, self.damaged)

    def _read(self, path: Place, form: Any) -> dict[str, Any] | None:
        found = read_stored(path, form)
        if found is None:
            self.damaged.add(path)
        else:
            self.damaged.discard(path)
        return found

    def _run(self, digest: str, shard: tuple[int, int]) -> Place:
        index, shards = shard
        part = "" if shards == 1 else f".{index + 1}-of-{shards}"
        return self.folder / "runs" / f"{digest}{part}.json"


def result_name(
    picture_id: str, image: Float[np.ndarray, "h w c"], method: str, settings_digest: str
) -> str:
    """Return the name of a picture's files, unique for its values and the settings."""
    digest = hashlib.sha256(settings_digest.encode())
    digest.update(f"{picture_id}\0{image.shape}".encode())
    digest.update(np.ascontiguousarray(image, np.float32).tobytes())
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", Path(picture_id).with_suffix("").as_posix())
    return f"{readable.strip('._')[-80:] or 'picture'}.{method}-{digest.hexdigest()[:8]}"


def _is_whole(picture: Place) -> bool:
    """Whether a PNG can be read to its end."""
    try:
        with PIL.Image.open(io.BytesIO(read_bytes(picture))) as image:
            image.verify()
    except (OSError, SyntaxError, ValueError):  # SyntaxError: a checksum of PNG
        return False
    return True
