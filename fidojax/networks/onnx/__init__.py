"""Classifiers from ONNX files: `onnx` reads them, a table of operations computes them."""

import os
from pathlib import Path

from fidojax.networks.graph.classifier import from_graph
from fidojax.networks.onnx.read import read
from fidojax.networks.onnx.table import RULES
from fidojax.networks.preprocessing import Preprocess
from fidojax.types import Classifier


def from_onnx(
    path: str | os.PathLike[str],
    size: tuple[int, int, int] | None = None,
    *,
    preprocess: Preprocess | None = None,
    layer: str | None = None,
) -> Classifier:
    """Return the classifier of an ONNX file, as pure JAX.

    The leaves are the file's weights by their names there, with kernels of convolutions stored
    "h w i o". A last softmax or sigmoid is left out, so that the classifier gives logits.

    Args:
        path: a file of opset 9 to 21 that takes pictures "n c h w" or "n h w c", n being free or
            1, and gives logits or probabilities "n k".
        size: (h, w, c) of the images; the file's own if not given.
        preprocess: from images in [0, 1] to what the network expects, both "n h w c".
        layer: the operation, or the value, whose output is the features, by its name in the file:
            "/layer4/layer4.1/relu_1/Relu".

    Raises:
        ImportError: the package `onnx` is missing.
        FileNotFoundError: the file is missing.
        ValueError: the file is no ONNX file, has another opset, uses an operation without a rule,
            is no classifier of pictures, or has no such layer; at the call: images of another size.

    Example:
        >>> classifier = fidojax.networks.from_onnx(
        ...     "resnet18.onnx", preprocess=fidojax.networks.normalised
        ... )
        >>> explanation = fidojax.gradient(key, classifier, image, target)
    """
    graph, weights = read(Path(path), size)
    return from_graph(graph, RULES, weights, preprocess, layer)
