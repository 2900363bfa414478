"""Maps from files: which map belongs to which picture."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from jax.tree_util import Partial

from eval.protocols.own_maps import rows_of_files
from eval.run import main
from eval.subject import StudyRun, load_subject
from fidojax import networks
from fidojax.data import Picture
from fidojax.networks import Pretrained

SIZE = (8, 8, 3)
GREYS = {
    "dark/a.png": 10,
    "dark/b.png": 20,
    "dark/c.png": 30,
    "light/d.png": 200,
    "light/e.png": 255,
}


def by_light(images):
    """The class "light" where the picture is lighter than grey."""
    light = images.mean((1, 2, 3)) - 0.5
    return jnp.stack([-light, light], axis=1)


@pytest.fixture
def run(tmp_path, monkeypatch) -> StudyRun:
    """Three of five pictures, in two folders of classes."""
    model = Pretrained("light", Partial(by_light), ("dark", "light"), SIZE)
    monkeypatch.setattr(networks, "load", lambda *asked: model)
    for name, grey in GREYS.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", SIZE[:2], (grey,) * 3).save(tmp_path / "data" / name)
    return StudyRun(tmp_path / "out", str(tmp_path / "data"), limit=3, seed=1)


def test_pictures_are_written_in_the_order_in_which_own_maps_takes_maps(run, tmp_path, capsys):
    words = ["--data", run.data, "--limit", "3", "--seed", "1", "--out", str(run.out)]
    assert main(["pictures", *words]) == 0
    assert "pictures.npy: 3 pictures of 8 x 8 x 3" in capsys.readouterr().out
    ids = (run.out / "ids.txt").read_text().split()
    drawn = load_subject(run)
    assert ids == sorted(drawn.drawn.ids) != drawn.drawn.ids  # the draw is in another order
    pictures = np.load(run.out / "pictures.npy")
    np.testing.assert_allclose(255 * pictures.mean((1, 2, 3)), [GREYS[name] for name in ids])
    assert np.load(run.out / "targets.npy").tolist() == [int("light" in name) for name in ids]
    # The map of each picture is the grey that the picture has, with --limit or for all pictures.
    every = np.array([*GREYS.values()], np.float32) / 255
    batch = [
        Picture(name, image)
        for name, image in zip(drawn.drawn.ids, drawn.drawn.images, strict=True)
    ]
    for maps in (pictures[..., 0], np.broadcast_to(every[:, None, None], (5, 8, 8))):
        np.save(tmp_path / "own.npy", maps)
        row = rows_of_files(run, drawn, [f"own={tmp_path}/own.npy"])["own"]
        assert row.each is not None
        np.testing.assert_allclose(row.each(batch)["saliency"], drawn.drawn.images[..., 0])


def test_another_number_of_maps_is_refused(run, tmp_path):
    np.save(tmp_path / "own.npy", np.zeros((4, 8, 8)))
    with pytest.raises(
        ValueError, match=r"own.npy: expected shape \(5, 8, 8\) or \(3, 8, 8\), got \(4"
    ):
        rows_of_files(run, load_subject(run), [str(Path(tmp_path, "own.npy"))])
