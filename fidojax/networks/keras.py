"""All that fidojax knows of Keras 3: its models, its applications and its weights files.

Keras itself is imported at the first use, never when this module is.
"""

import functools
import inspect
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from jax.tree_util import Partial

from fidojax.core import Bound, check_name, install_extra
from fidojax.data import IMAGENET_CROP
from fidojax.networks import interception, weight_files
from fidojax.networks.interception import Static
from fidojax.networks.preprocessing import Preprocess, pack, prepare
from fidojax.networks.shipped import Pretrained, imagenet_labels
from fidojax.types import Classifier


def import_keras() -> Any:
    """Return the module `keras`, on the JAX backend.

    KERAS_BACKEND is set to "jax" if it is unset and Keras was not imported yet.

    Raises:
        ImportError: Keras is missing.
        RuntimeError: Keras runs on another backend.
    """
    os.environ.setdefault("KERAS_BACKEND", "jax")
    try:
        import keras
    except ImportError as error:
        raise ImportError(f"Keras models need Keras 3: {install_extra('keras')}") from error
    if keras.backend.backend() != "jax":
        raise RuntimeError(
            f"Keras runs on the {keras.backend.backend()!r} backend; set KERAS_BACKEND=jax"
            " before Keras is imported for the first time"
        )
    return keras


def from_keras(
    model: Any, *, preprocess: Preprocess | None = None, layer: str | None = None
) -> Classifier:
    """Return the classifier of a built Keras 3 model on the JAX backend.

    Args:
        model: a `keras.Model` that ends in logits (`activation=None`,
            `classifier_activation=None`). The weights are those that the model holds now: call
            again after training; the same model object never retraces.
        preprocess: from images in [0, 1] to what the model expects.
        layer: the layer whose output is the features, by its Keras name; inside another model or
            layer by a dotted one, "base.block5_conv3".

    Raises:
        ImportError: Keras is missing.
        RuntimeError: Keras runs on another backend than JAX.
        TypeError: `model` is no `keras.Model`.
        ValueError: the model is not built, ends in a softmax or a sigmoid, or has no such layer.

    Example:
        >>> model = keras.applications.MobileNetV2(classifier_activation=None)
        >>> def preprocess(images):
        ...     return 2 * images - 1
        >>> classifier = fidojax.networks.from_keras(model, preprocess=preprocess)
        >>> logits = classifier(images)  # images "n 224 224 3" in [0, 1]
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
    classifier = Bound(_keras, Static(model), pack(preprocess), weights)
    if layer is None:
        return classifier
    found = interception.parse_layer(layer)
    check_name("layer", found.name, keras_layers(model))
    first = keras.config.image_data_format() == "channels_first"
    return interception.tap_layer(classifier, _keras_marked, found._replace(channels_first=first))


def _keras(model, preprocess, weights, images):
    knows = "training" in inspect.signature(model.value.call).parameters
    test_time = {"training": False} if knows else {}
    logits, _ = model.value.stateless_call(*weights, prepare(preprocess, images), **test_time)
    return logits


def _values(variables):
    return [variable.value for variable in variables]


def keras_layers(model: Any) -> dict[str, Any]:
    """Return the layers of a model and of the layers in it by dotted names, "base.block1_conv1".

    The operations of a functional model's graph, such as "add_3" of `a + b`, count as layers.
    """
    found = {}
    for part in _parts(model):
        found[part.name] = part
        inside = keras_layers(part) if hasattr(part, "_flatten_layers") else {}
        found |= {f"{part.name}.{name}": inner for name, inner in inside.items()}
    return found


def _parts(model: Any) -> list[Any]:
    """Return the layers and operations of a model or layer, without those inside them."""
    if hasattr(model, "operations"):
        return list(model.operations)
    return list(model._flatten_layers(include_self=False, recursive=False))


_MARKING = threading.RLock()


def _keras_marked(layer, model, preprocess, weights, images):
    """Evaluate the model with a layer that marks its output.

    Keras's layers are shared by all threads: one at a time changes a model's layer.
    """
    part = keras_layers(model.value)[layer]
    with _MARKING:
        call = part.call
        # Not by Keras's own __setattr__, which records it.
        vars(part)["call"] = lambda *args, **kwargs: interception.mark(call(*args, **kwargs))
        try:
            return _keras(model, preprocess, weights, images)
        finally:
            del vars(part)["call"]


def last_features(model: Any) -> str | None:
    """Return the dotted name of the last layer whose output is a picture, pooling aside.

    None if there is none: only the outputs of functional models are known.
    """
    for part in reversed(_parts(model)):
        inside = last_features(part) if hasattr(part, "operations") else None
        if inside is not None:
            return f"{part.name}.{inside}"
        shape = getattr(_output(part), "shape", ())
        picture = len(shape) == 4 and all(side is None or side > 1 for side in shape[1:3])
        if picture and "Pool" not in type(part).__name__:
            return part.name
    return None


def _output(part: Any) -> Any:
    try:
        return part.output
    except (AttributeError, ValueError):  # it was never called, or several times
        return None


def load_keras(
    name: str, weights: str | os.PathLike[str] | None = None, layer: str | None = None
) -> Pretrained:
    """Return a network of `keras.applications` as a classifier, with its own preprocessing.

    All weights of one network share one structure: loading others does not retrace.

    Args:
        name: "MobileNetV2", "ResNet50", ...: a function of `keras.applications`.
        weights: the weights; None for ImageNet's, which Keras fetches or takes from its cache,
            "random" for untrained ones, or a file that `read_weights` reads.
        layer: the layer whose output is the features; the last one before the final pooling when
            None.

    Raises:
        ImportError: Keras is missing.
        RuntimeError: Keras runs on another backend than JAX, or cannot fetch the weights.
        ValueError: Keras has no such network, or it has no such layer, or the file does not fit it.
        FileNotFoundError: the file is missing.
    """
    keras = import_keras()
    model, untrained = _application(name)
    application = getattr(keras.applications, name)
    model.set_weights(untrained)
    if weights is None:
        try:
            fetched = application(weights="imagenet", classifier_activation=None)
        except Exception as error:  # Keras raises a bare Exception when the download fails
            raise RuntimeError(
                f"Keras could not fetch the ImageNet weights of {name}: {error}; without a network,"
                " pass weights=FILE (.h5, .keras or .npz)"
            ) from error
        model.set_weights(fetched.get_weights())
    elif weights != "random":
        read_weights(model, Path(weights))
    family = getattr(keras.applications, application.__module__.rsplit(".", 1)[1])
    classifier = from_keras(
        model,
        preprocess=Partial(_to_family, Static(family.preprocess_input)),
        layer=layer or last_features(model),
    )
    height, width, channels = model.input_shape[1:]
    size = (height or 224, width or 224, channels)  # some networks take any size
    return Pretrained(f"keras:{name}", classifier, imagenet_labels(), size, IMAGENET_CROP)


def applications() -> tuple[str, ...]:
    """Return the names of the networks of `keras.applications`; none where Keras is missing."""
    try:
        found = vars(import_keras().applications)
    except ImportError:
        return ()
    return tuple(sorted(n for n, f in found.items() if n[0].isupper() and callable(f)))


@functools.cache
def _application(name: str) -> tuple[Any, list]:
    """Return the one model of each network: compiled functions know it by its identity."""
    keras = import_keras()
    check_name("keras.applications", name, applications())
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
    return model, model.get_weights()


def _to_family(preprocess_input, images):
    return preprocess_input.value(255 * images)


def read_weights(model: Any, path: Path) -> None:
    """Read a weights file into a Keras model.

    Keras reads .h5, .weights.h5 and .keras itself. A file .npz holds one array per weight, named
    "layer/kernel" and "layer/bias" after Keras's layers, kernels in Keras's layouts (convolutions
    HWIO), and batch norm folded into the convolution before it: the kernel is scaled already, and
    the bias is added by the batch norm layer, which otherwise passes its input through.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: the file is damaged or belongs to another network.
    """
    if not path.is_file():
        raise FileNotFoundError(f"weights: no file {path}")
    if path.suffix in (".h5", ".keras"):
        try:
            model.load_weights(path)
        except Exception as error:  # h5py and zipfile raise nearly any type on damaged files
            raise ValueError(f"weights: {path} does not fit {model.name}: {error}") from error
    elif path.suffix == ".npz":
        headers = weight_files.headers(path)
        try:
            sources = _sources(model, headers)
        except ValueError as error:
            raise ValueError(f"weights: {path} does not fit {model.name}: {error}") from error
        arrays = weight_files.read(path)
        for variable in model.weights:
            source = sources[variable.path]
            found = arrays[source] if isinstance(source, str) else source
            variable.assign(found.astype(np.float32))
    else:
        raise ValueError(f"weights: expected a file .h5, .keras or .npz, got {path}")


def _sources(model, headers) -> dict[str, str | np.ndarray]:
    """Return the name of its array in the file, or its value, for each variable by its path."""
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    unused = set(headers)
    values: dict[str, str | np.ndarray] = {}

    def take(name, variable):
        if name not in headers:
            raise ValueError(f"it has no {name}")
        if headers[name].shape != tuple(variable.shape):
            raise ValueError(f"{name} has shape {headers[name].shape}, not {tuple(variable.shape)}")
        unused.discard(name)
        values[variable.path] = name

    for name, layer in layers.items():
        if type(layer).__name__ == "BatchNormalization":
            take(f"{_convolution_before(name)}/bias", layer.beta)
            variance = np.ones(layer.beta.shape, np.float32)
            values[layer.moving_mean.path] = np.zeros_like(variance)
            values[layer.moving_variance.path] = variance
            if layer.gamma is not None:
                values[layer.gamma.path] = np.sqrt(variance + np.float32(layer.epsilon))
        else:
            for variable in layer.weights:
                take(f"{name}/{variable.name}", variable)
    if unused:
        raise ValueError(f"the network has no {', '.join(sorted(unused))}")
    return values


def _convolution_before(name: str) -> str:
    """Return the convolution that a batch norm layer follows, by Keras's names."""
    return name.removeprefix("bn_").removesuffix("_BN").removesuffix("_bn")
