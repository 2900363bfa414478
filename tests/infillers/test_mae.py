"""The masked autoencoder's infiller: files, masks, moments; the network is compared in torch's."""

import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import vitmae_file
from safetensors.numpy import save_file

import infillers
from infillers.mae import files
from infillers.mae.mae import _denormalised
from infillers.mae.network import patches_of, picture_of

KEY = jax.random.key(0)
filled = jax.jit(lambda infill, image, mask: infill(KEY, image, mask))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return vitmae_file.write(tmp_path_factory.mktemp("mae"))


def network_of(weights) -> Any:
    """The infiller at the network's own size."""
    infill: Any = infillers.mae(weights)
    return infill.infill


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(1), (8, 8, 3))


HALF = np.kron([[1, 0], [1, 1]], np.ones((4, 4))).astype(np.float32)
"""A mask of the four patches; the second is dropped."""


def test_patches_lie_row_by_row_with_their_channels_last():
    picture = jnp.arange(8 * 8 * 3.0).reshape(8, 8, 3)
    patches = patches_of(picture, 4)
    np.testing.assert_array_equal(patches[1].reshape(4, 4, 3), picture[:4, 4:])
    np.testing.assert_array_equal(picture_of(patches, 2, 4), picture)


def test_a_patch_is_visible_from_half_of_its_pixels_on(folder, image):
    """A pixel of it matters then, in the patches that are drawn."""
    infill = infillers.mae(folder)
    changed = image.at[0, 4].set(0.1)
    for kept, matters in ((2, True), (1, False)):
        mask = jnp.asarray(HALF).at[:kept, 4:].set(1.0).at[4:, 4:].set(0.0)
        one, other = (filled(infill, x, mask)[4:, 4:] for x in (image, changed))
        assert bool(jnp.any(one != other)) == matters


def test_what_is_kept_visible_and_drawn(folder, image):
    """Kept pixels are exact, dropped ones of visible patches local, other patches the network's."""
    mask = jnp.asarray(HALF).at[5:7, 1].set(0.0)
    found = np.asarray(filled(infillers.mae(folder), image, mask))
    kept = np.asarray(mask) == 1
    np.testing.assert_array_equal(found[kept], np.asarray(image)[kept])
    local = infillers.local(5)(KEY, image, mask)
    np.testing.assert_allclose(found[5:7, 1], local[5:7, 1], atol=1e-6)
    bare = np.asarray(filled(infillers.mae(folder, composite=False), image, mask))
    np.testing.assert_allclose(found[:4, 4:], bare[:4, 4:], atol=1e-6)
    assert np.abs(bare - found)[kept].max() > 0.05


def test_pictures_of_other_sizes_have_their_kept_pixels_exactly(folder):
    image = jax.random.uniform(KEY, (20, 13, 3))
    mask = jax.random.bernoulli(jax.random.key(1), 0.5, (20, 13)).astype(jnp.float32)
    found = np.asarray(filled(infillers.mae(folder), image, mask))
    kept = np.asarray(mask) == 1
    np.testing.assert_array_equal(found[kept], np.asarray(image)[kept])


def test_new_weights_do_not_retrace(folder, tmp_path, image):
    traces = []

    @jax.jit
    def run(infill, image):
        traces.append(1)
        return infill(KEY, image, jnp.asarray(HALF))

    one, other = (
        run(infillers.mae(path), image) for path in (folder, vitmae_file.write(tmp_path, seed=1))
    )
    assert len(traces) == 1
    assert float(jnp.abs(one - other)[:4, 4:].max()) > 1e-3


def test_normalised_patches_get_the_moments_of_visible_ones_around(folder, image):
    """As a loop over patches does it; the configuration decides where the option is not given."""
    rng = np.random.default_rng(0)
    drawn, patches = (rng.normal(size=(9, 12)).astype(np.float32) for _ in range(2))
    visible = np.arange(9) % 4 == 0
    found = _denormalised(jnp.asarray(drawn), jnp.asarray(patches), jnp.asarray(visible), 3)
    for i in range(9):
        weights = {j: np.exp(-0.5 * ((i // 3 - j // 3) ** 2 + (i % 3 - j % 3) ** 2))
                   for j in np.flatnonzero(visible)}  # fmt: skip
        total = sum(weights.values())
        mean = sum(w * patches[j].mean() for j, w in weights.items()) / total
        deviation = sum(w * patches[j].std(ddof=1) for j, w in weights.items()) / total
        np.testing.assert_allclose(found[i], drawn[i] * deviation + mean, atol=1e-5)
    dark, mask = 0.2 * image, jnp.asarray(HALF)
    pixels, normal = (
        filled(infillers.mae(folder, norm_pix_loss=each), dark, mask)[:4, 4:]
        for each in (False, True)
    )
    assert abs(float(normal.mean()) - 0.1) < 0.05 < abs(float(pixels.mean()) - 0.1)
    nothing = filled(infillers.mae(folder, norm_pix_loss=True), dark, 0 * mask)
    assert np.isfinite(nothing).all()


def test_the_configuration_says_whether_patches_are_normalised(tmp_path):
    for said in (False, True):
        vitmae_file.write(tmp_path, norm_pix_loss=said)
        assert network_of(tmp_path).normalised is said


def test_a_file_alone_is_enough_where_the_heads_are_known(tmp_path):
    sizes = {"num_attention_heads": 12, "hidden_size": 768, "intermediate_size": 4,
             "decoder_hidden_size": 512, "decoder_intermediate_size": 4}  # fmt: skip
    save_file(vitmae_file.arrays(**sizes), tmp_path / "own.safetensors")
    found = network_of(tmp_path / "own.safetensors").sizes
    assert (found.heads, found.decoder_heads, found.side, found.patch) == (12, 16, 8, 4)


def wrong_heads(folder):
    vitmae_file.write(folder, num_attention_heads=3)


def no_config(folder):
    vitmae_file.write(folder)
    (folder / "config.json").unlink()


def other_activation(folder):
    vitmae_file.write(folder)
    config = json.loads((folder / "config.json").read_text()) | {"hidden_act": "relu"}
    (folder / "config.json").write_text(json.dumps(config))


def broken_config(folder):
    vitmae_file.write(folder)
    (folder / "config.json").write_text("{")


def encoder_alone(folder):
    arrays = vitmae_file.arrays()
    vitmae_file.write(folder)
    save_file({n: a for n, a in arrays.items() if n[:3] == "vit"}, folder / files.NAMES[0])


def array_missing(folder):
    arrays = vitmae_file.write(folder) and vitmae_file.arrays()
    del arrays["vit.layernorm.bias"]
    save_file(arrays, folder / files.NAMES[0])


def damaged(folder):
    (vitmae_file.write(folder) / files.NAMES[0]).write_bytes(b"no weights")


def pickled(folder):
    (vitmae_file.write(folder) / files.NAMES[0]).unlink()
    (folder / files.NAMES[1]).write_bytes(b"\x80\x04cos\nsystem\n.")


def empty(folder):
    folder.mkdir(exist_ok=True)


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (wrong_heads, ValueError, "num_attention_heads is 3 in config.json, expected"),
        (no_config, ValueError, "put the config.json with num_attention_heads beside the file"),
        (other_activation, ValueError, "hidden_act is 'relu' in config.json, expected 'gelu'"),
        (broken_config, ValueError, "config.json: expected JSON"),
        (encoder_alone, ValueError, "encoder and decoder, for square colour pictures"),
        (array_missing, ValueError, r"lack the arrays \['norm/bias'\]"),
        (damaged, ValueError, "no file of safetensors: "),
        (pickled, ValueError, "expected a PyTorch state dict"),
        (empty, FileNotFoundError, "has no model.safetensors and no pytorch_model.bin"),
    ],
)  # fmt: skip
def test_wrong_files_are_named(spoil, error, said, tmp_path):
    spoil(tmp_path)
    with pytest.raises(error, match=said) as raised:
        infillers.mae(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_what_cannot_be_fetched_is_named(monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.safetensors: there is no such file or fol"):
        infillers.mae(tmp_path / "none.safetensors")
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def download(repository, name):
        asked.append((repository, name))
        raise ConnectionError("no network")

    monkeypatch.setattr(hub, "hf_hub_download", download)
    with pytest.raises(FileNotFoundError, match=r"owner/name: there is no .*no network.*give the"):
        infillers.mae("owner/name")
    assert asked == [("owner/name", "config.json")]
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"huggingface_hub is missing: pip install 'fidojax\[mae"):
        infillers.mae("owner/name")


def test_a_repository_is_fetched(monkeypatch, folder):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "hf_hub_download", lambda repository, name: str(folder / name))
    assert network_of("owner/name").sizes == network_of(folder).sizes


def test_on_the_command_line():
    assert infillers.parse_infill("mae:owner/name") == ("mae", {"weights": "owner/name"})
    with pytest.raises(ValueError, match="--infill: mae needs its weights, write mae:WEIGHTS"):
        infillers.make_infill("mae")
    with pytest.raises(ValueError, match=r"--infill: weights no\.bin: there is no such file"):
        infillers.make_infill("mae:no.bin")
    assert "mae" not in infillers.default_infillers()
