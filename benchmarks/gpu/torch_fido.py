"""The FIDO step of plain PyTorch on the same card, eager and compiled."""

# pyright: reportMissingImports=false

import importlib.util

import numpy as np

from benchmarks.gpu.parts import Found
from benchmarks.networks import load
from fidojax import presets
from fidojax.bench import How, interleaved

MISSING = "PyTorch is not installed"


def step(name: str, precision: str, compiled: bool, images: int, how: How) -> Found:
    """Return the speed of PyTorch's step and gradient, by memory layout; or why it is left out."""
    if importlib.util.find_spec("torch") is None:
        return {"left_out": MISSING}
    return _measured(name, precision, compiled, images, how)


def _measured(name: str, precision: str, compiled: bool, images: int, how: How) -> Found:
    import torch

    from benchmarks.peers import torch_fido, torch_networks

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = load(name)
    pictures = np.random.default_rng(0).random((images, *network.size), np.float32)
    color = np.full(network.size[2], 0.45, np.float32)
    options = torch_fido.PAPER | presets.paper
    tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    found: Found = {"torch": torch.__version__, "device": device, "layouts": {}}
    for layout in torch_fido.LAYOUTS:
        module = torch_networks.NETWORKS[name](network.arrays).to(device)
        targets = np.zeros(images, np.int32)
        dtype = torch.bfloat16 if precision == "bfloat16" else None
        fido = torch_fido.Fido(module, pictures, targets, color, layout, options, dtype, compiled)

        def finished(call):
            result = call()
            if device == "cuda":
                torch.cuda.synchronize()
            return result

        calls = [lambda: finished(fido.step), lambda: finished(fido.gradient)]  # noqa: B023
        taken = interleaved(calls, 3 * how.repeats, how.rounds, how.clock)
        evaluations = images * options["samples"]
        found["layouts"][layout] = {
            "evaluations_per_second": evaluations / taken[0],
            "gradients_per_second": evaluations / taken[1],
        }
    best = max(found["layouts"].values(), key=lambda row: row["evaluations_per_second"])
    return found | best
