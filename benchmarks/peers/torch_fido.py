"""A plain PyTorch FIDO on the networks of `torch_networks`, for comparisons of speed.

It is written as a PyTorch user would: modules in eval mode, one batch of images x masks per step,
`torch.optim.Adam` on the logit of the keep probability. It needs the extra `[torch]`.
"""

# pyright: reportMissingImports=false

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
PAPER = {
    "lam": 1e-3,
    "tv": 0.01,
    "temperature": 0.1,
    "learning_rate": 0.05,
    "b2": 0.999,
    "antithetic": False,
    "samples": 8,
}
"""The options of `Fido` in the paper's schedule."""


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
        dtype: torch.dtype | None = None,
        compiled: bool = False,
    ) -> None:
        """Set up the state for images "n h w c" in [0, 1] and a colour of one value per channel.

        With a `dtype` the network runs under autocast; `compiled` by `torch.compile`.
        """
        self.format = LAYOUTS[layout]
        self.network = network.eval().requires_grad_(False)
        self.network.to(memory_format=self.format)  # type: ignore[call-overload]
        self.evaluated = torch.compile(self.network) if compiled else self.network
        self.dtype = dtype
        device = next(self.network.parameters(), torch.empty(0)).device
        self.images = torch.from_numpy(np.moveaxis(images, -1, 1).copy()).to(device)[:, None]
        self.targets = torch.from_numpy(targets).long().to(device)
        self.color = torch.from_numpy(color).to(device)[:, None, None]
        self.samples, self.temperature = options["samples"], options["temperature"]
        self.antithetic = options["antithetic"]
        self.lam, self.tv = options["lam"], options["tv"]
        n, _, _, h, w = self.images.shape
        self.theta = torch.zeros((n, 1, h // 4, w // 4), device=device, requires_grad=True)
        self.adam = torch.optim.Adam(
            [self.theta], options["learning_rate"], betas=(0.9, options["b2"])
        )

    def step(self) -> Tensor:
        """Do one step of the optimiser; return the minimised value of each image."""
        n, _, _, h, w = self.images.shape
        keep = nnf.interpolate(
            torch.sigmoid(self.theta), (h, w), mode="bilinear", align_corners=True
        )
        draws = self.samples // 2 if self.antithetic else self.samples
        noise = torch.logit(torch.rand((n, draws, 1, h, w), device=self.images.device))
        if self.antithetic:
            noise = torch.cat([noise, -noise], 1)
        z = torch.sigmoid((torch.logit(keep, 1e-7)[:, None] + noise) / self.temperature)
        mixed = z * self.images + (1 - z) * self.color
        flat = mixed.flatten(0, 1).contiguous(memory_format=self.format)
        score = self.log_odds(self.logits(flat)).view(n, self.samples).mean(1)
        down, across = keep.diff(dim=2), keep.diff(dim=3)
        variation = (down**2).sum((1, 2, 3)) + (across**2).sum((1, 2, 3))
        loss = -score + self.lam * keep.sum((1, 2, 3)) + self.tv * variation
        self.adam.zero_grad()
        loss.sum().backward()
        self.adam.step()
        return loss.detach()

    def gradient(self) -> Tensor:
        """Return the bare gradient of the scores to all masked images of one step."""
        n, _, c, h, w = self.images.shape
        flat = self.images.expand(n, self.samples, c, h, w).flatten(0, 1)
        flat = flat.contiguous(memory_format=self.format).requires_grad_()
        (gradient,) = torch.autograd.grad(self.log_odds(self.logits(flat)).sum(), flat)
        return gradient

    def logits(self, flat: Tensor) -> Tensor:
        """Return the network's logits in float32."""
        if self.dtype is None:
            return self.evaluated(flat)
        with torch.autocast(flat.device.type, self.dtype):
            return self.evaluated(flat).float()

    def log_odds(self, logits: Tensor) -> Tensor:
        targets = self.targets.repeat_interleave(self.samples)[:, None]
        others = logits.scatter(1, targets, -torch.inf)
        return logits.gather(1, targets)[:, 0] - torch.logsumexp(others, 1)
