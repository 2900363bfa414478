"""A plain PyTorch FIDO with the same networks and weights, to compare the throughput with.

What a PyTorch user would write: modules in eval mode, one batch of images x masks per step,
`torch.optim.Adam` on the logit of the keep probability. It needs the extra `[torch]`.
"""

# pyright: reportMissingImports=false

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


class Mnist(nn.Module):
    """`fidojax.networks.MnistAllConv`."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.conv1, self.conv2 = (_conv(weights, name, stride=2) for name in ("conv1", "conv2"))
        self.dense1, self.logits = (_dense(weights, name) for name in ("dense1", "logits"))

    def forward(self, x: Tensor) -> Tensor:
        x = nnf.relu(self.conv2(nnf.relu(self.conv1(x))))
        # The dense layer's weights expect channels last.
        return self.logits(nnf.relu(self.dense1(x.permute(0, 2, 3, 1).flatten(1))))


class Block(nn.Module):
    """`fidojax.networks.Block`, folded."""

    def __init__(self, weights: Mapping[str, np.ndarray], name: str) -> None:
        super().__init__()
        shortcut = f"{name}/shortcut/conv"
        stride = weights[f"{shortcut}/kernel"].shape[0] if f"{shortcut}/kernel" in weights else 1
        self.conv1 = _conv(weights, f"{name}/conv1/conv", stride, same=True)
        self.conv2 = _conv(weights, f"{name}/conv2/conv", same=True)
        self.shortcut = _conv(weights, shortcut, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return nnf.relu(self.shortcut(x) + self.conv2(nnf.relu(self.conv1(x))))


class TinyImagenet(nn.Module):
    """`fidojax.networks.ResNet`, folded."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.stem = _conv(weights, "stem/conv", stride=2, same=True)
        count = 1 + max(int(name.split("/")[1]) for name in weights if name.startswith("blocks/"))
        self.blocks = nn.Sequential(*(Block(weights, f"blocks/{i}") for i in range(count)))
        self.logits = _dense(weights, "logits")
        self.mean = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
        self.std = torch.tensor((0.229, 0.224, 0.225))[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        x = nnf.relu(self.stem((x - self.mean) / self.std))
        return self.logits(self.blocks(x).mean((2, 3)))


class MobileNetV2(nn.Module):
    """Keras's MobileNetV2 with folded batch norm, weights by Keras's layer names."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.stem = _conv(weights, "Conv1", stride=2, same=True)
        names = ["expanded_conv", *(f"block_{i}" for i in range(1, 17))]
        self.blocks = nn.ModuleList(InvertedResidual(weights, name) for name in names)
        self.last = _conv(weights, "Conv_1")
        self.logits = _dense(weights, "predictions")

    def forward(self, x: Tensor) -> Tensor:
        x = nnf.relu6(self.stem(2 * x - 1))
        for block in self.blocks:
            x = block(x)
        return self.logits(nnf.relu6(self.last(x)).mean((2, 3)))


class InvertedResidual(nn.Module):
    """One block of MobileNetV2."""

    def __init__(self, weights: Mapping[str, np.ndarray], name: str) -> None:
        super().__init__()
        stride = 2 if name in ("block_1", "block_3", "block_6", "block_13") else 1
        expands = f"{name}_expand/kernel" in weights
        self.expand = _conv(weights, f"{name}_expand") if expands else nn.Identity()
        self.depthwise = _conv(weights, f"{name}_depthwise", stride, same=True)
        self.project = _conv(weights, f"{name}_project")
        self.first = name == "expanded_conv"

    def forward(self, x: Tensor) -> Tensor:
        h = x if self.first else nnf.relu6(self.expand(x))
        h = self.project(nnf.relu6(self.depthwise(h)))
        return x + h if x.shape == h.shape else h


NETWORKS: dict[str, Callable[[Mapping[str, np.ndarray]], nn.Module]] = {
    "mnist": Mnist,
    "tiny_imagenet40": TinyImagenet,
    "keras:MobileNetV2": MobileNetV2,
}


class SamePadding(nn.Module):
    """Zeros as TensorFlow and JAX pad: the odd row and column at the end."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for size in (x.shape[3], x.shape[2]):
            total = max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return nnf.pad(x, pads)


def _conv(
    weights: Mapping[str, np.ndarray], name: str, stride: int = 1, same: bool = False
) -> nn.Module:
    kernel = torch.from_numpy(weights[f"{name}/kernel"].astype(np.float32))  # HWIO
    side, groups = kernel.shape[0], 1
    if name.endswith("_depthwise"):
        kernel, groups = kernel.transpose(2, 3), kernel.shape[2]
    kernel = kernel.permute(3, 2, 0, 1).contiguous()
    inputs, outputs = kernel.shape[1] * groups, kernel.shape[0]
    # Odd kernels of stride 1 pad alike on both sides, which the convolution does by itself.
    inside = side // 2 if same and stride == 1 else 0
    conv = nn.Conv2d(inputs, outputs, side, stride, inside, groups=groups)
    conv.weight.data = kernel
    conv.bias = nn.Parameter(torch.from_numpy(weights[f"{name}/bias"].astype(np.float32)))
    return nn.Sequential(SamePadding(side, stride), conv) if same and stride > 1 else conv


def _dense(weights: Mapping[str, np.ndarray], name: str) -> nn.Linear:
    kernel = torch.from_numpy(weights[f"{name}/kernel"].astype(np.float32)).T.contiguous()
    layer = nn.Linear(kernel.shape[1], kernel.shape[0])
    layer.weight.data = kernel
    layer.bias.data = torch.from_numpy(weights[f"{name}/bias"].astype(np.float32))
    return layer


class Fido:
    """FIDO-SSR of a batch of images in one memory layout."""

    def __init__(
        self,
        network: nn.Module,
        images: np.ndarray,
        targets: np.ndarray,
        color: np.ndarray,
        layout: str,
        options: Mapping[str, Any],
    ) -> None:
        """Images are "n h w c" in [0, 1], the colour one value per channel."""
        self.format = LAYOUTS[layout]
        self.network = network.eval().requires_grad_(False)
        self.network.to(memory_format=self.format)  # type: ignore[call-overload]
        self.images = torch.from_numpy(np.moveaxis(images, -1, 1).copy())[:, None]
        self.targets = torch.from_numpy(targets).long()
        self.color = torch.from_numpy(color)[:, None, None]
        self.samples, self.temperature = options["samples"], options["temperature"]
        self.antithetic = options["antithetic"]
        self.lam, self.tv = options["lam"], options["tv"]
        n, _, _, h, w = self.images.shape
        self.theta = torch.zeros((n, 1, h // 4, w // 4), requires_grad=True)
        self.adam = torch.optim.Adam(
            [self.theta], options["learning_rate"], betas=(0.9, options["b2"])
        )

    def step(self) -> Tensor:
        """One step of the optimiser; the minimised value per image."""
        n, _, _, h, w = self.images.shape
        keep = nnf.interpolate(
            torch.sigmoid(self.theta), (h, w), mode="bilinear", align_corners=True
        )
        draws = self.samples // 2 if self.antithetic else self.samples
        noise = torch.logit(torch.rand((n, draws, 1, h, w)))
        if self.antithetic:
            noise = torch.cat([noise, -noise], 1)
        z = torch.sigmoid((torch.logit(keep, 1e-7)[:, None] + noise) / self.temperature)
        mixed = z * self.images + (1 - z) * self.color
        flat = mixed.flatten(0, 1).contiguous(memory_format=self.format)
        score = self.log_odds(self.network(flat)).view(n, self.samples).mean(1)
        down, across = keep.diff(dim=2), keep.diff(dim=3)
        variation = (down**2).sum((1, 2, 3)) + (across**2).sum((1, 2, 3))
        loss = -score + self.lam * keep.sum((1, 2, 3)) + self.tv * variation
        self.adam.zero_grad()
        loss.sum().backward()
        self.adam.step()
        return loss.detach()

    def gradient(self) -> Tensor:
        """The bare gradient of the scores to as many images as one step evaluates."""
        n, _, c, h, w = self.images.shape
        flat = self.images.expand(n, self.samples, c, h, w).flatten(0, 1)
        flat = flat.contiguous(memory_format=self.format).requires_grad_()
        (gradient,) = torch.autograd.grad(self.log_odds(self.network(flat)).sum(), flat)
        return gradient

    def log_odds(self, logits: Tensor) -> Tensor:
        targets = self.targets.repeat_interleave(self.samples)[:, None]
        others = logits.scatter(1, targets, -torch.inf)
        return logits.gather(1, targets)[:, 0] - torch.logsumexp(others, 1)
