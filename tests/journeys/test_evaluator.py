"""The journey of someone with maps of their own: pictures out, maps in, a report."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from jax.tree_util import Partial

from eval.report.__main__ import main as report
from eval.run import main as study
from fidojax import networks
from fidojax.networks import Pretrained

SIZE = (12, 12, 3)
PATCH = slice(3, 7)


def by_patch(images):
    """The class "bright" where the patch is brighter than grey."""
    light = 8 * (images[:, PATCH, PATCH].mean((1, 2, 3)) - 0.5)
    return jnp.stack([-light, light], axis=1)


@pytest.fixture
def photos(tmp_path, monkeypatch) -> str:
    """Two folders of classes, by a classifier that looks at a patch only."""
    monkeypatch.chdir(tmp_path)
    model = Pretrained("patch", Partial(by_patch), ("bright", "dark")[::-1], SIZE)
    monkeypatch.setattr(networks, "load", lambda *asked: model)
    for name, grey in {"dark/a": 20, "dark/b": 60, "bright/c": 200, "bright/d": 240}.items():
        pixels = np.full(SIZE, 128, np.uint8)
        pixels[PATCH, PATCH] = grey
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(pixels).save(Path("photos", f"{name}.png"))
    return "photos"


def test_from_own_maps_to_a_report(photos, capsys):
    """Pictures are written, maps are made by whatever program, and the report ranks them."""
    assert study(["pictures", "--data", photos, "--out", "given"]) == 0
    pictures = np.load("given/pictures.npy")
    right = np.zeros(pictures.shape[:3], np.float32)
    right[:, PATCH, PATCH] = 1
    np.save("right.npy", right + 0.1 * np.random.default_rng(0).random(right.shape))
    np.save("wrong.npy", 1 - right)
    maps = ["--maps", "right=right.npy", "wrong=wrong.npy", "--controls", "center_box"]
    assert study(["own-maps", "--data", photos, "--out", "own", "--batch-size", "4", *maps]) == 0
    assert report(["own"]) == 0
    page = Path("own/report.html").read_text("utf-8")
    table = Path("own/report.md").read_text("utf-8")
    assert all(name in page and name in table for name in ("right", "wrong", "center_box"))
    said = capsys.readouterr().out
    assert "report.html" in said
    assert study(["own-maps", "--data", photos, "--out", "own", "--batch-size", "4", *maps]) == 0


def test_maps_of_another_number_are_refused_in_one_sentence(photos, capsys):
    np.save("few.npy", np.zeros((3, *SIZE[:2])))
    assert study(["own-maps", "--data", photos, "--out", "own", "--maps", "few=few.npy"]) == 1
    said = capsys.readouterr().err
    assert "few.npy: expected shape (4, 12, 12)" in said
    assert said.count("\n") <= 2
