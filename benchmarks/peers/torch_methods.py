"""BBMP and Extremal Perturbation in plain PyTorch, for comparisons with `fidojax.methods`.

They are written as a PyTorch user would: a batch of pictures at once, autograd to the masks,
optimisers of `torch.optim`. The network is in eval mode and its parameters need no gradient; the
pictures' memory layout is the network's. Pictures are "n c h w" in [0, 1]; every function returns
the maps "n h w" and the minimised values "steps n". It needs the extra `[torch]`.
"""

# pyright: reportMissingImports=false

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

Maps = tuple[Tensor, Tensor]


def bbmp(
    network: nn.Module,
    images: Tensor,
    targets: Tensor,
    color: Tensor,
    *,
    steps: int,
    lam: float,
    tv: float,
    learning_rate: float,
) -> Maps:
    """`fidojax.methods.bbmp`, smallest supporting region, with one colour "c 1 1" as infill."""
    n, _, h, w = images.shape
    mask = torch.ones((n, 1, -(-h // 4), -(-w // 4)), device=images.device, requires_grad=True)
    adam = torch.optim.Adam([mask], learning_rate)
    decay = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1 - step / steps)
    history = []
    for step in range(steps):
        with torch.no_grad():
            mask.clamp_(0, 1)
        keep = upsample(mask, (h, w))
        score = log_odds(network(in_layout_of(images, mix(images, keep, color))), targets)
        regularisers = lam * keep.sum((1, 2, 3)) + tv * total_variation(keep)
        loss = -score + min(step, 1) * regularisers
        adam.zero_grad()
        loss.sum().backward()
        adam.step()
        decay.step()
        history.append(loss.detach())
    with torch.inference_mode():
        keep = upsample(mask.clamp(0, 1), (h, w))
    judge(network, images, targets, keep, color)
    return keep[:, 0], torch.stack(history)


def extremal_perturbation(
    network: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    area: float,
    steps: int,
    learning_rate: float = 0.01,
    momentum: float = 0.9,
    dampening: float = 0.9,
    area_weight: float = 300.0,
    area_growth: float = 1.0035,
    levels: int = 8,
    start: float | Tensor = 1.0,
) -> Maps:
    """`fidojax.methods.extremal_perturbation`, preserving one area of a blurred picture.

    From the usual start, a grid of ones, rounding makes the two libraries' maps differ: most of the
    mask's values are equal, and the area term depends on their order.
    """
    n, _, h, w = images.shape
    stride = max(1, round(7 * min(h, w) / 224))
    discs = Discs(stride, 3 * stride, images.device)
    shape = (n, 1, -(-h // stride), -(-w // stride))
    grid = (torch.ones(shape, device=images.device) * start).requires_grad_()
    descent = torch.optim.SGD([grid], learning_rate, momentum, dampening)
    degrees = blurred(images, levels, 20 * min(h, w) / 224)
    history = []
    for step in range(steps):
        mask, whole = discs(grid, (h, w))
        seen = in_layout_of(images, perturbed(degrees, mask))
        logits = network(seen.flip(3) if step % 2 == 0 else seen)
        weight = area_weight * area_growth**step
        loss = weight * area_loss(whole, area) - logits.gather(1, targets[:, None])[:, 0]
        descent.zero_grad()
        loss.sum().backward()
        descent.step()
        with torch.no_grad():
            grid.clamp_(0, 1)
        history.append(loss.detach())
    with torch.inference_mode():
        mask, _ = discs(grid, (h, w))
        seen = in_layout_of(images, perturbed(degrees, mask))
        # As in fidojax: the picture through the one mask, through the mean mask, and unchanged.
        network(torch.cat([seen, seen, images]))
    return mask[:, 0], torch.stack(history)


class Discs:
    """The smooth maximum over discs around the nodes of a grid.

    See `fidojax.methods.extremal_perturbation`.
    """

    def __init__(self, stride: int, sigma: float, device: torch.device) -> None:
        self.stride, self.border = stride, math.ceil(sigma / stride)
        self.reach = self.border + 1
        nodes = torch.arange(-self.reach, self.reach + 1, device=device) * stride
        away = torch.arange(stride, device=device)[:, None] - nodes
        distance = torch.hypot(away[:, None, :, None].float(), away[None, :, None, :].float())
        disc = torch.exp(-2 * (distance / sigma - 0.5).clamp(min=0) ** 2)
        self.disc = disc.reshape(1, stride * stride, -1, 1)

    def __call__(self, grid: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The mask on the picture, and the whole mask with its border."""
        n, _, rows, columns = grid.shape
        rows, columns = rows + 2 * self.border, columns + 2 * self.border
        nodes = nnf.unfold(nnf.pad(grid, [self.border + self.reach] * 4), 2 * self.reach + 1)
        values = self.disc * nodes[:, None]
        pooled = (values * torch.softmax(20 * values, 2)).sum(2)
        whole = nnf.pixel_shuffle(pooled.view(n, -1, rows, columns), self.stride)
        whole = whole[..., : (rows - 1) * self.stride + 1, : (columns - 1) * self.stride + 1]
        first = self.border * self.stride
        return whole[..., first : first + shape[0], first : first + shape[1]], whole


def area_loss(whole: Tensor, area: float) -> Tensor:
    """Return the squared distance of the sorted mask from a hard mask of that area."""
    ordered, _ = whole.flatten(1).sort(stable=True)
    count = ordered.shape[1]
    template = torch.arange(count, device=whole.device) >= math.floor(count * (1 - area) + 0.01)
    return (ordered - template.float()).square().mean(1)


def blurred(images: Tensor, levels: int, sigma: float) -> Tensor:
    """Return blurred pictures "n levels c h w", the most blurred first, with zero padding."""
    mean = images.mean((2, 3), keepdim=True)
    channels, found = images.shape[1], []
    for level in range(levels - 1):
        width = sigma * (1 - level / (levels - 1))
        half = math.ceil(4 * width)
        taps = torch.exp(-(torch.arange(-half, half + 1) ** 2) / (2 * width**2))
        taps = (taps / taps.sum()).to(images.device).expand(channels, 1, -1)
        down = nnf.conv2d(images - mean, taps[..., None], padding=(half, 0), groups=channels)
        across = nnf.conv2d(down, taps[:, :, None], padding=(0, half), groups=channels)
        found.append(mean + across)
    return torch.stack([*found, images], 1)


def perturbed(degrees: Tensor, mask: Tensor) -> Tensor:
    """Return the pictures with each pixel at its mask's level of blur, linear between levels."""
    last = degrees.shape[1] - 1
    at = mask * last
    below = at.detach().floor().clamp(0, last - 1)
    share = at - below
    index = below.long()[:, None].expand(-1, 1, degrees.shape[2], -1, -1)
    lower, upper = (degrees.gather(1, i)[:, 0] for i in (index, index + 1))
    return lower + share * (upper - lower)


def mix(images: Tensor, keep: Tensor, color: Tensor) -> Tensor:
    """Mix pictures, where `keep` is 1, and the colour, where it is 0."""
    return keep * images + (1 - keep) * color


def upsample(mask: Tensor, shape: tuple[int, int]) -> Tensor:
    """Resize bilinearly with aligned corners."""
    return nnf.interpolate(mask, shape, mode="bilinear", align_corners=True)


def total_variation(keep: Tensor) -> Tensor:
    """Return the sum of squared differences of neighbouring pixels for each picture."""
    down, across = keep.diff(dim=2).square(), keep.diff(dim=3).square()
    return down.sum((1, 2, 3)) + across.sum((1, 2, 3))


def log_odds(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the target's logit minus the log-sum-exp of all others."""
    others = logits.scatter(1, targets[:, None], -torch.inf)
    return logits.gather(1, targets[:, None])[:, 0] - torch.logsumexp(others, 1)


def judge(
    network: nn.Module, images: Tensor, targets: Tensor, keep: Tensor, color: Tensor
) -> Tensor:
    """Return p(target) on the kept pixels alone and on the original pictures."""
    with torch.inference_mode():
        shown = mix(images, (keep > 0.5).float(), color)
        both = in_layout_of(images, torch.cat([shown, images]))
        return network(both).softmax(1).gather(1, targets.repeat(2)[:, None])


def in_layout_of(images: Tensor, others: Tensor) -> Tensor:
    """Return `others` in the memory layout of `images`."""
    last = images.is_contiguous(memory_format=torch.channels_last)
    return others.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
