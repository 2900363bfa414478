"""Classifiers with weights, adapters for other frameworks, networks of the amortised methods.

Importing this package imports Flax, but neither Keras, Equinox nor PyTorch. The module
`weight_files` reads and writes weights.
"""

from fidojax.networks.adapters import from_equinox, from_linen, from_nnx
from fidojax.networks.classifiers import MnistAllConv, ResNet
from fidojax.networks.efficientnet_lite import EfficientNetLite, package_of, packaged_weights
from fidojax.networks.explainers import load_encoder, load_masker
from fidojax.networks.keras import applications, from_keras, import_keras
from fidojax.networks.layers import fold
from fidojax.networks.onnx import from_onnx
from fidojax.networks.preprocessing import IMAGENET_MEAN, IMAGENET_STD, normalised
from fidojax.networks.pretrained import load
from fidojax.networks.realtime import REALTIME_WIDTHS, RealtimeNetwork
from fidojax.networks.shipped import PACKAGED, SHIPPED, WEIGHTS, Pretrained, imagenet_labels
from fidojax.networks.torch import from_torch
from fidojax.networks.torch.library import import_torch
from fidojax.networks.torch_files import read_state_dict
from fidojax.networks.two_logits import binary, multi_label
from fidojax.networks.varsal import VARSAL_WIDTHS, VarSalNetwork

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "PACKAGED",
    "REALTIME_WIDTHS",
    "SHIPPED",
    "VARSAL_WIDTHS",
    "WEIGHTS",
    "EfficientNetLite",
    "MnistAllConv",
    "Pretrained",
    "RealtimeNetwork",
    "ResNet",
    "VarSalNetwork",
    "applications",
    "binary",
    "fold",
    "from_equinox",
    "from_keras",
    "from_linen",
    "from_nnx",
    "from_onnx",
    "from_torch",
    "imagenet_labels",
    "import_keras",
    "import_torch",
    "load",
    "load_encoder",
    "load_masker",
    "multi_label",
    "normalised",
    "package_of",
    "packaged_weights",
    "read_state_dict",
]
