"""Fixtures shared by all tests: planted classifiers with known answers, and the reference data."""

import csv
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import vitmae_file
from flax import nnx
from jax.tree_util import Partial

import infillers
from fidojax.engine import devices
from fidojax.networks import weight_files
from infillers.ca import Generator
from infillers.unet import UNet
from infillers.vae import NaturalVAE

SHARED = Path(__file__).parents[2] / "shared"


def in_a_process(program: str, flags: str) -> str:
    """What a program prints in a process of its own, with these flags of XLA, too."""
    tests = Path(__file__).parent
    more = {
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}",
        "PYTHONPATH": os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True,
        check=True, env=os.environ | more, cwd=tests.parent,
        timeout=300,
    )  # fmt: skip
    return done.stdout


@pytest.fixture(autouse=True, scope="session")
def one_lane():
    """What a test sees does not depend on the machine's cores; tests of lanes set their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "cores", lambda: 1)
        yield


@pytest.fixture(autouse=True, scope="module")
def compiled_programs_go():
    """The suite compiles thousands of programs, which would fill GB per process."""
    yield
    jax.clear_caches()


QUICK = "jax_disable_most_optimizations"
"""By which programs compile in half the time; they are small, so that they run as fast."""


@pytest.fixture
def optimised():
    """Programs compile as a user's do, since the test is about what XLA makes of them."""
    _compile_quickly(False)
    yield
    _compile_quickly(True)


def _compile_quickly(quickly: bool) -> None:
    """Set how programs are compiled, also in the processes that tests start."""
    jax.config.update(QUICK, quickly)
    os.environ[QUICK.upper()] = str(int(quickly))


def pytest_configure(config):
    os.environ["FIDOJAX_NO_CACHE"] = "1"  # the user's, which no test may fill or read
    if jax.__version_info__ < (0, 11):  # a flag that XLA does not know ends the process
        # The same programs by XLA's older emitters, which compile in a third of the time.
        flags = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        os.environ.setdefault("XLA_FLAGS", flags)
    _compile_quickly(True)
    # Another worker may be about to write it; then this one compiles it, too.
    config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache")
    if not hasattr(config, "workerinput"):  # workers of pytest-xdist inherit the environment
        folder = tempfile.mkdtemp(prefix="fidojax-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ |= {name.upper(): str(value) for name, value in _cache(folder).items()}
    for name, value in _cache(os.environ["JAX_COMPILATION_CACHE_DIR"]).items():
        jax.config.update(name, value)


def pytest_collection_finish(session):
    """Garbage is looked for less often, and not among all that was imported: it takes a tenth of
    the time otherwise, since JAX makes many objects while it traces."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def _cache(folder: str) -> dict[str, Any]:
    """JAX's settings by which all processes of a test run share the programs they compile."""
    return {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }


def rows(directory: Path) -> list[dict[str, str]]:
    """What a training run has logged."""
    with (directory / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def arrays(path: Path) -> dict[str, np.ndarray]:
    """What a file of weights holds."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


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
        weight_files.save(folder / f"{name}.npz", network)
    made = {name: infillers.INFILLERS[name](folder / f"{name}.npz", size=8) for name in networks}
    weight_files.save(folder / "unet.npz", UNet((4, 4), (4, 4), 1, rngs=nnx.Rngs(0)))
    made["unet"] = infillers.unet(folder / "unet.npz")
    return made | {"mae": infillers.mae(vitmae_file.write(folder / "mae"))}


@pytest.fixture
def float64():
    """Double precision inside one test."""
    with jax.enable_x64(True):
        yield


def linear(weights, images):
    """Two classes: the weighted sum of the pixels, and its negation."""
    evidence = jnp.einsum("nhwc,hwc->n", images, weights)
    return jnp.stack([evidence, -evidence], axis=-1)


def beside_zero(values):
    """Logits of two classes, of which the second has 0."""
    values = values.reshape(len(values), 1)
    return jnp.concatenate([values, jnp.zeros_like(values)], axis=1)


PLANTED = (slice(2, 6), slice(3, 8))
"""Rows and columns of the only pixels that the planted classifier looks at."""


@pytest.fixture
def planted():
    """A 12 x 12 RGB classifier that sees class 0 in the brightness of the planted patch only."""
    weights = jnp.zeros((12, 12, 3)).at[PLANTED].set(0.05)
    return Partial(linear, weights)
