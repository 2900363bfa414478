"""Fixtures shared by all tests: planted classifiers with known answers, and the reference data."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax.tree_util import Partial

import infillers
from fidojax import stored
from infillers.ca_generator import Generator
from infillers.natural_vae import NaturalVAE

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(autouse=True, scope="module")
def compiled_programs_go():
    """The suite compiles thousands of programs, which would fill GB per process."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def quick_compile():
    """Programs of this module compile with few optimisations, in two thirds of the time.

    For modules of small programs, whose tests spend nearly all their time compiling, also in the
    processes that they start: `pytestmark = pytest.mark.usefixtures("quick_compile")`.
    """
    name = "jax_disable_most_optimizations"
    jax.config.update(name, True)
    os.environ[name.upper()] = "1"
    yield
    jax.config.update(name, False)
    del os.environ[name.upper()]


@pytest.fixture
def shared() -> Path:
    """The folder with reference data and weights, which is no part of the project."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference data in ../shared")
    return SHARED


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """The learned infillers by name, with networks that compile in a moment."""
    folder = tmp_path_factory.mktemp("weights")
    networks = {
        "vae": NaturalVAE((4, 4, 4), 2, (2,), norm=False, rngs=nnx.Rngs(0)),
        "ca": Generator(2, (2,), rngs=nnx.Rngs(0)),
    }
    for name, network in networks.items():
        stored.save(folder / f"{name}.npz", network)
    return {name: infillers.INFILLERS[name](folder / f"{name}.npz", size=8) for name in networks}


@pytest.fixture
def float64():
    """Double precision inside one test."""
    with jax.enable_x64(True):
        yield


def linear(weights, images):
    """Two classes: the weighted sum of the pixels, and its negation."""
    evidence = jnp.einsum("nhwc,hwc->n", images, weights)
    return jnp.stack([evidence, -evidence], axis=-1)


PLANTED = (slice(2, 6), slice(3, 8))
"""Rows and columns of the only pixels that the planted classifier looks at."""


@pytest.fixture
def planted():
    """A 12 x 12 RGB classifier that sees class 0 in the brightness of the planted patch only."""
    weights = jnp.zeros((12, 12, 3)).at[PLANTED].set(0.05)
    return Partial(linear, weights)
