"""The benchmark beside PyTorch: what is measured is what is said."""

import importlib.util
import json

import jax
import numpy as np
import pytest

from benchmarks import throughput, throughput_report
from fidojax import networks


def test_smoke_writes_the_same_rows_as_it_returns(tmp_path, capsys):
    pytest.importorskip("torch", reason="needs the extra [torch]")
    file = tmp_path / "rows.json"
    rows = throughput.main(throughput.Config(smoke=True, json=file))
    written = json.loads(file.read_text())
    assert [row["network"] for row in written["rows"]] == [row.network for row in rows] == ["mnist"]
    (row,) = rows
    assert row.masks == row.images * 4  # the preset `fast` draws four masks per image
    assert min(row.step, row.gradient, row.torch_step, row.torch_gradient) > 0
    assert written["about"]["versions"]["jax"] == jax.__version__
    assert "mnist" in capsys.readouterr().out


def test_a_spread_step_is_measured_beside_the_same_torch():
    pytest.importorskip("torch", reason="needs the extra [torch]")
    alone, spread = throughput.main(throughput.Config(smoke=True, spread=True))
    assert (alone.network, spread.network) == ("mnist", "mnist, spread")
    assert alone.torch_step == spread.torch_step
    assert alone.step != spread.step


def test_without_torch_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SystemExit) as raised:
        throughput.main(throughput.Config(smoke=True))
    assert raised.value.code == throughput.MISSING


def test_torch_computes_the_same_network_and_descends():
    torch = pytest.importorskip("torch", reason="needs the extra [torch]")
    from benchmarks.peers import torch_fido, torch_networks

    torch.set_num_threads(1)  # its threads wait busily, which a shared machine suffers from
    images = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    arrays = dict(np.load(networks.WEIGHTS / "mnist.npz"))
    network = torch_networks.Mnist(arrays)
    with torch.no_grad():
        logits = network(torch.from_numpy(images).permute(0, 3, 1, 2))
    np.testing.assert_allclose(logits, networks.load("mnist").classifier(images), atol=1e-4)
    warm = {"samples": 4, "temperature": 0.7, "antithetic": True, "learning_rate": 0.3, "b2": 0.99}
    options = torch_fido.PAPER | warm
    targets = logits.argmax(1).numpy()
    for layout in torch_fido.LAYOUTS:
        color = np.zeros(1, np.float32)
        fido = torch_fido.Fido(network, images, targets, color, layout, options)
        first, *_, last = [fido.step().sum().item() for _ in range(20)]
        assert last < first
        assert fido.gradient().shape == (8, 1, 28, 28)


def test_the_reason_names_both_times():
    row = throughput_report.ThroughputRow("mnist", 1, 4, 2.0, 1.6, 3.0, 2.0, "NCHW")
    sentence = throughput_report.reason(row)
    assert "1.50 times PyTorch's speed (NCHW)" in sentence
    assert "400 ms against 500 ms" in sentence
    assert throughput_report.table([row]).row_count == 1
