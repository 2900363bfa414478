"""The rows that `fidojax bench` measures, and the time that they take."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from fidojax.bench import (
    CLOCKS,
    BenchRow,
    Case,
    interleaved,
    matrix_product,
    operations,
    passes_per_map,
)
from fidojax.cli.explainer import LOADERS
from fidojax.cli.job import Job, prepare
from fidojax.cli.options import Bench, Explain, UsageError
from fidojax.core import check_count, check_name, untransformed
from fidojax.methods import LOOPS, METHOD_ROWS, METHODS, MethodRow, method_row
from fidojax.presets import PRESETS
from fidojax.transforms import PRECISIONS
from infillers import INFILLERS, default_infillers

COMPILING = 25.0
"""Rough estimate of the seconds to compile the programs of a row."""
SHARE = 0.5
"""Rough estimate of the share of a matrix product's speed that networks reach."""


def plan(asked: Bench) -> list[Case | BenchRow]:
    """Return a case for each row; a row that cannot be measured comes with the reason instead.

    Raises:
        UsageError: a name does not exist, or a number is out of range.
    """
    try:
        _check(asked)
    except ValueError as error:
        raise UsageError(str(error)) from None
    known: dict[str, tuple[Any, tuple[float, float]]] = {}
    return [
        case
        for classifier in asked.classifier
        for method in (method_row(name) for name in every(asked.method, _measurable()))
        for infill in _infills(asked, method)
        for case in _cases(asked, classifier, method, infill, known)
    ]


def _measurable() -> list[str]:
    """The methods that run on any classifier that shows its features."""
    return [name for name, row in METHOD_ROWS.items() if not row.attention]


def every(names: tuple[str, ...], known: Any) -> tuple[str, ...]:
    """The names, or all known ones for "all"."""
    return tuple(known) if names == ("all",) else names


def _check(asked: Bench) -> None:
    for name in every(asked.method, METHODS):
        method_row(name, "--method")
    infills = every(asked.infill, default_infillers())
    for option, names, known in (
        ("infill", [name.partition(":")[0] for name in infills], INFILLERS),
        ("precision", asked.precision, PRECISIONS),
        ("preset", [asked.preset], PRESETS),
        ("clock", [asked.clock], CLOCKS),
    ):
        for name in names:
            check_name(f"--{option}", name, known)
    check_count(**{"--steps": asked.steps, "--repeats": asked.repeats, "--rounds": asked.rounds})
    for size in asked.batch_sizes:
        check_count(**{"--batch-sizes": size})
    if asked.weights and len(asked.classifier) > 1:
        raise ValueError("--weights: they are of one classifier, give only that")


def _infills(asked: Bench, method: MethodRow) -> tuple[str, ...]:
    """The infillers that the method is measured with; an empty name if it needs none."""
    return every(asked.infill, default_infillers()) if "infill" in method.required else ("",)


def _cases(
    asked: Bench, classifier: str, method: MethodRow, infill: str, known: dict
) -> Iterator[Case | BenchRow]:
    setting = ", ".join(
        ([f"preset {asked.preset}"] if method.preset else []) + _settings(asked, method)
    )
    rows = [
        BenchRow(classifier, method.name, setting, infill, precision, images)
        for precision, images in itertools.product(asked.precision, asked.batch_sizes)
    ]
    try:
        job = _job(asked, classifier, method, infill)
        if classifier not in known:
            network = untransformed(job.pretrained.classifier)
            known[classifier] = network, operations(network, job.pretrained.size)
        network, cost = known[classifier]
        size, labels = job.pretrained.size, job.pretrained.labels
        height, width, _ = size
        box = [width / 4, height / 4, 3 * width / 4, 3 * height / 4]
        each = {"boxes": np.array([box], np.float32)}
        each = each if "boxes" in method.required else {}
        passes = passes_per_map(method.name, job.request.options, size, len(labels))
    except (UsageError, ValueError) as error:
        yield from (replace(row, problem=str(error)) for row in rows)
        return
    for row in rows:
        yield Case(row, network, size, job.request.options, each, passes, cost)


def _settings(asked: Bench, method: MethodRow) -> list[str]:
    return [*(f"{name}={value}" for name, value in method.quick.items()), *asked.set]


def _job(asked: Bench, classifier: str, method: MethodRow, infill: str) -> Job:
    keras = classifier.startswith("keras:")
    trained = any(option in LOADERS for option in method.required)
    return prepare(
        Explain(
            classifier=classifier,
            weights=asked.weights or ("random" if keras else None),
            method=method.name,
            infill=(infill,) if infill else (),
            hold="none",
            preset=asked.preset if method.preset else None,
            set=tuple(_settings(asked, method)),
            explainer=asked.explainer if trained else None,
        )
    )


def expected(cases: list[Case | BenchRow], asked: Bench) -> float:
    """The expected time in seconds, correct to a factor of two."""
    product = matrix_product("float32")
    (seconds,) = interleaved([product.call], 1, 2)
    speed = SHARE * product.operations / seconds
    return sum(_expected(case, asked, speed) for case in cases if isinstance(case, Case))


def _expected(case: Case, asked: Bench, speed: float) -> float:
    calls = asked.repeats * asked.rounds + 1
    if case.row.method in LOOPS:
        loop = LOOPS[case.row.method](**case.options)
        steps = min(asked.steps, loop.steps)
        # A step and its gradient in turn, and all steps of the engine.
        passes = loop.evaluations * (2 * calls + steps * (asked.rounds + 1))
    else:
        passes = 2 * calls * case.passes.forward
    compiling = COMPILING if jax.default_backend() == "cpu" else 2 * COMPILING
    return compiling + case.row.images * passes * case.operations[1] / speed
