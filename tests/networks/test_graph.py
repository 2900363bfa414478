"""Networks as graphs: ATen's operations against NumPy, without PyTorch; views; the classifier."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fidojax
from fidojax.networks.graph import shapes, view
from fidojax.networks.graph.classifier import from_graph
from fidojax.networks.graph.graph import Graph, Layer, Node, Ref, needed
from fidojax.networks.torch.table import RULES, name_of

DRAW = np.random.default_rng(0)
X = DRAW.standard_normal((2, 4, 6, 5)).astype(np.float32)
TOKENS = DRAW.standard_normal((2, 3, 4)).astype(np.float32)
KERNEL = DRAW.standard_normal((6, 2, 3, 2)).astype(np.float32)
VECTOR = DRAW.random(4, np.float32) + 0.5


def windows(x, window, strides, pads, dilations, fill):
    """The windows "n c rows columns kh kw" of a picture "n c h w", by loops."""
    x = np.pad(x, ((0, 0), (0, 0), *pads), constant_values=fill)
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, window, strict=True)]
    rows, columns = (
        range(0, n - r + 1, s) for n, r, s in zip(x.shape[2:], reach, strides, strict=True)
    )
    cut = [
        [x[:, :, i : i + reach[0] : dilations[0], j : j + reach[1] : dilations[1]] for j in columns]
        for i in rows
    ]
    return np.moveaxis(np.asarray(cut), (0, 1), (2, 3))


def convolved(x, kernel, bias, strides, pads, dilations, groups):
    seen = windows(x, kernel.shape[2:], strides, pads, dilations, 0)
    parts = zip(np.split(seen, groups, 1), np.split(kernel, groups), strict=True)
    return np.concatenate(
        [np.einsum("ncijkl,ockl->noij", *part) for part in parts], 1
    ) + np.reshape(bias, (-1, 1, 1))


def erf(x):
    return np.vectorize(math.erf)(x)


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def attended(q, k, v, mask):
    weights = softmax(np.where(mask, q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1]), -np.inf))
    return weights @ v


def standard(x, axes):
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axes, keepdims=True) + 1e-5)


COLUMN = VECTOR[:, None, None]
BIAS = np.arange(6, dtype=np.float32)
TRIANGLE = np.tril(np.ones((3, 3), bool))
CASES = [
    # The operation, its operands, its options, the result.
    ("convolution", (X, KERNEL, BIAS, (2, 1), (1, 0), (1, 2), False, (0, 0), 2), {},
     convolved(X, KERNEL, BIAS, (2, 1), ((1, 1), (0, 0)), (1, 2), 2)),
    ("conv2d", (X, KERNEL, BIAS, (1, 1), "same", (1, 1), 2), {},
     convolved(X, KERNEL, BIAS, (1, 1), ((1, 1), (0, 1)), (1, 1), 2)),
    ("conv1d", (TOKENS, KERNEL[:, :1, :, 0], None, 1, 0, 1, 3), {}, np.concatenate(
        [np.stack([(TOKENS[:, g, i : i + 3] @ KERNEL[2 * g : 2 * g + 2, 0, :, 0].T)
                   for i in range(2)], -1) for g in range(3)], 1)),
    ("max_pool2d", (X, (3, 2), (2, 2), (1, 0), (1, 1), True), {},
     windows(X, (3, 2), (2, 2), ((1, 2), (0, 1)), (1, 1), -np.inf).max((4, 5))),
    ("max_pool2d_with_indices", (X, 2), {},
     windows(X, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), 0).max((4, 5))),
    ("avg_pool2d", (X, (3, 3), (1, 1), (1, 1)), {},
     windows(X, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 0).mean((4, 5))),
    ("avg_pool2d", (X, 2, 2, 0, True, False), {}, np.nanmean(
        windows(X, (2, 2), (2, 2), ((0, 0), (0, 1)), (1, 1), np.nan), (4, 5))),
    ("adaptive_avg_pool2d", (X, (1, 1)), {}, X.mean((2, 3), keepdims=True)),
    ("adaptive_avg_pool2d", (X, (3, 2)), {}, np.stack(
        [X.reshape(2, 4, 3, 2, 5)[..., c].mean((3, 4)) for c in (slice(0, 3), slice(2, 5))], -1)),
    ("adaptive_max_pool2d", (X, (2, 1)), {}, X.reshape(2, 4, 2, 15).max(3)[..., None]),
    ("batch_norm", (X, VECTOR, -VECTOR, VECTOR / 2, 2 * VECTOR, False, 0.1, 1e-3, True), {},
     (X - COLUMN / 2) / np.sqrt(2 * COLUMN + 1e-3) * COLUMN - COLUMN),
    ("_native_batch_norm_legit_no_training", (X, VECTOR, None, VECTOR, VECTOR, 0.1, 1e-5), {},
     (X - COLUMN) / np.sqrt(COLUMN + 1e-5) * COLUMN),
    ("layer_norm", (TOKENS, (4,), VECTOR, -VECTOR), {}, standard(TOKENS, 2) * VECTOR - VECTOR),
    ("group_norm", (X, 2, VECTOR, None), {},
     standard(X.reshape(2, 2, 2, 6, 5), (2, 3, 4)).reshape(X.shape) * COLUMN),
    ("instance_norm", (X, None, VECTOR, None, None, True, 0.1, 1e-5, False), {},
     standard(X, (2, 3)) + COLUMN),
    ("rms_norm", (TOKENS, (4,), VECTOR, 1e-6), {},
     TOKENS / np.sqrt((TOKENS**2).mean(2, keepdims=True) + 1e-6) * VECTOR),
    ("scaled_dot_product_attention", (TOKENS, 2 * TOKENS, TOKENS + 1, TRIANGLE), {},
     attended(TOKENS, 2 * TOKENS, TOKENS + 1, TRIANGLE)),
    ("scaled_dot_product_attention", (TOKENS, TOKENS, TOKENS, None, 0.0, True), {"scale": 0.5},
     attended(TOKENS, TOKENS, TOKENS, TRIANGLE)),
    ("linear", (TOKENS, KERNEL[:, 0, 0] @ np.ones((2, 4), np.float32), BIAS), {},
     TOKENS @ np.ones((4, 2), np.float32) @ KERNEL[:, 0, 0].T + BIAS),
    ("addmm", (VECTOR, TOKENS[0], np.eye(4, dtype=np.float32)), {"beta": 2},
     2 * VECTOR + TOKENS[0]),
    ("einsum", ("btc,bsc->bts", (TOKENS, TOKENS)), {}, TOKENS @ TOKENS.swapaxes(1, 2)),
    ("softmax", (TOKENS, -1), {}, softmax(TOKENS)),
    ("linalg_vector_norm", (TOKENS, 2, (2,), True), {}, np.linalg.norm(TOKENS, axis=2)[..., None]),
    ("gelu", (X,), {}, X * (1 + erf(X / np.sqrt(2))) / 2),
    ("gelu", (X,), {"approximate": "tanh"},
     X / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3)))),
    ("silu", (X,), {}, X / (1 + np.exp(-X))),
    ("hardswish", (4 * X,), {}, 4 * X * np.clip(4 * X + 3, 0, 6) / 6),
    ("hardsigmoid", (4 * X,), {}, np.clip(4 * X + 3, 0, 6) / 6),
    ("hardtanh", (4 * X, 0.0, 6.0), {}, np.clip(4 * X, 0, 6)),
    ("clamp", (X, 0.5), {}, np.maximum(X, 0.5)),
    ("leaky_relu", (X, 0.2), {}, np.where(X > 0, X, 0.2 * X)),
    ("prelu", (X, VECTOR), {}, np.where(X > 0, X, COLUMN * X)),
    ("elu", (X, 2.0), {}, np.where(X > 0, X, 2 * (np.exp(X) - 1))),
    ("softplus", (X, 2.0), {}, np.log1p(np.exp(2 * X)) / 2),
    ("add.Tensor", (X, COLUMN), {"alpha": 3}, X + 3 * COLUMN),
    ("rsub", (X, 1), {}, 1 - X),
    ("div", (4 * X, 3.0), {"rounding_mode": "floor"}, np.floor(4 * X / 3)),
    ("div", (4 * X, 3.0), {"rounding_mode": "trunc"}, np.trunc(4 * X / 3)),
    ("masked_fill", (X, X > 1, -7.0), {}, np.where(X > 1, -7, X)),
    ("mean", (X, (2, 3), True), {}, X.mean((2, 3), keepdims=True)),
    ("sum", (X, (-1,)), {}, X.sum(3)),
    ("var_mean", (X, (1,)), {"correction": 1}, X.var(1, ddof=1)),
    ("max.dim", (X, 1), {}, X.max(1)),
    ("amax", (X, (1,)), {}, X.max(1)),
    ("chunk", (X, 3, 3), {}, X[..., :2]),
    ("split_with_sizes", (X, (1, 3), 1), {}, X[:, :1]),
    ("unbind", (X, 2), {}, X[:, :, 0]),
    ("select", (X, -1, 2), {}, X[..., 2]),
    ("slice", (X, 2, -3, 9223372036854775807, 2), {}, X[:, :, -3::2]),
    ("index", (X, (None, np.asarray([2, 0]))), {}, X[:, [2, 0]]),
    ("index_put", (X, (np.asarray([1]),), np.float32(3)), {}, np.stack([X[0], 0 * X[1] + 3])),
    ("slice_scatter", (X, 0 * X[:, 1:3], 1, 1, 3), {}, X * np.asarray([1, 0, 0, 1])[:, None, None]),
    ("gather", (X, 1, np.full((2, 1, 6, 5), 3)), {}, X[:, 3:]),
    ("cat", ((X, 2 * X), 1), {}, np.concatenate([X, 2 * X], 1)),
    ("stack", ((X, 2 * X), -1), {}, np.stack([X, 2 * X], -1)),
    ("expand", (COLUMN[None], (2, -1, 6, 5)), {}, np.broadcast_to(COLUMN, X.shape)),
    ("flatten", (X, 1, 2), {}, X.reshape(2, 24, 5)),
    ("transpose", (X, 1, -1), {}, X.swapaxes(1, 3)),
    ("unsqueeze", (X, -1), {}, X[..., None]),
    ("squeeze", (X[:, :1], (1,)), {}, X[:, 0]),
    ("roll", (X, (1, -2), (2, 3)), {}, np.roll(X, (1, -2), (2, 3))),
    ("flip", (X, (2,)), {}, X[:, :, ::-1]),
    ("repeat", (VECTOR, (2, 1, 3)), {}, np.tile(VECTOR, (2, 1, 3))),
    ("constant_pad_nd", (X, (1, -1, 0, 2), 7.0), {},
     np.pad(X[..., :-1], ((0, 0), (0, 0), (0, 2), (1, 0)), constant_values=7)),
    ("pad", (X, (1, 2), "reflect"), {}, np.pad(X, ((0, 0),) * 3 + ((1, 2),), "reflect")),
    ("pixel_shuffle", (X, 2), {},
     X.reshape(2, 1, 2, 2, 6, 5).transpose(0, 1, 4, 2, 5, 3).reshape(2, 1, 12, 10)),
    ("channel_shuffle", (X, 2), {}, X[:, [0, 2, 1, 3]]),
    ("upsample_nearest2d", (X, (12, 15)), {}, X.repeat(2, 2).repeat(3, 3)),
    ("upsample_bilinear2d", (X[..., :1, :2], (1, 3), True), {}, np.stack(
        [X[..., :1, 0], (X[..., :1, 0] + X[..., :1, 1]) / 2, X[..., :1, 1]], -1)),
    ("upsample_bilinear2d", (X[..., :1, :2], (1, 4), False), {}, np.stack(
        [X[..., :1, 0] * (1 - t) + X[..., :1, 1] * t for t in (0, 0.25, 0.75, 1)], -1)),
    # Keys's kernel with a = -.75 at distances 1.5, .5, .5, 1.5 in the middle of four pixels.
    ("upsample_bicubic2d", (X[..., :1, :4], (1, 1), False), {},
     (X[..., :1, :4] @ np.asarray([-0.09375, 0.59375, 0.59375, -0.09375], np.float32))[..., None]),
    ("_upsample_bilinear2d_aa", (X[..., :4], (6, 2), False), {},
     X[..., :4] @ np.asarray([[3, 0], [3, 1], [1, 3], [0, 3]], np.float32) / 7),
]  # fmt: skip


@pytest.mark.parametrize(("name", "operands", "options", "expected"), CASES)
def test_an_operation_is_atens(name, operands, options, expected):
    rule = RULES[name_of(name)]

    def result(last, arrays):
        each = iter(arrays)
        laid = jax.tree.map(lambda x: laid_out(next(each), last) if is_array(x) else x, operands)
        found = rule(*laid, **options)
        return view.plain(found[0] if isinstance(found, tuple) else found)

    arrays = [x for x in jax.tree.leaves(operands) if is_array(x)]
    # As the axes are counted, and with the pictures stored channels last.
    for found in jax.jit(lambda arrays: [result(last, arrays) for last in (False, True)])(arrays):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def is_array(x):
    return isinstance(x, np.ndarray)


def laid_out(x, last):
    if not last or x.shape != X.shape:
        return x
    return view.view(jnp.moveaxis(x, 1, -1), (0, 3, 1, 2))


def test_a_transposed_convolution_is_the_gradient_of_a_convolution():
    """With its kernel and options, as PyTorch defines it."""
    y = DRAW.standard_normal((1, 6, 4, 3)).astype(np.float32)
    options = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}

    def forward(x):
        return view.plain(RULES["conv2d"](x, KERNEL, None, **options))

    x = jnp.zeros((1, 4, 8, 5))
    assert forward(x).shape == y.shape
    (expected,) = jax.vjp(forward, x)[1](y)
    result = RULES["conv_transpose2d"](y, KERNEL, None, output_padding=(1, 0), **options)
    np.testing.assert_allclose(view.plain(result), expected, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_a_maximum_goes_to_the_first_of_the_largest():
    x = jnp.asarray([[[1.0, 3.0], [3.0, 2.0]], [[0.0, 0.0], [0.0, 5.0]]])
    for name, sign in (("amax", 1), ("amin", -1)):
        for options in (((1, 2),), ((1, 2), True)):
            gradient = jax.grad(lambda x, n=name, o=options: RULES[n](x, *o).sum())(sign * x)
            np.testing.assert_array_equal(gradient, [[[0, 1], [0, 0]], [[0, 0], [0, 1]]])


@pytest.mark.parametrize(
    "shape",
    [(2, 2, 2, 6, 5), (2, 4, 30), (2, 4, 3, 2, 5), (1, 2, 4, 6, 5, 1), (8, 6, 5), (2, 120), (40, 6),
     (2, 4, 5, 6), (-1, 15)],
)  # fmt: skip
def test_reshaping_a_view_is_reshaping_its_array(shape):
    orders = list(itertools.permutations(range(4)))

    @jax.jit
    def reshaped(x):
        values = [
            view.view(jnp.transpose(x, np.argsort(order).tolist()), order) for order in orders
        ]
        return [(view.plain(v), view.plain(shapes.reshape(v, shape))) for v in values]

    for whole, other in reshaped(X):
        np.testing.assert_array_equal(whole, X)
        np.testing.assert_array_equal(other, X.reshape(shape))


def test_tokens_of_a_picture_cost_no_transposition():
    picture = view.view(jnp.zeros((1, 6, 5, 4)), (0, 3, 1, 2))  # "n c h w", stored channels last

    def tokens(stored):
        value = shapes.reshape(view.view(stored, picture.order), (1, 4, 30))
        return view.plain(view.permuted(value, (0, 2, 1)))

    assert "transpose" not in str(jax.make_jaxpr(tokens)(picture.stored))


# A network by hand: a convolution, a ReLU, global pooling, a linear layer.
WEIGHTS = {
    "conv.weight": DRAW.standard_normal((3, 3, 2, 5)).astype(np.float32),  # "h w i o"
    "fc.weight": DRAW.standard_normal((3, 5)).astype(np.float32),
}
NODES = (
    Node("conv2d", (Ref("%image"), Ref("conv.weight"), None, (1, 1), (1, 1)), (), ("%a",)),
    Node("relu", (Ref("%a"),), (), ("%b",)),
    Node("mean", (Ref("%b"), (2, 3)), (("keepdim", False),), ("%c",)),
    Node("linear", (Ref("%c"), Ref("fc.weight")), (), ("%d",)),
)


def a_graph(**changes):
    layers = (("relu", Layer("%b", 1)), ("conv", Layer("%a", 1)))
    parts = {"nodes": NODES, "orders": (("conv.weight", (3, 2, 0, 1)),), "layers": layers}
    return Graph(**{"image": "%image", "logits": "%d", "size": (7, 6, 2), **parts, **changes})


def a_classifier(seed=0, **options) -> Any:
    scale = np.float32(seed + 1)
    weights = {name: scale * array for name, array in WEIGHTS.items()}
    return from_graph(a_graph(), RULES, weights, options.get("preprocess"), options.get("layer"))


IMAGES = jnp.asarray(np.random.default_rng(1).random((4, 7, 6, 2), np.float32))


def by_jax(images):
    layout = ("NHWC", "HWIO", "NHWC")
    kernel = jnp.asarray(WEIGHTS["conv.weight"])
    maps = jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=layout)
    return jnp.maximum(maps, 0), jnp.maximum(maps, 0).mean((1, 2)) @ WEIGHTS["fc.weight"].T


def test_a_graph_computes_its_network():
    features, logits = by_jax(IMAGES)
    np.testing.assert_allclose(a_classifier()(IMAGES), logits, rtol=1e-5)
    np.testing.assert_allclose(a_classifier()(IMAGES[2:3]), logits[2:3], rtol=1e-5)
    classifier = a_classifier(layer="relu")
    activations, rest = classifier.tap(IMAGES)
    np.testing.assert_allclose(activations, features, rtol=1e-5)
    np.testing.assert_allclose(rest(activations), logits, rtol=1e-5)
    np.testing.assert_allclose(rest(0 * activations), 0)
    assert needed(NODES, "%d", {"%b"}) == list(NODES[2:])  # what follows the layer, alone


def test_pictures_are_never_transposed():
    equations = jax.make_jaxpr(a_classifier())(IMAGES).jaxpr.eqns
    moved = [eqn.invars[0].aval for eqn in equations if eqn.primitive.name == "transpose"]
    assert "conv_general_dilated" in [eqn.primitive.name for eqn in equations]
    # What is left after pooling, "1 1 1 channels", and the weight of the linear layer.
    assert [getattr(x, "shape", None) for x in moved] == [(4, 1, 1, 1, 5), (3, 5)]


def test_new_weights_neither_retrace_nor_go_stale():
    traces = []

    @jax.jit
    def logits(classifier, images):
        traces.append(1)
        return classifier(images)

    one, two = logits(a_classifier(0), IMAGES), logits(a_classifier(1), IMAGES)
    assert len(traces) == 1
    np.testing.assert_allclose(4 * one, two, rtol=1e-5)
    other = a_graph(nodes=(NODES[0], NODES[1]._replace(op="silu"), *NODES[2:]))
    logits(from_graph(other, RULES, WEIGHTS, None, None), IMAGES)
    assert len(traces) == 2
    assert jax.make_jaxpr(lambda c, x: c(x))(a_classifier(), IMAGES).consts == []


def test_graphs_are_compared_by_content():
    assert a_graph() == a_graph()
    assert hash(a_graph()) == hash(a_graph())
    table = (("table", np.arange(3)),)
    assert a_graph(constants=table) == a_graph(constants=(("table", np.arange(3)),))
    for change in ({"constants": table}, {"size": (6, 6, 2)}, {"nodes": NODES[:1]}, {"layers": ()}):
        assert a_graph(**change) != a_graph()
    assert a_graph(constants=table) != a_graph(constants=(("table", np.arange(3)[::-1]),))


def test_stacked_weights_are_an_ensemble_under_vmap():
    members = [a_classifier(seed) for seed in (0, 1)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    together = jax.vmap(lambda c, x: c(x), (0, None))(stacked, IMAGES)
    for logits, member in zip(together, members, strict=True):
        np.testing.assert_allclose(logits, member(IMAGES), rtol=1e-5)


def inverted(images):
    return 1 - images


def test_preprocessing_is_part_of_the_classifier():
    other = a_classifier(preprocess=inverted)
    np.testing.assert_allclose(other(IMAGES), a_classifier()(1 - IMAGES), rtol=1e-6)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"no 'rely'; did you mean relu\?"):
        a_classifier(layer="rely")
    with pytest.raises(ValueError, match=r"7 x 6 x 2, got 8 x 6 x 2; .*size=\(8, 6, 2\)"):
        a_classifier()(np.zeros((1, 8, 6, 2), np.float32))


def test_grad_cam_takes_a_layer_by_name():
    """By its definition: the weight of a channel is its logit weight over the number of places."""
    key = jax.random.key(0)
    found = fidojax.grad_cam(key, a_classifier(layer="relu"), IMAGES[0], 1)
    features = by_jax(IMAGES)[0][0]
    coarse = np.maximum(features @ WEIGHTS["fc.weight"][1] / 42, 0)
    np.testing.assert_allclose(found.info.coarse, coarse, rtol=1e-4, atol=1e-5)
