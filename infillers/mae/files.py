"""Weights of ViT-MAE as Hugging Face stores them: fetched or found, read, and named as ours."""

import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fidojax.core import install_extra
from fidojax.networks import read_state_dict
from infillers.mae.network import Sizes

NAMES = ("model.safetensors", "pytorch_model.bin")
"""The files of weights that a folder or a repository may have, the preferred one first."""

LAYERS = (
    (r"^vit\.", ""),
    (r"^embeddings\.patch_embeddings\.projection", "embed"),
    (r"^embeddings\.cls_token", "cls"),
    (r"^embeddings\.position_embeddings", "positions"),
    (r"^(encoder\.layer|layers)\.(\d+)\.", r"encoder/\2/"),
    (r"^layernorm\.", "norm."),
    # transformers 5.24 saves the decoder's layers by the second of these names.
    (r"^decoder\.decoder_(layers|encoder\.layer)\.(\d+)\.", r"decoder/\2/"),
    (r"^decoder\.decoder_pos_embed", "decoder_positions"),
    (r"^decoder\.decoder_embed", "to_decoder"),
    (r"^decoder\.decoder_pred", "pixels"),
    (r"^decoder\.decoder_norm", "decoder_norm"),
    (r"^decoder\.mask_token", "mask_token"),
    (r"attention\.(attention\.query|q_proj)", "query"),
    (r"attention\.(attention\.key|k_proj)", "key"),
    (r"attention\.(attention\.value|v_proj)", "value"),
    (r"attention\.(output\.dense|o_proj)", "out"),
    (r"(intermediate\.dense|mlp\.fc1)", "up"),
    (r"(output\.dense|mlp\.fc2)", "down"),
    (r"layernorm_(before|after)", r"\1"),
)
"""Patterns of names of transformers, old and new, and what stands in `ViTMAE` for them."""

HEADS = {768: 12, 1024: 16, 1280: 16, 512: 16}
"""The attention heads of the published encoders and of their decoder, by width."""


class Found(NamedTuple):
    """Where the weights are, and what the configuration beside them says."""

    path: Path
    config: dict[str, Any]


def find(weights: str | Path) -> Found:
    """Find a file, a folder with one of `NAMES`, or else the repository of that name.

    Raises:
        FileNotFoundError: there is neither, or it cannot be fetched.
        ImportError: `huggingface_hub` is missing.
        ValueError: config.json is damaged.
    """
    path = Path(weights)
    if path.is_file():
        return Found(path, _config(path.parent / "config.json"))
    if path.is_dir():
        for name in NAMES:
            if (path / name).is_file():
                return Found(path / name, _config(path / "config.json"))
        raise FileNotFoundError(f"weights {path}: the folder has no {' and no '.join(NAMES)}")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", str(weights)) and not path.suffix:
        return _fetched(str(weights))
    raise FileNotFoundError(
        f"weights {weights}: there is no such file or folder, and a repository of Hugging Face is"
        " called OWNER/NAME, as facebook/vit-mae-base"
    )


def _fetched(repository: str) -> Found:
    hub = _module("huggingface_hub", f"weights {repository}: there is no such folder here, and")
    try:
        config = _config(Path(hub.hf_hub_download(repository, "config.json")))
        try:
            path = hub.hf_hub_download(repository, NAMES[0])
        except hub.errors.EntryNotFoundError:
            path = hub.hf_hub_download(repository, NAMES[1])
    except Exception as error:  # of the network or the hub, which are many kinds
        reason = " ".join(str(error).split())[:200]
        raise FileNotFoundError(
            f"weights {repository}: there is no such folder here, and Hugging Face gives no"
            f" model.safetensors of that name ({type(error).__name__}: {reason}); without a network"
            " give the file"
        ) from error
    return Found(Path(path), config)


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text())
        if not isinstance(config, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, as transformers writes it ({error})") from error
    return config


def _module(name: str, said: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f"{said} {package} is missing: {install_extra('mae')}") from error


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by their names in `ViTMAE`; no pickle is run.

    Raises:
        ImportError: `safetensors` is missing.
        ValueError: the file is damaged, or holds something else.
    """
    if path.suffix != ".safetensors":
        arrays: Mapping[str, Any] = read_state_dict(path)
    else:
        _module("safetensors", f"weights {path}:")
        try:
            arrays = importlib.import_module("safetensors.numpy").load_file(path)
        except Exception as error:  # safetensors has an error of its own, and KeyErrors of types
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"weights {path}: no file of safetensors: {reason}") from error
    return dict(_ours(name, np.asarray(array)) for name, array in arrays.items())


def _ours(name: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    for pattern, instead in LAYERS:
        name = re.sub(pattern, instead, name)
    if not name.endswith(".weight"):
        return name.replace(".bias", "/bias"), array
    name = name.removesuffix(".weight")
    if array.ndim == 1:
        return f"{name}/scale", array
    if array.ndim == 4:  # the convolution "d c p p" of patches, as a product with "p p c"
        array = array.transpose(0, 2, 3, 1).reshape(len(array), -1)
    return f"{name}/kernel", array.T


def sizes_of(arrays: Mapping[str, np.ndarray], found: Found) -> Sizes:
    """Infer the sizes from the shapes of the arrays, and the attention heads from the config.

    Raises:
        ValueError: the arrays are those of another network, or the heads are unknown.
    """
    said = f"weights {found.path}"
    try:
        pixels, width = arrays["embed/kernel"].shape
        decoder_width = arrays["to_decoder/kernel"].shape[1]
        grid, patch = _root(arrays["positions"].shape[1] - 1), _root(pixels / 3)
        hidden = [arrays[f"{part}/0/up/kernel"].shape[1] for part in ("encoder", "decoder")]
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(
            f"{said}: expected the arrays of transformers' ViTMAEForPreTraining, encoder and"
            f" decoder, for square colour pictures ({error})"
        ) from error
    heads = _heads(said, found.config, "num_attention_heads", width)
    decoder_heads = _heads(said, found.config, "decoder_num_attention_heads", decoder_width)
    activation = found.config.get("hidden_act", "gelu")
    if activation != "gelu":
        raise ValueError(f"{said}: hidden_act is {activation!r} in config.json, expected 'gelu'")
    count = {part: len({n.split("/")[1] for n in arrays if n.startswith(f"{part}/")})
             for part in ("encoder", "decoder")}  # fmt: skip
    return Sizes(
        side=grid * patch, patch=patch,
        width=width, heads=heads, layers=count["encoder"], hidden=hidden[0],
        decoder_width=decoder_width, decoder_heads=decoder_heads,
        decoder_layers=count["decoder"], decoder_hidden=hidden[1],
        biases="encoder/0/query/bias" in arrays,
        epsilon=float(found.config.get("layer_norm_eps", 1e-12)),
    )  # fmt: skip


def _root(square: float) -> int:
    root = round(square**0.5)
    if root < 1 or root * root != square:
        raise ValueError(f"{square:g} is no square number")
    return root


def _heads(said: str, config: dict[str, Any], key: str, width: int) -> int:
    heads = config.get(key, HEADS.get(width))
    if heads is None:
        raise ValueError(
            f"{said}: the number of attention heads does not follow from the arrays; put the"
            f" config.json with {key} beside the file"
        )
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise ValueError(f"{said}: {key} is {heads} in config.json, expected a divisor of {width}")
    return heads
