"""The networks of `benchmarks.networks` as PyTorch modules on the same weights, batch norm folded.

    network = NETWORKS["resnet18"](load("resnet18").arrays)
    logits = network(images)  # "n c h w" in [0, 1]

They need the extra `[torch]`.
"""

# pyright: reportMissingImports=false

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from benchmarks.resnets import CAFFE_MEAN, resnet18_blocks, resnet50_blocks
from fidojax.networks import IMAGENET_MEAN, IMAGENET_STD

Weights = Mapping[str, np.ndarray]


class Standardise(nn.Module):
    """ImageNet's mean and standard deviation; `caffe`: of images in [0, 255], BGR, mean only."""

    def __init__(self, caffe: bool = False) -> None:
        super().__init__()
        self.caffe = caffe
        mean, std = CAFFE_MEAN if caffe else IMAGENET_MEAN, IMAGENET_STD
        for name, value in {"mean": mean, "std": std}.items():
            self.register_buffer(name, torch.tensor(value)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return 255 * x.flip(1) - self.mean if self.caffe else (x - self.mean) / self.std


class Mnist(nn.Module):
    """`fidojax.networks.classifiers.MnistAllConv`."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.conv1, self.conv2 = (_conv(weights, name, stride=2) for name in ("conv1", "conv2"))
        self.dense1, self.logits = (_dense(weights, name) for name in ("dense1", "logits"))

    def forward(self, x: Tensor) -> Tensor:
        x = nnf.relu(self.conv2(nnf.relu(self.conv1(x))))
        # The dense layer's weights expect channels last.
        return self.logits(nnf.relu(self.dense1(x.permute(0, 2, 3, 1).flatten(1))))


class Block(nn.Module):
    """`fidojax.networks.classifiers.Block`, folded."""

    def __init__(self, weights: Weights, name: str) -> None:
        super().__init__()
        shortcut = f"{name}/shortcut/conv"
        stride = weights[f"{shortcut}/kernel"].shape[0] if f"{shortcut}/kernel" in weights else 1
        self.conv1 = _conv(weights, f"{name}/conv1/conv", stride, same=True)
        self.conv2 = _conv(weights, f"{name}/conv2/conv", same=True)
        self.shortcut = _conv(weights, shortcut, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return nnf.relu(self.shortcut(x) + self.conv2(nnf.relu(self.conv1(x))))


class TinyImagenet(nn.Module):
    """`fidojax.networks.classifiers.ResNet`, folded."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.stem = _conv(weights, "stem/conv", stride=2, same=True)
        count = 1 + max(int(name.split("/")[1]) for name in weights if name.startswith("blocks/"))
        self.blocks = nn.Sequential(*(Block(weights, f"blocks/{i}") for i in range(count)))
        self.logits = _dense(weights, "logits")

    def forward(self, x: Tensor) -> Tensor:
        x = nnf.relu(self.stem(self.standardise(x)))
        return self.logits(self.blocks(x).mean((2, 3)))


class ResNet18(nn.Module):
    """`benchmarks.resnets.resnet18`."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.stem = _conv(weights, "stem", stride=2, pad=3)
        blocks = resnet18_blocks()
        self.blocks = nn.Sequential(
            *(BasicBlock(weights, f"{stage}/{i}", stride) for stage, i, stride in blocks)
        )
        self.logits = _dense(weights, "logits")

    def forward(self, x: Tensor) -> Tensor:
        x = nnf.relu(self.stem(self.standardise(x)))
        return self.logits(self.blocks(nnf.max_pool2d(x, 3, 2, 1)).mean((2, 3)))


class BasicBlock(nn.Module):
    """Two convolutions of 3 x 3 and a shortcut."""

    def __init__(self, weights: Weights, name: str, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(weights, f"{name}/conv1", stride, pad=1)
        self.conv2 = _conv(weights, f"{name}/conv2", pad=1)
        self.shortcut = _conv(weights, f"{name}/shortcut", stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return nnf.relu(self.shortcut(x) + self.conv2(nnf.relu(self.conv1(x))))


class ResNet50(nn.Module):
    """Keras's ResNet50: the stride is in the first convolution of a block."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.standardise = Standardise(caffe=True)
        self.stem = _conv(weights, "conv1_conv", stride=2, pad=3)
        blocks = (Bottleneck(weights, name, stride) for name, _, stride in resnet50_blocks())
        self.blocks = nn.Sequential(*blocks)
        self.logits = _dense(weights, "predictions")

    def forward(self, x: Tensor) -> Tensor:
        x = nnf.relu(self.stem(self.standardise(x)))
        return self.logits(self.blocks(nnf.max_pool2d(x, 3, 2, 1)).mean((2, 3)))


class Bottleneck(nn.Module):
    """Convolutions of 1 x 1, 3 x 3 and 1 x 1, and a shortcut."""

    def __init__(self, weights: Weights, name: str, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(weights, f"{name}_1_conv", stride)
        self.conv2 = _conv(weights, f"{name}_2_conv", pad=1)
        self.conv3 = _conv(weights, f"{name}_3_conv")
        first = f"{name}_0_conv/kernel" in weights
        self.shortcut = _conv(weights, f"{name}_0_conv", stride) if first else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv3(nnf.relu(self.conv2(nnf.relu(self.conv1(x)))))
        return nnf.relu(self.shortcut(x) + h)


class VGG16(nn.Module):
    """Keras's VGG16."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.standardise = Standardise(caffe=True)
        layers: list[nn.Module] = []
        for block, count in enumerate((2, 2, 3, 3, 3), 1):
            for i in range(1, count + 1):
                layers += [_conv(weights, f"block{block}_conv{i}", pad=1), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.fc1, self.fc2 = _dense(weights, "fc1"), _dense(weights, "fc2")
        # The weights expect channels last; reordered, they need no copy of the features in NCHW.
        rows = self.fc1.weight.data.reshape(len(self.fc1.weight), 7, 7, 512)
        self.fc1.weight.data = rows.permute(0, 3, 1, 2).flatten(1).contiguous()
        self.logits = _dense(weights, "predictions")

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(self.standardise(x)).flatten(1)
        return self.logits(nnf.relu(self.fc2(nnf.relu(self.fc1(x)))))


class MobileNetV2(nn.Module):
    """Keras's MobileNetV2 with folded batch norm, weights by Keras's layer names."""

    def __init__(self, weights: Weights) -> None:
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

    def __init__(self, weights: Weights, name: str) -> None:
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


NETWORKS: dict[str, Callable[[Weights], nn.Module]] = {
    "mnist": Mnist,
    "tiny_imagenet40": TinyImagenet,
    "resnet18": ResNet18,
    "keras:MobileNetV2": MobileNetV2,
    "resnet50": ResNet50,
    "keras:ResNet50": ResNet50,
    "keras:VGG16": VGG16,
}
"""The modules by the names of `benchmarks.networks.load`, built from its `arrays`."""


class SamePadding(nn.Module):
    """Zero padding as in TensorFlow and JAX: an odd row or column comes at the end."""

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
    weights: Weights, name: str, stride: int = 1, same: bool = False, pad: int = 0
) -> nn.Module:
    kernel = torch.from_numpy(weights[f"{name}/kernel"].astype(np.float32))  # HWIO
    side, groups = kernel.shape[0], 1
    if name.endswith("_depthwise"):
        kernel, groups = kernel.transpose(2, 3), kernel.shape[2]
    kernel = kernel.permute(3, 2, 0, 1).contiguous()
    inputs, outputs = kernel.shape[1] * groups, kernel.shape[0]
    # An odd kernel of stride 1 pads both sides equally, as the convolution itself does.
    inside = side // 2 if same and stride == 1 else pad
    conv = nn.Conv2d(inputs, outputs, side, stride, inside, groups=groups)
    conv.weight.data = kernel
    conv.bias = nn.Parameter(torch.from_numpy(weights[f"{name}/bias"].astype(np.float32)))
    return nn.Sequential(SamePadding(side, stride), conv) if same and stride > 1 else conv


def _dense(weights: Weights, name: str) -> nn.Linear:
    kernel = torch.from_numpy(weights[f"{name}/kernel"].astype(np.float32)).T.contiguous()
    layer = nn.Linear(kernel.shape[1], kernel.shape[0])
    layer.weight.data = kernel
    layer.bias.data = torch.from_numpy(weights[f"{name}/bias"].astype(np.float32))
    return layer
