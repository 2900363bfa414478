"""The benchmark for GPUs, rehearsed on the CPU, and the networks that it measures."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import gaps, parts, plan
from benchmarks.networks import load


@pytest.fixture
def rehearse(tmp_path, capsys):
    """Rehearse some parts; return the exit code, the file's content and what was printed."""

    def run(*only, budget=600.0):
        file = tmp_path / "gpu.json"
        code = gpu.main(gpu.Config(json=file, budget=budget, only=only, smoke=True, compiled=False))
        return code, json.loads(file.read_text()), capsys.readouterr().out

    return run


@pytest.mark.filterwarnings("ignore::fidojax.core.ProbabilityWarning")
def test_the_rehearsal_measures_every_part_once(rehearse, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, written, said = rehearse()
    found = written["parts"]
    assert code == 0, said
    small = dataclasses.replace(plan.SMALL, compiled=False)
    assert list(found) == [part.name for part in plan.planned(small)]
    fido = found["fido/mnist/float32/short"]
    assert fido["gradient_share"] == pytest.approx(1 / fido["ratio"])
    assert fido["evaluations_per_second"] == pytest.approx(4 * 2 * fido["images_per_second"])
    assert 0 < found["gaps/mnist"]["busy_share"] <= 1
    assert [row["images"] for row in found["batch/mnist"]["rows"]] == [1, 2]
    assert "one device" in found["spread"]["left_out"]
    assert found["torch/mnist/float32/eager"]["left_out"] == "PyTorch is not installed"
    assert all(f"{name}: " in said for name in found)


def test_parts_out_of_time_are_named_and_the_next_run_goes_on(rehearse):
    code, written, said = rehearse("spread", "device", budget=-1.0)
    assert (code, written["parts"], written["not_run"]) == (0, {}, ["device", "spread"])
    assert "not run, out of time: device, spread" in said
    _, written, _ = rehearse("spread")
    assert list(written["parts"]) == ["spread"]
    _, written, said = rehearse("spread", "device")
    assert list(written["parts"]) == ["spread", "device"]
    assert "spread:" not in said  # it was there
    assert written["not_run"] == []


def test_a_part_that_fails_says_why_and_is_measured_again(tmp_path):
    def fails():
        raise RuntimeError("RESOURCE_EXHAUSTED: no")

    file = tmp_path / "gpu.json"
    about, wanted = {"device": "card"}, {"images": 2}
    results = parts.Results(file, about, wanted)
    every = [parts.Part("a", fails), parts.Part("b", lambda: {"x": 1})]
    assert [name for name, _ in parts.carry_out(every, results, 60)] == ["a", "b"]
    assert (results.failed, results.found["a"]["problem"]) == (["a"], "out of memory")
    again = parts.Results(file, about, wanted)
    assert list(again.found) == ["b"]
    assert parts.Results(file, {"device": "other card"}, wanted).found == {}
    assert parts.Results(file, about, {"images": 3}).found == {}


def test_no_part_of_that_name():
    with pytest.raises(SystemExit, match="there is no part fidoo"):
        gpu.main(gpu.Config(only=("fidoo",), smoke=True))


def test_gaps_are_between_all_queues_together():
    lines = {
        "Stream 1": np.array([[0.0, 100.0], [400.0, 500.0]]),
        "Stream 2": np.array([[50.0, 200.0], [510.0, 1000.0]]),
    }
    found = gaps.summary(lines)
    assert found["busy_share"] == pytest.approx((200 + 100 + 490) / 1000)
    assert found["longest_us"] == [200.0]  # 10 us are no long gap
    assert found["share_of_long_gaps"] == pytest.approx(0.2)
    with pytest.raises(ValueError, match="no work"):
        gaps.summary({})


def test_of_a_card_only_its_streams_count():
    def plane(name, **lines):
        rows = [Row(name=key.replace("_", " "), events=events) for key, events in lines.items()]
        return Row(name=name, lines=rows)

    event = Row(start_ns=1000, duration_ns=2000)
    card = plane("/device:GPU:0", Stream_13=[event], XLA_Modules=[Row(start_ns=0, duration_ns=9e9)])
    host = plane("/host:CPU", tf_XLAEigen=[Row(start_ns=0, duration_ns=9e9)])
    found = gaps.spans_by_line(Row(planes=[host, card]))
    assert {name: spans.tolist() for name, spans in found.items()} == {"Stream 13": [[1.0, 3.0]]}


class Row:
    def __init__(self, **fields):
        self.__dict__.update(fields)


def test_resnet50_has_its_number_of_weights():
    network = load("resnet50")
    count = sum(array.size for array in network.arrays.values())
    assert count == 25_557_032 - 26_560  # of batch norm's two numbers per channel, one is left
    found = jax.eval_shape(network.classifier, jnp.zeros((2, *network.size)))
    assert found.shape == (2, 1000)


def test_torch_computes_the_same_resnet50():
    torch = pytest.importorskip("torch", reason="needs the extra [torch]")
    from benchmarks.peers import torch_networks

    network = load("resnet50")
    images = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    with torch.no_grad():
        module = torch_networks.ResNet50(network.arrays)
        logits = module(torch.from_numpy(images).permute(0, 3, 1, 2))
    found = jax.jit(lambda f, x: f(x))(network.classifier, images)
    np.testing.assert_allclose(found, logits, atol=1e-3 * np.abs(logits).max())
