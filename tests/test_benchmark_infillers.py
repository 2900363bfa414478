"""The benchmark of the infillers: what is measured is what is said."""

import json

import pytest

import infillers as known
from benchmarks import infillers as benchmark

pytestmark = pytest.mark.usefixtures("quick_compile")


def absent():
    raise FileNotFoundError("weights ca.npz: there is no such file")


def test_rows_and_memory_are_told_and_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(known.INFILLERS, "ca", absent)
    order = []
    interleaved = benchmark.interleaved

    def spy(calls, repeats, rounds, clock):
        order.append((len(calls), repeats, rounds, clock))
        return interleaved(calls, repeats, rounds, clock)

    monkeypatch.setattr(benchmark, "interleaved", spy)
    file = tmp_path / "rows.json"
    rows, memories = benchmark.main(
        benchmark.Config(
            network="mnist", infill=("mean", "ca"), memory=("local", "ca"), clock="cpu",
            smoke=True, json=file,
        )
    )  # fmt: skip
    assert order == [(2, 1, 1, "cpu")]  # the gradient in the same run
    (row,) = rows
    assert row.infill == "mean"
    assert row.ratio == row.step / row.gradient
    assert row.evaluations_per_second == pytest.approx(2 * 2 / row.step)
    (memory,) = memories
    assert memory.infill == "local"
    pictures = 2 * 2 * 28 * 28 * 4 / 1e6  # MB of all filled pictures
    assert 2.5 * pictures < memory.scratch < 10 * pictures
    assert memory.peak is None or 50 < memory.peak < 4000
    written = json.loads(file.read_text())
    assert [row["infill"] for row in written["rows"]] == ["mean"]
    assert [row["infill"] for row in written["memory"]] == ["local"]
    told = capsys.readouterr().out
    assert "ca is left out: weights ca.npz: there is no such file" in told
    assert "local, 2 images x 2 masks: scratch" in told
    assert "within 8 GiB" in told
