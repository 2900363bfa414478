"""Pictures of every kind become images of the classifier's size, and bad ones a sentence."""

import os
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from fidojax.data import IMAGENET_CROP, BadPicture, Picture, pictures
from fidojax.data.fit import fit, place_boxes

SHARED = Path(__file__).parents[3] / "shared"
SIZE = (16, 16, 3)


def read(*sources, size=SIZE, **options) -> list[Picture | BadPicture]:
    return list(pictures([str(source) for source in sources], size, **options))


def read_one(path: Path, size=SIZE) -> Picture:
    (item,) = read(path, size=size)
    assert isinstance(item, Picture), item
    return item


def halves(mode: str, left, right, side: int = 16) -> PIL.Image.Image:
    picture = PIL.Image.new(mode, (side, side), left)
    picture.paste(right, (side // 2, 0, side, side))
    return picture


def corners(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return image[1, 1], image[1, -2]


RED, WHITE, BLACK = (1, 0, 0), (1, 1, 1), (0, 0, 0)


def transparent_palette() -> PIL.Image.Image:
    picture = PIL.Image.new("P", (16, 16), 0)
    picture.putpalette([255, 0, 0, 0, 0, 0])
    picture.paste(1, (8, 0, 16, 16))
    return picture


def sixteen_bit() -> PIL.Image.Image:
    values = np.zeros((16, 16), np.uint16)
    values[:, 8:] = 65535
    return PIL.Image.fromarray(values)


# name, picture, how to save it, left colour, right colour
KINDS = {
    "rgb.png": (halves("RGB", (255, 0, 0), (0, 0, 0)), {}, RED, BLACK),
    "rgb.jpg": (halves("RGB", (255, 255, 255), (0, 0, 0)), {}, WHITE, BLACK),
    "grey.png": (halves("L", 255, 0), {}, WHITE, BLACK),
    "bilevel.png": (halves("1", 1, 0), {}, WHITE, BLACK),
    "palette.gif": (transparent_palette(), {}, RED, BLACK),
    "seethrough.gif": (transparent_palette(), {"transparency": 1}, RED, WHITE),
    "rgba.png": (halves("RGBA", (255, 0, 0, 255), (0, 0, 0, 0)), {}, RED, WHITE),
    "half.png": (halves("RGBA", (0, 0, 0, 255), (255, 0, 0, 128)), {}, BLACK, (1, 0.5, 0.5)),
    "greyalpha.png": (halves("LA", (0, 255), (0, 0)), {}, BLACK, WHITE),
    "colourkey.png": (
        halves("RGB", (255, 0, 0), (0, 0, 9)), {"transparency": (0, 0, 9)}, RED, WHITE,
    ),
    "cmyk.jpg": (halves("CMYK", (0, 0, 0, 0), (0, 0, 0, 255)), {}, WHITE, BLACK),
    "cmyk.tif": (halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), {}, RED, BLACK),
    "deep.png": (sixteen_bit(), {}, BLACK, WHITE),
    "deep.tif": (sixteen_bit(), {}, BLACK, WHITE),
    "floats.tif": (PIL.Image.fromarray(np.eye(16, dtype=np.float32)[:, ::-1]), {}, BLACK, WHITE),
    "moving.gif": (
        halves("RGB", (255, 0, 0), (0, 0, 0)),
        {"save_all": True, "append_images": [PIL.Image.new("RGB", (16, 16), "blue")]},
        RED, BLACK,
    ),
    "moving.webp": (
        halves("RGB", (255, 0, 0), (0, 0, 0)),
        {"save_all": True, "lossless": True,
         "append_images": [PIL.Image.new("RGB", (16, 16), "blue")]},
        RED, BLACK,
    ),
    "no_suffix": (halves("RGB", (255, 0, 0), (0, 0, 0)), {"format": "BMP"}, RED, BLACK),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_picture_is_read(tmp_path, name):
    picture, options, left, right = KINDS[name]
    picture.save(tmp_path / name, **options)
    item = read_one(tmp_path / name)
    assert item.id == name
    assert item.image.shape == SIZE
    assert item.image.dtype == np.float32
    if name == "floats.tif":  # a diagonal: only its corner is white
        np.testing.assert_allclose(item.image[0, -1], right)
        np.testing.assert_allclose(item.image[0, 0], left)
        return
    tolerance = 0.03 if name.endswith("jpg") else 0.003
    np.testing.assert_allclose(corners(item.image)[0], left, atol=tolerance)
    np.testing.assert_allclose(corners(item.image)[1], right, atol=tolerance)


def test_sixteen_bits_are_not_cut_to_eight(tmp_path):
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16)  # all below one 8-bit level
    PIL.Image.fromarray(ramp).save(tmp_path / "ramp.png")
    image = read_one(tmp_path / "ramp.png", (16, 16, 1)).image
    np.testing.assert_allclose(image[..., 0], ramp / 65535, atol=1e-7)


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, turn):
    upright = PIL.Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    )
    T = PIL.Image.Transpose  # noqa: N806
    stored = {
        1: None, 2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM,
        5: T.TRANSPOSE, 6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270,
    }[turn]  # fmt: skip
    exif = PIL.Image.Exif()
    exif[0x0112] = turn
    (upright if stored is None else upright.transpose(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(
        read_one(tmp_path / "a.png").image, np.asarray(upright, np.float32) / 255
    )


def test_grey_classifiers_get_luma_and_colour_classifiers_three_channels(tmp_path):
    PIL.Image.new("RGB", (16, 16), (0, 255, 0)).save(tmp_path / "green.png")
    image = read_one(tmp_path / "green.png", (16, 16, 1)).image
    assert image.shape == (16, 16, 1)
    np.testing.assert_allclose(image, 0.587, atol=0.003)


def broken_files(folder: Path) -> dict[str, str]:
    """Make bad files; what their sentence must say."""
    whole = folder / "whole.jpg"
    PIL.Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    ).save(whole)
    (folder / "truncated.jpg").write_bytes(whole.read_bytes()[:800])
    (folder / "empty.png").write_bytes(b"")
    (folder / "fake.jpg").write_text("<html>")
    PIL.Image.new("RGB", (1, 1)).save(folder / "dot.png")
    PIL.Image.new("RGB", (400, 3)).save(folder / "line.png")
    PIL.Image.fromarray(np.full((9, 9), 300.0, np.float32)).save(folder / "range.tif")
    PIL.Image.fromarray(np.full((9, 9), np.nan, np.float32)).save(folder / "nan.tif")
    whole.unlink()
    return {
        "truncated.jpg": "damaged",
        "empty.png": "the file is empty",
        "fake.jpg": "not a picture",
        "dot.png": "only 1 x 1 pixels",
        "line.png": "only 400 x 3 pixels",
        "range.tif": "outside [0, 1]",
        "nan.tif": "outside [0, 1]",
    }


def test_bad_files_are_named_and_the_others_go_on(tmp_path):
    reasons = broken_files(tmp_path)
    PIL.Image.new("RGB", (20, 20)).save(tmp_path / "good.png")
    items = read(tmp_path)
    bad = {Path(item.source).name: item.reason for item in items if isinstance(item, BadPicture)}
    assert [item.id for item in items if isinstance(item, Picture)] == ["good.png"]
    assert bad.keys() == reasons.keys()
    for name, words in reasons.items():
        assert words in bad[name]
        assert "\n" not in bad[name]
        assert not bad[name].endswith(".")


def test_a_missing_path_is_named(tmp_path):
    (item,) = read(tmp_path / "nowhere.jpg")
    assert str(item) == f"{tmp_path}/nowhere.jpg: there is no such file or folder"
    (item,) = read(tmp_path)
    assert isinstance(item, BadPicture)
    assert item.reason == "the folder has no pictures"


def test_files_of_a_folder_that_are_no_pictures_are_counted(tmp_path):
    others = {
        "notes.txt": b"Python",
        "a.csv": b"file,x0",
        "BMP": b"",
        "film.mp4": b"\0\0\0\x18ftypmp42",
    }
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    (item,) = read(tmp_path)
    assert isinstance(item, BadPicture)
    assert item.reason == "the folder has no pictures, 4 other files"
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / "0001", format="PPM")  # known by its first bytes
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "phone").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    found = pictures([tmp_path, tmp_path / "a.csv"], SIZE)
    assert found.ignored == 4
    assert len(found) == 5
    reasons = {Path(bad.source).name: bad.reason for bad in found if isinstance(bad, BadPicture)}
    assert reasons == {
        "gone": "a symbolic link to a file that does not exist",
        "pipe": "a named pipe, expected a picture file",
        "phone": "a HEIC picture, which needs Pillow's plugin: pip install pillow-heif",
        "a.csv": "not a picture (or of a kind that Pillow does not read)",
    }


def test_a_pipe_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (item,) = read(tmp_path)
    assert isinstance(item, BadPicture)


def test_folders_are_walked_in_order_without_hidden_files_and_results(tmp_path):
    names = ["b.png", "a/z.png", "a/b/c.png", ".hidden.png", ".cache/x.png", "Thumbs.db"]
    names += ["out/figures/old.png", "out/records/r.json", "out/runs/r.json"]
    names += ["out/results.zarr/max-1/maps/c/0"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (8, 8)).save(tmp_path / name, format="PNG")
    found = pictures([tmp_path], SIZE)
    assert len(found) == 3
    assert [item.id for item in found if isinstance(item, Picture)] == [
        "b.png", "a/z.png", "a/b/c.png",
    ]  # fmt: skip


def test_reading_is_lazy(tmp_path):
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "b.png")
    stream = iter(pictures([tmp_path], SIZE))
    assert isinstance(next(stream), Picture)
    (tmp_path / "b.png").write_bytes(b"")
    assert isinstance(next(stream), BadPicture)


def test_resize_and_crop_follow_imagenet_practice():
    # Shorter side to 256 by bilinear interpolation, then the middle 224: 300 x 200 -> 384 x 256.
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    picture = PIL.Image.fromarray(noise)
    image, _ = fit(picture, (224, 224, 3), IMAGENET_CROP)
    resized = picture.resize((384, 256), PIL.Image.Resampling.BILINEAR)
    expected = np.asarray(resized)[16:240, 80:304] / np.float32(255)
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("shape", [(40, 97), (97, 40), (16, 16), (9, 200)])
@pytest.mark.parametrize("size", [(16, 16, 3), (12, 20, 3), (20, 12, 1)])
@pytest.mark.parametrize("crop", [1.0, 0.875])
def test_the_size_is_always_exact(shape, size, crop):
    picture = PIL.Image.fromarray(np.full((*shape, 3), 128, np.uint8))
    image, _ = fit(picture, size, crop)
    assert image.shape == size
    np.testing.assert_allclose(image, 128 / 255, atol=0.003)


def test_boxes_move_with_the_pixels():
    values = np.zeros((100, 200, 3), np.uint8)
    values[20:60, 70:130] = 255
    image, placement = fit(PIL.Image.fromarray(values), (50, 50, 3), 1.0)
    boxes = np.array([[20, 70, 60, 130], [0, 0, 100, 30], [0, 190, 10, 200]])
    placed = place_boxes(boxes, placement)
    # Half the size, 25 columns cut off on both sides; the last two boxes are cut off whole.
    np.testing.assert_array_equal(placed, [[10, 10, 30, 40]])
    inside = np.zeros((50, 50), bool)
    inside[10:30, 10:40] = True
    assert image[..., 0][inside].mean() > 0.95
    assert image[..., 0][~inside].mean() < 0.05


def test_wrong_options_say_what_was_expected():
    with pytest.raises(ValueError, match=r"crop is 1\.5, expected"):
        pictures([], SIZE, crop=1.5)
    with pytest.raises(ValueError, match="size has 4 channels"):
        pictures([], (8, 8, 4))


def test_the_sample_photos_come_with_scikit_image():
    chelsea, astronomer = read("skimage:chelsea", "skimage:astronomer", size=(64, 64, 3))
    assert isinstance(chelsea, Picture)
    assert (chelsea.id, chelsea.image.shape) == ("chelsea", (64, 64, 3))
    assert isinstance(astronomer, BadPicture)
    assert "coffee" in astronomer.reason


@pytest.fixture(scope="module")
def shapes_set(tmp_path_factory) -> Path:
    """A prepared TFDS set: 6 pictures with file names, labels and boxes; the last one is broken."""
    import tensorflow_datasets as tfds

    class Shapes(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.2.0")
        pkg_dir_path = None

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["disc", "square"]),
                "file_name": tfds.features.Text(),
                "bbox": tfds.features.BBoxFeature(),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(2), "validation": self._generate_examples(6)}

        def _generate_examples(self, count):
            for i in range(count):
                yield (
                    i,
                    {
                        "image": PIL.Image.new("RGB", (40, 20), (i * 40, 0, 0)),
                        "label": i % 2,
                        "file_name": f"{i:03}.png",
                        "bbox": tfds.features.BBox(0.25, 0.25, 0.75, 0.75),
                    },
                )

    folder = tmp_path_factory.mktemp("tensorflow_datasets")
    Shapes(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


@pytest.mark.parametrize("missing", ["array_record", "tensorflow_datasets"])
def test_a_prepared_set_without_its_packages_says_what_to_install(missing, shapes_set, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    (bad,) = pictures(["tfds:shapes"], (8, 8, 3), shapes_set)
    assert isinstance(bad, BadPicture)
    assert bad.reason.startswith("prepared data sets need tensorflow-datasets: pip install 'fido")
    assert "'.[tfds]'" in bad.reason


def test_tfds_sets_are_read_without_tensorflow(shapes_set):
    import sys

    found = pictures(["tfds:shapes"], (20, 20, 3), shapes_set)
    assert len(found) == 6
    items = [item for item in found if isinstance(item, Picture)]
    assert [item.id for item in items] == [f"shapes/validation/{i:03}.png" for i in range(6)]
    assert [item.label for item in items] == [0, 1, 0, 1, 0, 1]
    assert items[1].label_name == "square"
    np.testing.assert_array_equal(items[0].boxes, [[5, 0, 15, 20]])
    np.testing.assert_allclose(items[3].image[..., 0], 120 / 255, atol=1e-6)
    assert "tensorflow" not in sys.modules


def test_a_part_of_a_split_keeps_its_ids(shapes_set):
    (item, *_), count = (lambda p: (list(p), len(p)))(
        pictures(["tfds:shapes/validation[4:]"], SIZE, shapes_set)
    )
    assert isinstance(item, Picture)
    assert (item.id, count) == ("shapes/validation/004.png", 2)
    assert len(pictures(["tfds:shapes:1.2.0/train[:1]"], SIZE, shapes_set)) == 1
    assert len(pictures(["tfds:shapes"], SIZE, shapes_set / "shapes" / "1.2.0")) == 6


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tfds:circles", "no set of this name lies prepared in"),
        ("tfds:shapes/test", "it has no split 'test', only train, validation"),
        ("tfds:shapes:9.0.0", "there is no 9.0.0 in"),
        ("tfds:shapes[::2]", "expected tfds:NAME"),
        ("tfds:", "expected tfds:NAME"),
    ],
)
def test_a_wrong_tfds_address_is_one_clause(shapes_set, address, words):
    (item,) = pictures([address], SIZE, shapes_set)
    assert isinstance(item, BadPicture)
    assert words in item.reason
    assert "\n" not in item.reason


def test_a_set_prepared_for_tensorflow_is_refused(shapes_set, tmp_path):
    import shutil

    shutil.copytree(shapes_set / "shapes", tmp_path / "shapes")
    info = tmp_path / "shapes" / "1.2.0" / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord", 1))
    (item,) = pictures(["tfds:shapes"], SIZE, tmp_path)
    assert isinstance(item, BadPicture)
    assert "--file_format=array_record" in item.reason


def test_a_damaged_tfds_picture_is_named(shapes_set, monkeypatch):
    from fidojax.data import tfds as source

    found = source.TfdsSet.find("shapes/train", shapes_set)
    whole = found.examples[0]
    damaged = [whole | {"image": b"\x89PNG broken"}, whole]
    object.__setattr__(found, "examples", damaged)
    bad, good = found.read(SIZE, 1.0)
    assert isinstance(good, Picture)
    assert str(bad).startswith("tfds:shapes/train example 0: not a picture")


@pytest.mark.skipif(not (SHARED / "data").exists(), reason="needs the shared data folder")
def test_mnist_from_disk():
    found = pictures(["tfds:mnist/test[:5]"], (28, 28, 1), SHARED / "data" / "tensorflow_datasets")
    items = [item for item in found if isinstance(item, Picture)]
    assert [item.id for item in items] == [f"mnist/test/{i}" for i in range(5)]
    assert all(item.image.shape == (28, 28, 1) and item.image.max() > 0.9 for item in items)
    assert all(item.label_name == str(item.label) and item.boxes is None for item in items)
