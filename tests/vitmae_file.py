"""A small ViT-MAE of random arrays as transformers writes it: config.json and model.safetensors."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

CONFIG = {
    "model_type": "vit_mae", "hidden_act": "gelu", "num_channels": 3, "layer_norm_eps": 1e-12,
    "image_size": 8, "patch_size": 4, "hidden_size": 8, "num_attention_heads": 2,
    "num_hidden_layers": 1, "intermediate_size": 12, "decoder_hidden_size": 6,
    "decoder_num_attention_heads": 3, "decoder_num_hidden_layers": 1,
    "decoder_intermediate_size": 10,
}  # fmt: skip


def arrays(seed: int = 0, **changes: int) -> dict[str, np.ndarray]:
    """The arrays by the names of the published files."""
    c = CONFIG | changes
    width, decoder_width = c["hidden_size"], c["decoder_hidden_size"]
    tokens = (c["image_size"] // c["patch_size"]) ** 2 + 1
    pixels = 3 * c["patch_size"] ** 2
    shapes: dict[str, tuple[int, ...]] = {
        "vit.embeddings.cls_token": (1, 1, width),
        "vit.embeddings.position_embeddings": (1, tokens, width),
        "vit.embeddings.patch_embeddings.projection.weight": (
            width, 3, c["patch_size"], c["patch_size"],
        ),
        "vit.embeddings.patch_embeddings.projection.bias": (width,),
        "decoder.mask_token": (1, 1, decoder_width),
        "decoder.decoder_pos_embed": (1, tokens, decoder_width),
        **_linear("decoder.decoder_embed", width, decoder_width),
        **_linear("decoder.decoder_pred", decoder_width, pixels),
        **_norm("vit.layernorm", width),
        **_norm("decoder.decoder_norm", decoder_width),
    }  # fmt: skip
    for i in range(c["num_hidden_layers"]):
        shapes |= _layer(f"vit.encoder.layer.{i}", width, c["intermediate_size"])
    hidden = c["decoder_intermediate_size"]
    for i in range(c["decoder_num_hidden_layers"]):
        shapes |= _layer(f"decoder.decoder_layers.{i}", decoder_width, hidden)
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()}


def write(folder: Path, seed: int = 0, **changes: int) -> Path:
    """Write both files into the folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    save_file(arrays(seed, **changes), folder / "model.safetensors")
    return folder


def _linear(name: str, c_in: int, c_out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (c_out, c_in), f"{name}.bias": (c_out,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _layer(name: str, width: int, hidden: int) -> dict[str, tuple[int, ...]]:
    return {
        **_norm(f"{name}.layernorm_before", width),
        **_norm(f"{name}.layernorm_after", width),
        **_linear(f"{name}.attention.attention.query", width, width),
        **_linear(f"{name}.attention.attention.key", width, width),
        **_linear(f"{name}.attention.attention.value", width, width),
        **_linear(f"{name}.attention.output.dense", width, width),
        **_linear(f"{name}.intermediate.dense", width, hidden),
        **_linear(f"{name}.output.dense", hidden, width),
    }
