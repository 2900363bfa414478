"""Weights files for the networks of `keras.applications`, read into a model in place."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fidojax import stored


def read(model: Any, path: Path) -> None:
    """Reads a weights file into a Keras model.

    Keras reads .h5, .weights.h5 and .keras itself. A file .npz holds one array per weight, named
    "layer/kernel" and "layer/bias" after Keras's layers, kernels in Keras's layouts (convolutions
    HWIO), and batch norm folded into the convolution before it: the kernel is scaled already, and
    the bias is added by the batch norm layer, which otherwise passes its input through.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file is damaged or belongs to another network.
    """
    if not path.is_file():
        raise FileNotFoundError(f"weights: no file {path}")
    if path.suffix in (".h5", ".keras"):
        try:
            model.load_weights(path)
        except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(f"weights: {path} does not fit {model.name}: {error}") from error
    elif path.suffix == ".npz":
        arrays = stored.read(path)
        try:
            _assign(model, arrays)
        except ValueError as error:
            raise ValueError(f"weights: {path} does not fit {model.name}: {error}") from error
    else:
        raise ValueError(f"weights: expected a file .h5, .keras or .npz, got {path}")


def _assign(model, arrays):
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    unused = set(arrays)
    values: dict[str, np.ndarray] = {}

    def take(name, variable):
        if name not in arrays:
            raise ValueError(f"it has no {name}")
        if arrays[name].shape != tuple(variable.shape):
            raise ValueError(f"{name} has shape {arrays[name].shape}, not {tuple(variable.shape)}")
        unused.discard(name)
        values[variable.path] = arrays[name].astype(np.float32)

    for name, layer in layers.items():
        if type(layer).__name__ == "BatchNormalization":
            take(f"{_before(name)}/bias", layer.beta)
            variance = np.ones(layer.beta.shape, np.float32)
            values[layer.moving_mean.path] = np.zeros_like(variance)
            values[layer.moving_variance.path] = variance
            if layer.gamma is not None:
                values[layer.gamma.path] = np.sqrt(variance + np.float32(layer.epsilon))
        else:
            for variable in layer.weights:
                take(f"{name}/{variable.name}", variable)
    if unused:
        raise ValueError(f"the network has no {', '.join(sorted(unused))}")
    for variable in model.weights:
        variable.assign(values[variable.path])


def _before(name: str) -> str:
    """The convolution that a batch norm layer follows, by the naming of `keras.applications`."""
    return name.removeprefix("bn_").removesuffix("_BN").removesuffix("_bn")
