"""The divergence to the soft-TV prior against the dense Gaussian formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fidojax.methods.varsal.soft_tv import inverse, soft_tv_kl, standard_normal_kl

ZEROS = (jnp.zeros((3, 4)), jnp.zeros((3, 4)))
SIZES = [(1, 1), (1, 6), (4, 5), (7, 3), (12, 10)]


def posterior(shape, dtype=jnp.float64):
    mean, log_variance = jax.random.normal(jax.random.key(0), (2, *shape), dtype)
    return 2 * mean, log_variance - 1


def tridiagonal(size, alpha):
    return np.eye(size) + alpha * (np.eye(size, k=1) + np.eye(size, k=-1))


def dense_kl(mean, log_variance, covariance):
    """Of N(mean, diag(exp(log_variance))) to N(0, covariance), pixels in row-major order."""
    mean, log_variance = np.asarray(mean).ravel(), np.asarray(log_variance).ravel()
    precision = np.linalg.inv(covariance)
    trace = np.trace(precision @ np.diag(np.exp(log_variance)))
    logs = np.linalg.slogdet(covariance)[1] - log_variance.sum()
    return 0.5 * (trace + mean @ precision @ mean - mean.size + logs)


divergence = jax.jit(soft_tv_kl, static_argnums=2)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("alpha", [0.4, 0.1, 0.49])
def test_equals_the_dense_formula(shape, alpha):
    given = posterior(shape)
    covariance = np.kron(*(tridiagonal(n, alpha) for n in shape))
    np.testing.assert_allclose(
        divergence(*given, alpha), dense_kl(*given, covariance), rtol=0, atol=1e-10
    )


@pytest.mark.usefixtures("float64")
def test_without_covariance_it_is_the_standard_normal():
    given = posterior((4, 5))
    expected = dense_kl(*given, np.eye(20))
    np.testing.assert_allclose(standard_normal_kl(*given), expected, atol=1e-10)
    np.testing.assert_allclose(soft_tv_kl(*given, 0.0), expected, atol=1e-10)


def test_covariance_of_neighbours_is_the_papers():
    """alpha for the four neighbours, alpha^2 for the diagonal ones, 0 further off."""
    covariance = np.kron(tridiagonal(5, 0.4), tridiagonal(6, 0.4)).reshape(5, 6, 5, 6)
    around = [
        [0, 0, 0, 0, 0],
        [0, 0.16, 0.4, 0.16, 0],
        [0, 0.4, 1, 0.4, 0],
        [0, 0.16, 0.4, 0.16, 0],
    ]
    np.testing.assert_allclose(covariance[2, 2, :4, :5], around)


def test_constants_at_224():
    diagonal, logdet = inverse(224, 0.4)
    np.testing.assert_allclose(diagonal[[0, 1, 111]], [1.25, 1.5625, 1.6667], atol=5e-5)
    np.testing.assert_allclose(logdet, -49.6965, atol=5e-5)
    dense = np.linalg.inv(tridiagonal(224, 0.4))
    np.testing.assert_allclose(diagonal, np.diag(dense), rtol=1e-12)
    np.testing.assert_allclose(dense[0, 1], -0.625, atol=5e-5)
    np.testing.assert_allclose(np.linalg.eigvalsh(tridiagonal(224, 0.4))[0], 0.2001, atol=5e-5)


@pytest.mark.parametrize("alpha", [0.0, 1e-6, 0.4, 0.4999])
@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_inverse_equals_a_dense_one(size, alpha):
    diagonal, logdet = inverse(size, alpha)
    matrix = tridiagonal(size, alpha)
    np.testing.assert_allclose(diagonal, np.diag(np.linalg.inv(matrix)), rtol=1e-9)
    np.testing.assert_allclose(logdet, np.linalg.slogdet(matrix)[1], atol=1e-10)


@pytest.mark.usefixtures("float64")
def test_gradient_equals_the_dense_one():
    shape = (4, 5)
    mean, log_variance = posterior(shape)
    precision = np.linalg.inv(np.kron(*(tridiagonal(n, 0.4) for n in shape)))
    grads = jax.jit(jax.grad(soft_tv_kl, argnums=(0, 1)))(mean, log_variance)
    np.testing.assert_allclose(grads[0].ravel(), precision @ mean.ravel(), atol=1e-10)
    expected = 0.5 * (np.diag(precision) * np.exp(log_variance.ravel()) - 1)
    np.testing.assert_allclose(grads[1].ravel(), expected, atol=1e-10)


def test_float32_at_224_and_vmap():
    given = posterior((2, 224, 224), jnp.float32)
    many = jax.jit(jax.vmap(jax.value_and_grad(soft_tv_kl, argnums=(0, 1))))
    values, grads = many(*given)
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(part), jnp.float64) for part in given]
        expected = jax.jit(jax.vmap(soft_tv_kl))(*wide)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    assert all(bool(jnp.all(jnp.isfinite(grad))) for grad in grads)
    assert values.dtype == jnp.float32


@pytest.mark.parametrize("shape", [(3, 4), (224, 224)])
def test_nothing_is_as_large_as_a_covariance(shape):
    """The largest array of the program has a few times as many entries as the map."""
    program = jax.make_jaxpr(jax.grad(soft_tv_kl))(*posterior(shape, jnp.float32))
    sizes = [v.aval.size for eqn in program.eqns for v in eqn.outvars]
    assert max(sizes) <= 2 * shape[0] * shape[1]


def test_zero_where_posterior_is_the_prior():
    np.testing.assert_allclose(jax.jit(standard_normal_kl)(*ZEROS), 0)
    np.testing.assert_allclose(divergence(*ZEROS, 0.0), 0, atol=1e-6)
    assert float(divergence(*ZEROS)) > 1


@pytest.mark.parametrize("alpha", [0.5, 0.6, -0.1, float("nan")])
def test_alpha_without_a_covariance_is_refused(alpha):
    with pytest.raises(ValueError, match=f"alpha is {alpha}, expected at least 0 and less than"):
        soft_tv_kl(*ZEROS, alpha)
