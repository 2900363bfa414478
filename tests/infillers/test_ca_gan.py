"""The contextual attention GAN: attention against slow loops, layers by hand, losses by numbers."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import infillers
from fidojax.networks import weight_files
from infillers import holes
from infillers.ca import critics as ca_critics
from infillers.ca.attention import contextual_attention, known_keys, nearest
from infillers.ca.ca import WEIGHTS, ca
from infillers.ca.critics import Critic, Critics, Hole
from infillers.ca.generator import Generator
from train import pictures, recovery

SHAPE = (8, 12)
HALF = (4, 6)


attend = jax.jit(contextual_attention, static_argnames=("scale", "fuse"))
keys_of = jax.jit(known_keys, static_argnums=(1, 2))


def tiny(seed: int = 0) -> Generator:
    """Weights drawn by NumPy, since JAX compiles a program for each shape."""
    rng = np.random.default_rng(seed)
    graph, params = nnx.split(nnx.eval_shape(lambda: Generator(4, (2,), rngs=nnx.Rngs(0))))
    draw = lambda x: jnp.asarray(rng.normal(0, 0.2, x.shape), jnp.float32)  # noqa: E731
    return nnx.merge(graph, jax.tree.map(draw, params))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "tiny.npz"
    weight_files.save(path, tiny())
    return path


def infilled(infill, image, mask):
    return infill(jax.random.key(0), image, mask)


run: Any = jax.jit(infilled)


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(1), (16, 24, 3))


@pytest.fixture
def mask():
    return jax.random.bernoulli(jax.random.key(2), 0.6, (16, 24)).astype(jnp.float32)


def maps(count: int = 1, channels: int = 3) -> jax.Array:
    return jax.random.normal(jax.random.key(5), (count, *SHAPE, channels))


def some_keys(seed: int = 0) -> jax.Array:
    return jax.random.bernoulli(jax.random.key(seed), 0.7, HALF).astype(jnp.float32)


# ---- contextual attention, as SPEC 8.2 says it, one number at a time


def halved(x):
    """TensorFlow 1's nearest neighbour with align_corners, from its definition."""
    (h, w), (rows, columns) = x.shape[:2], HALF
    out = np.zeros((rows, columns, *x.shape[2:]))
    for i, j in itertools.product(range(rows), range(columns)):
        out[i, j] = x[
            int(np.floor(i * (h - 1) / (rows - 1) + 0.5)),
            int(np.floor(j * (w - 1) / (columns - 1) + 0.5)),
        ]
    return out


def window(x, i, j, start, side):
    """side x side numbers from (i + start, j + start) on, 0 outside."""
    out = np.zeros((side, side, x.shape[2]))
    for a, b in itertools.product(range(side), range(side)):
        row, column = i + start + a, j + start + b
        if 0 <= row < x.shape[0] and 0 <= column < x.shape[1]:
            out[a, b] = x[row, column]
    return out


def fused(scores):
    """The 3 x 3 identity kernel over (query, key), row by row, then column by column."""
    rows, columns = HALF
    for order in ("rows", "columns"):
        places = (
            [(i, j) for i in range(rows) for j in range(columns)]
            if order == "rows"
            else [(i, j) for j in range(columns) for i in range(rows)]
        )
        new = {}
        for q, k in itertools.product(range(len(places)), range(len(places))):
            new[places[q], places[k]] = sum(
                scores[places[q + s], places[k + s]]
                for s in (-1, 0, 1)
                if 0 <= q + s < len(places) and 0 <= k + s < len(places)
            )
        scores = new
    return scores


def attention_by_loops(features, background, keys, scale, fuse):
    small_f, small_b = halved(features), halved(background)
    places = list(itertools.product(range(HALF[0]), range(HALF[1])))
    scores = {}
    for q, k in itertools.product(places, places):
        patch = window(small_b, *k, -1, 3)
        patch = patch / max(np.sqrt((patch**2).sum()), 1e-4)
        scores[q, k] = float((window(small_f, *q, -1, 3) * patch).sum())
    if fuse:
        scores = fused(scores)
    out = np.zeros((features.shape[0] + 2, features.shape[1] + 2, features.shape[2]))
    for q in places:
        raised = np.array([np.exp(scale * scores[q, k] * keys[k]) for k in places])
        share = raised / raised.sum()
        for k, part in zip(places, share, strict=True):
            raw = window(background, 2 * k[0], 2 * k[1], -1, 4)
            out[2 * q[0] : 2 * q[0] + 4, 2 * q[1] : 2 * q[1] + 4] += part * keys[k] * raw / 4
    return out[1:-1, 1:-1]


@pytest.mark.parametrize("fuse", [False, True])
def test_attention_equals_the_loops(fuse):
    features, background = np.asarray(maps(2), np.float64)
    keys = some_keys()
    assert 0 < float(keys.mean()) < 1
    got = attend(maps(2)[0], maps(2)[1], keys, scale=0.7, fuse=fuse)
    expected = attention_by_loops(features, background, np.asarray(keys), 0.7, fuse)
    np.testing.assert_allclose(got, expected, atol=3e-5)


def test_attention_of_a_constant_map_is_the_map():
    """A key's norm is divided out, also where it is 0; the border has fewer patches."""
    flat = jnp.full((*SHAPE, 2), 3.0)
    got = attend(flat, flat, jnp.ones(HALF))
    np.testing.assert_allclose(got[2:-2, 2:-2], 3.0, rtol=1e-5)
    np.testing.assert_array_equal(attend(0 * flat, 0 * flat, jnp.ones(HALF)), 0.0)


def test_attention_copies_from_valid_keys_only():
    keys = jnp.ones(HALF).at[1, 2].set(0.0)
    feature = maps()[0]
    changed = feature.at[2:4, 4:6].add(9.0)  # in the raw patches of other keys, too
    same = [attend(feature, b, jnp.zeros(HALF)) for b in (feature, changed)]
    np.testing.assert_array_equal(*same)
    one = attend(feature, feature, keys, scale=200.0)
    assert bool(jnp.isfinite(one).all())


def test_attention_batched_looped_and_chunked_agree():
    batch, keys = maps(4), jnp.stack([some_keys(k) for k in range(4)])
    whole = jax.jit(jax.vmap(contextual_attention))(batch, batch, keys)
    loop = jnp.stack([attend(f, f, k) for f, k in zip(batch, keys, strict=True)])
    np.testing.assert_allclose(whole, loop, atol=2e-5)

    def one(pair):
        return contextual_attention(pair[0], *pair)

    chunked = jax.lax.map(one, (batch, keys), batch_size=2)
    np.testing.assert_allclose(whole, chunked, atol=2e-5)


def test_attention_has_one_batched_product_and_memory_linear_in_the_batch(weights):
    infill = ca(weights)

    def lowered(count):
        shapes = [(count,), (count, 16, 16, 3), (count, 16, 16)]
        key = jax.random.split(jax.random.key(0), count)
        batch = [key, *(jnp.zeros(shape) for shape in shapes[1:])]
        return jax.jit(jax.vmap(infill)).lower(*batch)

    text = lowered(4).as_text()
    assert "stablehlo.convolution" in text
    assert "feature_group_count = 1 " in text
    assert text.count("feature_group_count = 1 ") == text.count("feature_group_count")
    assert text.count("batch_group_count = 1 ") == text.count("batch_group_count")
    batched = jax.jit(jax.vmap(contextual_attention))

    def temporary(count):
        shapes = (count, *SHAPE, 2), (count, *SHAPE, 2), (count, *HALF)
        abstract = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        analysis: Any = batched.lower(*abstract).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    few, many = temporary(8), temporary(64)
    assert many < 8.5 * few


def test_bad_keys_are_named():
    with pytest.raises(ValueError, match="features are 8 x 12 and keys 8 x 12"):
        contextual_attention(maps()[0], maps()[0], jnp.ones(SHAPE))
    with pytest.raises(ValueError, match="rule: there is no 'shared'"):
        known_keys(jnp.ones((32, 48)), SHAPE, "shared")
    with pytest.raises(ValueError, match=r"multiples of \(4, 6\)"):
        known_keys(jnp.ones((30, 48)), SHAPE)


def test_nearest_has_corners_on_corners():
    line = jnp.arange(256.0)[:, None]
    half = nearest(line, (128, 1))[:, 0]
    np.testing.assert_array_equal(half[:64], np.arange(0, 128, 2))
    np.testing.assert_array_equal(half[64:], np.arange(129, 256, 2))
    doubled = nearest(jnp.arange(32.0)[:, None], (64, 1))[:, 0]
    np.testing.assert_array_equal(doubled, np.arange(32).repeat(2))
    x = np.asarray(maps()[0])
    np.testing.assert_array_equal(nearest(maps()[0], HALF), halved(x).astype(np.float32))


def test_keys_are_valid_where_their_window_is_known():
    mask = holes.box((32, 48), 0, 16, (16, 8))
    small = halved(np.asarray(nearest(mask, SHAPE)))
    for i, j in itertools.product(*map(range, HALF)):
        part = small[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        assert float(keys_of(mask, SHAPE)[i, j]) == float(part.all()), (i, j)
    assert 0 < float(keys_of(mask, SHAPE).mean()) < 1


def test_keys_without_a_known_window_count_by_their_share():
    mask = holes.random_pixels(jax.random.key(3), (32, 48), 0.3)
    share = np.zeros(HALF)
    for i, j in itertools.product(*map(range, HALF)):
        rows = slice(8 * max(i - 1, 0), 8 * (i + 2))
        columns = slice(8 * max(j - 1, 0), 8 * (j + 2))
        share[i, j] = np.asarray(mask)[rows, columns].mean()
    keys = keys_of(mask, SHAPE)
    np.testing.assert_allclose(keys, share / share.max(), rtol=1e-5)
    np.testing.assert_array_equal(keys, keys_of(mask, SHAPE, "share"))
    np.testing.assert_array_equal(keys_of(jnp.zeros((32, 48)), SHAPE), 1.0)
    half_known = jnp.ones((32, 48)).at[:, 24:].set(0.0)
    assert float(keys_of(half_known, SHAPE, "share")[0, 3]) == pytest.approx(1 / 3)
    assert float(keys_of(half_known, SHAPE)[0, 3]) == 0


# ---- the generator


def conv(c_in: int, c_out: int, kernel: int = 3) -> int:
    return kernel * kernel * c_in * c_out + c_out


def test_full_size_has_the_layers_of_the_paper():
    """SPEC 8.1: channels, strides and dilations of every layer, and the number of weights."""
    network = nnx.eval_shape(lambda: Generator(rngs=nnx.Rngs(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
    dilated = 4 * conv(128, 128)
    decoder = conv(128, 64) + conv(64, 64) + conv(64, 32) + conv(32, 16) + conv(16, 3)
    coarse = conv(5, 32, 5) + conv(32, 64) + conv(64, 64) + conv(64, 128) + 2 * conv(128, 128)
    branch = conv(5, 32, 5) + conv(32, 32) + conv(32, 64) + conv(64, 64) + conv(64, 128)
    attended = conv(5, 32, 5) + conv(32, 32) + conv(32, 64) + conv(64, 128) + 2 * conv(128, 128)
    total = (
        (coarse + dilated + 2 * conv(128, 128) + decoder)
        + (branch + conv(128, 128) + dilated)
        + (attended + 2 * conv(128, 128))
        + (conv(256, 128) + conv(128, 128) + decoder)
    )
    assert count == total == 3_601_542

    def table(stack):
        return [
            (c.kernel_size[0], c.strides, c.kernel_dilation, c.out_features) for c in stack.convs
        ]

    first = [(5, 1, 1, 32), (3, 2, 1, 64), (3, 1, 1, 64), (3, 2, 1, 128), (3, 1, 1, 128)]
    first += [(3, 1, 1, 128), *((3, 1, d, 128) for d in (2, 4, 8, 16))]
    last = [(3, 1, 1, c) for c in (128, 128, 64, 64, 32, 16)]
    assert table(network.coarse.stack) == first + last
    assert [layer.up for layer in network.coarse.stack.layers][-6:] == [0, 0, 1, 0, 1, 0]
    assert [c for *_, c in table(network.branch)][:6] == [32, 32, 64, 64, 128, 128]
    assert [s for _, s, *_ in table(network.branch)][:6] == [1, 2, 1, 2, 1, 1]
    assert [c for *_, c in table(network.attended)] == [32, 32, 64, 128, 128, 128]
    assert [layer.relu for layer in network.attended.layers] == [False] * 5 + [True]
    assert table(network.joint.stack) == last

    shapes = [jax.ShapeDtypeStruct((2, 256, 256, *c), jnp.float32) for c in ((3,), ())]
    coarse_shape, fine_shape = jax.eval_shape(lambda g, x, m: g(x, m), network, *shapes)
    assert coarse_shape.shape == fine_shape.shape == (2, 256, 256, 3)


def test_same_padding_with_stride_two_is_tensorflows():
    """On even sides a 3 x 3 kernel starts at the pixel itself, a 5 x 5 one a pixel before it."""
    second = tiny().coarse.stack.convs[1]
    second.bias.set_value(jnp.zeros(8))
    second.kernel.set_value(jnp.zeros((3, 3, 4, 8)).at[0, 0].set(1.0))
    x = 1 + jnp.arange(8.0)[None, :, None, None] * jnp.ones((1, 8, 8, 4))
    np.testing.assert_allclose(second(x)[0, :, 0, 0], 4 * np.arange(1, 8, 2))
    critic = Critic(8, (2,), rngs=nnx.Rngs(0))
    critic.out.kernel.set_value(jnp.ones((32, 1)))
    first = critic.convs[0]
    for tap, expected in ((1, 1 + 3 + 5 + 7), (0, 2 + 4 + 6), (4, 4 + 6 + 8)):
        first.kernel.set_value(jnp.zeros((5, 5, 3, 2)).at[tap, 1, 0, 0].set(1.0))
        np.testing.assert_allclose(critic(x[..., :3]), 4 * expected)


def test_generator_draws_two_pictures_of_each_mask(image, mask):
    network = tiny()
    draw = jax.jit(lambda network, *inputs: network(*inputs))
    images = jnp.stack([image, image]) * 2 - 1
    masks = jnp.stack([mask, 1 - mask])
    both = draw(network, images, masks)
    for drawn in both:
        assert drawn.shape == images.shape
        assert float(jnp.abs(drawn).max()) <= 1
        assert float(jnp.abs(drawn[0] - drawn[1]).max()) > 1e-3
    alone = draw(network, images[::-1], masks[::-1])
    np.testing.assert_allclose(both[1][1], alone[1][0], atol=1e-5)
    changed = jnp.where(masks[..., None] == 1, images, 0.5)
    np.testing.assert_array_equal(both[1], draw(network, changed, masks)[1])
    with pytest.raises(ValueError, match="images are 12 x 24, expected multiples of 8"):
        network(images[:, :12], masks[:, :12])
    with pytest.raises(ValueError, match="width is 5"):
        Generator(5, rngs=nnx.Rngs(0))


# ---- the infiller


def test_infiller_sees_kept_pixels_only_and_keeps_them(weights, image, mask):
    infill = ca(weights)
    changed = jnp.where(mask[..., None] == 1, image, 0.321)
    drawn = run(infill, image, mask)
    np.testing.assert_array_equal(drawn, run(infill, changed, mask))
    kept = mask == 1
    np.testing.assert_array_equal(drawn[kept], image[kept])
    free = run(ca(weights, composite=False), image, mask)
    assert float(jnp.abs(free - image)[kept].max()) > 0.01
    np.testing.assert_allclose(free[~kept], drawn[~kept], atol=1e-5)
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1


def test_infiller_of_grey_and_other_pictures(weights, image, mask):
    grey = image[..., :1]
    one = run(ca(weights), grey, mask)
    three = run(ca(weights), jnp.repeat(grey, 3, axis=-1), mask)
    np.testing.assert_allclose(one, three.mean(axis=-1, keepdims=True), atol=1e-5)
    half = jax.eval_shape(run, ca(weights), *(x.astype(jnp.bfloat16) for x in (image, mask)))
    assert half.dtype == jnp.bfloat16
    other = jax.eval_shape(run, ca(weights, size=16), image[:13, :21], mask[:13, :21])
    assert other.shape == (13, 21, 3)


def test_new_weights_do_not_retrace(weights, image, mask, tmp_path):
    weight_files.save(tmp_path / "other.npz", tiny(seed=1))
    one = run(ca(weights), image, mask)
    traced = run._cache_size()
    assert float(jnp.abs(one - run(ca(tmp_path / "other.npz"), image, mask)).max()) > 1e-3
    assert run._cache_size() == traced


def test_bad_weights_are_named(weights, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        ca(tmp_path / "none.npz")
    np.savez(tmp_path / "else.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="contextual attention generator"):
        ca(tmp_path / "else.npz")
    with pytest.raises(ValueError, match="size: there is no 'half'"):
        ca(weights, size="half")


def test_shipped_weights_are_small_and_better_than_local(shared):
    assert (WEIGHTS / "ca_tiny_imagenet40.npz").stat().st_size <= 4 * 2**20
    test = pictures.read(shared / "data" / "tensorflow_datasets", "tiny_imagenet40", "validation")
    few = pictures.Pictures(test.images[:64], test.labels[:64], test.names)
    for kind in recovery.KINDS:
        this, local = (
            recovery.measure(infill, few, kind).error for infill in (ca(), infillers.local())
        )
        assert this < 0.97 * local, kind


# ---- losses


def test_local_patches_start_at_their_corners(image):
    patches = ca_critics.local_patch(jnp.stack([image, image]), jnp.array([[3, 5], [8, 12]]))
    np.testing.assert_array_equal(patches[0], image[3:11, 5:17])
    np.testing.assert_array_equal(patches[1], image[8:, 12:])


def test_box_weights_are_the_authors_discount():
    got = ca_critics.box_weights((16, 24), jnp.array([3, 5]))
    expected = np.zeros((16, 24))
    for i, j in itertools.product(range(8), range(12)):
        expected[3 + i, 5 + j] = max(0.9 ** min(i, 8 - i), 0.9 ** min(j, 12 - j)) / 96
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_hole_weights_fall_with_the_distance_to_what_is_known():
    mask = np.asarray(holes.free_form(jax.random.key(4), (20, 14)))
    dropped, known = np.argwhere(mask == 0), np.argwhere(mask == 1)
    expected = np.zeros((20, 14))
    for place in dropped:
        steps = np.abs(known - place).max(axis=1).min()
        expected[tuple(place)] = 0.9 ** (steps - 1) / len(dropped)
    np.testing.assert_allclose(ca_critics.hole_weights(jnp.asarray(mask)), expected, rtol=1e-5)
    np.testing.assert_array_equal(ca_critics.hole_weights(jnp.ones((4, 4))), 0.0)
    assert bool(jnp.isfinite(ca_critics.hole_weights(jnp.zeros((4, 4)))).all())


def hole_of(masks: jax.Array) -> Hole:
    n, h, w = masks.shape
    corners = jnp.tile(jnp.array([h // 4, w // 4]), (n, 1))
    return Hole(masks, corners, (1 - masks) / (h * w))


def test_reconstruction_by_hand():
    """Errors 1 and 2 in the hole, 3 and 0.5 outside; one picture is half hole, one whole."""
    masks = jnp.stack([jnp.ones((4, 4)).at[:, :2].set(0.0), jnp.zeros((4, 4))])
    kept = masks[..., None]
    images = jnp.zeros((2, 4, 4, 3))
    coarse = images + jnp.where(kept == 1, 3.0, 1.0)
    fine = images + jnp.where(kept == 1, 0.5, -2.0)
    inside, known = ca_critics.reconstruction_loss(images, coarse, fine, hole_of(masks))
    assert float(inside) == pytest.approx((0.5 + 1.0) / 2 * (1.2 * 1 + 2))
    assert float(known) == pytest.approx(1.2 * 3 + 0.5)


class Planted(Critics):
    def __init__(self):
        self.whole = lambda x: 0.5 * jnp.sum(x, axis=(1, 2, 3))
        self.local = lambda x: -jnp.sum(x, axis=(1, 2, 3))


def test_critics_by_hand():
    """Linear critics: their values are sums, their gradients constant."""
    masks = jnp.ones((1, 8, 8)).at[:, 2:4, 2:4].set(0.0)
    real, fake = jnp.full((1, 8, 8, 3), 0.5), jnp.full((1, 8, 8, 3), 0.25)
    hole = hole_of(masks)  # the patch is rows and columns 2 to 5, the hole a quarter of it
    loss, distance = ca_critics.critic_loss(Planted(), real, fake, hole, jnp.full(1, 0.3))
    seen = 0.5 * 0.25 * 192 - 0.25 * 48
    assert float(distance) == pytest.approx(seen)
    slopes = (0.5 * np.sqrt(12) - 1) ** 2 + (np.sqrt(12) - 1) ** 2
    assert float(loss) == pytest.approx(10 * slopes - seen, rel=1e-5)
    generator = ca_critics.adversarial_loss(Planted(), fake, hole.corner)
    assert float(generator) == pytest.approx(-(0.5 * 0.25 * 192) + 0.25 * 48)


def test_gradient_penalty_by_finite_differences(float64):
    critic = Critic(8, (2, 3), rngs=nnx.Rngs(0))
    graph, params = nnx.split(critic)
    critic = nnx.merge(graph, jax.tree.map(lambda x: x.astype(jnp.float64), params))
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 3), jnp.float64)
    dropped = jnp.stack([jnp.zeros((8, 8)).at[2:4, 3:6].set(1.0), jnp.ones((8, 8))])
    values = jax.jit(lambda x: critic(x))
    norms = []
    for n in range(2):
        total = 0.0
        for i, j, c in itertools.product(range(8), range(8), range(3)):
            if dropped[n, i, j]:
                step = jnp.zeros_like(x).at[n, i, j, c].set(1e-5)
                slope = (values(x + step) - values(x - step))[n] / 2e-5
                total += float(slope) ** 2
        norms.append(total**0.5)
    expected = np.mean((np.array(norms) - 1) ** 2)
    np.testing.assert_allclose(ca_critics.gradient_penalty(critic, x, dropped), expected, rtol=1e-5)


def test_gradient_penalty_without_a_hole_is_one_and_has_a_gradient():
    graph, params = nnx.split(Critic(8, (2,), rngs=nnx.Rngs(0)))

    def penalty(params):
        critic = nnx.merge(graph, params)
        return ca_critics.gradient_penalty(critic, jnp.ones((1, 8, 8, 3)), jnp.zeros((1, 8, 8)))

    value, slope = jax.value_and_grad(penalty)(params)
    assert float(value) == 1
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(slope))


def test_critics_have_the_layers_of_the_paper():
    critics = nnx.eval_shape(lambda: Critics(rngs=nnx.Rngs(0)))
    assert [c.out_features for c in critics.local.convs] == [64, 128, 256, 512]
    assert [c.out_features for c in critics.whole.convs] == [64, 128, 256, 256]
    assert critics.local.out.in_features == 8 * 8 * 512
    assert critics.whole.out.in_features == 16 * 16 * 256
