"""The time of `fidojax.networks.from_torch` beside PyTorch in eager mode, forward and gradient.

    python -m benchmarks.from_torch --names resnet18 resnet50 vit_b_16 convnext_tiny

One picture, one core, processor time, so that other work on the machine counts little; the lowest
of several rounds in which all programs run in turn. "fast" is `fidojax.transforms.cpu.fast` of the
same classifier; "native" the same architecture written in JAX for this project, with batch norm
folded. Weights are random. Needs the extra [torch], torchvision and timm.
"""

import dataclasses
import importlib
import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks import machine, zoo
from benchmarks import networks as native_networks
from fidojax import networks
from fidojax.transforms import cpu


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure some networks."""

    names: tuple[str, ...] = ("resnet18", "resnet50", "vit_b_16", "convnext_tiny")
    """Networks of `benchmarks.zoo`."""
    side: int = 224
    rounds: int = 7


def main(config: Config) -> None:
    """Print a row of milliseconds for each network and pass."""
    machine.use_cores(1)
    warnings.simplefilter("ignore")
    print("| network | pass | PyTorch | from_torch | fast | native | PyTorch / fast |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name in config.names:
        programs = programs_of(name, config.side)
        for kind in ("forward", "gradient"):
            calls = {who: call for (who, what), call in programs.items() if what == kind}
            times = lowest(calls, config.rounds)
            cells = [f"{times[who]:.1f}" if who in times else "" for who in WHO]
            ratio = times["PyTorch"] / times["fast"]
            print(f"| {name} | {kind} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)
        jax.clear_caches()


WHO = ("PyTorch", "from_torch", "fast", "native")


def lowest(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the lowest processor time of each call in milliseconds, after one that compiles."""
    times: dict[str, list[float]] = {who: [] for who in calls}
    for number in range(rounds + 1):
        for who, call in calls.items():
            start = time.process_time()
            call()
            if number:
                times[who].append(1e3 * (time.process_time() - start))
    return {who: min(found) for who, found in times.items()}


def programs_of(name: str, side: int) -> dict[tuple[str, str], Callable[[], Any]]:
    """Return the forward pass and the gradient of a logit in each form."""
    torch = importlib.import_module("torch")
    _, module, _ = zoo.build(name)
    classifier = networks.from_torch(module, (side, side, 3))
    images = np.random.default_rng(0).random((1, side, side, 3), np.float32)
    tensor = torch.tensor(np.moveaxis(images, 3, 1).copy())

    def forward() -> Any:
        with torch.no_grad():
            return module(tensor)

    def gradient() -> Any:
        x = tensor.clone().requires_grad_(True)
        return torch.autograd.grad(module(x)[:, 3].sum(), x)

    module.requires_grad_(False)  # of the image alone
    calls: dict[tuple[str, str], Callable[[], Any]] = {
        ("PyTorch", "forward"): forward,
        ("PyTorch", "gradient"): gradient,
    }
    forms: dict[str, Any] = {"from_torch": classifier, "fast": cpu.fast(classifier)}
    if name == "resnet18":
        forms["native"] = cpu.fast(native_networks.load(name).classifier)
    for who, form in forms.items():
        for what, function in {"forward": logits, "gradient": slope}.items():
            calls[who, what] = compiled(function, form, jnp.asarray(images))
    return calls


def compiled(function: Callable, *arguments: Any) -> Callable[[], Any]:
    """Return a call of the compiled function that waits for its result."""
    program = jax.jit(function)
    return lambda: jax.block_until_ready(program(*arguments))


def logits(classifier: Any, images: Any) -> Any:
    """Return the logits."""
    return classifier(images)


def slope(classifier: Any, images: Any) -> Any:
    """Return the gradient of one logit to the images."""
    return jax.grad(lambda images: classifier(images)[:, 3].sum())(images)


if __name__ == "__main__":
    main(tyro.cli(Config))
