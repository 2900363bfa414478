"""Several methods, infills and classes in one command: the settings, the numbers, the page."""

import json
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from jax.tree_util import Partial

import infillers
from fidojax import measure_batch
from fidojax.cli import classifier as classifiers
from fidojax.cli import main
from fidojax.cli.options import ExplainSeveral
from fidojax.cli.page_settings import headings
from fidojax.cli.several import settings_of
from fidojax.networks import Pretrained
from fidojax.runs.ledger import find_ledger
from fidojax.runs.maps import read_maps

LABELS = ("red patch", "other patch", "never")
PATCHES = (slice(4, 8), slice(8, 12)), (slice(4, 8), slice(0, 4))


def one_patch_each(images):
    """Each of two classes has a patch of its own; both are equally likely."""
    red = [images[(slice(None), *patch, 0)].mean(axis=(1, 2)) for patch in PATCHES]
    return jnp.stack([8 * red[0], 8 * red[1], 0 * red[0]], axis=1)


@pytest.fixture
def photo(tmp_path, monkeypatch) -> Path:
    """A picture with both patches; the classifier is `one_patch_each`."""
    network = Pretrained("two", Partial(one_patch_each), LABELS, (16, 16, 3))
    monkeypatch.setattr(classifiers, "packaged_weights", lambda name: None)
    monkeypatch.setattr(classifiers, "load", lambda name, weights, layer: network)
    pixels = np.zeros((16, 16, 3), np.uint8)
    for patch in PATCHES:
        pixels[patch] = (255, 0, 0)
    PIL.Image.fromarray(pixels).save(tmp_path / "patches.png")
    return tmp_path / "patches.png"


@pytest.mark.parametrize(
    ("asked", "settings"),
    [
        ({}, [("fido", (), ())]),
        ({"infill": ("mean+blur:sigma=1e+1",)}, [("fido", ("mean", "blur:sigma=1e+1"), ())]),
        (
            {"method": ("gradient", "rise"), "infill": ("mean", "mean+blur")},
            [("gradient", ("mean",), ()), ("gradient", ("mean", "blur"), ()),
             ("rise", ("mean",), ()), ("rise", ("mean", "blur"), ())],
        ),
        ({"target": ("cat", "dog")}, [("fido", (), ("cat", "dog")), ("fido", (), ("dog", "cat"))]),
        ({"method": ("fido", "fido")}, [("fido", (), ())]),
        (
            {"method": ("fido", "max_box"), "infill": ("mean", "blur"), "target": ("cat", "dog"),
             "regions": 2},
            [("fido", ("mean",), ("cat",)), ("fido", ("mean",), ("dog",)),
             ("fido", ("blur",), ("cat",)), ("fido", ("blur",), ("dog",)),
             ("max_box", (), ("cat",)), ("max_box", (), ("dog",))],
        ),
        (
            {"method": ("varsal", "gradient"), "target": ("cat",)},
            [("varsal", (), ()), ("gradient", (), ("cat",))],
        ),
    ],
)  # fmt: skip
def test_every_combination_is_a_setting(asked, settings):
    found = settings_of(ExplainSeveral(**asked))
    assert [(one.method, one.infill, one.target) for one in found] == settings
    assert all(one.numbers == (len(settings) > 1) for one in found)


def test_an_option_goes_to_the_methods_that_have_it():
    asked = ExplainSeveral(
        method=("fido", "grad_cam"), steps=3, preset="fast", set=("b2=0.9", "nothing=1")
    )
    fido, grad_cam = settings_of(asked)
    assert (fido.steps, fido.preset, fido.set) == (3, "fast", ("b2=0.9", "nothing=1"))
    assert (grad_cam.steps, grad_cam.preset, grad_cam.set) == (None, None, ("nothing=1",))
    (alone,) = settings_of(ExplainSeveral(method=("grad_cam",), steps=3))
    assert alone.steps == 3  # which it refuses
    with pytest.raises(ValueError, match="--method: there is no 'fibo'; did you mean fido"):
        settings_of(ExplainSeveral(method=("gradient", "fibo")))


FILL = "mean:color=0.0"


@pytest.fixture
def ran(photo, tmp_path, capfd):
    """Two methods for two classes."""
    words = ("--method", "gradient", "center_box", "--target", "red patch", "1", "--infill", FILL)
    out = tmp_path / "out"

    def run(*more) -> tuple[int, str, str]:
        code = main(["explain", str(photo), "-o", str(out), *words, *more])
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return run, out


def records(out: Path) -> list[dict]:
    found = [json.loads(path.read_text()) for path in sorted((out / "records").glob("*.json"))]
    return sorted(found, key=lambda one: (one["settings"]["method"], one["target"]["index"]))


def test_two_methods_for_two_classes_stand_side_by_side(ran, photo):
    run, out = ran
    code, said, _ = run()
    assert (code, said.count("1 picture explained"), said.count("See ")) == (0, 4, 1)
    assert "Setting 4 of 4" in said
    found = records(out)
    assert [one["settings"]["target"] for one in found] == [0, 1, [0, 1], [1, 0]]
    page = (out / "index.html").read_text()
    heads = re.findall("<h3>(.*)</h3>", page)
    assert heads == [
        f"gradient · region under {FILL} · class red patch",
        f"gradient · region under {FILL} · class other patch",
        "center_box · class red patch",
        "center_box · class other patch",
    ]
    assert page.count('<section class="photo">') == 1
    assert "<dd>red patch, other patch</dd>" in page
    assert page.count("<dt>smallest share</dt>") == page.count("<dt>deletion</dt>") == 4
    assert page.count("class=best") == 4  # each number, for each class
    for one in found:
        with PIL.Image.open(out / one["files"]["small"]) as small:
            assert small.width >= 200
        assert f'src="{one["files"]["small"]}"' in page

    # On the region of one class the other is gone, and without it the other takes all.
    own, gone = 1 / (1 + 2 * np.exp(-8)), 1 / (2 + np.exp(8))
    for one in found[2:]:
        first, second = one["classes"]
        assert [first["name"], second["name"]] == [one["target"]["name"], *(
            {*LABELS[:2]} - {one["target"]["name"]}
        )]  # fmt: skip
        assert first["alone"][0] == pytest.approx(own, 1e-2)
        assert second["alone"] == pytest.approx([gone, gone], 1e-2)
        assert second["without"][1] == pytest.approx(own, 1e-2)
        assert first["probability"] == pytest.approx(1 / (2 + np.exp(-8)), 1e-3)


def test_the_numbers_do_not_depend_on_the_setting(ran, photo):
    run, out = ran
    run()
    before = records(out)
    with PIL.Image.open(photo) as shown:
        image = np.asarray(shown, np.float32)[None] / 255
    fills = infillers.mean(), infillers.blur()
    for one in before:
        ledger = find_ledger(out / one["map"]["ledger"])
        assert ledger is not None
        maps, classes = read_maps(ledger), [one["target"]["index"]]
        held = measure_batch(
            "region", Partial(one_patch_each), image, classes, maps,
            options={"infill": fills}, ids=["patches.png"],
        )  # fmt: skip
        gone = measure_batch(
            "deletion", Partial(one_patch_each), image, classes, maps, ids=["patches.png"],
            options={"infill": fills[0], "steps": 24, "grid": "geometric", "score": "probability"},
        )  # fmt: skip
        assert one["numbers"]["smallest_share"] == pytest.approx(float(held.area[0]), 1e-3)
        assert one["numbers"]["deletion"] == pytest.approx(float(gone.auc[0]), 1e-3)
    # Where a record has none, as of a run of one setting, they are measured of the stored map.
    (path, *_) = (out / "records").glob("*.json")
    stored = json.loads(path.read_text())
    known = stored.pop("numbers")
    path.write_text(json.dumps(stored))
    code, said, _ = run()
    assert (code, said.count("1 already explained")) == (0, 4)
    assert json.loads(path.read_text())["numbers"] == pytest.approx(known, 1e-2)


def stored(
    method="fido", target: object = "prediction", names=(), preset: str | None = "hold", **options
):
    settings = {
        "method": method, "preset": preset, "options": options, "infill": ["mean", "blur"],
        "classifier": "tiny", "target": target, "seed": 0,
    }  # fmt: skip
    return {"settings": settings, "target_names": list(names)}


def test_headings_say_what_differs_from_the_preset_and_from_each_other():
    plain = stored(objective="ssr", steps=40, samples=2)
    more = stored(objective="ssr", steps=50, samples=2)
    cat = stored(target=[3, 4], names=["cat", "dog"], objective="ssr", steps=40, samples=2)
    other = stored("grad_cam", preset=None)
    said = headings([plain, more, cat, other])
    assert said.whole[1] == (
        "fido · ssr · infill mean and blur · preset hold · tiny · predicted class · steps 50"
    )
    assert said.own == [
        "fido · ssr · preset hold · predicted class · steps 40",
        "fido · ssr · preset hold · predicted class · steps 50",
        "fido · ssr · preset hold · class cat",
        "grad_cam · predicted class",
    ]
    assert said.shared == "infill mean and blur · tiny"
    assert headings([plain]).own == ["fido"]
    assert headings([plain]).whole == ["fido · ssr · infill mean and blur · preset hold · tiny"]


def test_a_seed_that_differs_tells_two_settings_apart():
    one, other = stored(), stored()
    other["settings"] |= {"seed": 7}
    assert headings([one, other]).own == ["seed 0", "seed 7"]


def test_one_setting_has_no_numbers_unless_asked(photo, tmp_path):
    words = ["explain", str(photo), "-m", "center_box", "--no-figures", "-o", str(tmp_path / "out")]
    assert main(words) == 0
    assert "numbers" not in records(tmp_path / "out")[0]
    assert main([*words, "--numbers"]) == 0
    assert records(tmp_path / "out")[0]["numbers"].keys() == {"smallest_share", "deletion"}
