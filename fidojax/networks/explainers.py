"""Networks of amortised methods with weights: the shipped ones, and weights on disk.

encoder = load_encoder("tiny_imagenet40")
explanation = varsal(key, classifier, image, target, encoder=encoder)
masker = load_masker("tiny_imagenet40")
explanation = realtime(key, classifier, image, target, masker=masker)
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from fidojax import networks
from fidojax.networks import weight_files
from fidojax.networks.realtime import RealtimeNetwork
from fidojax.networks.varsal import VarSalNetwork
from fidojax.types import Images, Masker

SHIPPED = ("tiny_imagenet40", "mnist")


def load_encoder(
    weights: str | Path = "tiny_imagenet40", *, size: Sequence[int] | None = None
) -> Callable[[Images], Any]:
    """The encoder of `fidojax.varsal`, which explains the classifier that it was trained for.

    It is a callable pytree, images "n h w c" in [0, 1] -> mean and log-variance, each "n h w". Its
    weights are its leaves: those of another file with the same layers do not retrace.

    Args:
        weights: a name in `SHIPPED`, for the shipped classifier of that name, or an .npz file
            written by `train.varsal`.
        size: (h, w, c) of the pictures that it accepts; the shipped classifier's when None, and
            of a file any sides.

    Raises:
        ValueError: the file holds other arrays; at the call: pictures of another size.
        FileNotFoundError: there is no such file.
    """
    path = networks.WEIGHTS / f"varsal_{weights}.npz" if weights in SHIPPED else Path(weights)
    kernels = []
    arrays = weight_files.read(path)
    while f"hidden/{len(kernels)}/conv/kernel" in arrays:
        kernels.append(arrays[f"hidden/{len(kernels)}/conv/kernel"])
    if not kernels or any(kernel.ndim != 4 for kernel in kernels):
        raise ValueError(f"weights {path}: expected the arrays of a VarSalNetwork")
    channels = kernels[0].shape[2]
    if size is None and weights in SHIPPED:
        size = networks.SHIPPED[str(weights)].size
    network = weight_files.assemble(
        _network(channels, tuple(k.shape[3] for k in kernels)), arrays, path
    )
    return _Encoder(network, (None, None, channels) if size is None else tuple(size))


@functools.partial(jax.tree_util.register_dataclass, data_fields=["network"], meta_fields=["size"])
@dataclass(frozen=True)
class _Encoder:
    network: Callable[[Images], Any]
    size: tuple[int | None, ...]

    def __call__(self, images: Images) -> Any:
        shape = np.shape(images)[1:]
        known = [(n, m) for n, m in zip(shape, self.size, strict=True) if m is not None]
        if any(n != m for n, m in known):
            wanted = " x ".join("any" if n is None else str(n) for n in self.size)
            given = " x ".join(map(str, shape))
            raise ValueError(f"images are {given}, but the encoder is for {wanted}")
        return self.network(images)


def load_masker(weights: str | Path = "tiny_imagenet40") -> Masker:
    """The masker of `fidojax.realtime`, for the features of the classifier it was trained for.

    It is a callable pytree, see `fidojax.types.Masker`. Its weights are its leaves:
    those of another file with the same layers do not retrace.

    Args:
        weights: a name in `SHIPPED`, for the shipped classifier of that name, or an .npz file
            written by `train.realtime`.

    Raises:
        ValueError: the file holds other arrays; at the call: features of another classifier.
        FileNotFoundError: there is no such file.
    """
    path = networks.WEIGHTS / f"realtime_{weights}.npz" if weights in SHIPPED else Path(weights)
    arrays = weight_files.read(path)
    parts = ("up/conv", "shortcut", "conv1/conv")
    stages = []
    while all(f"stages/{len(stages)}/{part}/kernel" in arrays for part in parts):
        stages.append([arrays[f"stages/{len(stages)}/{part}/kernel"].shape for part in parts])
    selector = arrays.get("selector/kernel", np.zeros(0)).shape
    if len(selector) != 2 or not stages or any(len(s) != 4 for stage in stages for s in stage):
        raise ValueError(f"weights {path}: expected the arrays of a RealtimeNetwork")
    widths = tuple(shortcut[3] for _, shortcut, _ in stages)
    finer = (shortcut[2] - shortcut[3] for _, shortcut, _ in stages)
    ratio = widths[0] // max(1, stages[0][2][3])
    network = _masker(selector[1], (selector[0], *finer), widths, ratio)
    return weight_files.assemble(network, arrays, path)


# Cached: `stored.assemble` does not build twice what the same function builds.
@functools.cache
def _network(channels: int, widths: tuple[int, ...]) -> Callable[[], nnx.Module]:
    return lambda: VarSalNetwork(channels, widths, norm=False, rngs=nnx.Rngs(0))


@functools.cache
def _masker(
    classes: int, channels: tuple[int, ...], widths: tuple[int, ...], ratio: int
) -> Callable[[], nnx.Module]:
    return lambda: RealtimeNetwork(classes, channels, widths, ratio, norm=False, rngs=nnx.Rngs(0))
