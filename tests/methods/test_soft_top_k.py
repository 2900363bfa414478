"""The two-anchor soft top-k against the transport problem it solves, and against differences."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fidojax.methods.varsal.soft_top_k import soft_top_k

EPSILONS = (1e-3, 1e-2, 0.1, 1.0)
weigh = jax.jit(soft_top_k)


def normal(*shape, seed=0, dtype=jnp.float32):
    return jax.random.normal(jax.random.key(seed), shape, dtype)


@jax.jit
def sinkhorn_topk(scores, k, epsilon):
    """SOFT's definition: Sinkhorn between the scores and the anchors 0 and 1, in the log domain.

    Runs until the rows' marginals hold to 1e-14, the columns' hold by the last half step.
    """
    n = scores.size
    cost = (scores[:, None] - jnp.array([0.0, 1.0])) ** 2
    cost /= cost.max()
    columns = jnp.log(jnp.array([n - k, k]) / n)

    def plan(g):
        rows = -jax.nn.logsumexp((g - cost) / epsilon, axis=1) - jnp.log(n)
        return rows[:, None] + (g - cost) / epsilon

    def step(state):
        g, _, count = state
        new = g + epsilon * (columns - jax.nn.logsumexp(plan(g), axis=0))
        return new, jnp.abs(jax.nn.logsumexp(plan(new), axis=0) - columns).max(), count + 1

    start = (jnp.zeros(2), jnp.inf, 0)
    g, _, _ = jax.lax.while_loop(lambda s: (s[1] > 1e-13) & (s[2] < 200_000), step, start)
    return n * jnp.exp(plan(g)[:, 1])


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("n", [100, 224 * 224])
def test_sums_to_k_in_float32(n, epsilon):
    weigh_all = jax.jit(jax.vmap(soft_top_k, (None, 0, None)))
    sets = {
        "normal": normal(n),
        "sorted": jnp.sort(normal(n))[::-1],
        "even": jnp.linspace(0, 1, n),
        "ties": jnp.round(2 * normal(n)),
        "far from zero": 50 + normal(n),
    }
    ks = jnp.array([1, n // 10, n // 3, n - n // 10, n - 1])
    for name, scores in sets.items():
        for k, weights in zip(ks, weigh_all(scores, ks, jnp.float32(epsilon)), strict=True):
            weights = np.asarray(weights, np.float64)
            assert weights.min() >= 0, name
            assert weights.max() <= 1, name
            np.testing.assert_allclose(weights.sum(), k, rtol=1e-5, err_msg=f"{name}, k = {k}")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("epsilon", EPSILONS[1:])
def test_equals_converged_sinkhorn(epsilon):
    for seed, k in ((0, 1), (1, 17), (2, 40.5), (3, 59)):
        scores = normal(60, seed=seed, dtype=jnp.float64)
        expected = sinkhorn_topk(scores, float(k), epsilon)
        np.testing.assert_allclose(expected.sum(), k, rtol=1e-11, err_msg="Sinkhorn's own end")
        np.testing.assert_allclose(soft_top_k(scores, k, epsilon), expected, rtol=0, atol=1e-9)


@pytest.mark.usefixtures("float64")
def test_derivatives_equal_finite_differences():
    scores, weight = normal(5, 6, dtype=jnp.float64), normal(5, 6, seed=1, dtype=jnp.float64)
    scores = scores.at[0, 0].set(4.0)  # alone sets the largest cost, which counts as a constant

    @jax.jit
    def value(scores, k, epsilon):
        return jnp.sum(weight * soft_top_k(scores, k, epsilon))

    differentiate = jax.jit(jax.grad(value, argnums=(0, 1, 2)))
    for epsilon in (1e-2, 0.1, 1.0):
        primals = [scores, jnp.float64(11.3), jnp.float64(epsilon)]
        grads = differentiate(*primals)
        assert float(jnp.abs(grads[0]).max()) > 1e-2
        steps = [jnp.zeros_like(scores).at[at].set(1e-6) for at in np.ndindex(5, 6)]
        for place, step in [(0, step) for step in steps[1:]] + [(1, 1e-7), (2, 1e-7)]:
            up, down = list(primals), list(primals)
            up[place] += step
            down[place] -= step
            numeric = (value(*up) - value(*down)) / (2 * jnp.sum(step))
            exact = jnp.sum(grads[place] * step) / jnp.sum(step)
            np.testing.assert_allclose(exact, numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("float64")
def test_largest_cost_counts_as_a_constant():
    """What moves all scores alike moves no weight; were C differentiated, it would."""
    scores = normal(30, dtype=jnp.float64)
    _, moved = jax.jvp(lambda s: soft_top_k(s, 9, 0.1), (scores,), (jnp.ones(30),))
    np.testing.assert_allclose(moved, 0, atol=1e-13)


@pytest.mark.usefixtures("float64")
def test_forward_and_reverse_agree():
    scores = normal(20, dtype=jnp.float64)

    forward, reverse = (
        jax.jit(d(lambda s: soft_top_k(s, 6, 0.1)))(scores) for d in (jax.jacfwd, jax.jacrev)
    )
    np.testing.assert_allclose(forward, reverse, atol=1e-12)
    np.testing.assert_allclose(forward, forward.T, atol=1e-12)  # the gradient of a convex function
    np.testing.assert_allclose(forward.sum(axis=0), 0, atol=1e-12)  # the sum stays k


def test_ties_share_alike_and_gradients_are_finite():
    n = 1000
    differentiate = jax.jit(jax.grad(lambda *given: jnp.sum(soft_top_k(*given) ** 2)))
    sets = jnp.zeros(n), jnp.full(n, 7.0), jnp.repeat(jnp.array([0.0, 1.0]), n // 2)
    for epsilon, scores, k in itertools.product(EPSILONS, sets, (1, n // 2, n - 1)):
        weights = np.asarray(weigh(scores, k, epsilon))
        for half in (weights[: n // 2], weights[n // 2 :]):
            np.testing.assert_allclose(half, half[0], rtol=1e-5)
        assert bool(jnp.all(jnp.isfinite(differentiate(scores, float(k), epsilon))))
    np.testing.assert_allclose(weigh(jnp.zeros(n), 300, 0.01), 0.3, rtol=1e-5)


def test_is_the_hard_choice_where_the_gap_is_wide():
    scores = jnp.array([[0.1, 0.9], [0.5, 0.2]])
    np.testing.assert_allclose(soft_top_k(scores, 2, 1e-3), [[0, 1], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(soft_top_k(-scores, 1, 1e-3), [[1, 0], [0, 0]], atol=1e-6)


def test_softness_of_normal_scores():
    """The shares of entries between 0.05 and 0.95 when 30% are chosen of 2000."""
    scores = normal(2000, seed=3)
    scores *= 3.9 / jnp.abs(scores).max()  # so that C is 24
    for epsilon, share in ((0.1, 0.99), (0.01, 0.25), (0.001, 0.025)):
        weights = weigh(scores, 600, epsilon)
        soft = float(jnp.mean((weights > 0.05) & (weights < 0.95)))
        np.testing.assert_allclose(soft, share, rtol=0.3)


def test_vmap_and_traced_k_equal_a_loop():
    scores, ks = normal(3, 8, 9), jnp.array([5.0, 30.0, 71.0])
    together = jax.jit(jax.vmap(soft_top_k))(scores, ks)
    for i in range(3):
        np.testing.assert_allclose(together[i], weigh(scores[i], int(ks[i])), atol=1e-6)


@pytest.mark.parametrize("k", [0, 12, 12.5, -1])
def test_impossible_k_is_refused(k):
    with pytest.raises(ValueError, match=f"k is {k}, expected more than 0 and less than the 12"):
        soft_top_k(jnp.zeros((3, 4)), k)


def test_impossible_epsilon_is_refused():
    with pytest.raises(ValueError, match="epsilon is 0, expected a positive number"):
        soft_top_k(jnp.zeros(4), 2, 0)
