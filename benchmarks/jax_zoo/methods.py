"""What each method makes of a network: a traced program or a refusal, a map, a gap, a time."""

import functools
import signal
import time
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

import infillers
from benchmarks.jax_zoo.model import Model
from fidojax.core import logits_of
from fidojax.methods import METHOD_ROWS, METHODS

KINDS = (
    "gradient",  # and all that ask for logits and their gradients
    "grad_cam",  # and the other maps of features
    "guided_backprop",
    "deeplift",
    "attention_relevance",
)
"""A method for each thing that methods demand of a network."""
CHEAP = (
    "gradient", "integrated_gradients", "deeplift", "grad_cam", "occlusion", "guided_backprop",
    "attention_rollout", "attention_relevance",
)  # fmt: skip
"""Methods that are run, not only traced."""
SECONDS = 60
"""A method that takes longer to trace is given up."""
STEPS = 2
"""Steps, draws and samples of each method that is traced."""
CLASS = 3
"""The class that is explained."""


def tried() -> list[str]:
    """Return the methods that need no network of their own, trained for the classifier."""
    return [name for name, row in METHOD_ROWS.items() if set(row.required) <= {"infill", "boxes"}]


def options_of(method: str, model: Model) -> dict[str, Any]:
    """Return the options of a method: few steps, large windows, the grid of the patches."""
    row, side = METHOD_ROWS[method], model.side
    counts = {n: STEPS for n in ("steps", "samples", "draws") if n in row.defaults}
    found: dict[str, Any] = {**row.quick, **counts}
    if "infill" in row.required:
        found["infill"] = infillers.blur()
    if "boxes" in row.required:
        found["boxes"] = jnp.asarray([[1.0, 1.0, side / 2, side / 2]])
    if "window" in row.defaults:
        found |= {"window": side // 2, "stride": side // 2, "chunk": 4}
    if method == "deeplift" and not model.small:
        found["rule"] = "rescale"
    if "grid" in row.defaults and model.grid:
        found["grid"] = model.grid
    return found


@jax.jit
def _once(classifier: Any, images: Any) -> Any:
    return classifier(images)


def shared(classifier: Any, method: str) -> Any:
    """Return the classifier as one that is traced once for all methods that read only logits."""
    row = METHOD_ROWS[method]
    return classifier if row.features else Partial(_once, classifier)


def refusal(error: Exception) -> str:
    """Return the first line of what an error says, with its type unless a method refuses so."""
    text = str(error).strip().split("\n")[0]
    plain = isinstance(error, ValueError | TypeError | NotImplementedError)
    return text if plain else f"{type(error).__name__}: {text}"


def _give_up(*_: Any) -> None:
    raise TimeoutError(f"not traced within {SECONDS} s")


def traced(model: Model) -> dict[str, Any]:
    """Return the row of a network: what each method says of it where it is traced."""
    start = time.perf_counter()
    signal.signal(signal.SIGALRM, _give_up)
    row: dict[str, Any] = {"kind": "traced", **_names(model)}
    try:
        classifier = model.build()
    except Exception as error:
        return row | {"failed": refusal(error)}
    leaves = jax.tree.leaves(classifier)
    row["parameters"] = sum(leaf.size for leaf in leaves)
    image = jax.ShapeDtypeStruct((model.side, model.side, 3), jnp.float32)
    found = {}
    for method in tried() if model.small else KINDS:
        explain = functools.partial(METHODS[method], target=CLASS, **options_of(method, model))
        begun = time.perf_counter()
        signal.alarm(SECONDS)
        try:
            shape = jax.eval_shape(
                lambda key, c, x, explain=explain: explain(key, c, x).saliency,
                jax.random.key(0), shared(classifier, method), image,
            )  # fmt: skip
            found[method] = "" if shape.shape == image.shape[:2] else f"a map {shape.shape}"
        except Exception as error:
            found[method] = refusal(error)
        finally:
            signal.alarm(0)
        print(f"  {method}: {time.perf_counter() - begun:.1f} s {found[method]}", flush=True)
    return row | {"methods": found, "seconds": time.perf_counter() - start}


def measured(model: Model) -> dict[str, Any]:
    """Return the row of a network: what cheap methods give, the gaps, the time of a gradient."""
    row: dict[str, Any] = {"kind": "measured", **_names(model)}
    try:
        classifier = model.build()
    except Exception as error:
        return row | {"failed": refusal(error)}
    image = jnp.asarray(np.random.default_rng(0).random((model.side, model.side, 3)), jnp.float32)
    found = {}
    for method in CHEAP:
        given = options_of(method, model)
        if method == "integrated_gradients":
            given |= {"steps": 32, "rule": "gauss-legendre", "chunk": 8}
        if method == "deeplift":
            given["rule"] = "rescale"
        explain = jax.jit(functools.partial(METHODS[method], target=CLASS, **given))
        begun = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = explain(jax.random.key(0), classifier, image)
            cell: dict[str, Any] = {"finite": bool(jnp.isfinite(result.saliency).all())}
            cell["zero"] = not bool(result.saliency.any())
            if hasattr(result.info, "gap"):
                info = result.info
                cell["gap"] = float(info.gap)
                cell["difference"] = float(info.attribution.sum() - info.gap)
                cell["size"] = float(jnp.abs(info.attribution).sum())
        except Exception as error:
            cell = {"refused": refusal(error)}
        found[method] = cell
        print(f"  {method}: {time.perf_counter() - begun:.1f} s {cell}", flush=True)
    row |= {"methods": found, "gradient_s": gradient_seconds(classifier, image)}
    return row | ({"float64": float64_gap(classifier, image)} if model.small else {})


def float64_gap(classifier: Any, image: Any) -> float:
    """Return DeepLIFT's gap in float64, as a share of the sum of the contributions' sizes."""
    with jax.enable_x64(True):

        def wide(leaf):
            floating = jnp.issubdtype(leaf.dtype, jnp.floating)
            return leaf.astype(jnp.float64) if floating else leaf

        classifier, image = jax.tree.map(wide, (classifier, image))
        explain = jax.jit(functools.partial(METHODS["deeplift"], target=CLASS, rule="rescale"))
        info = explain(jax.random.key(0), classifier, image).info
        return float(abs(info.gap) / jnp.abs(info.attribution).sum())


@jax.jit
def _gradient(classifier: Any, images: Any) -> Any:
    return jax.grad(lambda images: logits_of(classifier, images)[0, CLASS])(images)


def gradient_seconds(classifier: Any, image: Any, rounds: int = 5) -> float:
    """Return the seconds of one gradient, the shortest of some rounds."""
    images = image[None]
    _gradient(classifier, images).block_until_ready()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        _gradient(classifier, images).block_until_ready()
        times.append(time.perf_counter() - start)
    return min(times)


def _names(model: Model) -> dict[str, Any]:
    return {
        "name": model.name, "library": model.library, "adapter": model.adapter,
        "side": model.side, "grid": model.grid,
    }  # fmt: skip
