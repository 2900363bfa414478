"""The benchmark beside Quantus: what is timed is one curve; Quantus itself only where it is."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from benchmarks.peers import quantus_flipping
from benchmarks.peers import work as shared_work
from benchmarks.peers.quantus_flipping import MISSING, Config
from eval.subject import logits
from fidojax import networks

BENCHMARK = [sys.executable, "-m", "benchmarks.peers.quantus_flipping", "--smoke"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def given():
    """Random pictures, since there is no such set, with the network that reads them."""
    network = networks.load("mnist")
    return network, shared_work.load(
        network.classifier, network.size, images="tfds:absent/test", data_dir=None, count=3
    )


def test_the_work_is_the_same_for_both_and_without_ties(given):
    network, work = given
    assert work.source == "random pictures"
    assert work.images.shape == (3, 28, 28, 1)
    np.testing.assert_array_equal(work.targets, logits(network.classifier, work.images).argmax(1))
    for own in work.maps:
        np.testing.assert_array_equal(np.sort(own.ravel()), np.arange(-783, 1))


def by_hand(network, work, counts):
    """One picture and one point after the other, in NumPy."""
    curves = []
    for image, target, own in zip(*work[1:], strict=True):
        flipped = np.repeat(image[None], len(counts), axis=0)
        rows, columns = np.unravel_index(np.argsort(-own.ravel()), own.shape)
        for picture, count in zip(flipped, counts, strict=True):
            picture[rows[:count], columns[:count]] = 0
        curves.append(softmax(logits(network.classifier, flipped), axis=1)[:, target])
    return np.array(curves)


def test_what_is_timed_is_pixel_flipping(given):
    network, work = given
    steps = {"removal": np.arange(8) * 112, "deletion": np.arange(8) * 112}  # 7 divides 784
    for metric, counts in steps.items():
        found = quantus_flipping.fidojax_curves(metric, network.classifier, work, steps=7, chunk=3)
        np.testing.assert_allclose(found, by_hand(network, work, counts), atol=1e-5)
    found = quantus_flipping.fidojax_curves("removal", network.classifier, work, steps=5, chunk=16)
    expected = by_hand(network, work, [0, 157, 314, 471, 628, 784])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_quantus_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SystemExit) as raised:
        quantus_flipping.main(Config(smoke=True))
    assert raised.value.code == MISSING
    assert "fidojax[quantus]" in MISSING
    assert ". " not in MISSING


def test_the_smallest_run_agrees_with_quantus(tmp_path):
    """In a process of its own, since Quantus warns while it is imported."""
    for name in ("quantus", "torch"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}, see the extra [quantus]")
    file = tmp_path / "flipping.json"
    subprocess.run([*BENCHMARK, "--json", str(file)], cwd=ROOT, check=True)
    found = json.loads(file.read_text())
    (result,) = found["rows"]
    assert result["difference"] < 1e-5
    assert result["steps"] == 7
    assert found["about"]["versions"]["quantus"] == "0.6.0"
