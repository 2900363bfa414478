"""Networks of Equimo, and a transformer written with Equinox."""

import functools
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import equinox
import jax
import jax.numpy as jnp

from benchmarks.jax_zoo.model import CLASSES, Model, filled
from fidojax import networks

EQUIMO: dict[str, tuple[str, str, int, dict[str, Any]]] = {
    "mobilenetv3_small": ("mobilenet", "layers.5", 32, {}),
    "mobilenetv3_large": ("mobilenet", "layers.5", 32, {}),
    "convnext_t": ("convnext", "", 32, {}),
    "vit_tiny_patch16_224": ("vit", "blocks.0", 64, {"img_size": 64}),
    "vit_small_patch32_224": ("vit", "blocks.0", 64, {"img_size": 64}),
    "vit5_small": ("vit", "blocks.0", 64, {"img_size": 64}),
    "dinov2_vits14_reg": ("vit", "blocks.0", 56, {"img_size": 56}),
    "iformer_t": ("iformer", "", 64, {}),
    "attnet_xxs": ("attnet", "", 96, {}),
    "lowformer_backbone_b0": ("lowformer", "", 64, {"attention_type": "softmax"}),
    "reduceformer_backbone_b1": ("reduceformer", "", 64, {}),
    "Mlla": ("mlla", "", 64, {"img_size": 64, "in_channels": 3}),
    "Vssd": ("vssd", "", 64, {"img_size": 64, "in_channels": 3}),
}
"""Networks of Equimo -> their module, the layer of the features (the last but the head if empty),
the side of the pictures, further arguments."""
SMALL = ("mobilenetv3_small", "vit_tiny_patch16_224")


class Transformer(equinox.Module):
    """A vision transformer with a class token, written with `equinox.nn`."""

    patches: equinox.nn.Conv2d
    token: jax.Array
    norms: list[equinox.nn.LayerNorm]
    attention: list[equinox.nn.MultiheadAttention]
    dense: list[equinox.nn.MLP]
    head: equinox.nn.Linear

    def __init__(self, key: Any):
        self.patches = equinox.nn.Conv2d(3, 24, 8, 8, key=key)
        self.token = jnp.ones((1, 24))
        self.norms = [equinox.nn.LayerNorm(24) for _ in range(4)]
        self.attention = [equinox.nn.MultiheadAttention(3, 24, key=key) for _ in range(2)]
        self.dense = [equinox.nn.MLP(24, 24, 96, 1, jax.nn.gelu, key=key) for _ in range(2)]
        self.head = equinox.nn.Linear(24, CLASSES, key=key)

    def __call__(self, x):
        x = self.patches(x)
        x = jnp.concatenate([self.token, x.reshape(len(x), -1).T])
        for i in range(2):
            y = jax.vmap(self.norms[2 * i])(x)
            x = x + self.attention[i](y, y, y)
            x = x + jax.vmap(self.dense[i])(jax.vmap(self.norms[2 * i + 1])(x))
        return self.head(x[0])


def classifier(make: Callable[[Any], Any], layer: str = "") -> Any:
    """Return the classifier of an Equinox network with drawn weights.

    Args:
        make: makes the network from a key.
        layer: of the features; the last callable member that is neither norm nor head if empty.
    """
    network = filled(equinox.filter_eval_shape(make, jax.random.key(0)))
    return networks.from_equinox(network, layer=layer or last_part(network))


def last_part(network: Any) -> str:
    """Return the last of the parts in a row that a network's longest list has."""
    lists = {k: v for k, v in vars(network).items() if isinstance(v, list | tuple) and v}
    name = next(name for name in ("blocks", "stages", "layers", *lists) if name in lists)
    return f"{name}.{len(lists[name]) - 1}"


def equimo(name: str) -> Any:
    """Return the classifier of a network of Equimo."""
    module, layer, _, rest = EQUIMO[name]
    make = getattr(importlib.import_module(f"equimo.models.{module}"), name)
    return classifier(lambda key: make(key=key, num_classes=CLASSES, **rest), layer)


def models() -> Iterator[Model]:
    """Yield the networks; those of Equimo where it is installed."""
    build = functools.partial(classifier, Transformer, "norms.1")
    yield Model("ViT, MultiheadAttention", "Equinox", "from_equinox", 32, build, small=True)
    if importlib.util.find_spec("equimo"):
        for name, (module, _, side, _) in EQUIMO.items():
            build = functools.partial(equimo, name)
            grid = (4, 4) if module == "vit" else None  # four registers, besides the class token
            yield Model(name, "Equimo", "from_equinox", side, build, name in SMALL, grid)
