"""The benchmark beside PyTorch, Captum and Quantus: both sides compute the same."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from benchmarks import machine, paired
from benchmarks.peers import __main__
from benchmarks.peers.report import PeerRow, markdown
from fidojax import explain_batch
from fidojax.bench import clocks
from fidojax.methods.extremal_perturbation.extremal_perturbation import extremal_perturbation_loop
from fidojax.methods.fido import sampled_objective
from infillers import mean

ROOT = Path(__file__).parents[2]
SIZE = (56, 48, 3)  # Extremal Perturbation's grid has every other pixel


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="needs the extra [torch]")


@pytest.fixture(scope="module")
def work():
    """Two pictures, the classes to explain, and the weights of three classes."""
    draw = np.random.default_rng(0)
    weights = draw.normal(0, 0.05, (np.prod(SIZE), 3)).astype(np.float32)
    return draw.random((2, *SIZE), np.float32), np.array([2, 0]), weights


def bent(weights, images):
    return 5 * jnp.tanh(images.reshape(len(images), -1) @ weights)


@pytest.fixture(scope="module")
def there(torch, work):
    """The same in PyTorch: network, pictures and classes."""
    images, targets, weights = map(torch.from_numpy, work)
    torch.set_num_threads(1)  # its threads wait busily, which a shared machine suffers from

    class Bent(torch.nn.Module):
        def forward(self, images):
            return 5 * torch.tanh(images.permute(0, 2, 3, 1).flatten(1) @ weights)

    return Bent(), images.permute(0, 3, 1, 2), targets


def test_bbmp_is_the_same_map_there(torch, work, there):
    from benchmarks.peers import torch_methods

    images, targets, weights = work
    options = {"steps": 12, "lam": 2e-3, "tv": 0.02, "learning_rate": 0.1}
    infilled = options | {"infill": mean(0.45)}
    given = (Partial(bent, weights), images, targets)
    here = explain_batch("bbmp", *given, options=infilled, batch_size=2)
    network, pictures, classes = there
    color = torch.full((3, 1, 1), 0.45)
    maps, history = torch_methods.bbmp(network, pictures, classes, color, **options)
    np.testing.assert_allclose(history.T, here.info.objective, atol=5e-4, rtol=1e-4)
    np.testing.assert_allclose(maps, here.saliency, atol=1e-4)
    assert here.saliency.std() > 0.05
    shown = torch_methods.judge(network, pictures, classes, maps[:, None], color)
    expected = np.concatenate([here.info.probability, here.info.original])
    np.testing.assert_allclose(shown[:, 0], expected, atol=1e-5)


def test_extremal_perturbation_is_the_same_map_there(torch, work, there):
    from benchmarks.peers import torch_methods

    images, targets, weights = work
    # Values without ties: of equal ones, rounding says which the area term takes for larger.
    start = np.random.default_rng(1).random((2, 28, 24), np.float32)
    loop = extremal_perturbation_loop(areas=0.2, steps=5)
    classifier = Partial(bent, weights)

    def explain(image, target, grid):
        state = loop.init(jax.random.key(0), classifier, image, target)
        state = state._replace(params=grid[None])
        state, history = jax.lax.scan(
            lambda state, _: loop.step(classifier, image, target, state), state, length=loop.steps
        )
        return loop.readout(classifier, image, target, state, history)

    network, pictures, classes = there
    here = jax.jit(jax.vmap(explain))(images, targets, start)
    maps, history = torch_methods.extremal_perturbation(
        network,
        pictures,
        classes,
        area=0.2,
        steps=loop.steps,
        start=torch.from_numpy(start)[:, None],
    )
    np.testing.assert_allclose(history.T, here.info.objective, atol=5e-4, rtol=1e-4)
    np.testing.assert_allclose(maps, here.saliency, atol=1e-4)


def test_fido_is_the_same_step_there(torch, work, there, monkeypatch):
    from benchmarks.peers.torch_fido import Fido

    images, targets, weights = work
    draw = np.random.default_rng(2)
    uniform = draw.uniform(0.01, 0.99, (2, 2, *SIZE[:2])).astype(np.float32)
    theta = draw.normal(0, 1, (2, 14, 12)).astype(np.float32)
    options: dict[str, Any] = {"lam": 2e-3, "tv": 0.02, "temperature": 0.5}
    rest = {"learning_rate": 0.1, "b2": 0.999, "antithetic": True, "samples": 4}
    fido = Fido(there[0], images, targets, np.full(3, 0.45, np.float32), "NCHW", options | rest)
    fido.theta.data = torch.from_numpy(theta)[:, None].clone()
    monkeypatch.setattr(torch, "rand", lambda _, device: torch.from_numpy(uniform)[:, :, None])
    found = fido.step()
    noise = jax.scipy.special.logit(uniform)
    noise = jnp.concatenate([noise, -noise], axis=1)

    def objective(theta, noise, image, target):
        keys = jax.random.split(jax.random.key(0), 4)
        given = (theta, noise, keys, Partial(bent, weights), image, target)
        return sampled_objective(*given, infill=mean(0.45), objective="ssr", **options)[0]

    value, grads = jax.vmap(jax.value_and_grad(objective))(theta, noise, images, targets)
    np.testing.assert_allclose(found, value, rtol=1e-4)
    np.testing.assert_allclose(fido.theta.grad[:, 0], grads, atol=1e-4 * abs(grads).max())


def test_the_ratio_is_the_median_of_times_taken_together(monkeypatch):
    now, order = [0.0], []
    costs = {"here": iter([1, 2, 4]), "there": iter([3, 3, 8])}  # ratios 3, 1.5 and 2

    def call(name):
        order.append(name)
        now[0] += next(costs[name])

    monkeypatch.setitem(clocks.CLOCKS, "wall", lambda: now[0])
    found = paired.ratio(lambda: call("here"), lambda: call("there"), 3, "wall")
    assert found == (2, 3, 2, 1.5, 3)
    assert order == ["here", "there", "there", "here", "here", "there"]


def test_the_fastest_form_is_that_of_the_lowest_time(monkeypatch):
    now = [0.0]
    # The first call of each, which may compile, does not count.
    costs = {"a": iter([1, 5, 9]), "b": iter([9, 7, 4]), "c": iter([1, 6, 6])}

    def form(name):
        now[0] += next(costs[name])

    monkeypatch.setitem(clocks.CLOCKS, "wall", lambda: now[0])
    assert paired.fastest({n: lambda n=n: form(n) for n in costs}, "wall") == "b"


def test_agreement_is_that_of_the_worst_picture():
    here = np.array([[[1.0, 2, 3, 4]], [[1, 2, 3, -10]]])
    there = here.copy()
    there[1, 0, :2] = 2, 1
    correlation, difference = paired.agreement(here, there)
    assert correlation == pytest.approx(np.corrcoef(here[1], there[1])[0, 1])
    assert difference == pytest.approx(0.1)


def test_the_table_is_markdown():
    forms = ("8 at once", "1 at once, NCHW")
    row = PeerRow("bbmp", "PyTorch", 0.2, 0.3, 1.5, 1.4, 1.6, *forms, 52, 52.0, 0.99999, 1e-6)
    facts = {
        "command": "python -m benchmarks.peers",
        "device": "1 x cpu",
        "cores": 1,
        "torch": "1 threads",
        "versions": {"jax": "0.10.2"},
        "system": "Linux",
        "date": "2026-11-21",
    }
    *_, titles, line, cells = markdown([row], facts).splitlines()
    assert titles.count("|") == line.count("|") == cells.count("|")
    assert "| 200 (8 at once) | 300 | **1.50** | 1.40 to 1.60 | 52 / 52 |" in cells
    assert "jax 0.10.2" in markdown([row], facts)


@pytest.mark.parametrize("name", ["torch", "captum", "quantus"])
def test_without_a_peer_one_sentence_says_so(monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: asked != name or None)
    with pytest.raises(SystemExit, match=f"^{name} is not installed; install fidojax.peers. "):
        __main__.main(__main__.Config(smoke=True))


def test_more_threads_than_cores_are_refused():
    with pytest.raises(SystemExit, match="threads is 100000, expected at most"):
        machine.use_cores(100_000)


def test_the_smallest_run_agrees_with_the_peers(tmp_path):
    """In a process of its own, since Quantus warns while it is imported."""
    for name in __main__.PEERS:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}, see the extra [peers]")
    file = tmp_path / "peers.json"
    command = [sys.executable, "-m", "benchmarks.peers", "--smoke", "--json", str(file)]
    subprocess.run(command, cwd=ROOT, check=True)
    rows = {row["name"]: row for row in json.loads(file.read_text())["rows"]}
    assert len(rows) == 9
    drawn = [name for name, row in rows.items() if row["difference"] is None]
    assert drawn == ["fido"]
    for name in set(rows) - {"fido", "extremal_perturbation"}:
        assert rows[name]["difference"] < 1e-5
    assert rows["extremal_perturbation"]["correlation"] > 0.98
    extra = {name: row["forwards_here"] - row["forwards_there"] for name, row in rows.items()}
    # Here the gap is measured, too, and the curve begins with the untouched picture.
    different = {name: more for name, more in extra.items() if more}
    assert different == {"integrated_gradients": 2, "removal": 1}
