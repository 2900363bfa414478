"""Compare the rounding errors of `fidojax.transforms.cpu.fast` with the original classifier's.

    python -m benchmarks.cpu_agreement --network keras:VGG16 --pictures FOLDER --noise 8

Both are computed in float32 and compared with float64. Networks of some libraries compute only in
float32, so their traced program is evaluated here, each operation in the requested precision.
Errors are those of the logits and of the gradient of the predicted class's logit: the largest
difference relative to the largest value. A unit's side says on which side of its kink it lies: of
0, of ReLU6's 6, or the pixel of the window that is the maximum. "sides of float64" is the
gradient's error with every unit forced to its side in float64, which leaves the effect of rounding
alone.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax import lax
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fidojax import networks
from fidojax.data import IMAGENET_CROP, Picture, pictures
from fidojax.networks import import_keras
from fidojax.transforms import cpu, interpreter
from fidojax.transforms.cpu import winograd as cpu_winograd

FORMS = {
    "original": (interpreter.bind, np.float32, True),
    "fast": (cpu.bind, np.float32, True),
    "fast, no Winograd": (cpu.bind, np.float32, False),
    "fast, float64": (cpu.bind, np.float64, True),
}
"""The evaluator of an operation, its precision, and whether Winograd's form is allowed."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure the errors of one network."""

    network: str = "keras:MobileNetV2"
    """The network, as `fidojax.networks.load` takes it."""
    weights: str = "random"
    """Weights file of a Keras network, or "random"."""
    pictures: tuple[str, ...] = ()
    """Picture files and folders, of which `count` pictures at equal distances are taken."""
    count: int = 16
    noise: int = 16
    """Number of additional pictures of uniform noise."""
    batch: int = 4


def main(config: Config) -> None:
    """Evaluate all forms batch by batch and print a row for each."""
    keras = config.network.startswith("keras:")
    if keras:
        import_keras().utils.set_random_seed(0)
    network = networks.load(config.network, config.weights if keras else None)
    images, units = _images(config, network.size), 0
    found: dict[str, list] = {name: [] for name in FORMS}
    for start in track(range(0, len(images), config.batch), config.network, transient=True):
        batch = images[start : start + config.batch]
        chosen = np.asarray(network.classifier(batch)).argmax(1)
        read = functools.partial(_read, network.classifier, batch, chosen)
        logits, gradients, sides = read((interpreter.bind, np.float64, True))
        units += sum(side.size for side in sides)
        for name, form in FORMS.items():
            ours = read(form)
            across = sum(
                (one != other).reshape(len(batch), -1).sum(1)
                for one, other in zip(ours[2], sides, strict=True)
            )
            smooth = error(read(form, sides)[1], gradients)
            found[name].append([error(ours[0], logits), error(ours[1], gradients), across, smooth])
    heads = ("logits", "gradient, median", "worst", "> 1e-5", "units across", "sides of float64")
    title = f"{config.network}, {len(images)} pictures, {units:.3g} units, float32"
    table = Table("", *heads, title=title)
    for name, batches in found.items():
        logits, gradient, across, smooth = np.concatenate(batches, axis=1)
        table.add_row(
            name,
            f"{logits.max():.1e}",
            f"{np.median(gradient):.1e}",
            f"{gradient.max():.1e}",
            f"{(gradient > 1e-5).sum()}",
            f"{across.sum():.0f}",
            f"{smooth.max():.1e}",
        )
    Console().print(table)


def error(ours: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return each picture's largest difference relative to its largest true value."""
    axes = tuple(range(1, true.ndim))
    return np.abs(ours - true).max(axes) / np.abs(true).max(axes)


def _images(config: Config, size: tuple[int, int, int]) -> np.ndarray:
    noise = np.random.default_rng(0).random((config.noise, *size), np.float32)
    found = pictures(config.pictures, size, crop=IMAGENET_CROP)
    photos = [picture.image for picture in found if isinstance(picture, Picture)]
    count = min(config.count, len(photos))
    return np.stack([*(photos[at * len(photos) // count] for at in range(count)), *noise])


def _read(classifier, images, chosen, form, sides=None):
    """Return the logits, the gradients of the chosen ones, and all units' sides, as arrays."""
    _, dtype, winograd = form
    pays = cpu_winograd.pays if winograd else lambda *_: False
    with jax.enable_x64(dtype == np.float64), mock.patch.object(cpu_winograd, "pays", pays):
        found = _gradients(form, classifier, images.astype(dtype), chosen, sides)
        return jax.tree.map(np.asarray, found)


@functools.partial(jax.jit, static_argnums=0)
def _gradients(form, classifier, images, chosen, sides):
    bind, dtype, _ = form

    def picked(images):
        logits, own = evaluate(bind, dtype, classifier, images, sides)
        return logits[jnp.arange(len(images)), chosen].sum(), (logits, own)

    gradients, (logits, own) = jax.grad(picked, has_aux=True)(images)
    return logits, gradients, own


def evaluate(bind: Callable, dtype, classifier, images, sides=None):
    """Evaluate a float32 program in another precision; return its logits and its units' sides.

    Args:
        bind: evaluates one operation.
        dtype: the precision.
        sides: sides that the units are forced to.
    """
    own: list[jax.Array] = []
    like = jax.ShapeDtypeStruct(images.shape, np.float32)
    traced = jax.make_jaxpr(lambda classifier, images: classifier(images))(classifier, like)

    def cast(value):
        return value.astype(dtype) if value.dtype == np.float32 else value

    def rule(eqn, *operands):
        inner = interpreter.body(eqn)
        if inner is not None:
            return interpreter.run(rule, inner, list(operands))
        operands = [cast(operand) for operand in operands]
        if eqn.primitive.name not in KINKS:
            single = [name for name, value in eqn.params.items() if value == np.float32]
            return bind(eqn.replace(params=eqn.params | dict.fromkeys(single, dtype)), *operands)
        branches, side = KINKS[eqn.primitive.name](eqn.params, *operands)
        own.append(side.astype(np.uint8))
        side = own[-1] if sides is None else sides[len(own) - 1]
        zero = jnp.zeros((), dtype)
        return [sum(jnp.where(side == at, one, zero) for at, one in enumerate(branches))]

    (logits,) = interpreter.run(rule, traced, [*jax.tree.leaves(classifier), images])
    return logits, own


def _max_pool(params, x):
    x = lax.pad(x, jnp.array(-np.inf, x.dtype), [(*pad, 0) for pad in params["padding"]])
    window, strides = params["window_dimensions"], params["window_strides"]
    last = [size - side for size, side in zip(x.shape, window, strict=True)]
    windows = [
        lax.slice(x, at, [a + b + 1 for a, b in zip(at, last, strict=True)], strides)
        for at in itertools.product(*map(range, window))
    ]
    return windows, jnp.argmax(jnp.stack(windows), 0)


KINKS = {
    "max": lambda params, a, b: ((b, a), a > b),
    "min": lambda params, a, b: ((b, a), a < b),
    "reduce_window_max": _max_pool,
}
"""Rules of operations with kinks: `rule(params, *operands) -> (branches, index of the branch)`."""


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
