"""Processes that a launcher starts side by side share one run."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from fidojax.cli import main
from fidojax.runs.ledger import DONE, Ledger, find_ledger
from fidojax.runs.shards import join_processes

ROOT = Path(__file__).parents[2]
RUN = ["--method", "center_box", "--classifier", "mnist", "--no-figures", "--batch-size", "2"]
PROCESSES = 2


def launched(index: int, port: int) -> dict[str, str]:
    """What srun tells a process of a step of two tasks on this machine."""
    return {
        **os.environ, "SLURM_JOB_ID": str(port), "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_NTASKS": str(PROCESSES), "SLURM_PROCID": str(index), "SLURM_LOCALID": str(index),
        "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu",
    }  # fmt: skip


def test_two_joined_processes_write_the_store_that_one_writes(tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(11):
        PIL.Image.new("L", (28, 28), 20 * i).save(photos / f"{i:02}.png")
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    assert main(["explain", str(photos), "--out", str(alone), *RUN]) == 0
    command = [
        sys.executable, "-m", "fidojax.cli", "explain", str(photos), "--out", str(shared), *RUN,
        "--distributed",
    ]  # fmt: skip
    port = os.getpid()  # of which JAX makes the coordinator's port
    joined = [
        subprocess.Popen(
            command, cwd=tmp_path, env=launched(i, port), stdout=subprocess.PIPE, text=True
        )
        for i in range(PROCESSES)
    ]
    said = [process.communicate(timeout=300)[0] for process in joined]
    assert [process.returncode for process in joined] == [0, 0]
    for i, text in enumerate(said):
        assert f"11 pictures, part {i + 1} of 2," in text
    explained = [int(text.split(" pictures explained")[0].split()[-1]) for text in said]
    assert sum(explained) == 11
    assert min(explained) > 0
    (settings,) = (path.name for path in (alone / "results.zarr").iterdir() if path.is_dir())
    one, other = (find_ledger(out / "results.zarr" / settings) for out in (alone, shared))
    assert one is not None
    assert other is not None
    order = {name: row for row, name in enumerate(other.ids)}
    rows = [order[name] for name in one.ids]
    for name in ("maps", "scale", "targets", "batch_size"):
        np.testing.assert_array_equal(one.read(name), other.read(name, rows))
    assert "11 explanations" in (shared / "index.html").read_text()
    capsys.readouterr()


def test_a_process_that_nobody_launched_says_so(tmp_path, capsys):
    with pytest.raises(ValueError, match="expected a process started by srun, mpirun"):
        join_processes()
    assert main(["explain", "--out", str(tmp_path), *RUN, "--distributed"]) == 2
    assert "--distributed: expected a process started by" in capsys.readouterr().err


def open_together(barrier, folder, rounds: int) -> None:
    for i in range(rounds):
        barrier.wait()
        ledger = Ledger(f"{folder}/{i}.zarr/rows/fido", 8, {"round": i}, chunk=4)
        barrier.wait()
        row = 0 if multiprocessing.current_process().name == "first" else 4
        ledger.write([row], [str(row)], {"x": np.array([row + 1.0], np.float32)})


def test_processes_may_make_a_ledger_at_the_same_moment(tmp_path):
    spawn, rounds = multiprocessing.get_context("spawn"), 20
    barrier = spawn.Barrier(2, timeout=100)
    both = [
        spawn.Process(target=open_together, args=(barrier, tmp_path, rounds), name=name)
        for name in ("first", "second")
    ]
    for process in both:
        process.start()
    for process in both:
        process.join()
        assert process.exitcode == 0
    for i in range(rounds):
        ledger = Ledger(tmp_path / f"{i}.zarr/rows/fido", 8, {"round": i})
        assert np.flatnonzero(ledger.status == DONE).tolist() == [0, 4]
        assert ledger.read("x", [0, 4]).tolist() == [1.0, 5.0]
