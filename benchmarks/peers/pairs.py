"""The pairs that `benchmarks.peers` compares: one call of fidojax and one of a peer.

Both take and return NumPy arrays, so that a call is done when it returns. It needs the extra
`[peers]`.
"""

# pyright: reportMissingImports=false

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam, Occlusion
from torch import Tensor, nn

from benchmarks.peers import quantus_flipping, torch_methods
from benchmarks.peers.torch_fido import LAYOUTS, Fido
from benchmarks.peers.work import Work, in_parts
from fidojax import explain_batch
from fidojax.bench import bare_forward, bare_gradient, count_passes
from fidojax.types import Classifier
from infillers.mean import mean

COLOR = 0.45
"""The grey value that replaces dropped pixels in FIDO and BBMP."""
COPIES = 8
"""Copies of each picture in the two rows of the bare network: the number of FIDO's masks."""
WINDOWS = {"window": 15, "stride": 8}
REGULARISERS = {"lam": 1e-3, "tv": 0.01, "learning_rate": 0.05}


class Side(NamedTuple):
    """One network in PyTorch.

    Attributes:
        network: in eval mode and its layout, perhaps compiled; no parameter needs a gradient.
        eager: the same module, not compiled.
        layout: a name in `benchmarks.peers.torch_fido.LAYOUTS`.
        layer: name of the layer of the last convolutional features.
    """

    network: nn.Module
    eager: nn.Module
    layout: str
    layer: str | None

    def tensors(self, part: Work) -> tuple[Tensor, Tensor]:
        """Return pictures "n c h w" in the network's layout, and classes, on its device."""
        device = next(self.eager.parameters()).device
        images = torch.from_numpy(part.images).permute(0, 3, 1, 2).to(device)
        images = images.contiguous(memory_format=LAYOUTS[self.layout])
        return images, torch.from_numpy(part.targets).long().to(device)


class Pair(NamedTuple):
    """One row: a method of fidojax and its peer.

    Attributes:
        name: of the row.
        peer: name of the peer.
        here: `here(classifier, work, batch_size) -> maps` of fidojax for all pictures.
        there: `there(side, part) -> maps` of the peer for one batch of pictures.
        forwards: pictures through the network per map of fidojax.
        random: whether the maps depend on random numbers that each side draws.
    """

    name: str
    peer: str
    here: Callable[[Classifier, Work, int], np.ndarray]
    there: Callable[[Side, Work], np.ndarray]
    forwards: int
    random: bool = False


class Sizes(NamedTuple):
    """Steps, points and versions at once of the rows; see `benchmarks.peers.__main__.Config`."""

    fido_steps: int
    steps: int
    points: int
    chunk: int


def pairs(size: tuple[int, int, int], classes: int, sizes: Sizes) -> dict[str, Pair]:
    """Return all rows by name."""

    def method(peer: str, name: str, options: Mapping[str, Any], there, random=False) -> Pair:
        def here(classifier, work, batch_size):
            given = (classifier, work.images, work.targets)
            found = explain_batch(name, *given, options=options, batch_size=batch_size)
            return np.asarray(found.saliency)

        forwards = count_passes(name, options, size, classes).forward
        return Pair(name, peer, here, there, forwards, random)

    grey = {"infill": mean(COLOR)}
    masks = {**REGULARISERS, "samples": 8, "temperature": 0.1, "b2": 0.999, "antithetic": False}
    plain = {"schedule": "constant", "warmup": 0, "steps": sizes.fido_steps}
    descent = {**REGULARISERS, "steps": sizes.steps}
    extremal = {"areas": 0.1, "steps": sizes.steps}
    integrated = {"steps": sizes.points, "chunk": _even(sizes.points, sizes.chunk)}
    windows = _windows(size)
    occlusion = {**WINDOWS, "score": "logit", "chunk": _even(1 + windows, sizes.chunk)}
    rows = [
        Pair("forward", "PyTorch", _forward, _torch_forward, COPIES),
        Pair("gradient", "PyTorch", _gradient, _torch_gradient, COPIES),
        method(
            "PyTorch",
            "fido",
            {**grey, **masks, **plain},
            lambda side, part: _fido(side, part, masks, sizes.fido_steps),
            random=True,
        ),
        method(
            "PyTorch",
            "bbmp",
            {**grey, **descent},
            lambda side, part: _bbmp(side, part, descent),
        ),
        method(
            "PyTorch",
            "extremal_perturbation",
            extremal,
            lambda side, part: _extremal(side, part, area=0.1, steps=sizes.steps),
        ),
        method(
            "Captum IntegratedGradients",
            "integrated_gradients",
            integrated,
            lambda side, part: _integrated(side, part, sizes.points),
        ),
        method(
            "Captum Occlusion",
            "occlusion",
            occlusion,
            lambda side, part: _occlusion(side, part, _even(windows, sizes.chunk)),
        ),
        method("Captum LayerGradCam", "grad_cam", {}, _grad_cam),
        Pair(
            "removal",
            "Quantus PixelFlipping",
            lambda classifier, work, batch: _removal(classifier, work, batch, sizes),
            lambda side, part: _flipping(side, part, sizes),
            1 + _points(size[0] * size[1], sizes.points),
        ),
    ]
    return {"pixel_flipping" if row.name == "removal" else row.name: row for row in rows}


def _forward(classifier, work, batch_size):
    def one(part):
        return bare_forward(classifier, jnp.asarray(part.repeated(COPIES).images))

    return in_parts(one, work, batch_size)


def _gradient(classifier, work, batch_size):
    def one(part):
        some = part.repeated(COPIES)
        return bare_gradient(classifier, jnp.asarray(some.images), jnp.asarray(some.targets))[1]

    return in_parts(one, work, batch_size)


def _torch_forward(side, part):
    images, _ = side.tensors(part.repeated(COPIES))
    with torch.inference_mode():
        return _numpy(side.network(images))


def _torch_gradient(side, part):
    images, targets = side.tensors(part.repeated(COPIES))
    images.requires_grad_()
    score = torch_methods.log_odds(side.network(images), targets).sum()
    (gradient,) = torch.autograd.grad(score, images)
    return _numpy(gradient.permute(0, 2, 3, 1))


def _fido(side, part, options, steps):
    color = np.full(part.images.shape[-1], COLOR, np.float32)
    fido = Fido(side.network, part.images, part.targets, color, side.layout, options)
    for _ in range(steps):
        fido.step()
    images, targets = side.tensors(part)
    with torch.inference_mode():
        keep = torch_methods.upsample(torch.sigmoid(fido.theta), images.shape[2:])
    torch_methods.judge(side.network, images, targets, keep, fido.color)
    return _numpy(keep[:, 0])


def _bbmp(side, part, options):
    images, targets = side.tensors(part)
    color = torch.full((images.shape[1], 1, 1), COLOR, device=images.device)
    return _numpy(torch_methods.bbmp(side.network, images, targets, color, **options)[0])


def _extremal(side, part, **options):
    maps, _ = torch_methods.extremal_perturbation(side.network, *side.tensors(part), **options)
    return _numpy(maps)


def _integrated(side, part, points):
    images, targets = side.tensors(part)
    found = IntegratedGradients(side.network).attribute(
        images, 0.0, targets, n_steps=points, method="riemann_right"
    )
    return _numpy(found.sum(1))


def _occlusion(side, part, at_once):
    images, targets = side.tensors(part)
    channels, window, stride = images.shape[1], WINDOWS["window"], WINDOWS["stride"]
    with torch.inference_mode():
        found = Occlusion(side.network).attribute(
            images,
            (channels, window, window),
            (channels, stride, stride),
            0.0,
            targets,
            perturbations_per_eval=at_once,
        )
    return _numpy(found[:, 0])  # the same in every channel


def _grad_cam(side, part):
    images, targets = side.tensors(part)
    # Only this layer's gradient is needed.
    layer = side.eager.get_submodule(side.layer).requires_grad_(True)
    coarse = LayerGradCam(side.eager, layer).attribute(images, targets, relu_attributions=True)
    layer.requires_grad_(False)
    found = LayerAttribution.interpolate(coarse, images.shape[2:], "bilinear")
    return _numpy(found[:, 0])


def _removal(classifier, work, batch_size, sizes):
    options = {"steps": sizes.points, "chunk": sizes.chunk, "batch_size": batch_size}
    return quantus_flipping.fidojax_curves("removal", classifier, work, **options)[:, 1:]


def _flipping(side, part, sizes):
    device = str(next(side.eager.parameters()).device)
    return quantus_flipping.quantus_curves(
        side.network, part, device, steps=sizes.points, batch_size=len(part.images)
    )


def _windows(size: tuple[int, int, int]) -> int:
    along = [1 - (WINDOWS["window"] - side) // WINDOWS["stride"] for side in size[:2]]
    return along[0] * along[1]


def _even(count: int, most: int) -> int:
    """Return the batch size, at most `most`, with the least padding of the last batch."""
    return -(-count // -(-count // most))


def _points(pixels: int, steps: int) -> int:
    """Return the number of steps of equal size, where the last one takes the rest."""
    return -(-pixels // -(-pixels // steps))


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
