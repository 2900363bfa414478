"""Agreement and stability of maps: published numbers, other libraries', what must not matter."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import scipy.stats
from skimage.metrics import structural_similarity

from fidojax.metrics.agreement import SCALES, Agreement, agreement, kendall, ssim, stability

OPTIONS = ("sign", "scale", "window")
compiled = jax.jit(agreement, static_argnames=OPTIONS)
steady = jax.jit(stability, static_argnames=OPTIONS)
similar = jax.jit(ssim, static_argnames="window")
tau = jax.jit(kendall)
SHAPE = (9, 12)


def compare(one, other, top: Any = 0.1, **options) -> Agreement:
    """One program for each set of the other options."""
    return compiled(one, other, top=top, **options)


def noise(seed, shape=SHAPE):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def tied(seed, shape=SHAPE):
    """Of few values."""
    return jnp.round(2 * noise(seed, shape))


ONE, OTHER = noise(0), noise(0) + noise(1)


def by_others(one, other, **options) -> dict[str, float]:
    """The numbers of scipy and scikit-image in double precision."""
    x, y = (np.asarray(values, np.float64) for values in (one, other))
    options.setdefault("data_range", max(x.max(), y.max()) - min(x.min(), y.min()))
    measures: Any = scipy.stats
    return {
        "pearson": measures.pearsonr(x.ravel(), y.ravel())[0],
        "spearman": measures.spearmanr(x.ravel(), y.ravel())[0],
        "kendall": measures.kendalltau(x.ravel(), y.ravel())[0],
        "ssim": structural_similarity(x, y, **options),  # type: ignore
    }


def assert_same(found, expected, **tolerance):
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(found, name), value, err_msg=name, **tolerance)


def test_published_correlations():
    """Of short rows with ties; repeated, so that they are maps, they have the same numbers."""
    for row, other, expected in (
        ([-1, 1, 1], [0, 0, 2], 0.5),
        ([0, 1, 0, 1], [1, 2, 1, 0], 0.0),
    ):
        one, two = (jnp.asarray(np.resize(values, SHAPE), jnp.float32) for values in (row, other))
        for map_, value in ((two, expected), (3 * one, 1), (-3 * one, -1)):
            found = compare(one, map_)
            for name in ("pearson", "spearman", "kendall"):
                assert float(getattr(found, name)) == pytest.approx(value, abs=1e-6), name


def test_published_structural_similarity():
    black, white = jnp.zeros((16, 16)), jnp.ones((16, 16))
    assert float(similar(black, white)) == pytest.approx(1e-4 / (1 + 1e-4), abs=1e-7)
    ramp = jnp.arange(256.0).reshape(16, 16) / 255
    for other, expected in ((ramp.T, 0.1319248628), (ramp**2, 0.7453497764)):
        assert float(similar(ramp, other, data_range=1.0)) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("draw", [noise, tied])
def test_numbers_of_scipy_and_scikit_image(draw):
    one = draw(0)
    for other in (draw(1), one + draw(2), -one, one**3):
        assert_same(compare(one, other), by_others(one, other), atol=2e-6)
    found = similar(one, draw(1), window=5, data_range=3.0)
    expected = by_others(one, draw(1), win_size=5, data_range=3.0)["ssim"]
    assert float(found) == pytest.approx(expected, abs=2e-6)


def test_every_number_of_pixels_is_merged_to_its_end():
    for size in (2, 16, 17):
        one, other = noise(size, (2, size))
        measures: Any = scipy.stats
        expected = measures.kendalltau(np.asarray(one), np.asarray(other))[0]
        assert float(tau(one, other)) == pytest.approx(expected, abs=1e-6)


def test_units_and_offsets_do_not_cost_digits():
    expected = by_others(ONE, OTHER)
    assert_same(compare(1e-25 * ONE, 1e25 * OTHER, scale="range"), {
        **expected, "ssim": by_others(*(SCALES["range"](m) for m in (ONE, OTHER)))["ssim"],
    }, atol=2e-6)  # fmt: skip
    raised = [jnp.round(values * 64) / 64 + 100 for values in (ONE, OTHER)]  # exact in float32
    assert_same(compare(*raised), by_others(*raised), atol=1e-5)


def test_a_map_of_almost_no_order():
    """All pixels but one or two are tied, as in a mask that was clipped."""
    one = jnp.zeros(SHAPE).at[3, 4].set(1.0)
    other = one.at[6, 7].set(0.5)
    assert_same(compare(one, other), by_others(one, other), atol=2e-6)
    apart = jnp.zeros(SHAPE).at[0, 0].set(1.0)
    assert_same(compare(one, apart), by_others(one, apart), atol=2e-6)


def test_the_common_share_of_the_highest_pixels():
    ramp = jnp.arange(108.0).reshape(SHAPE)
    moved = jnp.roll(ramp, 3)  # the highest stand three lower, but for three of them
    for top, expected in ((10 / 108, 0.7), (0.5, 51 / 54), (1.0, 1.0)):
        assert float(compare(ramp, moved, top).overlap) == pytest.approx(expected)
    assert float(compare(ramp, -ramp).overlap) == 0
    # Of 22 tied for 11 places each has half a chance.
    both = jnp.where(ramp >= 86, 1.0, 0.0)
    assert float(compare(both, both).overlap) == 1
    assert float(compare(ramp, both).overlap) == pytest.approx(0.5)
    # Five have a place, and 17 of them compete for six.
    some = jnp.where(ramp >= 103, 2.0, both)
    assert float(compare(some, ramp).overlap) == pytest.approx((5 + 6 * 6 / 17) / 11)
    assert float(compare(ramp, ramp, 1e-6).overlap) == 1  # at least one pixel


def test_signs():
    found = compare(ONE, -ONE, sign="absolute")
    assert all(float(number) == pytest.approx(1, abs=1e-6) for number in found)
    cut = compare(ONE, OTHER, sign="positive")
    assert_same(cut, by_others(jax.nn.relu(ONE), jax.nn.relu(OTHER)), atol=2e-6)


def test_structural_similarity_by_range_and_by_rank():
    for scale, change in (("range", lambda m: 5 * m - 2), ("rank", jnp.exp)):
        plain = compare(ONE, OTHER, scale=scale)
        changed = compare(change(ONE), OTHER, scale=scale)
        assert float(changed.ssim) == pytest.approx(float(plain.ssim), abs=1e-5)
        values = [float(compare(one, OTHER).ssim) for one in (ONE, change(ONE))]
        assert abs(values[0] - values[1]) > 0.01
    places = [scipy.stats.rankdata(np.asarray(m)).reshape(SHAPE) for m in (tied(0), tied(1))]
    scaled = [(p - p.min()) / np.ptp(p) for p in places]
    expected = by_others(*scaled, data_range=1.0)["ssim"]
    assert float(compare(tied(0), tied(1), scale="rank").ssim) == pytest.approx(expected, abs=2e-6)


def test_constant_and_broken_maps_have_no_number():
    # The mean of so many equal numbers is not that number.
    for broken in (jnp.full(SHAPE, 0.3), ONE.at[0, 0].set(jnp.nan), ONE.at[0, 0].set(jnp.inf)):
        for pair in ((ONE, broken), (broken, ONE), (broken, broken)):
            found = compare(*pair)._asdict()
            alike = found.pop("ssim")
            assert all(np.isnan(number) for number in found.values())
            assert np.isfinite(alike) == (
                bool(jnp.isfinite(broken).all()) and pair[0] is not pair[1]
            )
            assert np.all(np.isnan(steady(jnp.stack([*pair, OTHER, ONE]))[:2]))


def test_maps_are_compared_alone_whatever_else_is_in_the_batch():
    pairs = jnp.stack([jnp.stack([ONE, OTHER]), jnp.stack([1e3 * ONE, tied(3)])])
    batch = jax.jit(jax.vmap(lambda pair: agreement(*pair)))
    for together in (batch(pairs), Agreement(*(part[::-1] for part in batch(pairs[::-1])))):
        for i, pair in enumerate(pairs):
            for got, expected in zip(together, compare(*pair), strict=True):
                assert got.dtype == jnp.float32
                assert float(got[i]) == pytest.approx(float(expected), abs=2e-6)


def test_maps_stored_as_float16_are_compared_in_float32():
    halves = [values.astype(jnp.float16) for values in (ONE, OTHER)]
    found = compare(*halves)
    assert {number.dtype for number in found} == {jnp.dtype("float32")}
    assert_same(found, by_others(*halves), atol=2e-6)


@pytest.mark.parametrize("options", [{}, {"sign": "absolute", "top": 0.3, "scale": "range"}])
def test_stability_is_the_mean_over_pairs(options):
    maps = jnp.stack([ONE, OTHER, noise(5), ONE + 0.1 * noise(6)])
    found = steady(maps, **options)
    pairs = [compare(*pair, **options) for pair in itertools.combinations(maps, 2)]
    for name in ("pearson", "spearman", "ssim", "overlap"):
        expected = np.mean([getattr(pair, name) for pair in pairs])
        assert float(getattr(found, name)) == pytest.approx(expected, abs=2e-6)
    lowest = min(float(pair.spearman) for pair in pairs)
    assert float(found.lowest) == pytest.approx(lowest, abs=2e-6)
    seen = np.abs(maps) if options else np.asarray(maps)
    deviation = scipy.stats.tstd(seen, axis=0).mean()
    assert float(found.deviation) == pytest.approx(deviation, rel=1e-5)
    assert float(found.relative) == pytest.approx(deviation / seen.mean(0).std(), rel=1e-5)


def test_steady_maps_and_pure_noise():
    same = steady(jnp.stack([ONE] * 4))
    for name in ("pearson", "spearman", "ssim", "overlap", "lowest"):
        assert float(getattr(same, name)) == pytest.approx(1, abs=1e-5), name
    assert float(same.deviation) == pytest.approx(0, abs=1e-6)
    chance = steady(noise(7, (4, *SHAPE)))
    assert abs(float(chance.spearman)) < 0.15
    assert float(chance.overlap) == pytest.approx(0.1, abs=0.07)
    assert float(chance.deviation) == pytest.approx(0.92, abs=0.1)  # c4(4)
    assert float(chance.relative) > 1


@pytest.fixture
def unchecked():
    """No run-time type checks, whose own error would come first."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def test_bad_input_is_named(unchecked):
    with pytest.raises(ValueError, match=r"other has shape \(12, 9\), expected that of one"):
        agreement(ONE, OTHER.T)
    with pytest.raises(ValueError, match="maps has 1 of them, expected at least 2"):
        stability(ONE[None])
    calls = (partial(agreement, ONE, OTHER), partial(stability, jnp.stack([ONE, OTHER])))
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"sign": "abs"}, "sign: there is no 'abs'; did you mean absolute"),
        ({"scale": "unit"}, "scale: there is no 'unit'"),
        ({"window": 10}, "window is 10, expected 2 to 9"),
        ({"window": 1}, "window is 1, expected 2"),
        ({"top": 0.0}, "top is 0.0, expected above 0"),
        ({"top": 1.5}, "top is 1.5"),
    )
    for call, (options, message) in itertools.product(calls, cases):
        with pytest.raises(ValueError, match=message):
            call(**options)
