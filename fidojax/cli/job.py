"""From what the user asked for to what will be done: every name and number is checked here."""

import ast
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from fidojax import __version__
from fidojax.cli.explainer import LOADERS, Explainer, load_explainer
from fidojax.cli.options import Explain, UsageError
from fidojax.core import check_name, suggest
from fidojax.data import IMAGENET_CROP
from fidojax.engine import Stop, check_divisible
from fidojax.methods import LOOPS, METHOD_ROWS, METHODS, method_row
from fidojax.networks import SHIPPED, Pretrained, class_index, load
from fidojax.presets import PRESETS
from fidojax.runs import digest
from fidojax.transforms import PRECISIONS, cpu
from infillers import make_infill

# Options of the command line that go to the method under the same name.
_METHOD_OPTIONS = (
    "objective", "steps", "samples", "lam", "tv", "size", "learning_rate", "score",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A checked request.

    Attributes:
        method: name in METHODS.
        preset: name in PRESETS, or None for the method's own defaults.
        options: the method's options by name, defaults included, all but `infill`, `boxes` and
            the explainer's.
        infill: as given on the command line, with its default filled in; None where the method
            takes none.
        explainer: the trained network that explains; None where the method takes none.
        pretrained: the classifier, with `rewrite` in its form for CPUs where it runs there.
        target: index of the class for all pictures, "prediction" or "label".
        crop: see `fidojax.data.pictures`.
        seed: of the run.
        precision, stop, rewrite: as `explain_batch` takes them.
        settings: all that the maps depend on, as JSON.
    """

    method: str
    preset: str | None
    options: Mapping[str, Any]
    infill: str | None
    explainer: Explainer | None
    pretrained: Pretrained
    target: int | str
    crop: float
    seed: int
    precision: str | None
    stop: Stop | None
    rewrite: bool
    settings: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that stand for the settings."""
        text = json.dumps(self.settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def call_options(self) -> dict[str, Any]:
        """What `explain_batch` takes as options."""
        made: dict[str, Any] = {}
        if self.infill is not None:
            made["infill"] = make_infill(self.infill)
        if self.explainer is not None:
            made[self.explainer.option] = self.explainer.network
        return made | dict(self.options)

    @property
    def steps(self) -> int:
        """Steps of the method; 1 for one that does not iterate."""
        return LOOPS[self.method](**self.call_options).steps if self.method in LOOPS else 1

    @property
    def evaluations(self) -> int:
        """Evaluations of the classifier per picture, forward and backward."""
        if self.method not in LOOPS:
            return 0
        loop = LOOPS[self.method](**self.call_options)
        return loop.steps * loop.evaluations


def prepare(asked: Explain) -> Job:
    """Check a request and load its classifier.

    Raises:
        UsageError: something in it does not exist or does not fit.
    """
    for name in ("batch_size", "limit"):
        value = getattr(asked, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} is {value}, expected at least 1")
    if asked.crop is not None and not 0 < asked.crop <= 1:
        raise UsageError(f"--crop is {asked.crop}, expected a share above 0 and up to 1")
    try:
        asked = replace(asked, method=method_row(asked.method, "--method").name)
        preset, chosen = _method_options(asked)
        infill = _infill_name(asked)
        _check_classifier(asked.classifier)
        explainer = load_explainer(asked)
        pretrained = _load(asked)
        options = _complete(asked.method, chosen, pretrained.size)
        target = _target(asked, pretrained.labels)
        if asked.dtype is not None:
            check_name("--dtype", asked.dtype, PRECISIONS)
    except ValueError as error:
        raise UsageError(str(error)) from None
    keras = asked.classifier.startswith("keras:")
    crop = (IMAGENET_CROP if keras else 1.0) if asked.crop is None else asked.crop
    stop = Stop() if asked.stop_early else None
    settings = {
        "method": asked.method,
        "preset": preset,
        "infill": infill,
        "options": options,
        "classifier": asked.classifier,
        "weights_sha256": digest(pretrained.classifier),
        **({"layer": asked.layer} if asked.layer else {}),
        **(_described(explainer) if explainer else {}),
        "target": target,
        "crop": crop,
        "seed": asked.seed,
        **({"precision": asked.dtype} if asked.dtype else {}),
        **({"stop": stop._asdict()} if stop else {}),
        **({} if asked.rewrite else {"rewrite": False}),
        **({"spread": jax.local_device_count()} if asked.spread else {}),
        "fidojax": __version__,
    }
    job = Job(
        asked.method, preset, options, infill, explainer, pretrained, target, crop, asked.seed,
        asked.dtype, stop, asked.rewrite, settings,
    )  # fmt: skip
    try:
        _try(job, asked.spread)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from None
    return job


def _try(job: Job, spread: bool) -> None:
    """Let the method check its options and, unless it iterates, the classifier; compute nothing.

    The infiller is shown a picture's shape, too: learned ones may be for other pictures.
    """
    size, options = job.pretrained.size, job.call_options
    image, mask = (jax.ShapeDtypeStruct(shape, np.float32) for shape in (size, size[:2]))
    if "infill" in options:
        infill = options["infill"]
        jax.eval_shape(lambda f, x, m: f(jax.random.key(0), x, m), infill, image, mask)
    loop = LOOPS[job.method](**options) if job.method in LOOPS else None
    if job.stop and (loop is None or loop.mask is None):
        raise ValueError(f"--stop-early: {job.method} has no mask that converges")
    if spread:
        check_divisible("--spread", job.method, loop)
    if loop is None and "boxes" not in METHOD_ROWS[job.method].required:
        method = functools.partial(METHODS[job.method], **options)
        jax.eval_shape(
            lambda classifier, image: method(jax.random.key(0), classifier, image, 0),
            job.pretrained.classifier, image,
        )  # fmt: skip


def _method_options(asked: Explain) -> tuple[str | None, dict[str, Any]]:
    """The preset's name, and the method's options that it or the user has chosen."""
    known = _known_options(asked.method)
    preset = asked.preset or METHOD_ROWS[asked.method].preset
    chosen: dict[str, Any] = {}
    if preset is not None:
        check_name("--preset", preset, PRESETS)
        foreign = sorted(PRESETS[preset].keys() - known.keys())
        if foreign:
            raise ValueError(
                f"--preset: {preset} is not for the method {asked.method}, which has no option "
                f"{' or '.join(foreign)}"
            )
        chosen |= PRESETS[preset]
    given = {name: getattr(asked, name) for name in _METHOD_OPTIONS}
    for name, value in given.items():
        if value is not None:
            flag = f"--{name.replace('_', '-')}"
            if name not in known:
                raise ValueError(f"{flag}: the method {asked.method} has no such option")
            chosen[name] = value
    for entry in asked.set:
        name, equals, text = entry.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ValueError(f"--set: expected NAME=VALUE, got {entry!r}")
        check_name(f"--set for {asked.method}", name, known)
        chosen[name] = _value(text)
    return preset, chosen


def _known_options(method: str) -> dict[str, Any]:
    """Options with their defaults, but for those that are made here or per picture."""
    made = ("infill", "boxes", "start", *LOADERS)
    known = METHOD_ROWS[method].defaults
    return {name: default for name, default in known.items() if name not in made}


def _complete(method: str, chosen: Mapping[str, Any], size: tuple[int, int, int]) -> dict[str, Any]:
    """All options of the method: chosen ones, else defaults.

    Small pictures get a map as fine as themselves, as VDSM's authors did for MNIST; a quarter of
    28 would blur strokes away.
    """
    options = _known_options(method) | dict(chosen)
    if "size" in options and options["size"] is None and size[0] == size[1] <= 32:
        options["size"] = size[0]
    return options


def _value(text: str) -> Any:
    """A Python literal, or else the word itself."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(text.strip().lower(), text.strip())


def _infill_name(asked: Explain) -> str | None:
    row = METHOD_ROWS[asked.method]
    if not row.fills:
        if asked.infill is not None:
            raise ValueError(f"--infill: the method {asked.method} fills nothing in")
        return None
    if asked.infill is None and "infill" not in row.required:  # it can do without
        return None
    # Dropped pixels of a digit become background; ImageNet's mean colour would be ink.
    spec = asked.infill or ("mean:color=0.0" if asked.classifier == "mnist" else "mean")
    make_infill(spec)
    return spec


def _check_classifier(name: str) -> None:
    if not name.startswith("keras:") and name not in SHIPPED:
        clause = suggest(name, SHIPPED)
        raise ValueError(f"--classifier: there is no {name!r}; {clause} (or keras:NAME)")


def _load(asked: Explain) -> Pretrained:
    try:
        pretrained = load(asked.classifier, asked.weights, layer=asked.layer)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"--classifier {asked.classifier}: {reason}") from error
    if not asked.rewrite:
        return pretrained
    return pretrained._replace(classifier=cpu.fast(pretrained.classifier))


def _target(asked: Explain, labels: tuple[str, ...]) -> int | str:
    if asked.target is None or asked.target == "prediction":
        return "prediction"
    if METHOD_ROWS[asked.method].all_classes:
        raise ValueError(f"--target: the method {asked.method} explains all classes at once")
    if asked.target == "label":
        return "label"
    return class_index(asked.target, labels)


def _described(explainer: Explainer) -> dict[str, str]:
    option, source, network = explainer
    return {option: source, f"{option}_sha256": digest(network)}
