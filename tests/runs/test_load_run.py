"""A folder of results, made by hand, is read by picture, method and settings."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import fidojax
from fidojax.runs import Ledger, load_maps, load_run, pack

MAPS = np.arange(4 * 2 * 3, dtype=np.float32).reshape(4, 2, 3)
MASK = MAPS[0] > 2


def record(picture: str, method: str, digest: str, row: int, **more) -> dict:
    return {
        "status": "explained",
        "id": picture,
        "source": f"photos/{picture}",
        "settings_digest": digest,
        "settings": {
            "method": method, "options": {}, "infill": ["mean", "blur"], "preset": None,
            "classifier": "tiny", "target": "prediction",
        },
        "prediction": {"name": "cat", "probability": 0.5},
        "target": {"name": "cat", "probability": 0.5},
        "label": None,
        "probability": {"image": 0.5, "mixture": None},
        "kept_area": None,
        "objective": None,
        "region": {"area": 0.25, "probability": [[0.5]], "without": [[0.1]]},
        "seconds": 1.5,
        "files": {},
        "map": {"ledger": f"results.zarr/{method}-{digest}", "row": row},
        **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """fido has a and b/a, under two settings; gradient has a, and has failed on c."""
    rows = {
        ("fido", "11"): ["a.jpg", "b/a.jpg"],
        ("fido", "22"): ["a.jpg"],
        ("gradient", "33"): ["c.png", "a.jpg"],
    }
    place = tmp_path_factory.mktemp("run")
    (place / "records").mkdir()
    number = 0
    for (method, digest), pictures in rows.items():
        ledger = Ledger(place / "results.zarr" / f"{method}-{digest}", len(pictures), {})
        for row, picture in enumerate(pictures):
            name = f"{picture.replace('/', '_')}.{method}-{digest}"
            bad = picture == "c.png"
            found = record(picture, method, digest, row)
            found |= {"status": "failed", "map": None} if bad else {}
            columns: dict[str, np.ndarray] = pack(MAPS[[0 if bad else number]])
            if method == "fido":
                area = np.array([np.nan if number == 1 else 0.5], np.float32)
                columns |= {"region": MASK[None], "region_area": area}
            ledger.write([row], [name], columns, ["bad" if bad else None])
            (place / "records" / f"{name}.json").write_text(json.dumps(found))
            number += not bad
    return place


@pytest.mark.parametrize(
    ("key", "number"),
    [
        (("b/a.jpg", "fido"), 1),
        (("b/a", "fido", "11"), 1),
        (("a.jpg", "fido", "22"), 2),
        (("a", "gradient"), 3),
        (("photos/a.jpg", "gradient", "33"), 3),
        ("a.jpg.fido-11", 0),
    ],
)
def test_a_picture_is_found_by_any_of_its_names(folder, key, number):
    found = load_run(folder)[key]
    np.testing.assert_array_equal(found.saliency, MAPS[number])
    assert found.saliency.dtype == np.float32
    assert found.info.record["probability"]["image"] == 0.5
    assert found.info.deviation is None
    has_region = number in (0, 2)
    assert (found.info.region is not None) == has_region
    if has_region:
        np.testing.assert_array_equal(found.info.region, MASK)


@pytest.mark.parametrize(
    ("key", "kind", "said"),
    [
        (("d.jpg",), KeyError, "has no picture 'd.jpg'; did you mean a.jpg or b/a.jpg?"),
        (("a.jpg", "fibo"), KeyError, "no method 'fibo' of a.jpg; did you mean fido?"),
        (("a", "fido", "12"), KeyError, "no settings '12' of a and fido; it is one of 11, 22"),
        (("c.png",), KeyError, "has no picture 'c.png'; did you mean"),
        (("a", "fido"), ValueError,
         "2 explanations match; choose one: run['a.jpg', 'fido', '11'], "
         "run['a.jpg', 'fido', '22']"),
        (("a", "b", "c", "d"), ValueError, "expected a picture, a method and settings at most"),
    ],
)  # fmt: skip
def test_what_is_not_found_is_one_sentence(folder, key, kind, said):
    with pytest.raises(kind) as caught:
        load_run(folder)[key]
    assert said in caught.value.args[0]


def test_a_run_is_a_table_that_can_be_read(folder):
    run = fidojax.load_run(folder)
    assert list(run) == [
        ("a.jpg", "fido", "11"),
        ("a.jpg", "fido", "22"),
        ("a.jpg", "gradient", "33"),
        ("b/a.jpg", "fido", "11"),
    ]
    assert run.table()[3] == {
        "picture": "b/a.jpg", "method": "fido", "settings": "11", "infill": "mean blur",
        "class": "cat", "p": 0.5, "region": 0.25, "seconds": 1.5,
    }  # fmt: skip
    lines = repr(run).splitlines()
    assert lines[0] == f"{folder}: 4 explanations"
    assert lines[1].split() == ["picture", "method", "settings", "infill", "class", "p", "region",
                                "seconds"]  # fmt: skip
    assert lines[5] == "b/a.jpg  fido      11        mean blur  cat    0.5  0.25    1.5"


def test_maps_of_pictures_of_one_name_are_told_apart_by_their_records(tmp_path):
    ledger = Ledger(tmp_path / "results.zarr" / "fido-11", 2, {})
    (tmp_path / "records").mkdir()
    for row, name in enumerate(("a.fido-x", "a.fido-y")):
        ledger.write([row], [name], pack(MAPS[[row]]))
        text = json.dumps(record("a.jpg", "fido", "11", row))
        (tmp_path / "records" / f"{name}.json").write_text(text)
    run = load_run(tmp_path)
    with pytest.raises(ValueError, match=r"choose one: run\['a.fido-x'\], run\['a.fido-y'\]$"):
        run["a.jpg"]
    np.testing.assert_array_equal(run["a.fido-y"].saliency, MAPS[1])
    np.testing.assert_array_equal(load_maps(tmp_path), MAPS[:2])  # all of one settings


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (lambda f: f / "nowhere", FileNotFoundError, "nowhere: there is no such folder"),
        (lambda f: f / "results.zarr", ValueError, "expected a folder of results of fidojax"),
    ],
)
def test_what_is_no_folder_of_results_is_one_sentence(folder, make, kind, said):
    with pytest.raises(kind, match=said):
        load_run(make(folder))


def test_a_map_that_is_gone_is_named(folder, tmp_path):
    folder = Path(shutil.copytree(folder, tmp_path / "copy"))
    ledger = Ledger(folder / "results.zarr" / "gradient-33", 0, {})
    ledger.forget([1])
    with pytest.raises(Exception, match=r"gradient-33 holds no map of a.jpg any more"):
        load_run(folder)["a", "gradient"]


def test_maps_of_several_settings_are_not_mixed(folder, tmp_path_factory):
    said = r"holds maps of 3 settings; expected one of results.zarr/fido-11, results.zarr/fido-22"
    with pytest.raises(ValueError, match=said):
        load_maps(folder)
    study = tmp_path_factory.mktemp("study")
    Ledger(study / "results.zarr" / "scores", 1, {})
    with pytest.raises(ValueError, match="this folder of results holds no maps yet"):
        load_maps(study)
    Ledger(study / "results.zarr" / "rows" / "fido", 1, {}).write([0], ["a"], pack(MAPS[:1]))
    np.testing.assert_array_equal(load_maps(study), MAPS[:1])
