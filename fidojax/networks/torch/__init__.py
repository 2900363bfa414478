"""Classifiers from PyTorch modules: `torch.export` writes the program, a table computes it."""

from typing import Any

from fidojax.networks.graph.classifier import from_graph
from fidojax.networks.preprocessing import Preprocess
from fidojax.networks.torch.export import export
from fidojax.networks.torch.library import import_torch
from fidojax.networks.torch.table import RULES
from fidojax.types import Classifier


def from_torch(
    module: Any,
    size: tuple[int, int, int] = (224, 224, 3),
    *,
    preprocess: Preprocess | None = None,
    layer: str | None = None,
) -> Classifier:
    """Return the classifier of a PyTorch module, as pure JAX.

    PyTorch exports a copy of the module at test time (`torch.export`), and a table of operations
    computes it: the result needs no PyTorch, and its leaves are the weights by PyTorch's names,
    with kernels of convolutions stored "h w i o". The module itself stays as it is.

    Args:
        module: a `torch.nn.Module` from pictures "n c h w" to logits "n k", or to an output with
            `logits`, as those of transformers.
        size: (h, w, c) of the images, which is part of the exported program.
        preprocess: from images in [0, 1] to what the module expects, both "n h w c":
            `fidojax.networks.normalised` for most networks of torchvision and timm.
        layer: the submodule whose output (of its first call) is the features, "layer4.1".

    Raises:
        ImportError: PyTorch is missing.
        TypeError: `module` is no `torch.nn.Module`.
        ValueError: the module cannot be exported, uses an operation without a rule, returns no
            logits, or has no such layer; at the call: images of another size.

    Example:
        >>> module = torchvision.models.resnet18(weights="DEFAULT")
        >>> classifier = fidojax.networks.from_torch(
        ...     module, preprocess=fidojax.networks.normalised, layer="layer4"
        ... )
        >>> explanation = fidojax.grad_cam(key, classifier, image, target)
    """
    torch = import_torch()
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"from_torch expects a torch.nn.Module, got {type(module).__name__}")
    if len(size) != 3 or min(size) < 1:
        raise ValueError(f"from_torch: size is {tuple(size)}, expected (h, w, c) of the images")
    height, width, channels = size
    graph, weights = export(module, (height, width, channels))
    return from_graph(graph, RULES, weights, preprocess, layer)
