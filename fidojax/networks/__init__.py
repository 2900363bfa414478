"""Classifiers: shipped networks, adapters for other frameworks, weight files."""

from fidojax.networks.adapters import from_equinox, from_linen, from_nnx
from fidojax.networks.classifiers import IMAGENET_MEAN, IMAGENET_STD, MnistAllConv, ResNet, fold
from fidojax.networks.explainers import load_encoder, load_masker
from fidojax.networks.keras import from_keras, imagenet_labels, import_keras, load_keras
from fidojax.networks.pretrained import class_index, load
from fidojax.networks.realtime import RealtimeNetwork
from fidojax.networks.shipped import SHIPPED, WEIGHTS, Pretrained
from fidojax.networks.varsal import WIDTHS, VarSalNetwork

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "SHIPPED",
    "WEIGHTS",
    "WIDTHS",
    "MnistAllConv",
    "Pretrained",
    "RealtimeNetwork",
    "ResNet",
    "VarSalNetwork",
    "class_index",
    "fold",
    "from_equinox",
    "from_keras",
    "from_linen",
    "from_nnx",
    "imagenet_labels",
    "import_keras",
    "load",
    "load_encoder",
    "load_keras",
    "load_masker",
]
