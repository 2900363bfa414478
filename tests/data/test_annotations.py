"""Boxes and labels from tables: CSV, ImageNet's solutions, COCO."""

import json

import numpy as np
import PIL.Image
import pytest

from fidojax.data import BadPicture, Picture, pictures
from fidojax.data.annotations import read_annotations

SIZE = (20, 20, 3)
CSV = "file,x0,y0,x1,y1,label\ncats/a.png,10,4,30,12,tabby\ncats/a.png,-5,0,12,40,tabby\n"
LOC = (
    "ImageId,PredictionString\na,n02123045 10 4 30 12 n02123045 -5 0 12 40 \nc,n01443537 1 2 3 4\n"
)
COCO = {
    "images": [{"id": 7, "file_name": "a.png", "width": 40, "height": 40}],
    "annotations": [
        {"image_id": 7, "bbox": [10, 4, 20, 8], "category_id": 17},
        {"image_id": 7, "bbox": [-5, 0, 17, 40], "category_id": 17},
    ],
    "categories": [{"id": 2, "name": "dog"}, {"id": 17, "name": "tabby"}],
}


def read(folder, table) -> list[Picture | BadPicture]:
    return list(pictures([folder], SIZE, boxes=table))


@pytest.fixture
def folder(tmp_path):
    for name in ("cats/a.png", "b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        PIL.Image.new("RGB", (40, 40)).save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "label", "name", "classes"),
    [
        (CSV, 0, "tabby", 1),
        (CSV.replace("cats/", ""), 0, "tabby", 1),
        (CSV.replace("label", "note").replace("cats/a.png", "./cats/a"), None, None, None),
        ("\ufeff" + CSV, 0, "tabby", 1),
        (LOC, 1, "n02123045", 2),
        (json.dumps(COCO), 1, "tabby", 2),
    ],
    ids=["csv", "file names", "no labels", "byte order mark", "imagenet", "coco"],
)
def test_tables_give_boxes_in_the_fitted_image(folder, text, label, name, classes):
    table = folder / "table.csv"
    table.write_text(text)
    b, a = read(folder, table)  # the table itself is no picture
    assert isinstance(a, Picture)
    assert isinstance(b, Picture)
    assert (a.label, a.label_name, a.classes) == (label, name, classes)
    assert b.boxes is None
    # Half the size, (top, left, bottom, right), clipped once.
    np.testing.assert_array_equal(a.boxes, [[2, 5, 6, 15], [0, 0, 20, 6]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a CSV"),
        ("a,b\n1,2\n", "expected a CSV with the columns file, x0, y0, x1, y1"),
        ("{", "expected a CSV"),
        ('{"images": 3}', "expected a CSV"),
        ('{"a":' * 100_000, "expected a CSV"),
        ("\xff", "expected a CSV"),
        (CSV + "b.png,1,2,x,4,dog", "line 4 has no four numbers x0, y0, x1, y1"),
        (CSV + "b.png,1,2", "line 4 has no four numbers"),
        (CSV + "b.png,9,2,3,4,dog", r"line 4 has the box \(9, 2, 3, 4\), expected x0 < x1"),
        (CSV + "b.png,1,2,inf,4,dog", "expected x0 < x1"),
        (CSV + "b.png,1,nan,2,4,dog", "expected x0 < x1"),
        ("file,x0,y0,x1,y1\na.png,.1,.2,.9,1", "pixels, not shares of sides"),
        (LOC + "d,n02123045 10 4 30\n", "line 4 has no groups of a class and four numbers"),
        (json.dumps(COCO | {"images": []}), r"annotations\[0\] is of the image 7, which is not"),
        (CSV.replace("a.png", "z.png"), "names none of the pictures; its first is 'cats/z.png'"),
    ],
)
def test_a_damaged_table_is_one_sentence(folder, text, said):
    table = folder / "table.csv"
    table.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=f"boxes {table}: .*{said}") as caught:
        read(folder, table)
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"boxes nowhere\.csv: there is no such file"):
        read_annotations("nowhere.csv")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (json.dumps(COCO).replace('"width": 40', '"width": 8'), "its boxes are for 8 x 40 pixels"),
        (CSV + "cats/a.png,40,0,50,9,tabby", "its box (40, 0, 50, 9) lies outside of its 40 x 40"),
    ],
)
def test_boxes_of_another_picture_are_refused(folder, text, reason):
    (folder / "table.csv").write_text(text)
    good, bad = read(folder, folder / "table.csv")
    assert isinstance(good, Picture)
    assert isinstance(bad, BadPicture)
    assert reason in bad.reason


def test_a_name_of_several_pictures_is_refused(folder):
    PIL.Image.new("RGB", (40, 40)).save(folder / "a.png")
    (folder / "table.csv").write_text(CSV.replace("cats/", ""))
    (bad,) = read(folder, folder / "table.csv")
    assert "'a.png' may be a.png and cats/a.png" in str(bad)
    (folder / "table.csv").write_text(CSV)
    own = {p.id: p.boxes for p in read(folder, folder / "table.csv") if isinstance(p, Picture)}
    assert own["a.png"] is None
    np.testing.assert_array_equal(own["cats/a.png"], [[2, 5, 6, 15], [0, 0, 20, 6]])
