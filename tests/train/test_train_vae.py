"""Training the autoencoders: what a run promises, its holes, and what it shows."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("orbax.checkpoint")

from conftest import arrays, rows

import infillers
from infillers.vae import vae
from train import card, grid, recovery
from train.vae import __main__ as program
from train.vae.step import drawn_holes, optimiser

ROOT = Path(__file__).parents[2]
NATURAL = program.CONFIGS["smoke"][1]
SMOKE = dataclasses.replace(NATURAL, widths=(8,), epochs=3, sides=((0, 24),))
FLAGS = ["--widths", "8", "--epochs", "3", "--sides", "0", "24"]


def start(out: Path, *flags: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "train.vae", "smoke", *FLAGS, "--out", str(out), *flags]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody disturbs."""
    out = tmp_path_factory.mktemp("whole")
    program.main(dataclasses.replace(SMOKE, out=out))
    return out


def same(one: Path, other: Path) -> None:
    """To the last bit."""
    assert arrays(one / "vae_smoke.npz").keys() == arrays(other / "vae_smoke.npz").keys()
    for name, array in arrays(one / "vae_smoke.npz").items():
        np.testing.assert_array_equal(array, arrays(other / "vae_smoke.npz")[name], err_msg=name)


def test_it_learns_and_beats_the_mean(whole):
    losses = [float(row["loss"]) for row in rows(whole)]
    assert losses[-1] < 0.95 * losses[0]
    infill = vae(whole / "vae_smoke.npz", size=None)
    test = program.data(SMOKE)[1]
    for kind in recovery.KINDS:
        own, other = (recovery.measure(i, test, kind) for i in (infill, infillers.mean()))
        assert own.error < 0.9 * other.error
        assert np.isnan(own.probability)


def test_it_writes_a_card_and_grids(whole):
    text = (whole / "vae_smoke.md").read_text()
    assert "MnistVAE, 3,713 weights" in text
    assert "| this | " in text
    assert "3 epochs" in text
    assert str(whole) not in text
    assert sorted(p.name for p in (whole / "grids").iterdir()) == ["001.png", "002.png", "003.png"]
    with Image.open(whole / "grids" / "003.png") as page:
        assert page.size == (12 * 96 + 11 * 2, 7 * 96 + 6 * 2)


def test_a_killed_run_ends_with_the_same_bits(tmp_path, whole):
    process = start(tmp_path)
    while not (tmp_path / "checkpoints" / "16").exists():
        assert process.poll() is None, "the program ended before its first checkpoint"
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "vae_smoke.npz").exists()
    program.main(dataclasses.replace(SMOKE, out=tmp_path))
    same(whole, tmp_path)
    assert [row["loss"] for row in rows(whole)] == [row["loss"] for row in rows(tmp_path)]


KILLS = os.environ.get("FIDOJAX_KILLS")
"""Seconds that a whole run takes here."""


@pytest.mark.skipif(not KILLS, reason="takes minutes: set FIDOJAX_KILLS to a run's seconds")
@pytest.mark.parametrize("moment", range(10))
def test_killed_at_random_moments(tmp_path, whole, moment):
    """Also while it starts, compiles, measures or saves; every third is asked, not killed."""
    process = start(tmp_path)
    time.sleep(float(KILLS or 0) * float(np.random.default_rng(moment).random()))
    process.send_signal(signal.SIGKILL if moment % 3 else signal.SIGTERM)
    process.wait()
    program.main(dataclasses.replace(SMOKE, out=tmp_path))
    same(whole, tmp_path)


def test_two_devices_do_the_same_to_rounding(tmp_path, whole):
    assert start(tmp_path, "--devices", "2").wait() == 0
    one, two = ([float(row["loss"]) for row in rows(out)] for out in (whole, tmp_path))
    np.testing.assert_allclose(two[0], one[0], rtol=1e-3)
    np.testing.assert_allclose(two, one, rtol=0.05)


def test_the_last_checkpoint_can_be_exported(tmp_path, whole):
    for part in ("checkpoints", "settings.json", "metrics.csv"):
        os.symlink(whole / part, tmp_path / part)
    program.main(dataclasses.replace(SMOKE, out=tmp_path, export=True))
    same(whole, tmp_path)


def test_another_setting_is_refused_and_options_are_named(whole):
    with pytest.raises(ValueError, match="another clip: choose another folder"):
        program.main(dataclasses.replace(SMOKE, out=whole, clip=1.0))
    with pytest.raises(ValueError, match='schedule must be "plateau" or "cosine", got \'step\''):
        optimiser(dataclasses.replace(SMOKE, schedule="step"), 4)


def dropped(config: Any, count: int, keys: int = 24) -> list[np.ndarray]:
    draw = jax.jit(lambda key: drawn_holes(config, key, count, (32, 32)))
    return [1 - np.asarray(draw(jax.random.key(k))) for k in range(keys)]


def test_the_papers_draw_one_kind_and_one_size_per_batch():
    config = dataclasses.replace(SMOKE, holes=("rectangle", "pixels"), mixed=False)
    kinds, sides = [], set()
    for batch in dropped(config, 4):
        full = [hole.any(1).sum() * hole.any(0).sum() == hole.sum() for hole in batch]
        assert len(set(full)) == 1
        kinds.append(full[0])
        if full[0]:
            assert len({(hole.any(1).sum(), hole.any(0).sum()) for hole in batch}) == 1
            assert len({hole.tobytes() for hole in batch}) > 1, "each picture has its own place"
            sides |= {int(batch[0].any(axis).sum()) for axis in (0, 1)}
        else:
            assert abs(batch.mean() - 0.5) < 0.05
    assert 4 < sum(kinds) < 20
    assert min(sides) >= 12
    assert max(sides) <= 16
    assert len(sides) > 2


def test_mixed_draws_a_kind_per_picture():
    config = dataclasses.replace(
        SMOKE, holes=("rectangle", "pixels", "free_form"), mixed=True, keep=(0.1, 0.2)
    )
    shares = dropped(config, 32, 1)[0].mean((1, 2))
    assert (shares > 0.7).any(), "pixels, few of them kept"
    assert (shares < 0.3).any(), "the other kinds"
    plain = dataclasses.replace(config, holes=("free_form",))
    assert all(0 < hole.mean() < 0.7 for hole in dropped(plain, 8, 1)[0])


def test_clip_and_plateau():
    """Each element is cut to 5; after three epochs that are no better the rate is a fifth."""
    config = dataclasses.replace(SMOKE, schedule="plateau", learning_rate=0.1, clip=5.0)
    tx = optimiser(config, per_epoch=2)
    weights: Any = {"w": jnp.zeros(2)}
    state, sizes = tx.init(weights), []
    for _ in range(12):
        grads: Any = {"w": jnp.asarray([7.0, 70.0])}
        update: Any
        update, state = tx.update(grads, state, weights, value=1.0)
        sizes.append(float(-update["w"][0]))
        np.testing.assert_allclose(update["w"][0], update["w"][1], rtol=1e-6)
    np.testing.assert_allclose(sizes[:7], 0.1, rtol=1e-3)
    np.testing.assert_allclose(sizes[8:], 0.02, rtol=1e-3)


def test_grid(tmp_path):
    grey, colour = np.zeros((2, 4, 5, 1)), np.full((2, 4, 5, 3), 255, np.uint8)
    colour[1, 2, 3] = (9, 8, 7)
    grid.write(tmp_path / "new" / "a.png", [grey, colour], zoom=2, gap=3)
    with Image.open(tmp_path / "new" / "a.png") as page:
        pixels = np.asarray(page)
    assert pixels.shape == (2 * 8 + 3, 2 * 10 + 3, 3)
    assert (pixels[:8, :10] == 0).all()
    assert (pixels[8:11] == 255).all()
    assert (pixels[11 + 4 : 11 + 6, 13 + 6 : 13 + 8] == (9, 8, 7)).all()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.png"]
    for bad in ([], [grey, colour[:1]]):
        with pytest.raises(ValueError, match="rows must agree"):
            grid.write(tmp_path / "b.png", bad)
    with pytest.raises(ValueError, match='a row must be "n h w 1" or "n h w 3"'):
        grid.write(tmp_path / "b.png", [grey[..., 0]])


def test_card(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,seconds\n1,100\n2,300\n3,50\n4,70\n")
    config = dataclasses.replace(SMOKE, out=tmp_path)
    command = f"python -m train.vae smoke --out {tmp_path} --seed 0"
    lines = card.provenance(config, command, 3, tmp_path / "metrics.csv")
    card.write(tmp_path / "a.md", "name", lines)
    text = (tmp_path / "a.md").read_text()
    assert text.startswith("# name\n\n* Command: `python -m train.vae smoke --out DIR --seed 0`\n")
    assert "wall time 6 minutes" in text
    assert "synthetic pictures" in text
