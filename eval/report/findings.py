"""All that the report shows, as JSON."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from eval.intervals import RESAMPLES
from eval.report.accounts import costs, failures, progress
from eval.report.cases import cases
from eval.report.comparison import CONTROLS, ENOUGH, claims, curves, numbers, samples_of
from eval.report.reading import StoredRun


def findings(run: StoredRun) -> dict[str, Any]:
    """The report's numbers and tables as JSON; None stands for a number that does not exist."""
    study = run.study
    samples = samples_of(run)
    found = {
        "name": study["name"],
        "title": study["title"],
        "reference": study["reference"],
        "about": study["about"],
        "reading": study["reading"],
        "command": study["command"],
        "settings": study["settings"],
        "environment": _environment(run),
        "intervals": {
            "level": 0.95,
            "method": "percentile bootstrap of the mean over pictures, differences paired",
            "resamples": RESAMPLES,
            "not competing": CONTROLS,
            "competing share": ENOUGH,
        },
        "pictures": len(run),
        "progress": progress(run),
        "rows": study["rows"],
        "numbers": numbers(run, samples),
        "claims": claims(run, samples),
        "curves": curves(run),
        "gallery": {"number": study["gallery"], "rows": cases(run, samples)},
        "tables": run.tables,
        "costs": costs(run),
        "failures": failures(run),
        "deviations": study["deviations"],
    }
    return _plain(found)


def _environment(run: StoredRun) -> dict[str, Any]:
    given = {
        k: v for k, v in run.pictures.provenance.items() if k not in ("label_names", "began_with")
    }
    return given.pop("environment", {}) | given


def _plain(value: Any) -> Any:
    """The same values with None for numbers that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
