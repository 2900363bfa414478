"""Weights on disk: each damage is one sentence, and nothing large is read before it is checked."""

import tracemalloc
from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx

import infillers
from benchmarks.malformed.weights import bomb, damaged_weights, packed
from fidojax.data import arrays as arrays_of_files
from fidojax.networks import (
    RealtimeNetwork,
    VarSalNetwork,
    load,
    load_encoder,
    load_masker,
    weight_files,
)
from fidojax.networks.classifiers import MnistAllConv
from infillers.ca import Generator
from infillers.vae import MnistVAE, NaturalVAE

LOADERS = {
    "classifier": (partial(load, "mnist"), lambda: MnistAllConv(nnx.Rngs(0))),
    "encoder": (load_encoder, lambda: VarSalNetwork(3, (4, 4), norm=False, rngs=nnx.Rngs(0))),
    "masker": (
        load_masker,
        lambda: RealtimeNetwork(5, (8, 4, 4), (4, 4), 2, norm=False, rngs=nnx.Rngs(0)),
    ),
    "mnist vae": (infillers.vae, lambda: MnistVAE(4, 2, norm=False, rngs=nnx.Rngs(0))),
    "vae": (
        infillers.vae,
        lambda: NaturalVAE((4, 4, 4), 2, (2,), norm=False, rngs=nnx.Rngs(0)),
    ),
    "gan": (infillers.ca, lambda: Generator(2, (2,), rngs=nnx.Rngs(0))),
}
"""What loads a file of weights, and the network whose file it is."""


def whole(name: str) -> dict[str, np.ndarray]:
    """Small arrays with the names and shapes of a network."""
    state = nnx.state(nnx.eval_shape(LOADERS[name][1]), nnx.Param)
    rng = np.random.default_rng(0)
    return {
        "/".join(map(str, key)): rng.normal(size=leaf.shape).astype(np.float16)
        for key, leaf in nnx.to_flat_state(state)
    }


def take(name: str, path) -> None:
    """Load a file by a positional argument or by `weights`."""
    loader = LOADERS[name][0]
    loader(weights=path)


@pytest.mark.parametrize("name", LOADERS)
def test_every_damage_is_one_sentence(tmp_path, name):
    path = tmp_path / "weights.npz"
    arrays = whole(name)
    path.write_bytes(packed(arrays))
    take(name, path)  # undamaged
    refused = 0
    for number, (kind, data) in enumerate(damaged_weights(arrays, 30, seed=len(name))):
        path.write_bytes(data)
        try:
            take(name, path)  # a byte that no reader looks at
        except ValueError as error:
            said = str(error)
            refused += 1
            assert str(path) in said, (number, kind, said)
            assert len(said.splitlines()) == 1, (number, kind, said)
            assert len(said) < 600, (number, kind, said)
    assert refused >= 20


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        (np.nan, "conv1/bias must be finite in float32"),
        (1e300, "conv1/bias must be finite in float32"),
        (1j, "conv1/bias must be floating with shape (32,), got complex128"),
        (True, "conv1/bias must be floating with shape (32,), got bool"),
        (3, "conv1/bias must be floating with shape (32,), got int64 with shape (32,)"),
    ],
)
def test_values_that_are_no_weights_are_refused(tmp_path, spoiled, said):
    arrays = whole("classifier")
    arrays["conv1/bias"] = np.full(arrays["conv1/bias"].shape, spoiled)
    (tmp_path / "a.npz").write_bytes(packed(arrays))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        load("mnist", tmp_path / "a.npz")
    assert said in str(caught.value)


LARGE = 15_000_000
"""Values of a bomb: 30 MB."""
BOMBS = {
    "classifier": {"conv1/kernel": (LARGE,)},
    "encoder": {"hidden/0/conv/kernel": (3, 3, LARGE // 9, 1)},
    "masker": {"selector/kernel": (LARGE // 5, 5)},
    "mnist vae": {"encode.0.weight": (8, LARGE // 72, 3, 3)},
    "gan": {"coarse/stack/convs/0/kernel": (5, 5, LARGE // 25, 1)},
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_decompressed(tmp_path, monkeypatch, name):
    monkeypatch.setattr(arrays_of_files, "SMALL", 10**6)
    path = tmp_path / "bomb.npz"
    path.write_bytes(bomb(BOMBS[name]))
    assert path.stat().st_size < 10**5
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"bomb\.npz: its [\d,]+ bytes declare arrays of \d\d,"):
        take(name, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 10**6


def test_names_and_shapes_are_checked_before_the_values(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_files, "read_npz", lambda *_: pytest.fail("the values were read"))
    arrays = whole("classifier")
    for changed in (arrays | {"more": np.zeros(3)}, arrays | {"conv1/bias": np.zeros(3)}):
        (tmp_path / "a.npz").write_bytes(packed(changed))
        with pytest.raises(ValueError, match=r"a\.npz"):
            load("mnist", tmp_path / "a.npz")


def test_reading_weights_compiles_nothing():
    compiled, watching = [], True

    def listen(event, duration_secs, **about):
        if watching and event.endswith("backend_compile_duration"):
            compiled.append(about.get("fun_name"))

    jax.monitoring.register_event_duration_secs_listener(listen)
    jax.clear_caches()
    load("mnist")
    assert compiled == []
    jax.jit(lambda x: x + 1)(np.ones(3, np.float32))
    watching = False
    assert len(compiled) == 1  # what compiles is seen
