"""What is measured, and what came out."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from fidojax.bench.passes import Passes
from fidojax.types import Classifier


@dataclasses.dataclass(frozen=True)
class Row:
    """One method on one classifier at one batch size.

    *A call* is one step on all images of a method that iterates, or else their whole explanation.

    Attributes:
        classifier, method, infill: by name; the infiller is empty where the method takes none.
        setting: the schedule of the method, where it is not its default.
        precision: that the classifier is evaluated in.
        images: per call.
        problem: why nothing was measured; empty where it was.
        forward, backward: pictures through the classifier per map, see `fidojax.bench.passes`.
        images_per_second: through `explain_batch`; of methods that iterate the first steps, and
            the others at the time of a step.
        evaluations_per_second: the same in pictures through the classifier.
        seconds: of a call.
        floor: seconds of the bare passes of a call; None where the classifier is not asked.
        ratio: seconds / floor.
        peak_share: floating point operations of a call per second, over those of a large matrix
            product in the same precision. Of loops inside the method the classifier's passes count.
        compile_cold, compile_cached: seconds to trace and compile the call, without and with JAX's
            persistent cache.
        program_mb: what the compiled call needs, by its own memory analysis.
        peak_mb: see `fidojax.bench.peak_memory`.
    """

    classifier: str
    method: str
    setting: str
    infill: str
    precision: str
    images: int
    problem: str = ""
    forward: int | None = None
    backward: int | None = None
    images_per_second: float | None = None
    evaluations_per_second: float | None = None
    seconds: float | None = None
    floor: float | None = None
    ratio: float | None = None
    peak_share: float | None = None
    compile_cold: float | None = None
    compile_cached: float | None = None
    program_mb: float | None = None
    peak_mb: float | None = None


class Case(NamedTuple):
    """A row to be measured.

    Attributes:
        row: with its names filled in.
        network: the classifier.
        size: "h w c" of its pictures.
        options: of the method.
        each: options that differ per image, for one image.
        passes: of the classifier per map.
        operations: of the classifier, see `fidojax.bench.bare.operations`.
    """

    row: Row
    network: Classifier
    size: tuple[int, int, int]
    options: Mapping[str, Any]
    each: Mapping[str, Any]
    passes: Passes
    operations: tuple[float, float]


class How(NamedTuple):
    """How carefully it is measured.

    Attributes:
        steps: of the timed run through the engine, for methods that iterate.
        repeats: calls, and bare passes in turn with them, per round.
        rounds: the lowest median of so many counts.
        clock: a key of `fidojax.bench.timing.CLOCKS`.
        spread: whether the devices share out evaluations, see `fidojax.spread`.
    """

    steps: int
    repeats: int
    rounds: int
    clock: str
    spread: bool = False
