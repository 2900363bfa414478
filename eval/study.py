"""What a published experiment compares: rows of explainers, numbers, and what the paper claims."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from eval.report.reading import StoredRun
from eval.scores import ScoreSet
from fidojax.data import Picture
from fidojax.runs import digest
from fidojax.types import Classifier, Method

Table = Sequence[Mapping[str, str]]
"""Lines of text with common keys, the heads of the columns."""


class StudyRow(NamedTuple):
    """An explainer with its options.

    Attributes:
        method: a name in `fidojax.methods.METHODS`, or a function with the same signature.
        options: of the method.
        group: rows of one group stand together in a table.
        why: what differs from the method's own defaults, if anything does.
        cut: where the map is cut for its box: "absolute" at one half, "mean" at alpha times the
            map's mean.
        limit: the row explains the first `limit` pictures; all when None.
        seed: added to the run's seed.
        each: options that differ from picture to picture, made from a batch of pictures.
        classifier: the classifier that is explained and that judges the maps; the run's when None.
        like: the row with whose maps this row's are compared, see `eval.scores.likeness`.
        targets: the classes to explain: "label" (the true class), "prediction" (of the run's
            classifier), or an array with one class per picture.
        scores: names of the sets of scores that the row is measured by; all when None. Sets that
            compare maps are measured only where `like` names a row.
        batch_size: pictures per compiled call; the run's when None.
        record: numbers of each picture from the `info` of its explanation, stored as columns beside
            the maps: a function of `info` with NumPy leaves "n ..." that returns columns "n ...".
    """

    method: str | Method
    options: Mapping[str, Any]
    group: str = ""
    why: str = ""
    cut: str = "mean"
    limit: int | None = None
    seed: int = 0
    each: Callable[[Sequence[Picture]], Mapping[str, Any]] | None = None
    classifier: Classifier | None = None
    like: str = ""
    targets: str | np.ndarray = "label"
    scores: Sequence[str] | None = None
    batch_size: int | None = None
    record: Callable[[Any], Mapping[str, np.ndarray]] | None = None

    def explained_classifier(self, classifier: Classifier) -> Classifier:
        """The classifier that the row explains in a run of `classifier`."""
        return classifier if self.classifier is None else self.classifier

    def count(self, pictures: int) -> int:
        """The number of pictures that the row explains in a run of that many pictures."""
        return min(self.limit or pictures, pictures)

    @property
    def name(self) -> str:
        """The name of the method."""
        return self.method if isinstance(self.method, str) else self.method.__name__

    def settings(self) -> dict[str, Any]:
        """All of the row that decides its maps, as JSON."""
        found = {"method": self.name, "options": plain(self.options), "row_seed": self.seed}
        if self.classifier is not None:
            found["row_classifier"] = digest(self.classifier)
        if not isinstance(self.targets, str):
            found["targets"] = digest(self.targets)
        elif self.targets != "label":
            found["targets"] = self.targets
        if self.record is not None:
            found["record"] = self.record.__name__
        return found | ({} if self.batch_size is None else {"batch_size": self.batch_size})


class Claim(NamedTuple):
    """The paper says that one row is ahead of another in a number.

    Attributes:
        better, worse: names of rows.
        number: a key of the study's numbers.
        published: the paper's values or the figure that shows them, as text.
    """

    better: str
    worse: str
    number: str
    published: str = ""


class Study(NamedTuple):
    """An experiment.

    Attributes:
        name: the protocol's name on the command line.
        title: with the number of the figure or the table.
        reference: the paper.
        about: a paragraph on what is compared and how.
        rows: by name, in the order of the table.
        scores: by name, what is measured of every map.
        numbers: keys of the scores' numbers that the main table shows.
        claims: the paper's orderings.
        published: the paper's numbers, by row and number.
        reading: what to know before reading the numbers.
        deviations: what is done otherwise than in the paper.
        gallery: number by which the best, the median and the worst pictures are shown.
        gallery_rows: rows that are shown; those that the gallery's number judges when empty.
        tables: further tables by title, made from the stored run once it is complete.
        figures: draws further figures of the stored run as PNG files into the given folder, once
            the run is complete.
    """

    name: str
    title: str
    reference: str
    about: str
    rows: Mapping[str, StudyRow]
    scores: Mapping[str, ScoreSet]
    numbers: Sequence[str]
    claims: Sequence[Claim] = ()
    published: Mapping[str, Mapping[str, float]] = {}
    reading: Sequence[str] = ()
    deviations: Sequence[str] = ()
    gallery: str = ""
    gallery_rows: Sequence[str] = ()
    tables: Callable[[StoredRun], Mapping[str, Table]] | None = None
    figures: Callable[[StoredRun, Path], None] | None = None

    def sets_of(self, row: str) -> list[str]:
        """Names of the sets of scores that the row is measured by."""
        chosen, like = self.rows[row].scores, self.rows[row].like
        return [
            name
            for name, scores in self.scores.items()
            if (chosen is None or name in chosen) and (like or not scores.compared)
        ]

    def folder(self, row: str, scores: str) -> str:
        """The folder of a row's scores; those compared with different rows lie apart."""
        return f"{scores}-{self.rows[row].like}" if self.scores[scores].compared else scores

    def folders(self, row: str) -> dict[str, str | None]:
        """The folder of each set of scores; None where the row is not measured by the set."""
        own = self.sets_of(row)
        return {name: self.folder(row, name) if name in own else None for name in self.scores}

    def plain(self) -> dict[str, Any]:
        """The study without its rows as JSON, for the report."""
        numbers = {
            key: number._asdict() | {"set": name}
            for name, scores in self.scores.items()
            for key, number in scores.numbers.items()
        }
        curves = {
            key: curve._asdict() | {"x": list(curve.x), "set": name}
            for name, scores in self.scores.items()
            for key, curve in scores.curves.items()
        }
        unknown = [key for key in self.numbers if key not in numbers]
        if unknown:
            raise ValueError(f"{self.name}: there is no number {unknown[0]}")
        claims = [
            claim._asdict() | {"text": f"{claim.better} ahead of {claim.worse}"}
            for claim in self.claims
            if {claim.better, claim.worse} <= self.rows.keys() and claim.number in numbers
        ]
        return {
            "name": self.name,
            "title": self.title,
            "reference": self.reference,
            "about": self.about,
            "numbers": {key: numbers[key] for key in self.numbers},
            "curves": curves,
            "claims": claims,
            "published": {row: dict(values) for row, values in self.published.items()},
            "reading": list(self.reading),
            "deviations": list(self.deviations),
            "gallery": self.gallery or self.numbers[0],
            "gallery_rows": list(self.gallery_rows),
        }


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON: a fingerprint stands for an array or a pytree."""
    simple = (str, int, float, bool, type(None))
    found = {}
    for key, value in options.items():
        if isinstance(value, simple):
            found[key] = value
        elif isinstance(value, (tuple, list)) and all(isinstance(each, simple) for each in value):
            found[key] = list(value)
        elif isinstance(value, Mapping):
            found[key] = plain(value)
        else:
            found[key] = f"{_named(value)} {digest(value)} {_structure(value)}"
    return found


def _structure(value: Any) -> str:
    """A hash of what a pytree holds beside its arrays, without the addresses of functions."""
    text = re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.structure(value)))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _named(value: Any) -> str:
    function = getattr(value, "func", value)
    module = getattr(function, "__module__", "") or ""
    return module.rpartition(".")[2] or type(value).__name__
