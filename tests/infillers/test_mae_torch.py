"""ViT-MAE equals transformers' `ViTMAEForPreTraining`, whatever is visible."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infillers import mae
from infillers.mae.files import HEADS

torch: Any = pytest.importorskip("torch", reason="needs the extra [torch]")
transformers: Any = pytest.importorskip("transformers", reason="needs transformers")
torch.set_num_threads(1)

PATCH, GRID = 4, 4
SMALL = {
    "image_size": PATCH * GRID, "patch_size": PATCH, "hidden_size": 24, "num_attention_heads": 3,
    "num_hidden_layers": 2, "intermediate_size": 40, "decoder_hidden_size": 16,
    "decoder_num_attention_heads": 2, "decoder_num_hidden_layers": 2,
    "decoder_intermediate_size": 28,
}  # fmt: skip
MASKS = np.random.default_rng(0)
VISIBLE = [
    np.ones(16, bool), np.eye(16, dtype=bool)[5],
    *(MASKS.permutation(16) < count for count in (2, 4, 7, 8, 12, 15)),
]  # fmt: skip
"""All patches, one, and others: the encoder of transformers takes them alone."""


@pytest.fixture(scope="module", params=[True, False])
def model(request):
    """A network whose arrays are all random: no bias is 0, no scale 1."""
    torch.manual_seed(0)
    config = transformers.ViTMAEConfig(**SMALL, qkv_bias=request.param)
    model = transformers.ViTMAEForPreTraining(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model


@pytest.fixture(params=["folder", "bin"])
def weights(model, tmp_path, request):
    if request.param == "folder":
        model.save_pretrained(tmp_path)
        return tmp_path
    path = tmp_path / "pytorch_model.bin"
    torch.save(model.state_dict(), path)
    (tmp_path / "config.json").write_text(json.dumps(model.config.to_dict()))
    return path


def theirs(model, image, visible):
    """Their decoder's pictures in [0, 1]; they draw the order of the patches from `noise`."""
    pixels = torch.from_numpy((image - MEAN) / STD).permute(2, 0, 1)[None].float()
    model.config.mask_ratio = 1 - visible.sum() / 16
    with torch.no_grad():
        found = model(pixels, noise=torch.from_numpy(1.0 - visible)[None])
        assert int(16 - found.mask.sum()) == visible.sum()
        drawn = model.unpatchify(found.logits)[0].permute(1, 2, 0).numpy()
    return drawn * STD + MEAN


MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def test_pictures_equal_theirs(model, weights):
    rng = np.random.default_rng(1)
    ours: Any = jax.jit(mae(weights, composite=False))
    for visible in VISIBLE:
        image = rng.random((16, 16, 3)).astype(np.float32)
        mask = np.kron(visible.reshape(GRID, GRID), np.ones((PATCH, PATCH))).astype(np.float32)
        expected = np.clip(theirs(model, image, visible), 0, 1)
        found = ours(jax.random.key(0), jnp.asarray(image), jnp.asarray(mask))
        assert np.mean((expected > 0) & (expected < 1)) > 0.05
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_heads_of_the_published_sizes_are_those_of_their_configurations():
    default = transformers.ViTMAEConfig()
    assert HEADS[default.hidden_size] == default.num_attention_heads
    assert HEADS[default.decoder_hidden_size] == default.decoder_num_attention_heads
