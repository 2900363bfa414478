"""Many images at once: one compiled program, fixed memory, all local devices.

`explain_batch` vmaps a method over images, pads the last group, deals the groups to the devices and
drives iterative methods from the host in compiled chunks of steps; `explain_stream` does the same
for pictures that come one after the other.

The key of an image is folded from the seed and its id, so at one batch size size its map is the
same bit for bit in any grouping, order and number of devices.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fidojax.engine.devices import (
    Spread,
    check_divisible,
    concurrent_calls,
    divided,
    placements,
    threads_per_device,
)
from fidojax.engine.early_stopping import Stop
from fidojax.engine.keys import image_keys
from fidojax.engine.memory import LARGEST, find_batch_size
from fidojax.engine.options import (
    is_iterative,
    loop_of,
    method_by_name,
    prepared,
    split_options,
)
from fidojax.engine.programs import Model, Program
from fidojax.engine.scheduler import Driver, Finished, Sample, stream
from fidojax.engine.slots import longest_chunk
from fidojax.methods.fido_path import LIMIT, fido_path
from fidojax.types import Classifier, Device, Explanation, Images, Method

__all__ = ["Sample", "Stop", "explain_batch", "explain_stream", "image_keys"]

Progress = Callable[[int, int], None]


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
    progress: Progress | None = None,
) -> Explanation:
    """Explain every image of a batch with the same method and options.

    Args:
        method: a name in `fidojax.methods.table.METHODS`, or any function of the method signature.
        classifier: a callable pytree; new weights of the same shapes do not recompile.
        images: "n h w c", values in [0, 1].
        targets: "n", the class index to explain for each image.
        options: the method's keyword options. Floats and arrays may change without recompiling.
        each: options that differ per image, every leaf with a leading axis of n (say, `boxes`).
        seed: seeds the run.
        ids: one per image, integers or strings; 0, 1, ... when None. An image's randomness depends
            on the seed and its id alone.
        batch_size: images per compiled call; every device has a call under way, every core of a
            CPU has one. When None, the largest power of two that the compiled program's memory
            allows (`fidojax.engine.memory`), at most n. Where the memory is short all the same, half as
            many go on from there, with a warning.
        devices: all local devices when None; they are dealt pictures. A `Spread` of them divides
            every picture's evaluations instead, for one picture or few.
        rewrite: on the CPU, explain `fidojax.transforms.cpu.fast(classifier)`, which computes the same from
            operations that are fast there.
        precision: of the classifier's products, a name in `fidojax.transforms.precision.PRECISIONS`; as JAX
            decides when None. Masks, infills and the optimiser are float32 in any case.
        stop: ends a picture's optimisation where its map has converged, and the next picture takes
            its place; of methods whose loop has a mask. Its history is NaN from there.
        progress: called as `progress(done, total)` on the host; each image counts as the method's
            steps.

    Returns:
        An Explanation whose leaves are NumPy arrays with a leading axis of n.

    Raises:
        ValueError: shapes, values or lengths do not fit, or the method cannot stop early.
    """
    method = method_by_name(method)
    images = np.asarray(images, np.float32)
    targets = np.asarray(targets, np.int32)
    ids = range(len(images)) if ids is None else ids
    each = dict(each or {})
    _check(images, targets, ids, each)
    per_image = jax.tree.map(np.asarray, each)
    samples = (
        Sample(id_, image, target, jax.tree.map(lambda leaf: leaf[i], per_image))  # noqa: B023
        for i, (id_, image, target) in enumerate(zip(ids, images, targets, strict=True))
    )
    steps = 1
    if progress and is_iterative(method):
        first = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), per_image)
        steps = loop_of(method, **(dict(options or {}) | first)).steps
    tell = progress and (lambda done: progress(round(done * steps), len(images) * steps))
    parts = list(
        explain_stream(
            method, classifier, samples, options=options, seed=seed, batch_size=batch_size,
            most=len(images), devices=devices, rewrite=rewrite, precision=precision, stop=stop,
            progress=tell,
        )
    )  # fmt: skip
    order = np.argsort(np.concatenate([numbers for numbers, _ in parts]))
    return jax.tree.map(
        lambda *leaves: np.concatenate(leaves)[order], *[explanation for _, explanation in parts]
    )


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
    progress: Callable[[float], None] | None = None,
    smaller: Callable[[int], None] | None = None,
) -> Iterator[Finished]:
    """Explain any number of images, of which only a batch is held at a time.

    Args:
        samples: the images with ids and targets, all of one shape; read as they are needed.
        most: how many images there are at most, for the choice of `batch_size` and of how many
            calls are under way at a time.
        progress: called with the number of images done, parts of them included.
        smaller: told the new batch size where the memory was short; a warning when None.

    The other arguments are those of `explain_batch`.

    Yields:
        Groups of finished images: their numbers in `samples`, from 0, and their explanations, NumPy
        arrays with a leading axis. Without `stop` the groups are in order.

    Raises:
        ValueError: as `explain_batch`.
    """
    method = method_by_name(method)
    samples = iter(samples)
    first = next(samples, None)
    if first is None:
        return
    devices = devices or jax.local_devices()
    static, dynamic = split_options(options or {})
    rewrite = rewrite and devices[0].platform == "cpu"
    classifier = divided(prepared(classifier, precision, rewrite), devices)
    program = Program(method, static)
    if stop is not None:
        program = _stopping(program, stop, {**dynamic, **first.each})
    if isinstance(devices, Spread):
        loop = program.loop({**dynamic, **first.each}) if is_iterative(method) else None
        check_divisible("devices", _name(method), loop)
    if batch_size is None:
        batch_size = find_batch_size(
            method, classifier, first.image.shape, -(-(most or LARGEST) // concurrent_calls(devices)),
            static=static, options=dynamic, each=jax.tree.map(lambda x: x[None], dict(first.each)),
            device=devices[0],
        )  # fmt: skip
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, expected at least 1")
    model = Model(classifier, dynamic, () if stop is None else (stop.move, stop.gain))
    lanes, where = threads_per_device(devices), placements(devices)
    if most is not None:  # no more than there is work for
        lanes = max(1, min(lanes, -(-most // (batch_size * len(where)))))
    placed = [(jax.device_put(model, place), place) for place in where]
    models, where = zip(*(each for each in placed for _ in range(lanes)), strict=True)
    driver = Driver(
        program, models, where, len(where) if lanes > 1 else 1, seed, is_iterative(method),
        longest_chunk(rewrite), progress,
    )  # fmt: skip
    yield from stream(driver, itertools.chain([first], samples), batch_size, smaller)


def _stopping(program: Program, stop: Stop, options: dict[str, Any]) -> Program:
    stop = stop.checked()
    if not is_iterative(program.method) or program.loop(options).mask is None:
        raise ValueError(
            f"stop: {_name(program.method)} has no mask that converges, so it cannot end early"
        )
    return program._replace(every=stop.every, least=stop.least)


def _name(method: Method) -> str:
    return getattr(method, "__name__", "this method")


def _check(images: np.ndarray, targets: np.ndarray, ids: Sequence, each: dict) -> None:
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"images have shape {images.shape}, expected (n, h, w, c), none of them 0")
    if targets.shape != images.shape[:1]:
        raise ValueError(f"targets have shape {targets.shape}, expected ({len(images)},)")
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


def lambda_path(
    classifier: Classifier,
    images: Images | np.ndarray,
    targets: Int[Array, " n"] | np.ndarray | Sequence[int],
    lams: Float[Array, " lams"] | np.ndarray | Sequence[float],
    *,
    options: Mapping[str, Any],
    again: int = 30,
    limit: float = LIMIT,
    **run: Any,
) -> Explanation:
    """Explain every image of a batch by FIDO for each of several `lam`.

    The first weight gets FIDO's whole schedule, and its map is that of FIDO itself. Each next one
    starts from the map before and repeats the schedule's last steps. So the weights had better
    rise, at most twofold from one to the next. New weights, as many as before, do not recompile.

    Args:
        classifier: a callable pytree.
        images: "n h w c", values in [0, 1].
        targets: "n", the class index to explain for each image.
        lams: "lams", FIDO's option `lam`, one after the other.
        options: FIDO's other options, among them `infill`.
        again: steps that each next weight takes, the last of the schedule; at most all.
        limit: the logits that it starts from are cut to plus and minus this.
        run: the other arguments of `fidojax.explain_batch`, but `stop`.

    Returns:
        An Explanation whose leaves are NumPy arrays with leading axes of lams and n. The histories
        of the later weights begin with NaN, since they have fewer steps.

    Raises:
        ValueError: as `fido` and `fidojax.explain_batch`; there is no weight; `again` is below 1 or
            more than the schedule has.
    """
    data = {"lams": jnp.asarray(lams, jnp.float32), "limit": float(limit), "again": again}
    maps = explain_batch(fido_path, classifier, images, targets, options={**options, **data}, **run)
    return jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), maps)
