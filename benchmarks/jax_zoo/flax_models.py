"""Networks written with Flax NNX and Flax Linen, of the kinds that people write."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx

from benchmarks.jax_zoo.model import CLASSES, Model, filled
from fidojax import networks

SIDE = 32
"""Side of the pictures."""
WIDTH = 24
"""Channels of all networks."""


class NNXTransformer(nnx.Module):
    """A vision transformer with a class token."""

    def __init__(self, rngs: nnx.Rngs):
        self.patches = nnx.Conv(3, WIDTH, (8, 8), (8, 8), rngs=rngs)
        self.token = nnx.Param(jnp.ones((1, 1, WIDTH)))
        self.positions = nnx.Param(jnp.ones((1, 1 + (SIDE // 8) ** 2, WIDTH)))
        self.blocks = nnx.List([NNXBlock(rngs) for _ in range(2)])
        self.norm = nnx.LayerNorm(WIDTH, rngs=rngs)
        self.head = nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, x):
        x = self.patches(x)
        x = x.reshape(len(x), -1, WIDTH)
        token = jnp.broadcast_to(self.token[...], (len(x), 1, WIDTH))
        x = jnp.concatenate([token, x], axis=1) + self.positions[...]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class NNXBlock(nnx.Module):
    """Attention and a network of two layers, each with a residual connection."""

    def __init__(self, rngs: nnx.Rngs):
        self.norm1, self.norm2 = (nnx.LayerNorm(WIDTH, rngs=rngs) for _ in range(2))
        self.attention = nnx.MultiHeadAttention(3, WIDTH, decode=False, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.up = nnx.Linear(WIDTH, 4 * WIDTH, rngs=rngs)
        self.down = nnx.Linear(4 * WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x):
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.down(nnx.gelu(self.up(self.norm2(x))))


class NNXConvNeXtBlock(nnx.Module):
    """A block of ConvNeXt."""

    def __init__(self, rngs: nnx.Rngs, **kind: Any):
        self.depthwise = nnx.Conv(
            WIDTH, WIDTH, (7, 7), feature_group_count=WIDTH, rngs=rngs, **kind
        )
        self.norm = nnx.LayerNorm(WIDTH, rngs=rngs, **kind)
        self.up = nnx.Linear(WIDTH, 4 * WIDTH, rngs=rngs, **kind)
        self.down = nnx.Linear(4 * WIDTH, WIDTH, rngs=rngs, **kind)

    def __call__(self, x):
        return x + self.down(nnx.gelu(self.up(self.norm(self.depthwise(x)))))


class NNXConvNeXt(nnx.Module):
    """A ConvNeXt of three blocks, plain, scanned or rematerialised, in float32 or bfloat16."""

    def __init__(self, rngs: nnx.Rngs, loop: str = "plain", **kind: Any):
        self.loop = loop
        self.stem = nnx.Conv(3, WIDTH, (4, 4), (4, 4), rngs=rngs, **kind)

        @nnx.split_rngs(splits=3)
        @nnx.vmap(in_axes=(0,), out_axes=0)
        def stacked(rngs) -> Any:
            return NNXConvNeXtBlock(rngs, **kind)

        if loop == "scan":
            self.blocks = stacked(rngs)
        else:
            self.blocks = nnx.List([NNXConvNeXtBlock(rngs, **kind) for _ in range(3)])
        self.head = nnx.Linear(WIDTH, CLASSES, rngs=rngs, **kind)

    def __call__(self, x):
        x = self.stem(x)
        if self.loop == "scan":
            x = nnx.scan(lambda block, x: block(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry)(
                self.blocks, x
            )
        else:
            for block in self.blocks:
                remat = self.loop == "remat"
                x = nnx.remat(NNXConvNeXtBlock.__call__)(block, x) if remat else block(x)
        return self.head(x.mean(axis=(1, 2)))


class LinenBlock(linen.Module):
    """A residual block of two convolutions with batch norm; `_` is the input of a scan's step."""

    dtype: Any = None

    @linen.compact
    def __call__(self, x, _=None):
        y = linen.Conv(WIDTH, (3, 3), dtype=self.dtype)(x)
        y = linen.BatchNorm(use_running_average=True, dtype=self.dtype)(y)
        return x + linen.Conv(WIDTH, (3, 3), dtype=self.dtype)(linen.swish(y)), None


class LinenNetwork(linen.Module):
    """A residual network, plain, scanned or rematerialised, in float32 or bfloat16."""

    loop: str = "plain"
    dtype: Any = None

    @linen.compact
    def __call__(self, x, train: bool = True):
        x = linen.Conv(WIDTH, (4, 4), (4, 4), dtype=self.dtype, name="stem")(x)
        if self.loop == "scan":
            axes: Any = {"params": 0, "batch_stats": 0}
            scanned = linen.scan(LinenBlock, axes, split_rngs={"params": True}, length=3)
            x, _ = scanned(self.dtype, name="blocks")(x, None)
        else:
            kind = linen.remat(LinenBlock) if self.loop == "remat" else LinenBlock
            for i in range(3):
                x, _ = kind(self.dtype, name=f"block{i}")(x)
        x = linen.Dropout(0.1, deterministic=not train)(x.mean(axis=(1, 2)))
        return linen.Dense(CLASSES, dtype=self.dtype)(x)


class LinenTransformer(linen.Module):
    """A vision transformer without a class token."""

    @linen.compact
    def __call__(self, x, train: bool = True):
        x = linen.Conv(WIDTH, (8, 8), (8, 8), name="patches")(x)
        x = x.reshape(len(x), -1, WIDTH)
        for i in range(2):
            y = linen.LayerNorm()(x)
            x = x + linen.MultiHeadDotProductAttention(
                3, dropout_rate=0.1, deterministic=not train, name=f"attention{i}"
            )(y, y)
            y = linen.Dense(2 * WIDTH)(linen.LayerNorm(name=f"norm{i}")(x))
            x = x + linen.Dense(WIDTH)(linen.gelu(y))
        return linen.Dense(CLASSES)(linen.LayerNorm()(x).mean(axis=1))


def of_nnx(kind: Callable[[nnx.Rngs], nnx.Module], layer: str) -> Any:
    """Return the classifier of an NNX network with drawn weights."""
    graph, state = nnx.split(nnx.eval_shape(lambda: kind(nnx.Rngs(0))))
    return networks.from_nnx(nnx.merge(graph, filled(state)), layer=layer)


def of_linen(network: linen.Module, layer: str) -> Any:
    """Return the classifier of a Linen network with drawn weights."""
    images = jnp.zeros((1, SIDE, SIDE, 3))
    variables = jax.eval_shape(lambda: network.init(jax.random.key(0), images, train=False))
    return networks.from_linen(network, filled(variables), layer=layer)


def models() -> Iterator[Model]:
    """Yield the networks."""
    low = {"dtype": jnp.bfloat16, "param_dtype": jnp.bfloat16}
    nnx_networks = {
        "ViT, nnx.MultiHeadAttention": (NNXTransformer, "blocks.0.norm2"),
        "ConvNeXt": (NNXConvNeXt, "blocks.2"),
        "ConvNeXt, nnx.scan": (functools.partial(NNXConvNeXt, loop="scan"), "blocks.norm"),
        "ConvNeXt, nnx.remat": (functools.partial(NNXConvNeXt, loop="remat"), "blocks.2.norm"),
        "ConvNeXt, bfloat16": (functools.partial(NNXConvNeXt, **low), "blocks.2"),
    }
    for name, (kind, layer) in nnx_networks.items():
        build = functools.partial(of_nnx, kind, layer)
        yield Model(name, "Flax NNX", "from_nnx", SIDE, build, small=True)
    linen_networks = {
        "ViT, MultiHeadDotProductAttention": (LinenTransformer(), "norm0"),
        "residual network": (LinenNetwork(), "block2"),
        "residual network, linen.scan": (LinenNetwork("scan"), "blocks"),
        "residual network, linen.remat": (LinenNetwork("remat"), "block2.Conv_0"),
        "residual network, bfloat16": (LinenNetwork(dtype=jnp.bfloat16), "block2"),
    }
    for name, (network, layer) in linen_networks.items():
        build = functools.partial(of_linen, network, layer)
        yield Model(name, "Flax Linen", "from_linen", SIDE, build, small=True)
