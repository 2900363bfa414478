"""Explain many images: one compiled program, bounded memory, all local devices.

`explain_batch` maps a method over images and fills up the last batch; `explain_stream` does the
same for images that arrive one after the other. Iterative methods run in continuous batches: when
the optimisation of one image has ended, the next image takes its slot.

The key of an image is folded from the seed and the image's id. With one batch size its map is
therefore the same, bit for bit, for every grouping, order and number of devices.
"""

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fidojax.core import (
    check_boxes,
    check_target,
    renamed_arguments,
    warn_of_no_region,
    warn_of_shortfalls,
    with_advice,
)
from fidojax.engine.admission import OPTIONS_GO, as_images, as_targets, check_targets
from fidojax.engine.devices import concurrent_calls, placements, threads_per_device
from fidojax.engine.early_stopping import Stop
from fidojax.engine.keys import image_keys
from fidojax.engine.memory import LARGEST, find_batch_size
from fidojax.engine.options import remedy_of
from fidojax.engine.programs import program_and_model
from fidojax.engine.request import ExplainRequest
from fidojax.engine.samples import Sample
from fidojax.engine.scheduler import Driver, Finished, stream
from fidojax.engine.stopwatch import Stopwatch
from fidojax.methods import PATH_LIMIT, fido_path
from fidojax.types import Classifier, Device, Explanation, Images, Method

__all__ = ["Sample", "Stop", "explain_batch", "explain_stream", "image_keys"]

Progress = Callable[[int, int], None]
"""Called as `progress(done, total)`."""


@renamed_arguments(micro_batch="batch_size")
@with_advice(OPTIONS_GO)
def explain_batch(
    method: str | Method,
    classifier: Classifier,
    images: Images | np.ndarray,
    targets: Int[Array, " n"] | np.ndarray | Sequence[int],
    *,
    options: Mapping[str, Any] | None = None,
    each: Mapping[str, Any] | None = None,
    seed: int = 0,
    ids: Sequence[int | str] | None = None,
    batch_size: int | None = None,
    devices: Sequence[Device] | None = None,
    rewrite: bool = True,
    precision: str | None = None,
    stop: Stop | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> Explanation:
    """Explain every image of a batch with the same method and options.

    Args:
        method: a name in `fidojax.METHODS`, or any function of the method signature.
        classifier: a callable pytree; new weights of the same shapes do not recompile. Functions
            and other callables become one, see `fidojax.core.as_classifier`.
        images: "n h w c", values in [0, 1].
        targets: "n", the class index to explain for each image.
        options: the method's keyword options. Floats and arrays may change without recompiling.
            `infill` may be a name, such as "blur" or "blur:sigma=5".
        each: options that differ per image, every leaf with a leading axis of n, such as `boxes`.
        seed: the seed of the run.
        ids: one id per image, integers or strings; 0, 1, ... when None. An image's random numbers
            depend on the seed and its id alone.
        batch_size: images per compiled call. Each device runs one call at a time, each core of a
            CPU runs one. When None, the largest power of two that fits into memory
            (`fidojax.engine.memory`), at most n. When the memory runs out nevertheless, the engine
            goes on with half as many and warns.
        devices: the devices that share out the images; all local devices when None. A `Spread`
            of devices divides the evaluations of every image instead, for one image or a few.
        rewrite: on the CPU, evaluate `fidojax.transforms.cpu.fast(classifier)`, which computes the
            same with operations that are fast there.
        precision: the precision of the classifier's products, a name in
            `fidojax.transforms.PRECISIONS`; when None, JAX decides. Masks, infills and the
            optimiser always use float32.
        stop: ends the optimisation of an image when its map has converged, and the next image
            takes its slot; for methods whose loop has a mask. The history is NaN from there on.
        strict: raise an error where the classifier seems to return probabilities instead of logits.
        progress: called as `progress(done, total)` on the host; each image counts as many as the
            method has steps.

    Returns:
        An Explanation whose leaves are NumPy arrays with a leading axis of n.

    Warns:
        fidojax.core.ProbabilityWarning: the classifier seems to return probabilities.
        RuntimeWarning: some maps are not finite; the message names their images.
        NoRegionWarning: some maps have no region that holds.
        CompletenessWarning: contributions do not add up to the difference of the scores.

    Raises:
        ValueError: shapes, values or lengths do not fit, a target is no class of the classifier, or
            the method cannot stop early.
        TypeError: the classifier is none, the targets are no integers, or an option is unknown,
            missing or of the wrong kind.
    """
    request = ExplainRequest(
        method, classifier, dict(options or {}), seed, batch_size, devices, precision, stop,
        rewrite, strict,
    )  # fmt: skip
    images = as_images(images)
    ids = range(len(images)) if ids is None else ids
    each = dict(each or {})
    _check(images, ids, each)
    targets = as_targets(targets, len(images))
    request, classes = request.admit(images[0])
    check_targets(targets, classes)
    request = request.opened(each)
    per_image = jax.tree.map(np.asarray, each)
    samples = (
        Sample(id_, image, target, jax.tree.map(lambda leaf: leaf[i], per_image))  # noqa: B023
        for i, (id_, image, target) in enumerate(zip(ids, images, targets, strict=True))
    )
    loop = request.loop(jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), per_image))
    steps = 1 if loop is None else loop.steps

    def tell(done: float) -> None:
        if progress is not None:
            progress(round(done * steps), len(images) * steps)

    told = None if progress is None else tell
    parts = list(_explain(request, samples, most=len(images), progress=told))
    order = np.argsort(np.concatenate([numbers for numbers, _ in parts]))
    explanation = jax.tree.map(
        lambda *leaves: np.concatenate(leaves)[order], *[explanation for _, explanation in parts]
    )
    _warn_of_missing_maps(explanation.saliency, ids)
    warn_of_shortfalls(explanation.info, remedy_of(request.function), ids)
    warn_of_no_region(getattr(explanation.info, "region", None), classes, ids)
    return explanation


@renamed_arguments(micro_batch="batch_size")
@with_advice(OPTIONS_GO)
def explain_stream(
    method: str | Method,
    classifier: Classifier,
    samples: Iterable[Sample],
    *,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    most: int | None = None,
    devices: Sequence[Device] | None = None,
    rewrite: bool = True,
    precision: str | None = None,
    stop: Stop | None = None,
    strict: bool = False,
    progress: Callable[[float], None] | None = None,
    smaller: Callable[[int], None] | None = None,
) -> Iterator[Finished]:
    """Explain any number of images, of which only a batch is held in memory at a time.

    Args:
        samples: the images with ids and targets, all of one shape; read as they are needed.
        most: an upper limit of the number of images, which bounds `batch_size` and the number of
            concurrent calls.
        progress: called with the number of images done, a fraction for those under way.
        smaller: called with the new batch size after the memory ran out; a warning when None.

    The other arguments are those of `explain_batch`.

    Yields:
        Groups of finished images: their numbers in `samples`, from 0, and their explanations, NumPy
        arrays with a leading axis. Without `stop` the groups are in order.

    Raises:
        ValueError, TypeError: as `explain_batch`.
    """
    request = ExplainRequest(
        method, classifier, dict(options or {}), seed, batch_size, devices, precision, stop,
        rewrite, strict,
    )  # fmt: skip
    return explain_samples(request, samples, most=most, progress=progress, smaller=smaller)


def explain_samples(
    request: ExplainRequest,
    samples: Iterable[Sample],
    *,
    most: int | None = None,
    progress: Callable[[float], None] | None = None,
    smaller: Callable[[int], None] | None = None,
    watch: Stopwatch | None = None,
) -> Iterator[Finished]:
    """Explain samples as the request says; see `explain_stream`.

    Args:
        watch: divides the wall time among the samples, by their numbers.
    """
    samples = iter(samples)
    first = next(samples, None)
    if first is None:
        return
    request, classes = request.admit(first.image)
    request = request.opened(first.each)
    chosen = _of_classes(itertools.chain([first], samples), classes)
    yield from _explain(request, chosen, most=most, progress=progress, smaller=smaller, watch=watch)


def _of_classes(samples: Iterable[Sample], classes: int) -> Iterator[Sample]:
    """Yield the samples; raise ValueError at one whose target is no class."""
    for sample in samples:
        try:
            check_target(sample.target, classes)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{sample.id}: {error}") from None
        yield sample


def _explain(
    request: ExplainRequest,
    samples: Iterator[Sample],
    *,
    most: int | None,
    progress: Callable[[float], None] | None,
    smaller: Callable[[int], None] | None = None,
    watch: Stopwatch | None = None,
) -> Iterator[Finished]:
    """Explain samples whose classifier and targets are checked."""
    request = request.ready()
    first = next(samples)
    request.check(first.each)
    devices = request.chosen_devices
    batch_size = request.batch_size
    if batch_size is None:
        share = -(-(most or LARGEST) // concurrent_calls(devices))
        batch_size = find_batch_size(request, first.image.shape, share, each=first.each)
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, expected at least 1")
    driver = _driver(request, batch_size, most)._replace(progress=progress, watch=watch)
    yield from stream(driver, itertools.chain([first], samples), batch_size, smaller)


def _driver(request: ExplainRequest, batch_size: int, most: int | None) -> Driver:
    """Place the request on its devices, with no more concurrent calls than there is work for."""
    program, model = program_and_model(request)
    devices = request.chosen_devices
    threads, places = threads_per_device(devices), placements(devices)
    if most is not None:
        threads = max(1, min(threads, -(-most // (batch_size * len(places)))))
    placed = [(jax.device_put(model, place), place) for place in places]
    models, places = zip(*(pair for pair in placed for _ in range(threads)), strict=True)
    return Driver(request, program, models, places, len(places) if threads > 1 else 1)


def _warn_of_missing_maps(maps: np.ndarray, ids: Sequence) -> None:
    finite = np.isfinite(maps).reshape(len(maps), -1).all(axis=1)
    if not finite.all():
        names = [str(ids[number]) for number in np.flatnonzero(~finite).tolist()]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        warnings.warn(
            f"{len(names)} of {len(maps)} maps are not finite: those of the images with the ids"
            f" {', '.join(names[:5])}{more}",
            RuntimeWarning,
            stacklevel=3,
        )


def _check(images: np.ndarray, ids: Sequence, each: dict) -> None:
    if len(ids) != len(images):
        raise ValueError(f"ids are {len(ids)}, expected one for each of {len(images)} images")
    low, high = float(images.min()), float(images.max())
    if not (low >= -1e-4 and high <= 1 + 1e-4):
        raise ValueError(f"images have values from {low:g} to {high:g}, expected [0, 1]")
    for name, value in each.items():
        for leaf in jax.tree.leaves(value):
            if len(leaf) != len(images):
                raise ValueError(
                    f"option {name} has {len(leaf)} rows, expected one for each of "
                    f"{len(images)} images"
                )
    if "boxes" in each:
        check_boxes(each["boxes"], images.shape[1:])


@renamed_arguments(micro_batch="batch_size")
def lambda_path(
    classifier: Classifier,
    images: Images | np.ndarray,
    targets: Int[Array, " n"] | np.ndarray | Sequence[int],
    lams: Float[Array, " lams"] | np.ndarray | Sequence[float],
    *,
    options: Mapping[str, Any],
    again: int = 30,
    limit: float = PATH_LIMIT,
    **run: Any,
) -> Explanation:
    """Explain every image of a batch by FIDO for each of several weights `lam`.

    The first weight runs FIDO's whole schedule, and its map equals FIDO's own. Each further weight
    starts from the map before it and repeats the last steps of the schedule. The weights should
    therefore rise, at most twofold from one to the next. New values of the same number of weights
    do not recompile.

    Args:
        classifier: a callable pytree.
        images: "n h w c", values in [0, 1].
        targets: "n", the class index to explain for each image.
        lams: "lams", the values of FIDO's option `lam`, in order.
        options: FIDO's other options, among them `infill`.
        again: the number of steps for each further weight, taken from the end of the schedule.
        limit: the logits of the starting map are clipped to [-limit, limit].
        run: the other arguments of `fidojax.explain_batch`, except `stop`.

    Returns:
        An Explanation whose leaves are NumPy arrays with leading axes of lams and n. The histories
        of the further weights begin with NaN, since these have fewer steps.

    Raises:
        ValueError: as `fido` and `fidojax.explain_batch`; `lams` is empty; `again` is below 1 or
            above the number of steps of the schedule.

    Example:
        >>> options = fidojax.presets.fast | {"infill": infillers.blur(), "steps": 10}
        >>> explanation = fidojax.lambda_path(
        ...     classifier, images, targets, (1e-3, 2e-3), options=options, again=5
        ... )
        >>> at_2e3 = explanation.saliency[1]  # "n h w"
    """
    data = {"lams": jnp.asarray(lams, jnp.float32), "limit": float(limit), "again": again}
    maps = explain_batch(fido_path, classifier, images, targets, options={**options, **data}, **run)
    return jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), maps)
