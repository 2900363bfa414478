"""From the command line to a checked job: every name and number is checked here."""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fidojax import __version__
from fidojax.cli.classifier import classifier_name, load_classifier
from fidojax.cli.explainer import Explainer, load_explainer
from fidojax.cli.likely import likely_classes
from fidojax.cli.method_options import chosen_options, complete
from fidojax.cli.options import Explain, UsageError
from fidojax.cli.ranges import check_numbers
from fidojax.cli.region import FILLS, RegionPlan, hold_of, region_plan, wants_region
from fidojax.cli.saved import check_kinds
from fidojax.cli.target import NoSuchClassError, chosen_targets
from fidojax.core import as_fills, check_classifier, check_name
from fidojax.data import boxes_of
from fidojax.engine import ExplainRequest, Spread, Stop
from fidojax.methods import METHOD_ROWS, MethodRow, method_row
from fidojax.networks import Pretrained
from fidojax.runs import digest
from fidojax.transforms import PRECISIONS
from infillers import make_infill


@dataclass(frozen=True)
class Job:
    """A checked command: the request for the engine, and what only the command line knows.

    Attributes:
        asked: the command line, with the present name of the method and the chosen classifier.
        request: how the pictures are explained. With `rewrite`, its classifier is in the fast form
            for CPUs; its batch size is None if the user has chosen none.
        pretrained: the classifier with its labels and the size of its pictures.
        preset: a name in `fidojax.presets.PRESETS`; None for the method's own defaults.
        options: the method's options with their defaults, as JSON; without `infill`, `boxes` and
            the explainer, which are made from other options.
        infill: the method's infillers, each name with its options; empty if it takes none.
        region: what the region of each map has to hold; None without regions.
        explainer: the trained network that explains; None if the method takes none.
        target: the index of a class for all pictures, "prediction" or "label".
        classes: the indices of several classes that are compared, the target first; else empty.
        crop: the share of the shorter side that the centre crop keeps.
    """

    asked: Explain
    request: ExplainRequest
    pretrained: Pretrained
    preset: str | None
    options: Mapping[str, Any]
    infill: tuple[str, ...]
    region: RegionPlan | None
    explainer: Explainer | None
    target: int | str
    classes: tuple[int, ...]
    crop: float

    @property
    def method(self) -> str:
        """The name of the method."""
        return self.asked.method

    @property
    def row(self) -> MethodRow:
        """The method's row in the table."""
        return METHOD_ROWS[self.method]

    @property
    def each(self) -> Callable[..., Mapping[str, Any]] | None:
        """The function that makes the per-picture options; None if the method has none."""
        return boxes_of if "boxes" in self.row.required else None

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """Everything that decides the maps, as JSON."""
        request, explainer = self.request, self.explainer
        settings = {
            "method": self.method,
            "preset": self.preset,
            "infill": _listed(self.infill),
            "options": self.options,
            "classifier": self.asked.classifier,
            "weights_sha256": digest(request.classifier),
            "target": list(self.classes) or self.target,
            "crop": self.crop,
            "seed": request.seed,
            "fidojax": __version__,
        }
        if self.region is not None and not self.region.by_method:
            settings["region"] = self.region.settings
        if self.region is not None and self.region.count > 1:
            settings["regions"] = self.region.count
        if self.asked.boxes:
            settings["boxes_sha256"] = hashlib.sha256(
                Path(self.asked.boxes).read_bytes()
            ).hexdigest()
        if self.asked.layer:
            settings["layer"] = self.asked.layer
        if explainer is not None:
            settings[explainer.option] = explainer.source
            settings[f"{explainer.option}_sha256"] = digest(explainer.network)
        if request.precision:
            settings["precision"] = request.precision
        if request.stop:
            settings["stop"] = request.stop._asdict()
        if not request.rewrite:
            settings["rewrite"] = False
        if isinstance(request.devices, Spread):
            settings["spread"] = len(request.devices)
        return settings

    @functools.cached_property
    def digest(self) -> str:
        """Eight hexadecimal digits that identify the settings."""
        text = json.dumps(self.settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @functools.cached_property
    def steps(self) -> int:
        """The method's number of steps; 1 for one that does not iterate."""
        loop = self.request.loop()
        return 1 if loop is None else loop.steps

    @functools.cached_property
    def evaluations(self) -> int:
        """The classifier's evaluations per picture with their gradients; 0 if unknown."""
        loop = self.request.loop()
        return 0 if loop is None else loop.steps * loop.evaluations


def prepare(asked: Explain) -> Job:
    """Check a command and load its classifier.

    Raises:
        UsageError: a name does not exist or a value does not fit.
    """
    try:
        job = _job(asked)
        _try(job)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from None
    return job


def _job(asked: Explain) -> Job:
    check_numbers(asked)
    hold_of(asked.hold)
    check_kinds(asked.save)
    asked = replace(asked, method=method_row(asked.method, "--method").name)
    if asked.precision is not None:
        check_name("--precision", asked.precision, PRECISIONS)
    name = classifier_name(asked)
    asked = replace(asked, classifier=name)
    preset, chosen = chosen_options(asked)
    several = _fills(asked)
    infill = _infill_names(asked, several if chosen.get("hold") else several[:1])
    fills = {text: make_infill(text) for text in {*infill, *several}}
    explainer = load_explainer(asked, name)
    pretrained = load_classifier(asked, name)
    options = complete(asked.method, chosen, pretrained.size)
    region = region_plan(asked, METHOD_ROWS[asked.method], options, several, fills.__getitem__)
    made: dict[str, Any] = {}
    if infill:
        first, *more = (fills[text] for text in infill)
        made["infill"] = (first, *more) if more else first
    if explainer is not None:
        made[explainer.option] = explainer.network
    devices = jax.local_devices()
    request = ExplainRequest(
        asked.method,
        pretrained.classifier,
        made | options,
        asked.seed,
        asked.batch_size,
        Spread(devices) if asked.spread else devices,
        asked.precision,
        Stop() if asked.stop_early else None,
        asked.rewrite,
        asked.strict,
    )
    try:
        target, *others = chosen_targets(asked, pretrained.labels)
    except NoSuchClassError as error:
        raise ValueError(f"{error} {likely_classes(asked, pretrained)}".rstrip()) from None
    classes = (target, *others) if others else ()
    if classes and (region is None or region.count > 1):
        raise ValueError("--target: several classes are compared by one region each (--hold)")
    crop = pretrained.crop if asked.crop is None else asked.crop
    found = infill, region, explainer, target, classes, crop
    return Job(asked, request, pretrained, preset, options, *found)


def _try(job: Job) -> None:
    """Let the method check its options and the classifier; compute nothing.

    The infiller sees the shape of a picture, too: learned ones may be for other pictures.
    """
    request, size = job.request, job.pretrained.size
    classes, labels = check_classifier(request.classifier, size), len(job.pretrained.labels)
    if classes != labels:
        raise ValueError(
            f"--classifier {job.asked.classifier}: it has {classes} classes and {labels} labels"
        )
    if request.strict:
        request.admit(np.full(size, 0.5, np.float32))
    image, mask = (jax.ShapeDtypeStruct(shape, np.float32) for shape in (size, size[:2]))
    options = request.options
    fills = as_fills(options["infill"]) if "infill" in options else ()
    for infill in fills + (job.region.fills if job.region else ()):
        jax.eval_shape(lambda f, x, m: f(jax.random.key(0), x, m), infill, image, mask)
    request.check(stop="--stop-early", devices="--spread")
    loop = request.loop() if job.each is None else None
    if loop is not None:
        key = jax.random.key(0)
        jax.eval_shape(lambda x: loop.init(key, request.classifier, x, 0), image)
    elif job.each is None:
        method = functools.partial(request.function, **request.options)
        jax.eval_shape(
            lambda classifier, image: method(jax.random.key(0), classifier, image, 0),
            request.classifier,
            image,
        )


def _listed(names: tuple[str, ...]) -> str | list[str] | None:
    """Names for a record: none, one, or several."""
    return list(names) if len(names) > 1 else next(iter(names), None)


def _fills(asked: Explain) -> tuple[str, ...]:
    """The infillers under which a region has to hold, their default included."""
    return asked.infill or default_fills(asked)


def default_fills(asked: Explain) -> tuple[str, ...]:
    """The infillers under which a region has to hold, unless told otherwise."""
    # Dropped pixels of a digit become background; ImageNet's mean colour would be ink.
    return ("mean:color=0.0",) if asked.classifier == "mnist" else FILLS


def _infill_names(asked: Explain, default: tuple[str, ...]) -> tuple[str, ...]:
    """The method's infillers; none if it needs none."""
    row = METHOD_ROWS[asked.method]
    if not row.fills:
        if asked.infill and not wants_region(asked, row):
            raise ValueError(f"--infill: the method {asked.method} fills nothing in")
        return ()
    return asked.infill or (default if "infill" in row.required else ())
