"""The cost of infillers in a step of FIDO: what a row says, and that its memory is the step's."""

import json

import numpy as np
import pytest

from benchmarks import infill_cost
from fidojax import networks
from fidojax.bench import Work, temporary_bytes
from fidojax.engine import prepared
from infillers import mean


def test_a_row_for_each_infiller(tmp_path, monkeypatch, capsys):
    """Calls of 3 s, and 2 s of bare gradients; the other infiller takes 6 s."""
    monkeypatch.setattr(infill_cost, "interleaved", lambda calls, *_: [3.0, 2.0, 6.0, 2.0])
    file = tmp_path / "cost.json"
    rows = infill_cost.main(infill_cost.Config(smoke=True, json=file))
    assert [row.infill for row in rows] == ["mean", "blur"]
    assert [row.ratio for row in rows] == [1.5, 3.0]
    # A step is 2 pictures under 2 masks; a call may make several steps.
    evaluations = 3.0 / rows[0].seconds
    assert evaluations >= 4
    assert evaluations % 4 == pytest.approx(0)
    assert [row.seconds for row in rows] == pytest.approx([3 / evaluations, 6 / evaluations])
    assert [row.floor for row in rows] == pytest.approx([2 / evaluations] * 2)
    assert rows[0].bare_mb == rows[1].bare_mb
    assert json.loads(file.read_text())["rows"][1]["ratio"] == 3.0
    printed = capsys.readouterr().out
    assert f"{3e3 / evaluations:.2f}" in printed
    assert "3.00" in printed


def test_the_memory_grows_with_the_masks():
    network = networks.load("mnist")
    images = np.zeros((2, *network.size), np.float32)
    found = {}
    for samples in (2, 8):
        options = {"infill": mean(0.0), "samples": samples, "steps": 4, "warmup": 0}
        found[samples] = temporary_bytes(
            Work("fido", prepared(network.classifier), images, options)
        )
    (step, bare), (larger_step, larger_bare) = found[2], found[8]
    assert None not in (step, bare, larger_step, larger_bare)
    # Most of it are the activations of the network, one copy for each evaluation.
    assert larger_bare == pytest.approx(4 * bare, rel=0.25)
    assert larger_step > 2 * step
    assert step > 0.5 * bare
