"""What a published experiment compares: rows of explainers, numbers, and what the paper claims."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from eval.scores import ScoreSet
from fidojax.data import Picture
from fidojax.runs import digest
from fidojax.types import Classifier, Method


class StudyRow(NamedTuple):
    """An explainer with its settings.

    Attributes:
        method: a name in `fidojax.methods.table.METHODS`, or a function like those.
        options: the method's.
        group: rows that belong together in a table.
        why: what differs from the method's own defaults, if anything does.
        cut: where the map is cut for its box: "absolute" at one half, "mean" at alpha times the
            map's mean.
        limit: so many pictures, the first ones; all when None.
        seed: added to the run's.
        each: options that differ per picture, made from a batch of pictures.
        classifier: that is explained, and judges the maps; the run's own when None.
        like: row with whose maps its own are compared, see `eval.scores.likeness`.
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

    def of(self, classifier: Classifier) -> Classifier:
        """What it explains, in a run of this classifier."""
        return classifier if self.classifier is None else self.classifier

    def count(self, pictures: int) -> int:
        """Of the pictures that it explains, of so many."""
        return min(self.limit or pictures, pictures)

    @property
    def name(self) -> str:
        """Of the method."""
        return self.method if isinstance(self.method, str) else self.method.__name__


class Claim(NamedTuple):
    """The paper says that one row is ahead of another in a number.

    Attributes:
        better, worse: rows.
        number: a key of the study's numbers.
        published: what the paper has, for people.
    """

    better: str
    worse: str
    number: str
    published: str = ""


class Study(NamedTuple):
    """An experiment.

    Attributes:
        name: of the protocol.
        title: with the number of the figure or the table.
        reference: the paper.
        about: a paragraph on what is compared and how.
        rows: by name, in the order of the table.
        scores: by name, what is measured of every map.
        numbers: those that the main table shows, keys of the scores' numbers.
        claims: the paper's orderings.
        published: the paper's numbers, by row and number.
        reading: what to know before reading the numbers.
        deviations: what is done otherwise than in the paper.
        gallery: number by which the best, the median and the worst pictures are shown.
        gallery_rows: rows that are shown; those that the gallery's number judges when empty.
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

    def folder(self, row: str, scores: str) -> str:
        """Of a row's numbers of that set; those with another reference stand beside them."""
        return f"{scores}-{self.rows[row].like}" if self.scores[scores].compared else scores

    def plain(self) -> dict[str, Any]:
        """As JSON, for the report."""
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
        return {
            "name": self.name,
            "title": self.title,
            "reference": self.reference,
            "about": self.about,
            "numbers": {key: numbers[key] for key in self.numbers},
            "curves": curves,
            "claims": [
                claim._asdict()
                | {"text": f"{claim.better} ahead of {claim.worse}"}
                for claim in self.claims
                if {claim.better, claim.worse} <= self.rows.keys() and claim.number in numbers
            ],
            "published": {row: dict(values) for row, values in self.published.items()},
            "reading": list(self.reading),
            "deviations": list(self.deviations),
            "gallery": self.gallery or self.numbers[0],
            "gallery_rows": list(self.gallery_rows),
        }  # fmt: skip


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON: of arrays and pytrees a fingerprint."""
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
            found[key] = f"{_named(value)} {digest(value)} {_shape(value)}"
    return found


def _shape(value: Any) -> str:
    """Of what a pytree holds beside its arrays, without the addresses of functions."""
    text = re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.structure(value)))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _named(value: Any) -> str:
    function = getattr(value, "func", value)
    module = getattr(function, "__module__", "") or ""
    return module.rpartition(".")[2] or type(value).__name__
