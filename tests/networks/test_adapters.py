"""Adapters: the framework's answer at test time, weights as arguments, one trace for them all."""

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax.tree_util import Partial

from fidojax import networks
from fidojax.networks import keras as keras_networks
from fidojax.networks.shipped import imagenet_labels

os.environ.setdefault("KERAS_BACKEND", "jax")

IMAGES = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)


class NnxNet(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.conv = nnx.Conv(3, 5, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(5, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.dense = nnx.Linear(5, 3, rngs=rngs)

    def __call__(self, x):
        return self.dense(self.drop(nnx.relu(self.norm(self.conv(x)))).mean((1, 2)))


class LinenNet(linen.Module):
    width: int = 5

    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.BatchNorm(use_running_average=not train)(linen.Conv(self.width, (3, 3))(x))
        x = linen.Dropout(0.5, deterministic=not train)(x)
        return linen.Dense(3)(linen.relu(x).mean((1, 2)))


def an_nnx(seed):
    module = NnxNet(nnx.Rngs(seed))
    module.norm.mean[...] = jnp.full(5, 0.1 * seed)
    answer = nnx.view(module, deterministic=True, use_running_average=True)
    return networks.from_nnx(module), answer


def a_linen(seed):
    module = LinenNet()
    variables = module.init(jax.random.key(seed), IMAGES, train=False)
    return networks.from_linen(module, variables), Partial(module.apply, variables, train=False)


def a_keras(seed):
    keras = pytest.importorskip("keras", reason="needs the extra [keras]")
    layers = keras.layers
    if not hasattr(a_keras, "model"):
        a_keras.model = keras.Sequential(  # one model, new weights: as after training
            [
                keras.Input((8, 8, 3)),
                layers.Conv2D(5, 3),
                layers.BatchNormalization(),
                layers.Dropout(0.5),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3),
            ]
        )
    model = a_keras.model
    draw = np.random.default_rng(seed)
    model.set_weights([draw.random(w.shape).astype(w.dtype) for w in model.get_weights()])
    now = [variable.value for variable in model.trainable_variables]
    rest = [variable.value for variable in model.non_trainable_variables]
    return networks.from_keras(model), lambda x: model.stateless_call(now, rest, x)[0]


def an_equinox(seed):
    eqx = pytest.importorskip("equinox", reason="needs the extra [equinox]")
    keys = jax.random.split(jax.random.key(seed), 2)

    class EquinoxNet(eqx.Module):
        conv: Any
        norm: Any
        drop: Any
        dense: Any

        def __init__(self):
            self.conv = eqx.nn.Conv2d(3, 5, 3, key=keys[0])
            self.norm = eqx.nn.BatchNorm(5, axis_name="batch", mode="batch")
            self.drop = eqx.nn.Dropout(0.5)
            self.dense = eqx.nn.Linear(5, 3, key=keys[1])

        def __call__(self, x, state, *, key):
            x, state = self.norm(self.conv(x), state)
            return self.dense(self.drop(jax.nn.relu(x), key=key).mean((1, 2))), state

    an_equinox.net = getattr(an_equinox, "net", EquinoxNet)
    module, state = eqx.nn.make_with_state(an_equinox.net)()
    module = eqx.tree_at(
        lambda m: (m.conv, m.dense),
        module,
        (eqx.nn.Conv2d(3, 5, 3, key=keys[0]), eqx.nn.Linear(5, 3, key=keys[1])),
    )
    at_test = eqx.nn.inference_mode(module)

    def answer(x):
        one = lambda image: at_test(image, state, key=None)[0]  # noqa: E731
        return jax.vmap(one, axis_name="batch")(jnp.moveaxis(x, -1, 1))

    return networks.from_equinox(module, state=state), answer


FRAMEWORKS = [an_nnx, a_linen, a_keras, an_equinox]


@pytest.mark.parametrize("build", FRAMEWORKS)
def test_gives_the_frameworks_answer_at_test_time(build):
    classifier, answer = build(1)
    logits = classifier(IMAGES)
    assert logits.shape == (4, 3)
    np.testing.assert_allclose(logits, answer(IMAGES), rtol=1e-5, atol=1e-6)
    # Test time: an image's logits depend neither on the batch around it nor on chance.
    np.testing.assert_allclose(classifier(IMAGES[:1]), logits[:1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("build", FRAMEWORKS)
def test_new_weights_neither_retrace_nor_go_stale(build):
    traces = []

    @jax.jit
    def gradient(classifier, images):
        traces.append(1)
        return jax.grad(lambda x: classifier(x)[:, 0].sum())(images)

    first, second = build(1)[0], build(2)[0]
    one, two = gradient(first, IMAGES), gradient(second, IMAGES)
    assert len(traces) == 1
    assert not np.allclose(one, two)
    constants = jax.make_jaxpr(lambda c, x: c(x))(first, IMAGES).consts
    assert sum(np.size(c) for c in constants) < 8, "weights are baked in as constants"


@pytest.mark.parametrize("build", FRAMEWORKS)
def test_stacked_weights_are_an_ensemble_under_vmap(build):
    members = [build(1)[0], build(2)[0]]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    together = jax.jit(jax.vmap(lambda c, x: c(x), (0, None)))(stacked, IMAGES)
    for logits, member in zip(together, members, strict=True):
        np.testing.assert_allclose(logits, member(IMAGES), rtol=1e-4, atol=1e-5)


def inverted(images):
    return 1 - images


def test_preprocessing_is_part_of_the_classifier():
    module = NnxNet(nnx.Rngs(0))
    plain = networks.from_nnx(module)
    other = networks.from_nnx(module, preprocess=inverted)
    np.testing.assert_allclose(other(IMAGES), plain(1 - IMAGES), rtol=1e-6)
    assert jax.tree.structure(other) == jax.tree.structure(
        networks.from_nnx(module, preprocess=inverted)
    )
    variables = LinenNet().init(jax.random.key(0), IMAGES, train=False)
    plain = networks.from_linen(LinenNet(), variables)
    other = networks.from_linen(LinenNet(), variables, preprocess=inverted)
    np.testing.assert_allclose(other(IMAGES), plain(1 - IMAGES), rtol=1e-6)


def test_equinox_without_state_takes_batches_and_channels_last():
    eqx = pytest.importorskip("equinox", reason="needs the extra [equinox]")
    mlp = eqx.nn.MLP("scalar", 2, 3, 1, key=jax.random.key(0))

    class Brightness(eqx.Module):
        mlp: Any

        def __call__(self, images):
            assert images.shape[1:] == (8, 8, 3)
            return jax.vmap(self.mlp)(images.mean((1, 2, 3)))

    classifier = networks.from_equinox(Brightness(mlp), channels_first=False, batched=True)
    np.testing.assert_allclose(
        classifier(IMAGES), jax.vmap(mlp)(IMAGES.mean((1, 2, 3))), rtol=1e-5, atol=1e-6
    )


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"flax\.nnx\.Module, got function"):
        networks.from_nnx(inverted)
    with pytest.raises(TypeError, match=r"flax\.linen\.Module"):
        networks.from_linen(inverted, {})
    with pytest.raises(ValueError, match="params"):
        networks.from_linen(LinenNet(), {"kernel": 1})


def test_keras_models_that_end_in_probabilities_are_refused():
    keras = pytest.importorskip("keras", reason="needs the extra [keras]")
    inputs = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    for end in (keras.layers.Dense(3, activation="softmax"), keras.layers.Softmax()):
        with pytest.raises(ValueError, match="ends in softmax"):
            networks.from_keras(keras.Model(inputs, end(pooled)))
    with pytest.raises(ValueError, match="built"):
        networks.from_keras(keras.Sequential([keras.layers.Dense(3)]))


def test_keras_on_another_backend_is_refused(monkeypatch):
    keras = pytest.importorskip("keras", reason="needs the extra [keras]")
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(RuntimeError, match="KERAS_BACKEND=jax"):
        networks.import_keras()


def test_load_keras_names_the_networks_and_the_missing_file(tmp_path):
    pytest.importorskip("keras", reason="needs the extra [keras]")
    with pytest.raises(ValueError, match=r"there is no 'MobileNetV9'.*MobileNetV2"):
        keras_networks.load_keras("MobileNetV9", "random")


def test_weights_files_are_checked_against_the_network(tmp_path):
    keras = pytest.importorskip("keras", reason="needs the extra [keras]")
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(5, 3, use_bias=False, name="a"),
            layers.BatchNormalization(name="a_BN"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="b"),
        ]
    )
    draw = np.random.default_rng(0)
    shapes = {"a/kernel": (3, 3, 3, 5), "a/bias": 5, "b/kernel": (5, 3), "b/bias": 3}
    arrays = {name: draw.random(shape, np.float32) for name, shape in shapes.items()}
    file = tmp_path / "weights.npz"
    np.savez(file, **arrays)
    keras_networks.read_weights(model, file)
    kernel = arrays["a/kernel"].transpose(3, 2, 0, 1)
    pooled = jax.lax.conv(jnp.moveaxis(IMAGES, 3, 1), kernel, (1, 1), "VALID").mean((2, 3))
    logits = (pooled + arrays["a/bias"]) @ arrays["b/kernel"] + arrays["b/bias"]
    np.testing.assert_allclose(networks.from_keras(model)(IMAGES), logits, rtol=1e-5)
    for change, complaint in (
        ({"b/bias": np.zeros(4)}, r"b/bias has shape \(4,\)"),
        ({"c/bias": np.zeros(4)}, "the network has no c/bias"),
    ):
        np.savez(file, **{**arrays, **change})
        with pytest.raises(ValueError, match=complaint):
            keras_networks.read_weights(model, file)
    np.savez(file, **{"a/kernel": arrays["a/kernel"]})
    with pytest.raises(ValueError, match="it has no a/bias"):
        keras_networks.read_weights(model, file)
    file.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match=r"expected an \.npz"):
        keras_networks.read_weights(model, file)
    with pytest.raises(FileNotFoundError, match="absent"):
        keras_networks.read_weights(model, tmp_path / "absent.npz")
    with pytest.raises(ValueError, match=r"expected a file \.h5"):
        keras_networks.read_weights(model, Path(__file__))


def test_imagenet_labels_match_the_sample_photos(shared):
    names = imagenet_labels()
    assert len(set(names)) == len(names) == 1000
    photos = sorted(shared.glob("data/imagenet_samples/*.jpg"))
    assert len(photos) == 200
    for photo in photos:
        index, _, name = photo.stem.split("_", 2)
        assert names[int(index)] == name.replace("_", " ")


def test_mobilenet_recognises_photos(shared):
    pytest.importorskip("keras", reason="needs the extra [keras]")
    from fidojax.data import IMAGENET_CROP, Picture, pictures

    loaded = keras_networks.load_keras("MobileNetV2", shared / "models/mobilenetv2_imagenet.npz")
    assert loaded.size == (224, 224, 3)
    photos = sorted(shared.glob("data/imagenet_samples/*.jpg"))[::20]
    found = pictures(photos, loaded.size, crop=IMAGENET_CROP)
    images = np.stack([p.image for p in found if isinstance(p, Picture)])
    logits = jax.jit(lambda c, x: c(x))(loaded.classifier, images)
    labels = [int(photo.name[:4]) for photo in photos]
    assert np.mean(np.asarray(logits).argmax(1) == labels) >= 0.7
