"""The results of one explained picture: its record, its captions, its line on the terminal."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fidojax.cli.job import Job
from fidojax.cli.numbers import as_number, percent
from fidojax.cli.opening import described
from fidojax.cli.records import EXPLAINED, FAILED
from fidojax.cli.region_words import region_lines, region_record, region_views, regions_of
from fidojax.cli.warning import warnings_of
from fidojax.core import Region, shortfalls
from fidojax.data import Picture
from fidojax.engine import ExplainRequest
from fidojax.runs import NOT_FINITE, Explained, versions
from fidojax.types import Explanation
from fidojax.viz import Exhibit

SPREAD = "standard_deviation"
"""The field of `info` with the map's standard deviation, for methods that return one."""


@dataclass(frozen=True)
class Outcome:
    """A picture's result.

    Attributes:
        record: the record, as JSON.
        problem: the reason why there is no explanation, or None.
        prediction, target: captions with class and probability.
        verdict: the caption of the mixture.
        warnings: what is wrong with the explanation, as sentences.
        line: the line on the terminal.
        regions: the regions of the map that hold.
    """

    record: dict[str, Any]
    problem: str | None
    prediction: str
    target: str
    verdict: str
    warnings: tuple[str, ...]
    line: str
    regions: tuple[Region, ...]


def outcome(
    job: Job,
    request: ExplainRequest,
    picture: Picture,
    target: int,
    probabilities: np.ndarray,
    explained: Explained,
) -> Outcome:
    """Put a finished explanation into words and numbers.

    Args:
        job: the job.
        request: its request with the batch size.
        picture: the picture.
        target: the explained class.
        probabilities: "k", the classifier's probabilities for the picture.
        explained: the picture alone, its leaves without an axis of pictures.
    """
    info, region = explained.explanation.info, explained.region
    labels = job.pretrained.labels
    keep = getattr(info, "keep", None)
    kept = None if keep is None else float(np.mean(keep > 0.5))
    on_mixture = getattr(info, "probability", None)
    objective = getattr(info, "objective", None)
    gap = getattr(info, "gap", None)
    maps = maps_of(explained.explanation)
    uncertain = as_number(maps[SPREAD].mean()) if SPREAD in maps else None
    watched = [*maps.values(), *(x for x in (on_mixture, objective, gap) if x is not None)]
    finite = all(np.isfinite(values).all() for values in watched)
    problem = None if finite else NOT_FINITE
    top = [int(row) for row in np.argsort(-probabilities)[:5]]
    record = {
        "status": EXPLAINED if finite else FAILED,
        "reason": problem,
        "id": picture.id,
        "source": picture.source,
        "prediction": _class(top[0], labels, probabilities),
        "top": [_class(row, labels, probabilities) for row in top],
        "target": _class(target, labels, probabilities),
        "label": None
        if picture.label is None
        else {"index": picture.label, "name": picture.label_name},
        "probability": {
            "image": as_number(probabilities[target]),
            "mixture": None if on_mixture is None else as_number(on_mixture),
        },
        "kept_area": kept,
        **region_record(job.region, region, len(labels), getattr(info, "price", None)),
        "mean_standard_deviation": uncertain,
        "gap": None if gap is None else as_number(gap),
        "objective": None
        if objective is None
        else {
            "start": as_number(objective[0]),
            "end": as_number(objective[-1]),
            "history": [as_number(value) for value in objective],
        },
        "seconds": round(float(explained.seconds), 3),
        "evaluations": job.evaluations,
        "batch_size": request.batch_size,
        "devices": described(request.chosen_devices),
        "settings_digest": job.digest,
        "settings": dict(job.settings),
        "versions": versions(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    warnings = warnings_of(job.row, job.options, record, maps["map"])
    record["warnings"] = list(warnings)
    prediction = f"{labels[top[0]]} ({percent(probabilities[top[0]])})"
    why = f"{labels[target]} ({percent(probabilities[target])})"
    verdict = ""
    if kept is not None and on_mixture is not None:
        drops = job.row.drops(job.options)
        share = f"{percent(1 - kept)} filled in" if drops else f"{percent(kept)} kept"
        verdict = f"{share}: {labels[target]} ({percent(on_mixture)})"
    held = regions_of(job.region, region)
    says = [verdict] if uncertain is None else [f"mean standard deviation {uncertain:.2f}"]
    if job.region is not None and held:
        # The regions say more than the pixels above one half.
        says = [*says[uncertain is None :], *region_lines(job.region, held, labels[target])]
    incomplete = shortfalls(info)
    if incomplete:
        says = [f"{incomplete[0][1]}: {job.row.remedy}"]
    about = prediction if target == top[0] else f"{prediction}, {why}"
    line = f"{picture.id}: {'; '.join(filter(None, [about, *says, *warnings]))}"
    return Outcome(record, problem, prediction, why, verdict, warnings, line, held)


def exhibit(result: Outcome, job: Job, picture: Picture, explanation: Explanation) -> Exhibit:
    """Return the explanation with its captions, for a figure."""
    mixture = getattr(explanation.info, "mixture", None)
    name, share = result.record["target"]["name"], result.record["target"]["probability"]
    predicted = result.record["target"] == result.record["prediction"]
    why = f"why {name}?" if predicted else f"why {name} ({percent(share)})?"
    method = job.row
    views = ()
    if job.region is not None and result.regions:
        mixture = None
        views = region_views(job.region, result.regions, name, picture, job.request.seed)
    return Exhibit(
        image=picture.image,
        saliency=np.asarray(explanation.saliency, np.float32),
        title=picture.id,
        prediction=f"prediction: {result.prediction}",
        meaning=method.meaning(job.options),
        target="for all classes" if method.all_classes else why,
        mixture=None if mixture is None else np.asarray(mixture, np.float32),
        verdict=result.verdict,
        limits=method.limits,
        symmetric=method.is_signed(np.asarray(explanation.saliency)),
        deviation=maps_of(explanation).get(SPREAD),
        views=views,
        warning="; ".join(result.warnings),
    )


def maps_of(explanation: Explanation) -> dict[str, np.ndarray]:
    """The map of an explanation, and its standard deviation if it has one."""
    maps = {"map": explanation.saliency}
    spread = getattr(explanation.info, SPREAD, None)
    maps |= {} if spread is None else {SPREAD: spread}
    return {name: np.asarray(values, np.float32) for name, values in maps.items()}


def _class(index: int, labels: tuple[str, ...], probabilities: np.ndarray) -> dict[str, Any]:
    return {"index": index, "name": labels[index], "probability": as_number(probabilities[index])}
