"""The MNIST autoencoder that VDSM's authors trained, read into `MnistVAE`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

LAYERS = {
    "encode.0": "down/0/conv",
    "encode.2": "down/0/norm",
    "encode.3": "down/1/conv",
    "encode.5": "down/1/norm",
    "encode.6": "latent",
    "decode.0": "up/0/conv",
    "decode.2": "up/0/norm",
    "decode.3": "up/1/conv",
    "decode.5": "up/1/norm",
    "decode.6": "pixels",
}
"""The name of a layer in PyTorch -> its name in `MnistVAE`."""
TRANSPOSED = ("decode.3", "decode.6")


def is_authors(arrays: Mapping[str, Any]) -> bool:
    """Whether the arrays have the names of the authors' PyTorch network."""
    return "encode.0.weight" in arrays


def convert(arrays: Mapping[str, np.ndarray], path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of the authors' state dict as `MnistVAE` has them, batch norm folded.

    Args:
        arrays: the arrays of the state dict.
        path: their file, for messages.

    Raises:
        ValueError: an array is missing, or does not fit the others.
    """
    try:
        return dict(
            pair for theirs, ours in LAYERS.items() for pair in _layer(arrays, theirs, ours).items()
        )
    except KeyError as missing:
        raise ValueError(
            f"weights {path}: the authors' MNIST VAE has an array {missing}, this file not"
        ) from None
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(f"weights {path}: no MNIST VAE has arrays of these shapes") from error


def _layer(arrays: Mapping[str, np.ndarray], theirs: str, ours: str) -> dict[str, np.ndarray]:
    def array(name: str) -> np.ndarray:
        return np.asarray(arrays[f"{theirs}.{name}"])

    weight, bias = array("weight"), array("bias")
    if ours.endswith("norm"):
        gain = weight / np.sqrt(array("running_var") + 1e-5)
        return {f"{ours}/scale": gain, f"{ours}/bias": bias - array("running_mean") * gain}
    if theirs in TRANSPOSED:  # "in out h w", and PyTorch scatters where we gather
        return {
            f"{ours}/kernel": weight[:, :, ::-1, ::-1].transpose(2, 3, 0, 1),
            f"{ours}/bias": bias,
        }
    return {f"{ours}/kernel": weight.transpose(2, 3, 1, 0), f"{ours}/bias": bias}
