"""A start from a map: its order, its logits, its side; and FIDO goes on from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import PLANTED
from scipy.special import logit
from scipy.stats import norm

import fidojax
from fidojax import start_from
from fidojax.core import objectives
from infillers import mean

compiled = jax.jit(start_from, static_argnames=("size", "objective", "scale"))
MAP = jnp.asarray(np.random.default_rng(0).gamma(0.3, size=(16, 24)).astype(np.float32))


@pytest.mark.parametrize("scale", ["rank", "value"])
@pytest.mark.parametrize(("level", "spread"), [(0.5, 1.0), (0.3, 2.0), (0.8, 0.1)])
def test_the_logits_have_the_mean_and_the_spread_asked_for(scale, level, spread):
    start = np.asarray(compiled(MAP, 8, level=level, spread=spread, scale=scale), np.float64)
    assert start.shape == (8, 8)
    np.testing.assert_allclose(logit(start).mean(), logit(level), atol=1e-4)
    np.testing.assert_allclose(logit(start).std(), spread, rtol=1e-3)


def test_rank_is_the_normal_score_of_the_averaged_map():
    start = compiled(MAP, 4, level=0.4, spread=1.5)
    small = np.asarray(jax.image.resize(MAP, (4, 4), "linear"))
    scores = norm.ppf((small.ravel().argsort().argsort() + 0.5) / 16)
    wanted = logit(0.4) + 1.5 * scores / scores.std()
    np.testing.assert_allclose(logit(np.asarray(start)).ravel(), wanted, rtol=1e-4, atol=1e-4)


def test_only_the_order_counts_by_rank_and_the_units_do_not_by_value():
    by_rank, by_value = (compiled(MAP, None, scale=scale) for scale in ("rank", "value"))
    assert by_rank.shape == (4, 6)  # a quarter of the sides, as FIDO's own
    np.testing.assert_allclose(compiled(1e3 * MAP - 7, scale="value"), by_value, atol=1e-3)
    np.testing.assert_allclose(compiled(1e-3 * MAP), by_rank, atol=1e-6)
    averaged = np.asarray(jax.image.resize(MAP, (4, 6), "linear"))
    np.testing.assert_array_equal(by_rank.ravel().argsort(), averaged.ravel().argsort())
    assert float(jnp.abs(by_rank - by_value).max()) > 0.05


@pytest.mark.parametrize("scale", ["rank", "value"])
def test_sdr_drops_what_ssr_keeps(scale):
    keep = start_from(MAP, 4, level=0.3, scale=scale)
    dropped = objectives.saliency_of(
        "sdr", start_from(MAP, 4, level=0.3, objective="sdr", scale=scale)
    )
    np.testing.assert_allclose(keep, dropped, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e4])
def test_a_constant_map_starts_everywhere_alike(value):
    start = start_from(jnp.full((16, 24), value), 5, level=0.3, spread=3.0, scale="value")
    np.testing.assert_allclose(start, 0.3, atol=1e-6)


def test_a_wide_spread_is_a_finite_logit():
    start = compiled(MAP, 16, spread=3.0)
    assert bool(jnp.isfinite(jax.scipy.special.logit(start)).all())


def test_vmap_and_jit_equal_a_loop():
    maps = jnp.stack([MAP, MAP[::-1], 2 - MAP])
    spreads = jnp.array([0.5, 1.0, 2.0])
    starts = jax.jit(jax.vmap(lambda m, s: start_from(m, 4, spread=s)))(maps, spreads)
    for one, saliency, spread in zip(starts, maps, spreads, strict=True):
        np.testing.assert_allclose(one, start_from(saliency, 4, spread=float(spread)), atol=1e-5)


@pytest.mark.parametrize("objective", ["ssr", "sdr"])
def test_fido_needs_fewer_steps_from_the_right_map(planted, objective):
    image = jax.random.uniform(jax.random.key(7), (12, 12, 3), minval=0.6, maxval=1.0)
    truth = jnp.zeros((12, 12)).at[PLANTED].set(1.0)
    options = {"infill": mean(0.0), "size": 12, "lam": 0.1, "tv": 0.0, "objective": objective}

    @jax.jit
    def contrast(saliency):
        start = start_from(saliency, 12, objective=objective, scale="value")
        few = options | {"steps": 8, "start": start, "learning_rate": 0.2, "warmup": 0}
        found = fidojax.fido(jax.random.key(0), planted, image, 0, **few).saliency
        inside = (found * truth).sum() / truth.sum()
        return inside - (found * (1 - truth)).sum() / (1 - truth).sum()

    right, cold, wrong = (float(contrast(scale * truth)) for scale in (1.0, 0.0, -1.0))
    assert right > cold + 0.1
    assert wrong < cold - 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "both"}, "objective: there is no 'both'; it is one of ssr, sdr"),
        ({"scale": "ranks"}, "scale: there is no 'ranks'; did you mean rank?"),
        ({"size": 0}, "size is 0, expected at least 1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        start_from(MAP, **options)
