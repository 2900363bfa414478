"""The trained networks of the amortised methods: VarSal's encoders and Realtime's maskers."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from fidojax.networks import weight_files
from fidojax.networks.realtime import RealtimeNetwork
from fidojax.networks.shipped import SHIPPED, WEIGHTS
from fidojax.networks.varsal import VarSalNetwork
from fidojax.types import Images, Masker


def load_encoder(
    weights: str | Path = "tiny_imagenet40", *, size: Sequence[int] | None = None
) -> Callable[[Images], Any]:
    """Return an encoder for `fidojax.varsal`, which explains the classifier it was trained for.

    The encoder is a callable pytree, images "n h w c" in [0, 1] -> mean and log-variance, each
    "n h w". Its leaves are the weights: another file with the same layers does not retrace.

    Args:
        weights: a name in `SHIPPED`, for the shipped classifier of that name, or an .npz file
            written by `train.varsal`.
        size: (h, w, c) of the pictures that it accepts; when None, the shipped classifier's size,
            or any height and width for a file.

    Raises:
        ValueError: the file holds other arrays; at the call: pictures of another size.
        FileNotFoundError: there is no such file.

    Example:
        >>> encoder = fidojax.networks.load_encoder("tiny_imagenet40")
        >>> classifier = fidojax.networks.load("tiny_imagenet40").classifier
        >>> explanation = fidojax.varsal(key, classifier, image, target, encoder=encoder)
    """
    path = WEIGHTS / f"varsal_{weights}.npz" if weights in SHIPPED else Path(weights)
    kernels = []
    arrays = weight_files.headers(path)
    while f"hidden/{len(kernels)}/conv/kernel" in arrays:
        kernels.append(arrays[f"hidden/{len(kernels)}/conv/kernel"])
    if not kernels or any(kernel.ndim != 4 for kernel in kernels):
        raise ValueError(f"weights {path}: expected the arrays of a VarSalNetwork")
    channels = kernels[0].shape[2]
    if size is None and weights in SHIPPED:
        size = SHIPPED[str(weights)].size
    network = weight_files.restore(path, _network(channels, tuple(k.shape[3] for k in kernels)))
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
    """Return a masker for `fidojax.realtime`, for the classifier that it was trained for.

    The masker is a callable pytree, see `fidojax.types.Masker`. Its leaves are the weights: another
    file with the same layers does not retrace.

    Args:
        weights: a name in `SHIPPED`, for the shipped classifier of that name, or an .npz file
            written by `train.realtime`.

    Raises:
        ValueError: the file holds other arrays; at the call: features of another classifier.
        FileNotFoundError: there is no such file.

    Example:
        >>> masker = fidojax.networks.load_masker("tiny_imagenet40")
        >>> classifier = fidojax.networks.load("tiny_imagenet40").classifier
        >>> explanation = fidojax.realtime(key, classifier, image, target, masker=masker)
    """
    path = WEIGHTS / f"realtime_{weights}.npz" if weights in SHIPPED else Path(weights)
    arrays = weight_files.headers(path)
    parts = ("up/conv", "shortcut", "conv1/conv")
    stages = []
    while all(f"stages/{len(stages)}/{part}/kernel" in arrays for part in parts):
        stages.append([arrays[f"stages/{len(stages)}/{part}/kernel"].shape for part in parts])
    selector = arrays["selector/kernel"].shape if "selector/kernel" in arrays else ()
    if len(selector) != 2 or not stages or any(len(s) != 4 for stage in stages for s in stage):
        raise ValueError(f"weights {path}: expected the arrays of a RealtimeNetwork")
    widths = tuple(shortcut[3] for _, shortcut, _ in stages)
    finer = (shortcut[2] - shortcut[3] for _, shortcut, _ in stages)
    ratio = widths[0] // max(1, stages[0][2][3])
    network = _masker(selector[1], (selector[0], *finer), widths, ratio)
    return weight_files.restore(path, network)


# Cached, since `weight_files.assemble` knows a network by the function that builds it.
@functools.cache
def _network(channels: int, widths: tuple[int, ...]) -> Callable[[], nnx.Module]:
    return lambda: VarSalNetwork(channels, widths, norm=False, rngs=nnx.Rngs(0))


@functools.cache
def _masker(
    classes: int, channels: tuple[int, ...], widths: tuple[int, ...], ratio: int
) -> Callable[[], nnx.Module]:
    return lambda: RealtimeNetwork(classes, channels, widths, ratio, norm=False, rngs=nnx.Rngs(0))
