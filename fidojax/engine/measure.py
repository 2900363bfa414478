"""Metrics of many maps at once: any metric, any maps, one compiled program."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Num

from fidojax.core import (
    check_boxes,
    check_count,
    check_name,
    checked_options,
    known_options,
    renamed_arguments,
    row_of,
    with_advice,
)
from fidojax.engine.admission import OPTIONS_GO, admitted, as_images, as_targets, check_targets
from fidojax.engine.batches import in_batches
from fidojax.engine.explain import image_keys
from fidojax.engine.options import split_options
from fidojax.metrics import METRIC_ROWS, METRICS
from fidojax.transforms import cpu
from fidojax.types import Classifier, Images


@renamed_arguments(batch="batch_size")
@with_advice(OPTIONS_GO.replace("method", "metric"))
def measure_batch(
    metric: str | Callable[..., Any],
    classifier: Classifier,
    images: Images | np.ndarray,
    targets: Int[Array, " n"] | np.ndarray | Sequence[int],
    maps: Float[Array, "n h w"] | np.ndarray,
    *,
    options: Mapping[str, Any] | None = None,
    each: Mapping[str, Any] | None = None,
    boxes: Num[Array, "n b 4"] | np.ndarray | None = None,
    seed: int = 0,
    ids: Sequence[int | str] | None = None,
    batch_size: int | None = None,
    rewrite: bool = True,
    strict: bool = False,
) -> Any:
    """Measure every map with one metric, whichever method or library the maps come from.

    Args:
        metric: a name in `fidojax.metrics.METRICS`, or a function with the signature of those.
        classifier: as `fidojax.explain_batch` takes it.
        images: "n h w c", values in [0, 1].
        targets: "n", the classes that the maps explain.
        maps: "n h w"; for metrics of masks, in [0, 1].
        options: options of the metric, such as `infill`, an infiller or its name.
        each: options that differ per image, arrays with a leading axis of n.
        boxes: "n b 4", the true boxes of the objects, for the metrics whose row in
            `fidojax.metrics.METRIC_ROWS` says that they need boxes; see `fidojax.core.boxes`. A
            function without a row gets them when they are given.
        seed: seed of the metric's random draws; those of one picture depend on the seed and its id
            alone.
        ids: one integer or string per image; 0, 1, ... when None.
        batch_size: pictures per compiled call; bounds the memory. When None, 1 on CPUs, where a
            picture's `chunk` masked versions fill the caches already, else 64.
        rewrite: on the CPU, use `fidojax.transforms.cpu.fast(classifier)`.
        strict: raise an error where the classifier seems to return probabilities instead of logits.

    Returns:
        The metric's NamedTuple; its leaves are NumPy arrays with a leading axis of n.

    Warns:
        fidojax.core.ProbabilityWarning: the classifier seems to return probabilities.

    Raises:
        ValueError: a name is unknown, shapes do not fit, boxes are missing or not in pixels of the
            images, `batch_size` is below 1, or a target is no class of the classifier.
        TypeError: the classifier is none, the targets are no integers, or an option is unknown,
            missing or of the wrong kind.
    """
    function = _metric(metric)
    images, maps = as_images(images), np.asarray(maps, np.float32)
    if batch_size is None:
        batch_size = 1 if jax.default_backend() == "cpu" else 64
    check_count(batch_size=batch_size)
    if maps.shape != images.shape[:3]:
        raise ValueError(f"maps have shape {maps.shape}, expected {images.shape[:3]}")
    targets = as_targets(targets, len(images))
    classifier, classes = admitted(classifier, images[0], function, options or {}, strict)
    check_targets(targets, classes)
    keys = image_keys(seed, range(len(images)) if ids is None else ids)
    columns = {"key": keys, "image": images, "target": targets.astype(np.int32), "saliency": maps}
    if _takes_boxes(function, given=boxes is not None):
        if boxes is None or len(boxes) != len(images):
            count = len(images)
            name = getattr(function, "__name__", "the metric")
            raise ValueError(f"{name} asks for boxes, expected (n, b, 4) with n {count}")
        check_boxes(boxes, images.shape[1:])
        columns["boxes"] = boxes
    for name, values in (each or {}).items():
        columns[name] = np.asarray(values)
        if len(columns[name]) != len(images):
            raise ValueError(f"each: {name} has {len(columns[name])} rows, expected {len(images)}")
    known = known_options(function, leading=5)
    given = checked_options(known, options or {}, [*(each or {}), *(columns.keys() & {"boxes"})])
    static, dynamic = split_options({name: _number(value) for name, value in given.items()})
    if rewrite and jax.default_backend() == "cpu":
        classifier = cpu.fast(classifier)

    def measured(rows):
        part = jax.tree.map(lambda column: column[rows], columns)
        return _measure(classifier, dynamic, part, metric=function, static=static)

    return in_batches(measured, len(images), batch_size)


@partial(jax.jit, static_argnames=("metric", "static"))
def _measure(classifier, options, columns, *, metric, static):
    def one(*, key, image, target, saliency, **each):
        return metric(key, classifier, image, target, saliency, **each, **dict(static), **options)

    return jax.vmap(one)(**columns)


def _metric(metric: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return the metric of that name; functions pass through."""
    if callable(metric):
        return metric
    check_name("metric", metric, METRICS)
    return METRICS[metric]


def _takes_boxes(metric: Callable[..., Any], *, given: bool) -> bool:
    """Whether the metric's row says that it needs boxes; without a row, whether they are given."""
    row = row_of(METRIC_ROWS, metric)
    return given if row is None else row.boxes


def _number(value: Any) -> Any:
    """Several numbers as an array, so that they are data of the program."""
    several = isinstance(value, tuple | list) and all(isinstance(v, int | float) for v in value)
    return np.asarray(value, np.float32) if several else value
