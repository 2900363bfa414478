"""Classifiers from Flax NNX, Flax Linen, Keras 3 and Equinox, one line each.

    classifier = from_nnx(module)
    classifier = from_linen(module, variables)
    classifier = from_keras(model)
    classifier = from_equinox(module)

Each returns a `jax.tree_util.Partial` of a function of this module: its leaves are the weights,
its structure is the network. So the compiled explainer takes the weights as arguments, new weights
of the same network neither retrace nor go stale, and `jax.vmap` runs over stacked weights. The
network is evaluated as at test time: batch norm with its running averages, dropout off.

Images come in [0, 1], channels last. `preprocess(images) -> images` turns them into what the
network was trained on; it becomes part of the classifier. Pass a named function (or a `Partial`):
a fresh lambda per call is a new structure and retraces.

`layer="blocks.5"` names the layer whose output is the features that GradCAM explains by; all other
methods are as without it.

Any other callable pytree `images "n h w c" -> logits "n k"` is a classifier already:
`jax.tree_util.Partial(apply, params)` with `apply` defined at module level.
"""

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from fidojax import layers
from fidojax.layers import Static
from fidojax.names import check_name
from fidojax.types import Classifier

if TYPE_CHECKING:
    from fidojax.pretrained import Pretrained

Preprocess = Callable[[jax.Array], jax.Array]

# What networks call the argument that tells training from testing, and its value at test time.
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
    """The classifier of a Flax NNX module.

    Args:
      module: an `nnx.Module` called as `module(images)`; it is left as it is, in train mode or not.
      preprocess: from images in [0, 1] to what the module expects.
      options: keyword arguments for the call; arguments with a customary name (`train`,
        `deterministic`, ...) are set to test time without it.
      layer: the submodule whose output (of its first call) is the features, "blocks.5.conv2".

    Raises:
      TypeError: if it is no `nnx.Module`.
      ValueError: if it has no such layer.
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
    classifier = Partial(_nnx, graph, static, _pack(preprocess), state)
    if layer is None:
        return classifier
    check_name("layer", layer, layers.nnx_layers(module))
    return layers.tapped(classifier, _nnx_intercepted, layer)


def _nnx(graph, options, preprocess, state, images):
    from flax import nnx

    return nnx.merge(graph, state, copy=True)(_prepare(preprocess, images), **dict(options.value))


def _nnx_intercepted(intercept, layer, graph, options, preprocess, state, images):
    from flax import nnx

    module = nnx.merge(graph, state, copy=True)
    layers.intercept_nnx(module, layer, intercept)
    return module(_prepare(preprocess, images), **dict(options.value))


def from_linen(
    module: Any,
    variables: Mapping[str, Any],
    *,
    preprocess: Preprocess | None = None,
    options: Mapping[str, Any] | None = None,
    layer: str | None = None,
) -> Classifier:
    """The classifier of a Flax Linen module and its variables.

    Args:
      module: a `linen.Module`; two equal modules share one trace.
      variables: what `module.apply` takes: {"params": ..., "batch_stats": ...}.
      preprocess: from images in [0, 1] to what the module expects.
      options: keyword arguments for the call; arguments with a customary name (`train`,
        `deterministic`, ...) are set to test time without it.
      layer: the submodule whose output (of its first call) is the features, "Block_0.Conv_1".
    """
    from flax import linen

    if not isinstance(module, linen.Module):
        raise TypeError(f"from_linen expects a flax.linen.Module, got {type(module).__name__}")
    if "params" not in variables:
        raise ValueError(
            'from_linen expects variables like {"params": ...}, as module.init returns them'
        )
    static = _call_options(type(module).__call__, options)
    classifier = Partial(_linen, Static(module), static, _pack(preprocess), variables)
    return classifier if layer is None else layers.tapped(classifier, _linen_intercepted, layer)


def _linen(module, options, preprocess, variables, images):
    return module.value.apply(variables, _prepare(preprocess, images), **dict(options.value))


def _linen_intercepted(intercept, layer, module, *rest):
    from flax import linen

    def at_the_layer(call, args, kwargs, context):
        if ".".join(context.module.path) == layer and context.method_name == "__call__":
            return intercept(call, *args, **kwargs)
        return call(*args, **kwargs)

    with linen.intercept_methods(at_the_layer):
        return _linen(module, *rest)


def from_keras(
    model: Any, *, preprocess: Preprocess | None = None, layer: str | None = None
) -> Classifier:
    """The classifier of a built Keras 3 model on the JAX backend.

    Args:
      model: a `keras.Model` that ends in logits (`activation=None`, `classifier_activation=None`).
        The weights are those that the model holds now: call again after training; the same model
        object never retraces.
      preprocess: from images in [0, 1] to what the model expects.
      layer: the layer of a functional model whose output is the features, by its Keras name.

    Raises:
      ImportError, RuntimeError: if Keras is missing, or runs on another backend than JAX.
      ValueError: if the model ends in a softmax or a sigmoid, or has no such layer.
    """
    keras = import_keras()
    if not isinstance(model, keras.Model):
        raise TypeError(f"from_keras expects a keras.Model, got {type(model).__name__}")
    if not model.built:
        raise ValueError(
            f"from_keras expects a built model; call {model.name!r} once on a batch first"
        )
    last = model.layers[-1] if model.layers else model
    ends = keras.activations.serialize(
        getattr(last, "activation", None) or keras.activations.linear
    )
    if ends in ("softmax", "sigmoid") or isinstance(last, keras.layers.Softmax):
        raise ValueError(
            f"from_keras expects a model that ends in logits, but layer {last.name!r} ends in"
            f" {ends if ends != 'linear' else 'softmax'}; build it with activation=None"
        )
    weights = (_values(model.trainable_variables), _values(model.non_trainable_variables))
    classifier = Partial(_keras, Static(model), _pack(preprocess), weights)
    if layer is None:
        return classifier
    check_name("layer", layer, [part.name for part in model.layers])
    return layers.tapped_keras(classifier, layer)


def _keras(model, preprocess, weights, images):
    logits, _ = model.value.stateless_call(*weights, _prepare(preprocess, images), training=False)
    return logits


def _values(variables):
    return [variable.value for variable in variables]


def import_keras() -> Any:
    """Keras 3 on the JAX backend.

    KERAS_BACKEND is set to "jax" when it is unset and Keras was not imported yet.

    Raises:
      ImportError, RuntimeError: if Keras is missing, or runs on another backend.
    """
    os.environ.setdefault("KERAS_BACKEND", "jax")
    try:
        import keras
    except ImportError as error:
        raise ImportError("Keras models need Keras 3: pip install 'fidojax[keras]'") from error
    if keras.backend.backend() != "jax":
        raise RuntimeError(
            f"Keras runs on the {keras.backend.backend()!r} backend; set KERAS_BACKEND=jax"
            " before Keras is imported for the first time"
        )
    return keras


def from_equinox(
    module: Any,
    *,
    state: Any = None,
    preprocess: Preprocess | None = None,
    channels_first: bool = True,
    batched: bool = False,
) -> Classifier:
    """The classifier of an Equinox module.

    Args:
      module: an `equinox.Module`, called on one image, channels first, as is Equinox's custom.
      state: the `equinox.nn.State` of a module with batch norm; the module is then called as
        `module(image, state)` and returns `(logits, state)`.
      preprocess: from images "n h w c" in [0, 1] to what the module expects, before any transpose.
      channels_first: whether the module takes "c h w" or "h w c".
      batched: whether the module takes a whole batch.
    """
    import equinox

    if not isinstance(module, equinox.Module):
        raise TypeError(f"from_equinox expects an equinox.Module, got {type(module).__name__}")
    module = equinox.nn.inference_mode(module)
    arrays, rest = equinox.partition((module, state), equinox.is_array)
    leaves, structure = jax.tree.flatten(rest)
    needs_key = "key" in inspect.signature(type(module).__call__).parameters
    static = Static((structure, tuple(leaves), channels_first, batched, needs_key))
    return Partial(_equinox, static, _pack(preprocess), arrays)


def _equinox(static, preprocess, arrays, images):
    import equinox

    structure, leaves, channels_first, batched, needs_key = static.value
    module, state = equinox.combine(arrays, jax.tree.unflatten(structure, leaves))
    options = {"key": None} if needs_key else {}

    def call(image):
        if state is None:
            return module(image, **options)
        return module(image, state, **options)[0]

    images = _prepare(preprocess, images)
    if channels_first:
        images = jnp.moveaxis(images, -1, 1)
    return call(images) if batched else jax.vmap(call, axis_name="batch")(images)


def _call_options(call: Callable, options: Mapping[str, Any] | None) -> Static:
    """Keyword arguments that put a call at test time, hashable."""
    defaults = {k: v for k, v in _TEST_TIME.items() if k in inspect.signature(call).parameters}
    return Static(tuple(sorted({**defaults, **(options or {})}.items())))


def _pack(preprocess: Preprocess | None) -> Partial | None:
    return None if preprocess is None else Partial(preprocess)


def _prepare(preprocess, images):
    return images if preprocess is None else preprocess(images)


def load_keras(
    name: str, weights: str | os.PathLike[str] | None = None, layer: str | None = None
) -> "Pretrained":
    """A network of `keras.applications`, with its own preprocessing, as a classifier.

    All weights of one network share one structure: loading others does not retrace.

    Args:
      name: "MobileNetV2", "ResNet50", ...: a function of `keras.applications`.
      weights: None lets Keras fetch its ImageNet weights or take them from its cache; "random"
        takes untrained ones; a file .h5 or .keras is loaded by Keras; a file .npz is read by
        `fidojax.keras_weights.read`.
      layer: the layer whose output is the features; the last one before the final pooling when
        None.

    Raises:
      ImportError: if Keras is missing.
      RuntimeError: if Keras runs on another backend than JAX, or cannot fetch the weights.
      ValueError: if Keras has no such network, or it no such layer, or the file does not fit it.
      FileNotFoundError: if the file is not there.
    """
    from fidojax import keras_weights
    from fidojax.pretrained import Pretrained

    keras = import_keras()
    model, untrained = _application(name)
    model.set_weights(untrained)
    if weights is None:
        try:
            fetched = getattr(keras.applications, name)(
                weights="imagenet", classifier_activation=None
            )
        except Exception as error:  # Keras raises a bare Exception when the download fails
            raise RuntimeError(
                f"Keras could not fetch the ImageNet weights of {name}: {error}; without a network,"
                " pass weights=FILE (.h5, .keras or .npz)"
            ) from error
        model.set_weights(fetched.get_weights())
    elif weights != "random":
        keras_weights.read(model, Path(weights))
    family = getattr(
        keras.applications, getattr(keras.applications, name).__module__.rsplit(".", 1)[1]
    )
    classifier = from_keras(
        model,
        preprocess=Partial(_to_family, Static(family.preprocess_input)),
        layer=layer or layers.last_features(model),
    )
    height, width, channels = model.input_shape[1:]
    size = (height or 224, width or 224, channels)  # some networks take any size
    return Pretrained(f"keras:{name}", classifier, imagenet_labels(), size)


def imagenet_labels() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes, in the order of the logits of `keras.applications`."""
    file = resources.files("fidojax").joinpath("weights/imagenet_labels.txt")
    return tuple(file.read_text("utf-8").splitlines())


@functools.cache
def _application(name: str) -> tuple[Any, list]:
    """The one model of each network: its identity is what compiled functions know it by."""
    keras = import_keras()
    known = [n for n, f in vars(keras.applications).items() if n[0].isupper() and callable(f)]
    if name not in known:
        raise ValueError(
            f"keras.applications has no network {name!r}; it has {', '.join(sorted(known))}"
        )
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
    return model, model.get_weights()


def _to_family(preprocess_input, images):
    return preprocess_input.value(255 * images)
