"""Metrics of many maps at once: any metric, any maps, one compiled program."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from fidojax.core import check_count, check_name
from fidojax.engine.batches import in_batches
from fidojax.engine.explain import image_keys
from fidojax.engine.options import split_options
from fidojax.metrics import MEASURES
from fidojax.transforms import cpu
from fidojax.types import Classifier, Images

PER_IMAGE = ("key", "image", "target", "saliency", "boxes", "keep")
"""What a metric may ask of an image, by the names of its parameters."""


def measure_batch(
    metric: str | Callable[..., Any],
    classifier: Classifier,
    images: Images | np.ndarray,
    targets: Int[Array, " n"] | np.ndarray | Sequence[int],
    maps: Float[Array, "n h w"] | np.ndarray,
    *,
    options: Mapping[str, Any] | None = None,
    boxes: Int[Array, "n b 4"] | np.ndarray | None = None,
    seed: int = 0,
    ids: Sequence[int | str] | None = None,
    batch: int | None = None,
    rewrite: bool = True,
) -> Any:
    """One metric of every map, wherever the maps come from.

    Args:
        metric: a name in `fidojax.metrics.MEASURES`, or any function like those.
        classifier: a callable pytree; new weights of the same shapes do not recompile.
        images: "n h w c", values in [0, 1].
        targets: "n", the classes that the maps explain.
        maps: "n h w"; for metrics of masks, in [0, 1].
        options: the metric's, such as `infill`.
        boxes: of the objects, for the metrics that ask for them, see `fidojax.core.boxes`.
        seed: of what the metric draws; a picture's draws depend on the seed and its id alone.
        ids: one per image, integers or strings; 0, 1, ... when None.
        batch: images at once; bounds the memory. When None, 1 on CPUs, which are fastest with
            what fits their caches and get `chunk` mixtures of each anyway, else 64.
        rewrite: on the CPU, use `fidojax.transforms.cpu.fast(classifier)`.

    Returns:
        The metric's NamedTuple, its leaves NumPy arrays with a leading axis of n.

    Raises:
        ValueError: an unknown name, shapes that do not fit, or boxes that are missing.
    """
    function = _metric(metric)
    images, maps = np.asarray(images, np.float32), np.asarray(maps, np.float32)
    targets = np.asarray(targets, np.int32)
    if batch is None:
        batch = 1 if jax.default_backend() == "cpu" else 64
    check_count(batch=batch)
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images have shape {images.shape}, expected (n, h, w, c) with n above 0")
    if maps.shape != images.shape[:3]:
        raise ValueError(f"maps have shape {maps.shape}, expected {images.shape[:3]}")
    if targets.shape != images.shape[:1]:
        raise ValueError(f"targets have shape {targets.shape}, expected ({len(images)},)")
    asked = [name for name in inspect.signature(function).parameters if name in PER_IMAGE]
    if "boxes" in asked and (boxes is None or len(boxes) != len(images)):
        count = len(images)
        raise ValueError(f"{function.__name__} asks for boxes, expected (n, b, 4) with n {count}")
    static, dynamic = split_options(
        {name: _number(value) for name, value in (options or {}).items()}
    )
    if rewrite and jax.default_backend() == "cpu":
        classifier = cpu.fast(classifier)
    keys = image_keys(seed, range(len(images)) if ids is None else ids)
    given = {
        "key": keys, "image": images, "target": targets, "saliency": maps, "keep": maps,
        "boxes": boxes,
    }  # fmt: skip
    columns = {name: given[name] for name in asked}

    def measured(rows):
        part = jax.tree.map(lambda column: column[rows], columns)
        return _measure(classifier, dynamic, part, metric=function, static=static)

    return in_batches(measured, len(images), batch)


@partial(jax.jit, static_argnames=("metric", "static"))
def _measure(classifier, options, columns, *, metric, static):
    takes = "classifier" in inspect.signature(metric).parameters

    def one(columns):
        known = {"classifier": classifier} if takes else {}
        return metric(**known, **columns, **dict(static), **options)

    return jax.vmap(one)(columns)


def _metric(metric: str | Callable[..., Any]) -> Callable[..., Any]:
    if callable(metric):
        return metric
    check_name("metric", metric, MEASURES)
    return MEASURES[metric]


def _number(value: Any) -> Any:
    """Several numbers as an array, so that they are data of the program."""
    several = isinstance(value, tuple | list) and all(isinstance(v, int | float) for v in value)
    return np.asarray(value, np.float32) if several else value
