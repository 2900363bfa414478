"""Damaged files of a training run: it goes on from what can be read, or says what cannot."""

import gc
import shutil
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint")

from conftest import rows

from train.checkpoints import Checkpoints
from train.classifier import __main__
from train.loop import fit
from train.program import command

# Noise, so that the files hold the values as they are, and a changed one can be decoded.
START = {"sum": jax.random.normal(jax.random.key(0), (40, 50)), "count": jnp.int32(0)}
# What Orbax leaves behind where it fails to read a checkpoint.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]


@pytest.fixture(autouse=True)
def nothing_left():
    """It goes within its test, not in a later one."""
    yield
    gc.collect()


def toy(state, index):
    """A state whose end depends on every index once."""
    state = {"sum": state["sum"] * 1.01 + index, "count": state["count"] + 1}
    return state, {"loss": 1.0 / (2.0 + state["sum"].mean())}


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """A run of six steps, with the checkpoints 4 and 6."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    fit(START, toy, steps=6, directory=folder, save_every=2)
    return folder


def data_file(checkpoint: Path) -> Path:
    """The file that holds the values."""
    return max(checkpoint.rglob("d/*"), key=lambda path: path.stat().st_size)


def flip(checkpoint: Path) -> None:
    file = data_file(checkpoint)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 64
    file.write_bytes(content)


def cut(checkpoint: Path) -> None:
    file = data_file(checkpoint)
    file.write_bytes(file.read_bytes()[:100])


def lose(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint / "state")


@pytest.mark.parametrize("damage", [flip, cut, lose])
def test_a_damaged_checkpoint_is_passed_over_to_the_same_bits(damage, begun, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(begun, folder)
    damage(folder / "checkpoints" / "6")
    with pytest.warns(UserWarning, match=r"checkpoints/6: .*; the run goes on from step 4"):
        end = fit(START, toy, steps=10, directory=folder, save_every=2)
    whole = fit(START, toy, steps=10, directory=tmp_path / "whole", save_every=2)
    np.testing.assert_array_equal(end["sum"], whole["sum"])
    assert end["count"] == 10
    assert [row["step"] for row in rows(folder)] == ["2", "4", "6", "8", "10"]


def test_where_no_checkpoint_can_be_read_nothing_is_lost(begun, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(begun, folder)
    for step in ("4", "6"):
        cut(folder / "checkpoints" / step)
    with pytest.raises(ValueError, match=r"no checkpoint can be read \(.*/6: .*/4: "):
        fit(START, toy, steps=10, directory=folder, save_every=2)
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["4", "6"]


def test_a_checkpoint_without_a_digest_is_read(begun, tmp_path, monkeypatch):
    """As earlier versions wrote it."""
    with monkeypatch.context() as patch:
        patch.setattr("train.checkpoints.digest", lambda state: None)
        Checkpoints(tmp_path / "checkpoints").save(4, START)
    step, state = Checkpoints(tmp_path / "checkpoints").restore(START)
    assert step == 4
    np.testing.assert_array_equal(state["sum"], START["sum"])


@pytest.mark.parametrize(
    ("content", "steps"),
    [("step,loss\n4,0.5\n", [4]), ("step,loss\n4,0.5,7\nx,1\n", []), ("\xff\x00", []), ("", [])],
)
def test_rows_of_the_log_that_cannot_be_read_are_left_out(content, steps, begun, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(begun, folder)
    (folder / "metrics.csv").write_bytes(content.encode("latin1"))
    fit(START, toy, steps=8, directory=folder, save_every=2)
    assert [int(row["step"]) for row in rows(folder)] == [*steps, 8]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("", "cannot be read"), ("{", "cannot be read"), ("3", "holds no settings"),
     ("{}", "holds a run with another")],
)  # fmt: skip
def test_damaged_settings_are_one_sentence(content, sentence, tmp_path, monkeypatch, capsys):
    (tmp_path / "settings.json").write_text(content)
    monkeypatch.setattr(sys, "argv", ["train", "smoke", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        command(__main__.main, __main__.CONFIGS)
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert str(tmp_path) in err
    assert err.count("\n") == 1
