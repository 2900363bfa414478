"""Contextual attention: missing features are rebuilt from patches of the known ones.

Yu, Lin, Yang, Shen, Lu, Huang, "Generative Image Inpainting with Contextual Attention", CVPR 2018
(arXiv 1801.07892), section 4.1, as in its authors' code. It is computed by slices and two
matrix products over patches, for one picture; `jax.vmap` batches these, while convolutions with the
picture's own patches as kernels would become grouped convolutions.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.core import check_name
from fidojax.types import Mask

KEYS = ("known", "share")


def contextual_attention(
    features: Float[Array, "h w c"],
    background: Float[Array, "h w c"],
    keys: Float[Array, "h2 w2"],
    *,
    scale: float = 10.0,
    fuse: bool = True,
) -> Float[Array, "h w c"]:
    """Rebuild features from 4 x 4 patches of the background, weighted by their similarity.

    Queries and keys are the 3 x 3 patches of both maps at half size (nearest pixels). Keys are
    divided by their norms, queries are not. The softmax runs over the scores times `keys`, and its
    result is multiplied by `keys` again, so that a key of 0 still takes its share of the sum, as in
    the authors' code. Four patches overlap at each place and are averaged.

    Args:
        features: the features to rebuild, h and w even.
        background: the features that the patches are cut from.
        keys: the validity of each place at half size as a source, in [0, 1] (`known_keys`).
        scale: factor of the scores in the softmax.
        fuse: whether neighbours that match at the same offset support each other.

    Raises:
        ValueError: h or w is odd, or `keys` is not half as large.
    """
    h, w, c = features.shape
    if h % 2 or w % 2 or keys.shape != (h // 2, w // 2):
        raise ValueError(
            f"features are {h} x {w} and keys {' x '.join(map(str, keys.shape))}, expected even "
            "sides and keys at half of them"
        )
    half = (h // 2, w // 2)
    query, key = (_windows(nearest(x, half)).reshape(-1, 9 * c) for x in (features, background))
    norm = jnp.sqrt(jnp.maximum(jnp.sum(key**2, axis=-1, keepdims=True), 1e-8))
    scores = jnp.einsum("qc,kc->qk", query, key / norm)
    if fuse:
        scores = _fused(scores, half)
    valid = keys.reshape(-1)
    attention = jax.nn.softmax(scale * scores * valid, axis=-1) * valid
    pasted = jnp.einsum("qk,kc->qc", attention, _patches(background).reshape(-1, 16 * c))
    return _paste(pasted.reshape(*half, 4, 4, c)) / 4


def known_keys(
    mask: Mask, shape: tuple[int, int], rule: str = "known"
) -> Float[Array, "rows columns"]:
    """Return the places of a map at half of `shape` that contextual attention may copy from.

    By the authors' rule, "known", a place is valid if its 3 x 3 window in the mask, resized by
    nearest pixels, is wholly kept. If the picture has no such place, as under random pixels, and
    always by the rule "share", the validity of a place is the kept share of the pixels that its
    window covers, relative to the best place.

    Args:
        mask: the mask of the picture, 1 = keep; its sides are multiples of half of `shape`.
        shape: the sides of the features.
        rule: "known" or "share".

    Raises:
        ValueError: the rule is unknown, or the sides do not fit.
    """
    check_name("rule", rule, KEYS)
    half = (shape[0] // 2, shape[1] // 2)
    if any(big % small for big, small in zip(mask.shape, half, strict=True)):
        raise ValueError(f"mask is {mask.shape}, expected sides that are multiples of {half}")
    rows, columns = half
    kept = mask.reshape(rows, mask.shape[0] // rows, columns, -1).mean(axis=(1, 3))[..., None]
    share = _windows(kept).sum(axis=-1) / _windows(jnp.ones_like(kept)).sum(axis=-1)
    most = share.max()
    share = jnp.where(most > 0, share / jnp.where(most > 0, most, 1.0), 1.0)
    if rule == "share":
        return share
    dropped = 1.0 - nearest(nearest(mask, shape), half)
    valid = (_windows(dropped[..., None]).sum(axis=-1) == 0).astype(mask.dtype)
    return jnp.where(jnp.any(valid > 0), valid, share)


def nearest(x: Float[Array, "h w ..."], shape: tuple[int, int]) -> Float[Array, "h2 w2 ..."]:
    """Resize by nearest pixels with aligned corners, as TensorFlow 1's `align_corners`."""
    rows, columns = (_places(n, m) for n, m in zip(x.shape, shape, strict=False))
    return x[rows][:, columns]


def _places(size: int, new: int) -> np.ndarray:
    step = (size - 1) / max(new - 1, 1)
    return np.floor(np.arange(new) * step + 0.5).astype(int)  # halves away from zero


def _windows(x: Float[Array, "h w c"]) -> Float[Array, "h w 9*c"]:
    """Return the 3 x 3 window around each place, with zeros outside."""
    h, w, _ = x.shape
    padded = jnp.pad(x, ((1, 1), (1, 1), (0, 0)))
    parts = [padded[i : i + h, j : j + w] for i, j in itertools.product(range(3), range(3))]
    return jnp.concatenate(parts, axis=-1)


def _fused(scores: Float[Array, "q k"], shape: tuple[int, int]) -> Float[Array, "q k"]:
    """Add to each score those of the next and the previous query at the next and previous key.

    First in row-major order of both, then in column-major order; the last place of a row is
    followed by the first of the next.
    """
    h, w = shape
    scores = _diagonal(scores).reshape(h, w, h, w).transpose(1, 0, 3, 2).reshape(h * w, h * w)
    return _diagonal(scores).reshape(w, h, w, h).transpose(1, 0, 3, 2).reshape(h * w, h * w)


def _diagonal(x: Float[Array, "q k"]) -> Float[Array, "q k"]:
    padded = jnp.pad(x, 1)
    return padded[:-2, :-2] + x + padded[2:, 2:]


def _patches(x: Float[Array, "h w c"]) -> Float[Array, "h2 w2 4 4 c"]:
    """Return the 4 x 4 patches two pixels apart, the first of them one pixel outside."""
    h, w, c = x.shape
    padded = jnp.pad(x, ((1, 1), (1, 1), (0, 0)))
    blocks = padded.reshape(h // 2 + 1, 2, w // 2 + 1, 2, c).transpose(0, 2, 1, 3, 4)
    rows = jnp.concatenate([blocks[:-1], blocks[1:]], axis=2)
    return jnp.concatenate([rows[:, :-1], rows[:, 1:]], axis=3)


def _paste(patches: Float[Array, "h2 w2 4 4 c"]) -> Float[Array, "h w c"]:
    """Add the patches up at their places: the transpose of `_patches`."""
    h, w, _, _, c = patches.shape
    same, before, after = (0, 0), (1, 0), (0, 1)
    rest = (same,) * 3
    rows = jnp.pad(patches[:, :, :2], (after, same, *rest))
    rows += jnp.pad(patches[:, :, 2:], (before, same, *rest))
    blocks = jnp.pad(rows[:, :, :, :2], (same, after, *rest))
    blocks += jnp.pad(rows[:, :, :, 2:], (same, before, *rest))
    whole = blocks.transpose(0, 2, 1, 3, 4).reshape(2 * h + 2, 2 * w + 2, c)
    return whole[1:-1, 1:-1]
