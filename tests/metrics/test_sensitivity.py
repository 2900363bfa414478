"""Max-sensitivity: published numbers, methods of known answers, and any method of the library."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import infillers
from fidojax.methods.deeplift.deeplift import deeplift
from fidojax.methods.gradient import gradient
from fidojax.methods.integrated_gradients import integrated_gradients
from fidojax.methods.table import METHODS
from fidojax.metrics import sensitivity
from fidojax.metrics.sensitivity import BALLS
from fidojax.types import Explanation

KEY = jax.random.key(0)
run = jax.jit(
    sensitivity, static_argnames=("method", "draws", "ball", "relative", "together", "channels")
)


def multilayer(add, factor, images):
    """ML."""
    hidden = (images.reshape(len(images), -1) + add) @ jnp.ones((3, 4))
    hidden = jax.nn.relu(hidden + jnp.array([-10.0, 1, 1, 1]))
    return factor * (hidden @ jnp.ones((4, 2)) + jnp.array([-1.0, 1]))


def brightness(key, classifier, image, target, *, times=1.0):
    """A method whose map moves as the picture does."""
    del key, classifier, target
    return Explanation(times * image.mean(axis=-1), None)


def chance(key, classifier, image, target):
    """A method whose map depends on its key alone."""
    del classifier, target
    return Explanation(jax.random.normal(key, image.shape[:2]), None)


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(1), (6, 5, 3))


@pytest.fixture
def curved():
    weights = jax.random.normal(jax.random.key(2), (90, 2))
    return Partial(lambda w, images: jnp.tanh(images.reshape(len(images), -1) @ w), weights)


def test_published_numbers(float64, monkeypatch):
    """SENS-1, SENS-2, SENS-4: one given move."""
    moves = jnp.array([-0.02, -0.01, 0])[None, :, None]
    monkeypatch.setitem(BALLS, "given", lambda *_: moves)
    rows, targets = jnp.arange(1.0, 13).reshape(4, 3), jnp.array([0, 0, 1, 0])
    exact = {"rule": "gauss-legendre", "steps": 50}
    cases = (
        (integrated_gradients, False, exact, [0.005976128, 0.010598056, 0.001605409, 0.008585620]),
        (gradient, False, {}, [0, 0, 0, 0]),
        (deeplift, True, {}, [0.010214183, 0.003162290, 0.001831865, 0.001286742]),
    )
    for method, added, options, expected in cases:
        if method is deeplift:
            options = {"infill": infillers.mean(1.0), "rule": "rescale"}

        def one(values, target, method=method, added=added, options=options):
            classifier = Partial(multilayer, added * values, 8.0)
            picture = values[None, :, None]
            return sensitivity(
                KEY, method, classifier, picture, target, draws=1, ball="given", **options
            )

        found = jax.jit(jax.vmap(one))(rows, targets).maximum
        # The peer computes in single precision, where map and move differ by four digits.
        np.testing.assert_allclose(found, expected, atol=1e-7, err_msg=method.__name__)


def test_distances_by_hand(image, curved):
    """The map is the picture's brightness, three times: so the Lipschitz constant is known."""
    grey = image[..., :1]
    for ball in BALLS:
        found = run(KEY, brightness, curved, grey, 0, radius=0.1, ball=ball, times=3.0)
        assert float(found.lipschitz) == pytest.approx(3, rel=1e-4)
        length = np.linalg.norm(np.asarray(grey))
        ways = np.asarray(found.moved) * length
        assert float(found.maximum) == pytest.approx(ways.max() / length)
        assert float(found.mean) == pytest.approx(ways.mean() / length)
        if ball == "sphere":
            np.testing.assert_allclose(ways, 0.1, rtol=1e-4)
            plain = run(
                KEY, brightness, curved, grey, 0, radius=0.1, ball=ball, relative=False, times=3.0
            )
            np.testing.assert_allclose(plain.moved, 0.3, rtol=1e-4)


def test_balls():
    keys, shape = jax.random.split(KEY, 500), (4, 3, 2)
    moves = {
        name: np.asarray(jax.vmap(lambda key, ball=ball: ball(key, shape, jnp.float32, 0.2))(keys))
        for name, ball in BALLS.items()
    }
    assert 0.199 < np.abs(moves["cube"]).max() <= 0.2
    assert moves["cube"].std() == pytest.approx(0.2 / 3**0.5, rel=0.02)
    np.testing.assert_allclose(
        np.linalg.norm(moves["sphere"].reshape(500, -1), axis=1), 0.2, rtol=1e-5
    )
    assert moves["normal"].std() == pytest.approx(0.2, rel=0.02)
    for drawn in moves.values():
        assert np.abs(drawn.mean(0)).max() < 0.05


def test_what_a_method_draws_is_not_sensitivity(image, curved):
    assert float(run(KEY, chance, curved, image, 0).maximum) == 0


def test_a_bent_score_is_more_sensitive_than_a_straight_one(image, curved):
    straight = Partial(lambda w, images: images.reshape(len(images), -1) @ w, curved.args[0])
    assert float(run(KEY, gradient, straight, image, 1).maximum) == 0
    found = [
        float(run(KEY, gradient, curved, image, 1, radius=radius).maximum)
        for radius in (0.002, 0.02)
    ]
    assert found[1] > 3 * found[0] > 0


def test_under_jit_and_vmap_and_however_many_together(image, curved):
    images = jnp.stack([image, 1 - image])
    keys, targets = jax.random.split(KEY), jnp.array([0, 1])

    @partial(jax.jit, static_argnames="together")
    def batch(classifier, together):
        def one(key, image, target):
            return sensitivity(
                key, gradient, classifier, image, target, draws=5, together=together, channels="sum"
            )

        return jax.vmap(one)(keys, images, targets)

    single = run(keys[1], gradient, curved, images[1], 1, draws=5, channels="sum")
    for together in (1, 3):
        for got, expected in zip(batch(curved, together), single, strict=True):
            np.testing.assert_allclose(got[1], expected, rtol=2e-3)


def test_no_map_no_number(image, curved):
    empty = run(KEY, brightness, curved, image, 0, times=0.0)
    assert np.isnan(empty.maximum)
    assert np.isnan(empty.mean)
    assert float(empty.lipschitz) == 0
    broken = run(KEY, brightness, curved, image, 0, times=np.nan)
    assert all(np.isnan(number) for number in broken[:3])


def test_no_option_is_hidden_by_one_of_a_method():
    own = {
        name
        for name, parameter in inspect.signature(sensitivity).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert len(own) == 5
    for name, method in METHODS.items():
        assert not own & set(inspect.signature(method).parameters), name


def test_bad_options_are_named(image, curved):
    call = partial(sensitivity, KEY, gradient, curved, image, 0)
    with pytest.raises(ValueError, match="ball: there is no 'box'"):
        call(ball="box")
    with pytest.raises(ValueError, match="draws is 0"):
        call(draws=0)
    with pytest.raises(ValueError, match="together is 0"):
        call(together=0)
