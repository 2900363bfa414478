"""Attention rollout and relevance: slow loops in NumPy, and transformers of every spelling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from jax.tree_util import Partial

from fidojax import networks
from fidojax.methods.attention_relevance import attention_relevance
from fidojax.methods.attention_rollout import attention_rollout
from fidojax.transforms import cpu
from fidojax.transforms.attention import attended

KEY = jax.random.key(0)
HEADS, DEPTH, WIDTH = 2, 3, 8
IMAGE = jax.random.uniform(jax.random.key(1), (12, 12, 3))


def weights(seed=0):
    draw = np.random.default_rng(seed)
    shapes = {"embed": (48, WIDTH), "first": (WIDTH,), "last": (WIDTH, 4)}
    shapes |= {name: (DEPTH, WIDTH, WIDTH) for name in ("query", "key", "value", "out")}
    return {k: jnp.asarray(draw.normal(size=s) / np.sqrt(s[0])) for k, s in shapes.items()}


def tokens_of(w, images, with_class=True):
    patches = images.reshape(-1, 3, 4, 3, 4, 3).swapaxes(2, 3).reshape(len(images), 9, 48)
    tokens = patches @ w["embed"]
    first = jnp.broadcast_to(w["first"], (len(tokens), 1, WIDTH))
    return jnp.concatenate([first, tokens], 1) if with_class else tokens


def heads(x):
    return x.reshape(*x.shape[:2], HEADS, -1)


def block(x, part, softmax):
    query, key, value = (heads(x @ part[name]) for name in ("query", "key", "value"))
    shares = softmax(jnp.einsum("nihd,njhd->nhij", query, key))
    y = jnp.einsum("nhij,njhd->nihd", shares, value).reshape(x.shape) @ part["out"]
    return x + jnp.tanh(y), shares


def parts(w):
    return {name: w[name] for name in ("query", "key", "value", "out")}


def transformer(w, images, softmax=jax.nn.softmax, with_class=True, scanned=False):
    x = tokens_of(w, images, with_class)
    if scanned:
        x = lax.scan(lambda x, part: (block(x, part, softmax)[0], None), x, parts(w))[0]
    else:
        for i in range(DEPTH):
            x = block(x, jax.tree.map(lambda each, i=i: each[i], parts(w)), softmax)[0]
    return (x[:, 0] if with_class else x.mean(1)) @ w["last"]


def built_in(w, images):
    x = tokens_of(w, images)
    for i in range(DEPTH):
        query, key, value = (heads(x @ w[name][i]) for name in ("query", "key", "value"))
        y = jax.nn.dot_product_attention(query, key, value, scale=1.0).reshape(x.shape)
        x = x + jnp.tanh(y @ w["out"][i])
    return x[:, 0] @ w["last"]


def by_hand(x):
    raised = jnp.exp(x - lax.stop_gradient(x.max(-1, keepdims=True)))
    return raised / raised.sum(-1, keepdims=True)


SPELLINGS = {
    "plain": transformer,
    "by hand": lambda w, x: transformer(w, x, by_hand),
    "jit": jax.jit(transformer),
    "remat": jax.checkpoint(transformer),
    "scan": lambda w, x: transformer(w, x, scanned=True),
    "half": lambda w, x: transformer(w, x, lambda a: jax.nn.softmax(a.astype("float32"))),
    "built in": built_in,
}


def slow(w, with_class, target=None):
    """The layers' attention, and the relevance: of the target, or the rollout if there is none."""
    x, shares = tokens_of(w, IMAGE[None], with_class), []

    def rest(i, given):
        """The logit of the target from layer i's attention on."""
        y, value = states[i], heads(states[i] @ w["value"][i])
        y = y + jnp.tanh(jnp.einsum("nhij,njhd->nihd", given, value).reshape(y.shape) @ w["out"][i])
        for j in range(i + 1, DEPTH):
            y = block(y, jax.tree.map(lambda each, j=j: each[j], parts(w)), jax.nn.softmax)[0]
        return ((y[:, 0] if with_class else y.mean(1)) @ w["last"])[0, target]

    states = []
    for i in range(DEPTH):
        states.append(x)
        x, share = block(x, jax.tree.map(lambda each, i=i: each[i], parts(w)), jax.nn.softmax)
        shares.append(share)
    count = shares[0].shape[-1]
    relevance = np.eye(count)
    for i, share in enumerate(shares):
        layer = np.asarray(share[0])
        if target is None:
            relevance = (0.5 * layer.mean(0) + 0.5 * np.eye(count)) @ relevance
        else:
            gradient = np.asarray(jax.grad(lambda given, i=i: rest(i, given))(share)[0])
            relevance = relevance + np.maximum(gradient * layer, 0).mean(0) @ relevance
    row = relevance[0, 1:] if with_class else relevance.mean(0)
    return row.reshape(3, 3), relevance


@pytest.mark.parametrize("with_class", [True, False])
def test_slow_loops(with_class, float64):
    w = weights()
    classifier = Partial(lambda w, x: transformer(w, x, with_class=with_class), w)
    rolled = attention_rollout(KEY, classifier, IMAGE, 0, interpolation="nearest")
    coarse, relevance = slow(w, with_class)
    np.testing.assert_allclose(rolled.info.relevance, relevance, atol=1e-12)
    np.testing.assert_allclose(rolled.info.relevance.sum(-1), 1, atol=1e-12)
    np.testing.assert_allclose(rolled.saliency, np.kron(coarse, np.ones((4, 4))), atol=1e-6)
    found = attention_relevance(KEY, classifier, IMAGE, 2)
    coarse, relevance = slow(w, with_class, target=2)
    np.testing.assert_allclose(found.info.relevance, relevance, atol=1e-12)
    np.testing.assert_allclose(found.info.coarse, coarse, atol=1e-12)
    np.testing.assert_allclose(found.info.score, classifier(IMAGE[None])[0, 2], rtol=1e-6)


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_has_the_same_attention(name):
    w = weights()
    classifier = Partial(SPELLINGS[name], w)
    logits, layers = jax.jit(attended)(classifier, IMAGE[None])
    expected_logits, expected = attended(Partial(transformer, w), IMAGE[None])
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-5, atol=1e-5)
    assert len(layers) == DEPTH
    for one, other in zip(layers, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert abs(np.asarray(layers[0] - layers[1])).max() > 1e-3


class Vit(nnx.Module):
    """Flax's own attention, twice."""

    def __init__(self, rngs: nnx.Rngs):
        self.embed = nnx.Conv(3, 8, (4, 4), strides=4, padding="VALID", rngs=rngs)
        self.layers = nnx.List(
            [nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs) for _ in range(2)]
        )
        self.dense = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, images):
        x = self.embed(images).reshape(len(images), -1, 8)
        for layer in self.layers:
            x = x + layer(x)
        return self.dense(x.mean(1))


def test_modules_of_flax_and_classes_with_their_own_relevance():
    classifier = networks.from_nnx(Vit(nnx.Rngs(0)))
    maps = [
        jax.jit(lambda c, x, t: attention_relevance(KEY, c, x, t))(ours, IMAGE, target).saliency
        for ours in (classifier, cpu.fast(classifier))
        for target in (0, 1)
    ]
    assert maps[0].shape == (12, 12)
    assert float(abs(maps[0] - maps[1]).max()) > 1e-4
    np.testing.assert_allclose(maps[:2], maps[2:], rtol=1e-4, atol=1e-5)
    rolled = attention_rollout(KEY, classifier, IMAGE, 0)
    assert len(rolled.info.attention) == 2
    assert rolled.info.attention[0].shape == (2, 9, 9)


def windows(w, images):
    x = tokens_of(w, images, with_class=False).reshape(3, 3, WIDTH)
    return (
        block(x, jax.tree.map(lambda each: each[0], parts(w)), jax.nn.softmax)[0].mean((0, 1))[None]
        @ w["last"]
    )


def pooled(w, images):
    x = tokens_of(w, images)
    for i in range(2):
        x = block(x, jax.tree.map(lambda each, i=i: each[i], parts(w)), jax.nn.softmax)[0][:, ::2]
    return x.mean(1) @ w["last"]


def to_others(w, x, queries, keys):
    """Attention of the first queries to the first keys, after a layer among all tokens."""
    x, _ = block(x, jax.tree.map(lambda each: each[0], parts(w)), jax.nn.softmax)
    query, key, value = heads(x[:, :queries]), heads(x[:, :keys]), heads(x[:, :keys])
    y = jax.nn.dot_product_attention(query, key, value)
    return y.reshape(len(x), queries, WIDTH)


def reduced(w, images):
    """Keys and values are fewer than the tokens, as in SegFormer and PVT."""
    return to_others(w, tokens_of(w, images), 10, 5).mean(1) @ w["last"]


def pooled_by_attention(w, images):
    return (
        jax.jit(to_others, static_argnums=(2, 3))(w, tokens_of(w, images), 1, 10)[:, 0] @ w["last"]
    )


def gated(w, images):
    """A softmax that is no square, but weighs no sum over its last axis."""
    x, _ = block(tokens_of(w, images), jax.tree.map(lambda each: each[0], parts(w)), jax.nn.softmax)
    gate = jax.nn.softmax(heads(x), axis=-1)
    return (gate * heads(x)).reshape(x.shape)[:, 0] @ w["last"]


def test_a_softmax_that_is_a_gate_is_no_attention():
    found = attention_rollout(KEY, Partial(gated, weights()), IMAGE, 0)
    assert [each.shape for each in found.info.attention] == [(2, 10, 10)]


@pytest.mark.parametrize("method", [attention_rollout, attention_relevance])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda w, x: x.mean((1, 2)) @ w["embed"][:3], "program has no attention, a softmax"),
        (lambda w, x: jax.nn.softmax(x[0, ..., 0])[:1, :3], "program has no attention"),
        (windows, r"attention has shape \(3, 2, 3, 3\), expected \(1, heads"),
        (reduced, "attention has 10 queries and 5 keys; the method follows one set"),
        (pooled_by_attention, "attention has 1 queries and 10 keys; the method follows one"),
        (pooled, r"\[\(2, 5, 5\), \(2, 10, 10\)\]; the method follows one set of tokens"),
    ],
)
def test_what_has_no_attention_of_the_whole_picture_is_refused(method, function, message):
    with pytest.raises(ValueError, match=message):
        method(KEY, Partial(function, weights()), IMAGE, 0)


def test_a_grid_that_is_no_square():
    def wide(w, images):
        return transformer(w, jnp.concatenate([images, images], 2)[:, :12, :12])

    classifier = Partial(wide, weights())
    found = attention_rollout(KEY, classifier, IMAGE, 0, grid=(1, 9))
    assert found.info.coarse.shape == (1, 9)
    with pytest.raises(ValueError, match=r"grid is \(4, 4\), expected"):
        attention_rollout(KEY, classifier, IMAGE, 0, grid=(4, 4))
