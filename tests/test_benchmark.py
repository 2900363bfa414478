"""The benchmarks: what is measured is what is said."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import measure, methods, throughput, throughput_report
from eval.counting import count_passes
from fidojax import pretrained
from infillers import mean


def test_smoke_writes_the_same_rows_as_it_returns(tmp_path, capsys):
    file = tmp_path / "rows.json"
    rows = throughput.main(throughput.Config(smoke=True, torch=False, json=file))
    written = json.loads(file.read_text())
    assert [row["network"] for row in written["rows"]] == [row.network for row in rows] == ["mnist"]
    (row,) = rows
    assert row.masks == row.images * 4  # the preset `fast` draws four masks per image
    assert row.ratio == row.step / row.gradient
    assert math.isclose(row.images_per_second, row.evaluations_per_second / 240)
    assert row.compile_cold is not None
    assert row.compile_cached is not None
    assert row.peak_mb is not None
    assert min(row.step, row.gradient, row.compile_cold, row.compile_cached, row.peak_mb) > 0
    assert written["about"]["versions"]["jax"] == jax.__version__
    assert "mnist" in capsys.readouterr().out


def test_interleaved_takes_calls_in_turn_and_the_lowest_median(monkeypatch):
    order, now = [], [0.0]
    # One warm-up, then two rounds of three: medians of the first call 5 and 2, of the second 1, 1.
    costs = {"a": iter([9, 4, 5, 6, 2, 1, 8]), "b": iter([9, 1, 1, 1, 1, 1, 1])}

    def call(name):
        order.append(name)
        now[0] += next(costs[name])

    monkeypatch.setitem(measure.CLOCKS, "wall", lambda: now[0])
    calls = [lambda: call("a"), lambda: call("b")]
    assert measure.interleaved(calls, repeats=3, rounds=2) == [2, 1]
    assert order == ["a", "b"] * 7


def test_compiling_again_reads_the_cache_and_leaves_the_settings():
    before = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]

    def unrolled(x):
        for i in range(200):
            x = jnp.sin(x) * i
        return x

    cold, cached = measure.compile_seconds(lambda: jax.jit(unrolled).lower(jnp.ones(3)))
    assert cached < cold
    assert jax.config.jax_compilation_cache_dir == before  # type: ignore[attr-defined]


def test_peak_memory_is_of_its_own_time():
    np.ones(60_000_000)  # 480 MB, before
    peak = measure.PeakMemory()
    before = peak.megabytes()
    if before is None:
        pytest.skip("the system does not tell the peak memory")
    block = np.ones(30_000_000)
    grown = (peak.megabytes() or 0) - before
    assert 200 < grown < 300
    del block


def test_the_bare_gradient_is_that_of_the_log_odds(planted):
    images = jnp.full((2, 12, 12, 3), 0.5)
    value, gradient = throughput.bare_gradient(planted, images, jnp.array([0, 1]))
    # Two classes with opposite logits: the log-odds are twice the logit.
    logits = planted(images)
    np.testing.assert_allclose(value, 2 * (logits[0, 0] + logits[1, 1]), atol=1e-5)
    (weights,) = planted.args
    np.testing.assert_allclose(gradient, jnp.stack([2 * weights, -2 * weights]), atol=1e-5)


def test_torch_computes_the_same_network_and_descends():
    torch = pytest.importorskip("torch", reason="needs the extra [torch]")
    from benchmarks import torch_fido

    torch.set_num_threads(1)  # its threads wait busily, which a shared machine suffers from
    images = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    arrays = dict(np.load(pretrained.WEIGHTS / "mnist.npz"))
    network = torch_fido.Mnist(arrays)
    with torch.no_grad():
        logits = network(torch.from_numpy(images).permute(0, 3, 1, 2))
    np.testing.assert_allclose(logits, pretrained.load("mnist").classifier(images), atol=1e-4)
    options = {"samples": 4, "temperature": 0.7, "antithetic": True, "lam": 1e-3, "tv": 0.01,
               "learning_rate": 0.3, "b2": 0.99}  # fmt: skip
    targets = logits.argmax(1).numpy()
    for layout in torch_fido.LAYOUTS:
        color = np.zeros(1, np.float32)
        fido = torch_fido.Fido(network, images, targets, color, layout, options)
        first, *_, last = [fido.step().sum().item() for _ in range(20)]
        assert last < first
        assert fido.gradient().shape == (8, 1, 28, 28)


def test_the_reason_names_both_times():
    row = throughput_report.Row("mnist", 1, 4, 1.0, 240.0, 2.0, 1.6, 1.25, None, None, None)
    assert throughput_report.reason(row) == ""
    values = {"torch_layout": "NCHW", "torch_step": 3.0, "torch_gradient": 2.0}
    sentence = throughput_report.reason(throughput_report.Row(**{**vars(row), **values}))
    assert "1.50 times PyTorch's speed (NCHW)" in sentence
    assert "400 ms against 500 ms" in sentence


def test_passes_are_counted_through_loops_and_flat_batches():
    shape = (8, 8, 3)
    fill = {"infill": mean()}
    assert count_passes("fido", fill | {"steps": 3, "samples": 2}, shape, 4) == (8, 6)
    assert count_passes("rise", {"samples": 10, "chunk": 4}, shape, 4) == (12, 0)  # filled up
    assert count_passes("integrated_gradients", {"steps": 6, "chunk": 4}, shape, 4) == (8, 6)
    assert count_passes("occlusion", {"window": 4, "stride": 4, "chunk": 8}, shape, 4) == (5, 0)
    assert count_passes("center", {}, shape, 4) == (0, 0)
    assert count_passes("grad_cam", {}, shape, 4) == (1, 0)  # back to the features only
    assert count_passes("guided_backprop", {}, shape, 4) == (1, 1)
    assert count_passes("deeplift", {"rule": "rescale"}, shape, 4) == (2, 1)


def test_methods_are_timed_beside_their_own_passes(tmp_path):
    file = tmp_path / "rows.json"
    config = methods.Config(
        network="mnist", methods=("gradient", "center"), repeats=1, rounds=1, json=file
    )
    gradient, center = methods.main(config)
    assert (gradient.forward, gradient.backward) == (1, 1)
    assert gradient.floor is not None
    assert gradient.ratio == gradient.seconds / gradient.floor
    assert (center.floor, center.ratio) == (None, None)
    assert [row["method"] for row in json.loads(file.read_text())["rows"]] == ["gradient", "center"]
