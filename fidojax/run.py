"""Many images at once: one compiled program, fixed memory, all local devices.

`explain_batch` vmaps a method over images, pads the last group, deals the groups to the devices and
drives iterative methods from the host in compiled chunks of steps. On the CPU a chunk is one
step, since XLA's convolution gradients fall into a slow path inside loops there; elsewhere many.

The key of an image is folded from the seed and its id, so at one micro-batch size its map is the
same bit for bit in any grouping, order and number of devices.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from fidojax import cpu
from fidojax import loop as loops
from fidojax.methods import LOOPS, METHODS
from fidojax.names import check_name
from fidojax.types import Classifier, Device, Explanation, Images, Method

CHUNK = 50
"""Steps per compiled call on accelerators."""

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
    micro_batch: int | None = None,
    devices: Sequence[Device] | None = None,
    rewrite: bool = True,
    progress: Progress | None = None,
) -> Explanation:
    """Explain every image of a batch with the same method and options.

    Args:
        method: a name in `fidojax.methods.METHODS`, or any function of the method signature.
        classifier: a callable pytree; new weights of the same shapes do not recompile.
        images: "n h w c", values in [0, 1].
        targets: "n", the class index to explain for each image.
        options: the method's keyword options. Floats and arrays may change without recompiling.
        each: options that differ per image, every leaf with a leading axis of n (say, `boxes`).
        seed: seeds the run.
        ids: one per image, integers or strings; 0, 1, ... when None. An image's randomness depends
            on the seed and its id alone.
        micro_batch: images per device and compiled call. When None, the largest power of two that
            the compiled program's memory allows (`fidojax.memory`), at most n.
        devices: all local devices when None.
        rewrite: on the CPU, explain `fidojax.cpu.fast(classifier)`, which computes the same from
            operations that are fast there.
        progress: called as `progress(done, total)` on the host; a round of groups, one per device,
            counts as the method's steps.

    Returns:
        An Explanation whose leaves are NumPy arrays with a leading axis of n.

    Raises:
        ValueError: shapes, values or lengths do not fit.
    """
    parts = list(
        explain_groups(
            method,
            classifier,
            images,
            targets,
            options=options,
            each=each,
            seed=seed,
            ids=ids,
            micro_batch=micro_batch,
            devices=devices,
            rewrite=rewrite,
            progress=progress,
        )
    )
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def explain_groups(
    method: str | Method,
    classifier: Classifier,
    images: Images | np.ndarray,
    targets: Int[Array, " n"] | np.ndarray | Sequence[int],
    *,
    options: Mapping[str, Any] | None = None,
    each: Mapping[str, Any] | None = None,
    seed: int = 0,
    ids: Sequence[int | str] | None = None,
    micro_batch: int | None = None,
    devices: Sequence[Device] | None = None,
    rewrite: bool = True,
    progress: Progress | None = None,
) -> Iterator[Explanation]:
    """As `explain_batch`, yielding each finished group of images in order, unpadded."""
    method = method_by_name(method)
    images = np.asarray(images, np.float32)
    targets = np.asarray(targets, np.int32)
    ids = range(len(images)) if ids is None else ids
    each = dict(each or {})
    _check(images, targets, ids, each)
    devices = tuple(devices or jax.local_devices())
    static, dynamic = split_options(options or {})
    if rewrite and devices[0].platform == "cpu":
        classifier = cpu.fast(classifier)
    if micro_batch is None:
        from fidojax.memory import find_micro_batch  # it compiles programs of this module

        micro_batch = find_micro_batch(
            method, classifier, images.shape[1:], -(-len(images) // len(devices)),
            static=static, options=dynamic, each=each, device=devices[0],
        )  # fmt: skip
    if micro_batch < 1:
        raise ValueError(f"micro_batch is {micro_batch}, expected at least 1")
    models = [jax.device_put((classifier, dynamic), device) for device in devices]
    keys = image_keys(seed, ids)
    groups = [
        # The last group repeats its final image, so that every group runs the same program.
        np.minimum(np.arange(first, first + micro_batch), len(images) - 1)
        for first in range(0, len(images), micro_batch)
    ]
    rounds = [groups[i : i + len(devices)] for i in range(0, len(groups), len(devices))]
    left = len(images)
    for number, rows_of_parts in enumerate(rounds):
        parts = []
        for rows, model, device in zip(rows_of_parts, models, devices, strict=False):
            batch = jax.tree.map(lambda leaf: leaf[rows], (keys, images, targets, each))  # noqa: B023
            placed, placed_options = model
            parts.append(_Part(placed, placed_options, jax.device_put(batch, device)))
        tell = progress and partial(_tell_round, progress, number, len(rounds))
        for explanation in _explain_parts(method, static, parts, tell):
            real = min(micro_batch, left)
            left -= real
            yield jax.tree.map(lambda leaf: np.asarray(leaf)[:real], explanation)  # noqa: B023


def image_keys(seed: int, ids: Sequence[int | str]) -> Key[Array, " n"]:
    """One key per image, from the run's seed and the image's id alone.

    Integers fold in as they are (modulo 2**32), strings through the first four bytes of their
    SHA-256.
    """
    numbers = np.array([_fold_number(i) for i in ids], np.uint32)
    return jax.vmap(partial(jax.random.fold_in, jax.random.key(seed)))(numbers)


def _fold_number(image_id: int | str) -> int:
    if isinstance(image_id, str):
        return int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:4], "big")
    return int(image_id) % 2**32


def method_by_name(method: str | Method) -> Method:
    """The function of that name; functions pass through. ValueError names the known ones."""
    if callable(method):
        return method
    check_name("method", method, METHODS)
    return METHODS[method]


def split_options(options: Mapping[str, Any]) -> tuple[tuple[tuple[str, Any], ...], dict[str, Any]]:
    """Options that shape the program (hashable), and options that are data of it (arrays).

    Floats are data: a new value does not recompile. Integers, strings, flags and None shape it.
    """
    static, dynamic = {}, {}
    for name, value in options.items():
        if isinstance(value, float | np.floating):
            dynamic[name] = jnp.float32(value)
        elif value is None or isinstance(value, bool | int | str):
            static[name] = value
        else:
            dynamic[name] = value
    return tuple(sorted(static.items())), dynamic


def loop_of(method: Method, **options: Any) -> loops.Loop:
    """The loop of an iterative method with these options."""
    return _LOOP_OF[method](**options)


def is_iterative(method: Method) -> bool:
    """Whether the method has a loop that can be driven step by step."""
    return method in _LOOP_OF


_LOOP_OF = {METHODS[name]: loop for name, loop in LOOPS.items()}


def _tell_round(progress: Progress, number: int, rounds: int, done: int, steps: int) -> None:
    progress(number * steps + done, rounds * steps)


class _Part(NamedTuple):
    """One group of images on one device."""

    classifier: Classifier
    options: dict[str, Any]
    batch: Any


def _explain_parts(method, static, parts: list[_Part], progress) -> list[Explanation]:
    """One group per device, all devices driven in turn: a call only queues work on its device.

    Every device runs the same single-device program. A program partitioned by the compiler would
    be compiled once, but into other operations than on one device, with other last bits.
    """
    known = {"method": method, "static": static}
    if not is_iterative(method):
        results = [one_shot(*part, **known) for part in parts]
        if progress:
            jax.block_until_ready(results)
            progress(1, 1)
        return results
    first = parts[0]
    each = jax.tree.map(lambda leaf: leaf[0], first.batch[3])
    steps = loop_of(method, **dict(static), **first.options, **each).steps
    chunk = 1 if jax.default_backend() == "cpu" else min(CHUNK, steps)
    states = [init(*part, **known) for part in parts]
    histories: list[list] = [[] for _ in parts]
    done = 0
    while done < steps:
        length = min(chunk, steps - done)
        for i, part in enumerate(parts):
            states[i], records = advance(*part, states[i], **known, length=length)
            histories[i].append(records)
        done += length
        if progress:
            # One chunk stays queued, so that waiting here never leaves a device idle.
            jax.block_until_ready([history[:-1][-1:] for history in histories])
            progress(done, steps)
    return [
        readout(*part, state, history, **known)
        for part, state, history in zip(parts, states, histories, strict=True)
    ]


_compiled = partial(jax.jit, static_argnames=("method", "static"))


@_compiled
def one_shot(classifier, options, batch, *, method, static):
    """The explanations of a batch by a method that does not iterate."""

    def explain(key, image, target, each):
        return method(key, classifier, image, target, **dict(static), **options, **each)

    return jax.vmap(explain)(*batch)


@_compiled
def init(classifier, options, batch, *, method, static):
    """The states of a batch before the first step."""

    def begin(key, image, target, each):
        loop = loop_of(method, **dict(static), **options, **each)
        return loop.init(key, classifier, image, target)

    return jax.vmap(begin)(*batch)


@partial(jax.jit, static_argnames=("method", "static", "length"), donate_argnames=("state",))
def advance(classifier, options, batch, state, *, method, static, length):
    """`length` steps of a batch: the new states, and the records "n length"."""

    def go(image, target, each, state):
        loop = loop_of(method, **dict(static), **options, **each)
        if length == 1:
            state, record = loop.step(classifier, image, target, state)
            return state, jax.tree.map(lambda leaf: leaf[None], record)
        return jax.lax.scan(
            lambda state, _: loop.step(classifier, image, target, state), state, length=length
        )

    _, images, targets, each = batch
    return jax.vmap(go)(images, targets, each, state)


@_compiled
def readout(classifier, options, batch, state, history, *, method, static):
    """The explanations of a batch from its states and the list of its records."""
    history = jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), *history)

    def finish(image, target, each, state, history):
        loop = loop_of(method, **dict(static), **options, **each)
        return loop.readout(classifier, image, target, state, history)

    _, images, targets, each = batch
    return jax.vmap(finish)(images, targets, each, state, history)


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
