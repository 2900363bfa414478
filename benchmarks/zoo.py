"""PyTorch's networks through `fidojax.networks.from_torch`: agreement with PyTorch, and methods.

    python -m benchmarks.zoo measure --out zoo.jsonl          # all architectures, a line each
    python -m benchmarks.zoo measure --names resnet18 swin_t --out zoo.jsonl
    python -m benchmarks.zoo methods --names resnet18 --out zoo.jsonl
    python -m benchmarks.zoo report zoo.jsonl                 # the tables of docs/models.md

Weights are random, running averages and zero layers are drawn too, so that no layer is idle.
Errors are the largest difference over the largest value, of the logits of two pictures and of the
gradient of one logit's sum; in float64, where no unit falls on the other side of its kink, and for
the logits also in float32. Needs the extra [torch], torchvision and timm.
"""

import dataclasses
import importlib
import json
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

import fidojax
import infillers
from fidojax import networks
from fidojax.core import check_name
from fidojax.methods import METHOD_ROWS

TORCHVISION = {
    "alexnet": 64, "convnext_tiny": 64, "densenet121": 64, "efficientnet_b0": 64,
    "efficientnet_v2_s": 64, "googlenet": 64, "inception_v3": 96, "maxvit_t": 224,
    "mnasnet0_5": 64, "mobilenet_v2": 64, "mobilenet_v3_small": 64, "regnet_x_400mf": 64,
    "regnet_y_400mf": 64, "resnet18": 64, "resnet50": 64, "resnext50_32x4d": 64,
    "shufflenet_v2_x0_5": 64, "squeezenet1_1": 64, "swin_t": 64, "swin_v2_t": 64, "vgg11_bn": 64,
    "vit_b_16": 224, "wide_resnet50_2": 64,
}  # fmt: skip
"""Networks of torchvision -> the side of the pictures."""
TIMM = {
    "beit_base_patch16_224": 224, "cait_xxs24_224": 224, "coat_tiny": 224, "convnext_atto": 64,
    "crossvit_tiny_240": 240, "deit_tiny_patch16_224": 224, "dla34": 64, "edgenext_xx_small": 64,
    "efficientformer_l1": 224, "efficientvit_b0": 64, "eva02_tiny_patch14_224": 224,
    "fastvit_t8": 64, "focalnet_tiny_srf": 64, "ghostnet_050": 64, "hrnet_w18_small": 64,
    "levit_128s": 224, "maxvit_rmlp_pico_rw_256": 256, "mixer_s32_224": 224,
    "mobilenetv4_conv_small": 64, "mobilevitv2_050": 64, "nfnet_l0": 64, "poolformer_s12": 64,
    "pvt_v2_b0": 64, "regnetx_002": 64, "repvgg_a0": 64, "resnest14d": 64, "tiny_vit_5m_224": 224,
    "twins_svt_small": 224, "vit_tiny_patch16_224": 224, "visformer_tiny": 224, "volo_d1_224": 224,
    "xcit_nano_12_p16_224": 224,
}  # fmt: skip
"""Networks of timm -> the side of the pictures."""
LAYERS = {
    "resnet18": "layer4", "convnext_atto": "stages.3", "swin_t": "features.7",
    "mobilenet_v3_small": "features.12", "vit_tiny_patch16_224": "blocks.11",
}  # fmt: skip
"""Networks on which all methods run -> the layer for Grad-CAM."""
STEPS = 2
"""Steps, draws and samples of each method: that it runs is shown, not that it has converged."""


def build(name: str) -> tuple[str, Any, int]:
    """Return the library, the module in eval mode and the side of its pictures."""
    check_name("name", name, [*TORCHVISION, *TIMM])
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if name in TORCHVISION:
        library, side = "torchvision", TORCHVISION[name]
        options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        models = importlib.import_module("torchvision").models
        module = models.get_model(name, weights=None, **options)
    else:
        library, side = "timm", TIMM[name]
        module = importlib.import_module("timm").create_model(name, pretrained=False)
    for key, value in module.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif key.endswith("running_mean"):
            value.normal_(std=0.1)
        elif value.is_floating_point() and value.ndim and not value.any():
            value.normal_(std=0.02)
    return library, module.eval(), side


def by_torch(module: Any, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return PyTorch's logits and the gradient of the sum of logit 3 to the images."""
    torch = importlib.import_module("torch")
    x = torch.tensor(np.moveaxis(images, 3, 1).copy(), requires_grad=True)
    logits = module(x)
    logits[:, 3].sum().backward()
    return logits.detach().numpy(), np.moveaxis(x.grad.numpy(), 1, 3)


@jax.jit
def by_jax(classifier: Any, images: Any) -> tuple[Any, Any]:
    """Return the same of the classifier."""

    def score(images):
        logits = classifier(images)
        return logits[:, 3].sum(), logits

    gradient, logits = jax.grad(score, has_aux=True)(images)
    return logits, gradient


def error(ours: Any, theirs: np.ndarray) -> float:
    """Return the largest difference over the largest value."""
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


def measured(name: str) -> dict[str, Any]:
    """Return the row of a network: its errors and the seconds of its export and compilation."""
    library, module, side = build(name)
    row: dict[str, Any] = {"kind": "network", "name": name, "library": library, "side": side}
    images = np.random.default_rng(0).random((2, side, side, 3))
    start = time.perf_counter()
    try:
        classifier: Any = networks.from_torch(module, (side, side, 3))
    except ValueError as refused:
        return row | {"refused": str(refused)}
    row["export"] = time.perf_counter() - start
    small = np.asarray(images, np.float32)
    logits = jax.jit(lambda c, x: c(x))(classifier, jnp.asarray(small))
    row["float32"] = error(logits, by_torch(module, small)[0])
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), classifier)
    start = time.perf_counter()
    ours = by_jax(wide, jnp.asarray(images))
    row["compile"] = time.perf_counter() - start
    theirs = by_torch(module.double(), images)
    return row | {"logits": error(ours[0], theirs[0]), "gradient": error(ours[1], theirs[1])}


def explained(name: str) -> list[dict[str, Any]]:
    """Return a row for each method on a network: the seconds, or the sentence that refuses it."""
    library, module, side = build(name)
    classifier = networks.from_torch(module, (side, side, 3), layer=LAYERS[name])
    image = jnp.asarray(np.random.default_rng(0).random((side, side, 3)), jnp.float32)
    rows = []
    for method, known in METHOD_ROWS.items():
        if set(known.required) - {"infill", "boxes"}:
            continue  # a network that is trained for the classifier
        counts = {n: STEPS for n in ("steps", "samples", "draws") if n in known.defaults}
        options: dict[str, Any] = {**known.quick, **counts}
        if "infill" in known.required:
            options["infill"] = infillers.blur()
        if "boxes" in known.required:
            options["boxes"] = jnp.asarray([[8.0, 8.0, 24.0, 24.0]])
        row: dict[str, Any] = {"kind": "method", "name": name, "method": method}
        start = time.perf_counter()
        try:
            found = getattr(fidojax, method)(jax.random.key(0), classifier, image, 3, **options)
            finite = bool(jnp.isfinite(found.saliency).all())
            row |= {"seconds": time.perf_counter() - start, "finite": finite}
        except (ValueError, TypeError, NotImplementedError) as refused:
            row["refused"] = str(refused).strip().split("\n")[0]
        rows.append(row | {"library": library})
    return rows


@dataclasses.dataclass(frozen=True)
class Measure:
    """Compare networks with PyTorch."""

    out: Path
    """File to which a line of JSON per network is added; networks that it has are left out."""
    names: tuple[str, ...] = (*TORCHVISION, *TIMM)


@dataclasses.dataclass(frozen=True)
class Methods:
    """Run every method on some networks."""

    out: Path
    names: tuple[str, ...] = tuple(LAYERS)


@dataclasses.dataclass(frozen=True)
class Report:
    """Print the tables."""

    file: tyro.conf.Positional[Path]


def main(task: Measure | Methods | Report) -> None:
    """Measure, or print what was measured."""
    if isinstance(task, Report):
        print("\n".join(lines([json.loads(line) for line in task.file.read_text().splitlines()])))
        return
    warnings.simplefilter("ignore")
    kind = "network" if isinstance(task, Measure) else "method"
    jax.config.update("jax_enable_x64", kind == "network")
    known = task.out.read_text().splitlines() if task.out.exists() else []
    done = {row["name"] for row in map(json.loads, known) if row["kind"] == kind}
    for name in task.names:
        if name not in done:
            rows = [measured(name)] if kind == "network" else explained(name)
            with task.out.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            print(*rows, sep="\n", flush=True)
            jax.clear_caches()


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return the tables in Markdown."""
    text = [
        "| network | from | pictures | logits | gradient | logits, float32 | export, s |"
        " compilation, s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in (r for r in rows if r["kind"] == "network"):
        start = f"| {row['name']} | {row['library']} | {row['side']}² |"
        if "refused" in row:
            text.append(f"{start} refused: {row['refused']} | | | | |")
        else:
            errors = " | ".join(f"{row[key]:.0e}" for key in ("logits", "gradient", "float32"))
            text.append(f"{start} {errors} | {row['export']:.1f} | {row['compile']:.1f} |")
    found = [r for r in rows if r["kind"] == "method"]
    names = list(dict.fromkeys(r["name"] for r in found))
    if not found:
        return text
    text += ["", f"| method | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for method in dict.fromkeys(r["method"] for r in found):
        cells = {r["name"]: r for r in found if r["method"] == method}
        text.append(f"| `{method}` | {' | '.join(cell(cells.get(name)) for name in names)} |")
    return text


def cell(row: dict[str, Any] | None) -> str:
    """Return what a table says of a method on a network."""
    if row is None:
        return ""
    if "refused" in row:
        return f"refused: {row['refused']}"
    return f"works, {row['seconds']:.1f} s" if row["finite"] else "not finite"


if __name__ == "__main__":
    main(tyro.cli(Measure | Methods | Report))
