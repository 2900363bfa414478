"""Malformed pictures from a seed: each is a picture or one sentence, and the good ones stay."""

import numpy as np
import PIL.Image
import pytest

from benchmarks.malformed.pictures import make_malformed
from fidojax.data import BadPicture, Picture, pictures

SIZE = (64, 64, 3)


@pytest.mark.parametrize("seed", range(3))
def test_every_file_is_a_picture_or_one_sentence(tmp_path, seed):
    noise = np.random.default_rng(0).integers(0, 256, (80, 70, 3), np.uint8)
    PIL.Image.fromarray(noise).save(tmp_path / "zzz good.png")
    (good,) = pictures([tmp_path], SIZE)
    made = make_malformed(tmp_path, 150, seed)
    found = pictures([tmp_path], SIZE)
    assert len(found) + found.ignored == len(made) + 1
    items = list(pictures(sorted(tmp_path.iterdir()), SIZE))
    assert len(items) == len(made) + 1
    for item in items:
        if isinstance(item, BadPicture):
            said = str(item)
            assert len(said.splitlines()) == 1
            assert said.isprintable()
            said.encode()
            assert item.reason
            assert len(item.reason) < 200
            assert not item.reason.endswith(".")
        else:
            assert item.image.shape == SIZE
            assert item.image.dtype == np.float32
            assert 0 <= item.image.min() <= item.image.max() <= 1
            item.id.encode()
    bad = sum(isinstance(item, BadPicture) for item in items)
    assert 40 < bad < 140
    assert isinstance(good, Picture)
    (last,) = (item for item in items if isinstance(item, Picture) and item.id == good.id)
    np.testing.assert_array_equal(last.image, good.image)
