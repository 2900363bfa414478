"""Classifiers from Flax NNX, Flax Linen and Equinox, one line each; see `keras` for Keras 3.

Each returns a callable pytree: its leaves are the weights, its structure is the network. So a
compiled function takes the weights as arguments, new weights of the same network neither retrace
nor go stale, and `jax.vmap` runs over stacked weights. The network is evaluated as at test time:
batch norm with its running averages, dropout off.

Images come in [0, 1], channels last. `preprocess(images) -> images` turns them into what the
network was trained on; it becomes part of the classifier. Pass a named function (or a `Partial`):
a new lambda at each call is a new structure, and retraces.

`layer="blocks.5"` names the layer whose output is the features for Grad-CAM; it changes nothing for
other methods. Of a layer that is called several times, such as one inside `nnx.scan`, it is the
first output; `layer="blocks.conv:3"` takes that of call 3, counted from 0.

Any other callable pytree `images "n h w c" -> logits "n k"` is a classifier already:
`jax.tree_util.Partial(apply, params)` with `apply` defined at module level.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from fidojax.core import Bound, check_name
from fidojax.networks import interception
from fidojax.networks.interception import Static
from fidojax.networks.preprocessing import Preprocess, pack, prepare
from fidojax.types import Classifier

_NONE = inspect.Parameter.empty

# The names of the argument that tells training from testing, and its value at test time.
_TEST_TIME = {
    "train": False,
    "training": False,
    "is_training": False,
    "deterministic": True,
    "use_running_average": True,
    "inference": True,
}


def from_nnx(
    module: Any,
    *,
    preprocess: Preprocess | None = None,
    options: Mapping[str, Any] | None = None,
    layer: str | None = None,
) -> Classifier:
    """Return the classifier of a Flax NNX module.

    Args:
        module: an `nnx.Module` called as `module(images)`; its train or eval mode is not changed.
        preprocess: from images in [0, 1] to what the module expects.
        options: keyword arguments of the call; arguments with a customary name (`train`,
            `deterministic`, ...) are set to test time by default.
        layer: the submodule whose output is the features, "blocks.5.conv2".

    Raises:
        TypeError: `module` is no `nnx.Module`.
        ValueError: the module has no such layer.

    Example:
        >>> network = nnx.Sequential(nnx.Conv(3, 8, (3, 3), rngs=rngs), nnx.relu, head)
        >>> classifier = fidojax.networks.from_nnx(network, layer="layers.0")
        >>> explanation = fidojax.grad_cam(key, classifier, image, target)
    """
    from flax import nnx

    if not isinstance(module, nnx.Module):
        raise TypeError(f"from_nnx expects a flax.nnx.Module, got {type(module).__name__}")
    # A view shares the weights but carries its own flags. It refuses flags that no part knows, so
    # each is set only where some part has it.
    known = {
        name
        for _, part in nnx.iter_graph(module)
        if hasattr(part, "set_view")
        for name in inspect.signature(part.set_view).parameters
    }
    flags = {
        name: _TEST_TIME[name] for name in ("deterministic", "use_running_average") if name in known
    }
    graph, state = nnx.split(nnx.view(module, **flags))
    static = _call_options(type(module).__call__, options)
    classifier = Bound(_nnx, graph, static, pack(preprocess), state)
    if layer is None:
        return classifier
    found = interception.parse_layer(layer)
    check_name("layer", found.name, interception.nnx_layers(module))
    return interception.tap_layer(classifier, _nnx_marked, found)


def _nnx(graph, options, preprocess, state, images):
    from flax import nnx

    return nnx.merge(graph, state, copy=True)(prepare(preprocess, images), **dict(options.value))


def _nnx_marked(layer, graph, options, preprocess, state, images):
    from flax import nnx

    module = nnx.merge(graph, state, copy=True)
    interception.mark_module(interception.nnx_layers(module)[layer])
    return module(prepare(preprocess, images), **dict(options.value))


def from_linen(
    module: Any,
    variables: Mapping[str, Any],
    *,
    preprocess: Preprocess | None = None,
    options: Mapping[str, Any] | None = None,
    layer: str | None = None,
) -> Classifier:
    """Return the classifier of a Flax Linen module and its variables.

    Args:
        module: a `linen.Module`; two equal modules share one trace.
        variables: what `module.apply` takes: {"params": ..., "batch_stats": ...}.
        preprocess: from images in [0, 1] to what the module expects.
        options: keyword arguments of the call; arguments with a customary name (`train`,
            `deterministic`, ...) are set to test time by default.
        layer: the submodule whose output is the features, "Block_0.Conv_1".

    Raises:
        TypeError: `module` is no `linen.Module`.
        ValueError: the variables have no "params"; at the call: the module has no such layer.

    Example:
        >>> network = Network()  # a flax.linen.Module
        >>> variables = network.init(key, images, train=False)
        >>> classifier = fidojax.networks.from_linen(network, variables, layer="Conv_0")
        >>> logits = classifier(images)
    """
    from flax import linen

    if not isinstance(module, linen.Module):
        raise TypeError(f"from_linen expects a flax.linen.Module, got {type(module).__name__}")
    if "params" not in variables:
        raise ValueError(
            'from_linen expects variables like {"params": ...}, as module.init returns them'
        )
    static = _call_options(type(module).__call__, options)
    classifier = Bound(_linen, Static(module), static, pack(preprocess), variables)
    if layer is None:
        return classifier
    return interception.tap_layer(classifier, _linen_marked, interception.parse_layer(layer))


def _linen(module, options, preprocess, variables, images):
    return module.value.apply(variables, prepare(preprocess, images), **dict(options.value))


def _linen_marked(layer, module, *rest):
    from flax import linen

    def at_the_layer(call, args, kwargs, context):
        output = call(*args, **kwargs)
        here = ".".join(context.module.path) == layer and context.method_name == "__call__"
        return interception.mark(output) if here else output

    with linen.intercept_methods(at_the_layer):
        return _linen(module, *rest)


def from_equinox(
    module: Any,
    *,
    state: Any = None,
    preprocess: Preprocess | None = None,
    options: Mapping[str, Any] | None = None,
    layer: str | None = None,
    channels_first: bool = True,
    batched: bool = False,
) -> Classifier:
    """Return the classifier of an Equinox module.

    Args:
        module: an `equinox.Module`, called on one image, channels first by default.
        state: the `equinox.nn.State` of a module with batch norm; the module is then called as
            `module(image, state)` and returns `(logits, state)`.
        preprocess: from images "n h w c" in [0, 1] to what the module expects, before transposing.
        options: keyword arguments of the call; arguments with a customary name (`inference`,
            `deterministic`, ...) are set to test time by default. An argument `key` without a
            default gets a fixed key, since nothing is drawn at test time.
        layer: the submodule whose output is the features, "blocks.5.conv2".
        channels_first: whether the module takes "c h w" or "h w c", and has such features.
        batched: whether the module takes a whole batch.

    Raises:
        TypeError: `module` is no `equinox.Module`.
        ValueError: the module has no such layer.

    Example:
        >>> network, state = equinox.nn.make_with_state(Network)(key)
        >>> classifier = fidojax.networks.from_equinox(network, state=state)
        >>> explanation = fidojax.gradient(key, classifier, image, target)
    """
    import equinox

    if not isinstance(module, equinox.Module):
        raise TypeError(f"from_equinox expects an equinox.Module, got {type(module).__name__}")
    module = equinox.nn.inference_mode(module)
    parameters = inspect.signature(type(module).__call__).parameters
    given: dict[str, Any] = dict(_call_options(type(module).__call__, options).value)
    if "key" in parameters and "key" not in given and parameters["key"].default is _NONE:
        given["key"] = jax.random.key(0)
    arrays, rest = equinox.partition((module, state, given), equinox.is_array)
    leaves, structure = jax.tree.flatten(rest)
    static = Static((structure, tuple(leaves), channels_first, batched))
    classifier = Bound(_equinox, static, pack(preprocess), arrays)
    if layer is None:
        return classifier
    found = interception.parse_layer(layer)
    check_name("layer", found.name, interception.equinox_layers(module))
    found = found._replace(channels_first=channels_first)
    return interception.tap_layer(classifier, _equinox_marked, found)


def _equinox(static, preprocess, arrays, images):
    return _equinox_marked(None, static, preprocess, arrays, images)


def _equinox_marked(layer, static, preprocess, arrays, images):
    import equinox

    structure, leaves, channels_first, batched = static.value
    rest = jax.tree.unflatten(structure, leaves)
    module, state, options = equinox.combine(arrays, rest)
    if layer is not None:
        interception.mark_module(interception.equinox_layers(module)[layer])

    def call(image):
        if state is None:
            return module(image, **options)
        return module(image, state, **options)[0]

    images = prepare(preprocess, images)
    if channels_first:
        images = jnp.moveaxis(images, -1, 1)
    return call(images) if batched else jax.vmap(call, axis_name="batch")(images)


def _call_options(call: Callable, options: Mapping[str, Any] | None) -> Static:
    """Return the keyword arguments that put a call at test time, hashable."""
    defaults = {k: v for k, v in _TEST_TIME.items() if k in inspect.signature(call).parameters}
    return Static(tuple(sorted({**defaults, **(options or {})}.items())))
