"""Networks of further packages, where they are installed: jaxnn, flaxmodels, keras-hub."""

import functools
import importlib
import importlib.util
from collections.abc import Iterator
from typing import Any

from flax import nnx

from benchmarks.jax_zoo.flax_models import of_linen, of_nnx
from benchmarks.jax_zoo.keras_models import drawn_weights, last_features
from benchmarks.jax_zoo.model import CLASSES, Model
from fidojax import networks

JAXNN: dict[str, tuple[str, int, dict[str, Any]]] = {
    "resnet18": ("stage_modules.3", 32, {}),
    "resnet50": ("stage_modules.3", 32, {}),
    "resnext50_32x4d": ("stage_modules.3", 32, {}),
    "seresnet18": ("stage_modules.3", 32, {}),
    "ecaresnet26t": ("stage_modules.3", 32, {}),
    "resnetblur18": ("stage_modules.3", 32, {}),
    "resnet50_gn": ("stage_modules.3", 32, {}),
    "resnetrs50": ("stage_modules.3", 32, {}),
    "vit_tiny_patch16_224": ("blocks.layers.1.norm1", 64, {"img_size": 64, "depth": 2}),
}
"""Networks of jaxnn -> the layer of the features, the side of the pictures, further arguments."""
FLAXMODELS = {"ResNet18": "BasicBlock_7", "ResNet50": "Bottleneck_15"}
"""Networks of flaxmodels -> the layer of the features."""
KERAS_HUB: dict[str, dict[str, Any]] = {
    "CSPNet": {
        "stem_filters": 32, "stem_kernel_size": 3, "stem_strides": 1, "block_type": "dark_block",
        "stage_type": "dark",
        "stackwise_depth": [1, 2, 4], "stackwise_strides": [1, 2, 2],
        "stackwise_num_filters": [32, 64, 128],
    },
    "DeiT": {
        "image_shape": (32, 32, 3), "patch_size": 8, "num_layers": 2, "num_heads": 3,
        "hidden_dim": 24, "intermediate_dim": 96,
    },
    "DenseNet": {"stackwise_num_repeats": [2, 2, 2]},
    "EfficientNet": {
        "stackwise_kernel_sizes": [3, 3], "stackwise_num_repeats": [1, 2],
        "stackwise_input_filters": [24, 24], "stackwise_output_filters": [24, 48],
        "stackwise_expansion_ratios": [1, 4], "stackwise_strides": [1, 2],
        "stackwise_squeeze_and_excite_ratios": [0.0, 0.25],
        "stackwise_block_types": ["fused", "unfused"], "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
    },
    "HGNetV2": {
        "depths": [1, 2], "embedding_size": 32, "hidden_sizes": [64, 128],
        "stem_channels": [3, 16, 32], "hidden_act": "relu", "use_learnable_affine_block": False,
        "stackwise_stage_filters": [(32, 16, 64, 1, 1, 3), (64, 32, 128, 2, 1, 3)],
        "apply_downsample": [False, True], "use_lightweight_conv_block": [False, False],
        "image_shape": (32, 32, 3),
    },
    "MiT": {
        "layerwise_depths": [1, 1], "num_layers": 2, "layerwise_num_heads": [1, 2],
        "layerwise_sr_ratios": [2, 1], "max_drop_path_rate": 0.1, "hidden_dims": [16, 32],
        "layerwise_patch_sizes": [7, 3], "layerwise_strides": [4, 2], "image_shape": (32, 32, 3),
    },
    "ResNet": {
        "input_conv_filters": [64], "input_conv_kernel_sizes": [7],
        "stackwise_num_filters": [64, 64], "stackwise_num_blocks": [1, 1],
        "stackwise_num_strides": [1, 2], "block_type": "basic_block", "use_pre_activation": True,
    },
    "SwinTransformer": {
        "image_shape": (32, 32, 3), "embed_dim": 24, "depths": (2, 2), "num_heads": (3, 6),
        "window_size": 4,
    },
    "VGG": {
        "stackwise_num_repeats": [1, 1], "stackwise_num_filters": [16, 32],
        "image_shape": (32, 32, 3),
    },
    "ViT": {
        "image_shape": (32, 32, 3), "patch_size": 8, "num_layers": 2, "num_heads": 3,
        "hidden_dim": 24, "mlp_dim": 96,
    },
    "Xception": {
        "stackwise_conv_filters": [[32, 64], [64, 128], [128, 128]],
        "stackwise_pooling": [True, True, False],
    },
}  # fmt: skip
"""Classifiers of keras-hub -> their backbone's arguments: small ones, of all their kinds."""


def jaxnn(name: str) -> Any:
    """Return the classifier of a network of jaxnn."""
    layer, _, rest = JAXNN[name]
    make = importlib.import_module("jaxnn.models").create_model

    def build(rngs: nnx.Rngs) -> Any:
        return make(name, num_classes=CLASSES, rngs=rngs, **rest)

    if name.startswith("vit"):  # computes numbers of its weights where it is built
        return networks.from_nnx(build(nnx.Rngs(0)), layer=layer)
    return of_nnx(build, layer)


def flaxmodels(name: str) -> Any:
    """Return the classifier of a network of flaxmodels."""
    make = getattr(importlib.import_module("flaxmodels"), name)
    network = make(output="logits", pretrained=None, num_classes=CLASSES)
    return of_linen(network, FLAXMODELS[name])


def keras_hub(name: str) -> Any:
    """Return the classifier of a network of keras-hub."""
    keras = networks.import_keras()
    models = importlib.import_module("keras_hub").models
    with drawn_weights(keras):
        backbone = getattr(models, f"{name}Backbone")(**KERAS_HUB[name])
        model = getattr(models, f"{name}ImageClassifier")(
            backbone=backbone, num_classes=CLASSES, preprocessor=None
        )
    layer = last_features(model)
    if layer == backbone.name:
        layer = f"{layer}.{last_features(backbone)}"
    return networks.from_keras(model, layer=layer)


def models() -> Iterator[Model]:
    """Yield the networks."""
    if importlib.util.find_spec("jaxnn"):
        for name, (_, side, _) in JAXNN.items():
            build = functools.partial(jaxnn, name)
            yield Model(name, "jaxnn", "from_nnx", side, build, name == "seresnet18")
    if importlib.util.find_spec("flaxmodels"):
        for name in FLAXMODELS:
            build = functools.partial(flaxmodels, name)
            yield Model(name, "flaxmodels", "from_linen", 32, build, name == "ResNet18")
    if importlib.util.find_spec("keras_hub"):
        for name in KERAS_HUB:
            build = functools.partial(keras_hub, name)
            small, grid = name in ("ViT", "CSPNet"), (4, 4) if name == "DeiT" else None
            yield Model(name, "keras-hub", "from_keras", 32, build, small, grid)
