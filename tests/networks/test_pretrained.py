"""Loading weights: the shipped files, files of one's own, and what is said about bad ones."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from flax import nnx
from PIL import Image
from test_networks import filled

from fidojax import networks
from fidojax.networks import MnistAllConv, ResNet, weight_files
from fidojax.transforms import cpu

SPEC_LOG_ODDS = "19.1 19.2 25.1 27.1 25.9 20.5 14.6 22.4 23.2 9.0 19.8 11.3 14.5 18.7 11.1"


def mnist():
    return MnistAllConv(nnx.Rngs(0))


@pytest.fixture
def file(tmp_path):
    """Random weights of the MNIST network, as `save` writes them."""
    weight_files.save(tmp_path / "mine.npz", filled(mnist, 3))
    return tmp_path / "mine.npz"


def cropped(photo: np.ndarray, place: str, size: int = 64) -> np.ndarray:
    """A photo at 64 x 64: shorter side resized and the centre cut out, or the whole squeezed."""
    image = Image.fromarray(photo)
    if place == "centre":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC), np.float32) / 255


@pytest.mark.parametrize("name", networks.SHIPPED)
def test_shipped_weights_are_small_documented_and_fit(name):
    path = networks.WEIGHTS / f"{name}.npz"
    assert path.stat().st_size <= 4e6
    card = path.with_suffix(".md").read_text()
    assert "python -m train.classifier" in card
    with np.load(path, allow_pickle=False) as file:
        assert {file[key].dtype for key in file.files} == {np.dtype(np.float16)}
    loaded = networks.load(name)
    logits = loaded.classifier(jnp.zeros((2, *loaded.size)))
    assert logits.shape == (2, len(loaded.labels))
    assert logits.dtype == jnp.float32
    assert len(set(loaded.labels)) == len(loaded.labels)


@pytest.mark.parametrize("place", ["centre", "squeezed"])
@pytest.mark.parametrize(
    ("photo", "classes"), [("chelsea", {"tabby", "Persian cat"}), ("coffee", {"espresso"})]
)
def test_default_reads_the_sample_photos(photo, classes, place):
    network = networks.load()
    image = cropped(getattr(skimage.data, photo)(), place)
    probability = jax.nn.softmax(network.classifier(image[None])[0])
    assert network.labels[int(probability.argmax())] in classes


def test_shipped_accuracy(shared):
    tfds = pytest.importorskip("tensorflow_datasets")
    where = shared / "data" / "tensorflow_datasets" / "tiny_imagenet40" / "1.0.0"
    records = (
        tfds.builder_from_directory(where).as_data_source("validation").__getitems__(range(200))
    )
    network = networks.load("tiny_imagenet40")
    images = np.stack([r["image"] for r in records]).astype(np.float32) / 255
    labels = np.asarray([r["label"] for r in records])
    assert np.mean(network.classifier(images).argmax(-1) == labels) > 0.7


def test_reproduces_the_published_log_odds(shared):
    network = networks.load("mnist", weights=shared / "models" / "mnist_allconv.npz")
    with np.load(shared / "data" / "mnist_eights.npz") as file:
        images = file["images"][:15, :, :, None].astype(np.float32) / 255
    logits = np.asarray(network.classifier(images), np.float64)
    others = np.delete(logits, 8, axis=1)
    odds = logits[:, 8] - np.log(np.exp(others).sum(1))
    np.testing.assert_allclose(odds, [float(x) for x in SPEC_LOG_ODDS.split()], atol=0.051)


def test_save_and_load_are_inverse(file):
    network = filled(mnist, 3)
    images = jax.random.uniform(jax.random.key(0), (2, 28, 28, 1))
    loaded = networks.load("mnist", file)
    assert loaded.labels == tuple("0123456789")
    np.testing.assert_allclose(loaded.classifier(images), network(images), atol=3e-2)
    assert {leaf.dtype for leaf in jax.tree.leaves(loaded.classifier)} == {jnp.dtype("float32")}


def test_new_weights_do_not_retrace(file, tmp_path):
    weight_files.save(tmp_path / "other.npz", filled(mnist, 4))
    traces = []

    @jax.jit
    def logits(classifier, images):
        traces.append(1)
        return classifier(images)

    images = jnp.ones((1, 28, 28, 1))
    one = logits(networks.load("mnist", file).classifier, images)
    other = logits(networks.load("mnist", tmp_path / "other.npz").classifier, images)
    assert len(traces) == 1
    assert not np.allclose(one, other)


def test_unknown_name():
    with pytest.raises(ValueError, match=r"one of tiny_imagenet40, mnist, .*; got 'cifar'"):
        networks.load("cifar")


def test_keras_names_go_to_the_adapter(monkeypatch):
    def load_keras(name, weights, layer):
        return networks.Pretrained(f"{name} from {weights}", lambda images: images, (), (1, 1, 3))

    monkeypatch.setattr("fidojax.networks.keras.load_keras", load_keras)
    assert networks.load("keras:MobileNetV2", "w.npz").name == "MobileNetV2 from w.npz"


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz: there is no such file"):
        networks.load("mnist", tmp_path / "none.npz")


def rewritten(file, **changes):
    with np.load(file) as old:
        arrays = {k.replace("/", "__"): v for k, v in old.items()} | changes
    arrays = {k.replace("__", "/"): v for k, v in arrays.items() if v is not None}
    np.savez(file, **arrays)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv1__bias": None}, "lack the arrays ['conv1/bias']"),
        ({"extra": np.zeros(2)}, "unknown ones ['extra']"),
        ({"conv1__bias": np.zeros(31)}, "conv1/bias must be floating with shape (32,)"),
        ({"conv1__bias": np.zeros(32, int)}, "conv1/bias must be floating with shape (32,)"),
        ({"conv1__bias": np.full(32, np.nan)}, "conv1/bias must be finite"),
        ({"conv1__bias": np.array([object()] * 32)}, "'conv1/bias' holds Python objects"),
    ],
)
def test_wrong_arrays_are_named(file, changes, message):
    rewritten(file, **changes)
    with pytest.raises(ValueError, match=re.escape(message)):
        networks.load("mnist", file)


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_damaged_file(file, size):
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"mine\.npz: .*; expected an \.npz of plain arrays"):
        networks.load("mnist", file)


def test_batch_norm_must_be_folded_before_saving(tmp_path):
    network = filled(lambda: ResNet(3, (4,), (1,), rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="fold"):
        weight_files.save(tmp_path / "x.npz", network)
    assert not (tmp_path / "x.npz").exists()


def test_loaded_classifiers_go_through_jax_as_functions_do():
    """As a function to jit, trace and map, not only as an argument."""
    network = networks.load("mnist")
    images = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    expected = network.classifier(images)
    for classifier in (network.classifier, cpu.fast(network.classifier)):
        np.testing.assert_allclose(jax.jit(classifier)(images), expected, atol=1e-4)
        assert jax.eval_shape(classifier, images).shape == (2, 10)
        mapped = jax.vmap(classifier)(images[:, None])
        np.testing.assert_allclose(mapped[:, 0], expected, atol=1e-4)
