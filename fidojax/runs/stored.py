"""JSON files of `fidojax explain`: read only if they hold what the page and a resumed run need."""

import json
from collections.abc import Iterator
from typing import Any

from fidojax.data import Place, read_bytes
from fidojax.runs.columns import DamagedError
from fidojax.runs.ledger import find_ledger

NUMBER = (int, float, None)
CLASS = {"name": str, "probability": NUMBER}
SETTINGS = {
    "method": str,
    "options": dict,
    "infill": (str, None, [str]),
    "preset": (str, None),
    "classifier": str,
    "target": (int, str, [int]),
}
RECORD = {
    "status": str,
    "id": str,
    "source": str,
    "settings_digest": str,
    "settings": SETTINGS,
    "prediction": CLASS,
    "target": CLASS,
    "label": (None, {"index": NUMBER, "name": (str, None)}),
    "probability": {"image": NUMBER, "mixture": NUMBER},
    "kept_area": NUMBER,
    "objective": (None, {"end": NUMBER}),
    "seconds": NUMBER,
    "files": {},
}
"""The form of a picture's record, see `fits`; older versions wrote no `map` and no `region`."""
PLACE = (None, {"ledger": str, "row": int})
REGION = (None, {"area": NUMBER, "probability": [[NUMBER]], "without": [[NUMBER]]})
RUN = {
    "settings": SETTINGS,
    "versions": dict,
    "updated": str,
    "failures": [{"source": str, "reason": str}],
}
"""The form of the file of a run."""


def read_stored(path: Place, form: Any) -> dict[str, Any] | None:
    """Read a JSON file; None if it cannot be read or does not have the form."""
    try:
        content = json.loads(read_bytes(path))
    except (OSError, ValueError, RecursionError):
        return None
    later = (("map", PLACE), ("region", REGION))
    if not fits(content, form) or not all(fits(content.get(name), one) for name, one in later):
        return None
    return content


def read_records(folder: Place, damaged: set[Place]) -> Iterator[dict[str, Any]]:
    """Yield all records of pictures with their `name`, sorted by it.

    A record whose map has been replaced by another picture's is left out; earlier versions wrote it
    before the map, and may have been killed in between.

    Args:
        folder: the folder of results of `fidojax explain`.
        damaged: receives the files that cannot be read; those that can be are taken out.
    """
    names: dict[str, list[str]] = {}  # of the rows, by ledger
    for path in sorted((folder / "records").glob("*.json")):
        record = read_stored(path, RECORD)
        if record is None:
            damaged.add(path)
            continue
        damaged.discard(path)
        place = record.get("map")  # None: it has failed, or an older version wrote it
        if place is not None:
            if place["ledger"] not in names:
                names[place["ledger"]] = _names_of(folder / place["ledger"])
            owner = names[place["ledger"]][place["row"] :][:1]
            if owner and owner[0] not in ("", path.stem):
                continue
        yield {**record, "name": path.stem}


def fits(value: Any, form: Any) -> bool:
    """Whether a JSON value has a form.

    Args:
        value: the value.
        form: a type; None; a tuple of forms, of which one must fit; a list of the form of all
            elements; or a dict of the forms of some keys. An empty dict stands for strings.
    """
    match form:
        case tuple():
            return any(fits(value, one) for one in form)
        case list():
            return isinstance(value, list) and all(fits(one, form[0]) for one in value)
        case dict() if not form:
            return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
        case dict():
            return isinstance(value, dict) and all(
                key in value and fits(value[key], one) for key, one in form.items()
            )
        case None:
            return value is None
    return isinstance(value, form) and not (form is not bool and isinstance(value, bool))


def _names_of(path: Place) -> list[str]:
    """The names of a ledger's rows; none where another run's cannot be read."""
    try:
        ledger = find_ledger(path)
    except (DamagedError, OSError):
        return []
    return [] if ledger is None else ledger.ids
