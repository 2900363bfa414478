"""Regions on the command line, with a classifier that looks at one patch of the picture."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from jax.tree_util import Partial

from fidojax.cli import classifier as classifiers
from fidojax.cli import main
from fidojax.cli.job import prepare
from fidojax.cli.options import Explain, ExplainSeveral, UsageError
from fidojax.cli.several import settings_of
from fidojax.cli.warning import warnings_of
from fidojax.methods import METHOD_ROWS
from fidojax.networks import Pretrained
from fidojax.runs.ledger import find_ledger

PATCH = (slice(4, 8), slice(8, 12))
"""Where the classifier looks: 16 of 256 pixels, which are red in the picture."""
LABELS = ("red patch", "anything else", "never")
HOW = ("--method", "gradient", "--infill", "mean:color=0.0+mean:color=0.2")


def looks_at_a_patch(scale, images):
    red = images[(slice(None), *PATCH, 0)].mean(axis=(1, 2))
    evidence = scale * (red - 0.5)
    return jnp.stack([evidence, -evidence, evidence - 30], axis=1)


CLASSIFIER = Partial(looks_at_a_patch, jnp.float32(5.0))


def probability(image, target=0) -> float:
    return float(jax.nn.softmax(CLASSIFIER(jnp.asarray(image)[None])[0])[target])


@pytest.fixture(autouse=True)
def network(monkeypatch):
    monkeypatch.setattr(classifiers, "packaged_weights", lambda name: None)
    monkeypatch.setattr(
        classifiers,
        "load",
        lambda name, weights, layer: Pretrained(name, CLASSIFIER, LABELS, (16, 16, 3)),
    )


@pytest.fixture
def photo(tmp_path) -> Path:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[PATCH] = (255, 0, 0)
    pixels[12:] = (0, 200, 90)
    PIL.Image.fromarray(pixels).save(tmp_path / "patch.png")
    return tmp_path / "patch.png"


class Ran:
    """What a run left behind, and the exhibits of its figures."""

    def __init__(self, code, printed, out: Path, exhibits) -> None:
        self.code, self.out, self.err, self.exhibits = code, printed.out, printed.err, exhibits
        (path,) = (out / "records").glob("*.json")
        self.record = json.loads(path.read_text())
        self.page = (out / "index.html").read_text()
        found = find_ledger(out / self.record["map"]["ledger"])
        assert found is not None
        self.ledger = found


@pytest.fixture
def run(tmp_path, capfd, monkeypatch, photo):
    exhibits = []
    monkeypatch.setattr("fidojax.cli.run.figure", lambda exhibit: exhibits.append(exhibit))
    monkeypatch.setattr(
        "fidojax.cli.records.ResultsFolder.store",
        lambda self, name, record, *files: _stored(self, name, record),
    )

    def explain(*words) -> Ran:
        out = tmp_path / "out"
        code = main(["explain", str(photo), "--out", str(out), *HOW, *words])
        printed = capfd.readouterr()
        assert "Traceback" not in printed.err, printed.err[-1500:]
        return Ran(code, printed, out, exhibits)

    return explain


def _stored(folder, name, record) -> None:
    (folder.folder / "records" / f"{name}.json").write_text(json.dumps({**record, "files": {}}))


def test_the_region_is_stored_told_and_shown(run):
    ran = run()
    region = ran.record["region"]
    assert region["area"] == 16 / 256
    assert (region["infill"], region["edges"]) == (
        ["mean:color=0.0", "mean:color=0.2"], ["hard", "soft"],
    )  # fmt: skip
    assert np.shape(region["probability"]) == np.shape(region["without"]) == (2, 2)
    assert min(map(min, region["probability"])) >= 0.9 * ran.record["probability"]["image"]
    assert (region["hold"], region["objective"], region["why_none"]) == (0.9, "ssr", None)
    expected = np.zeros((16, 16), bool)
    expected[PATCH] = True
    np.testing.assert_array_equal(ran.ledger.read("region")[0], expected)
    np.testing.assert_allclose(ran.ledger.read("region_without")[0], region["without"])
    # On black and on dark grey, without the patch: the evidence is -2.5 and -1.5.
    assert region["without"][0][0] == pytest.approx(1 / (1 + np.exp(5)), 1e-3)
    assert region["without"][1][0] == pytest.approx(1 / (1 + np.exp(3)), 1e-3)
    said = "region 6.2 % of the picture: red patch 99.3 % (least of 4), without it 4.7 %"
    assert said in ran.err
    assert "regions hold 90.0 % under mean:color=0.0 and mean:color=0.2" in ran.out
    assert '<th class="number">region</th>' in ran.page
    assert "6.2 %" in ran.page
    (exhibit,) = ran.exhibits
    assert [(view.title, view.caption) for view in exhibit.views] == [
        ("the region alone: 6.2 %", "red patch 99.3 %\nleast of 4 fillings: 99.3 %"),
        ("the picture without it", "red patch 0.7 %"),
    ]
    np.testing.assert_array_equal(exhibit.views[0].region, expected)
    assert not exhibit.warning


SEARCH = ("--method", "fido", "--steps", "15", "--samples", "2", "--size", "16")


@pytest.mark.parametrize(
    ("fill", "objective", "method"),
    [
        ("mean:color=0.3", "ssr", ()),
        ("blur:sigma=2", "sdr", ()),
        ("random", "ssr", ()),
        ("random", "sdr", ()),
        ("random", "ssr", SEARCH),
    ],
)
def test_the_pictures_shown_are_those_that_were_evaluated(run, fill, objective, method):
    ran = run("--infill", fill, "--objective", objective, "--hold", "0.6", "--seed", "5", *method)
    region, (exhibit,) = ran.record["region"], ran.exhibits
    views = {view.title.partition(":")[0]: view for view in exhibit.views}
    alone = views["the region alone"]
    without = views["the picture without it" if objective == "ssr" else "without the region"]
    assert probability(alone.image) == pytest.approx(region["probability"][0][0], abs=1e-5)
    assert probability(without.image) == pytest.approx(region["without"][0][0], abs=1e-5)


def test_fido_searches_for_the_region_and_says_its_price(run):
    ran = run("--hold", "0.8", *SEARCH)
    assert ran.record["settings"]["options"]["hold"] == 0.8
    assert "region" not in ran.record["settings"]  # the method's own
    assert ran.record["settings"]["infill"] == ["mean:color=0.0", "mean:color=0.2"]
    region = ran.record["region"]
    assert region["hold"] == 0.8
    assert np.isfinite(region["price"])
    assert min(map(min, region["probability"])) >= 0.8 * ran.record["probability"]["image"]
    assert ran.ledger.read("region")[0].mean() == pytest.approx(region["area"])
    assert "infill mean:color=0.0 and mean:color=0.2, regions hold 80.0 %" in ran.out


@pytest.mark.parametrize(
    ("words", "said", "titles"),
    [
        (
            ["--objective", "sdr"],
            "region 6.2 % of the picture: without it red patch 4.7 % (most of 4), on it alone 99.3",
            ["without the region: 6.2 %", "the region alone"],
        ),
        (
            ["--objective", "dual", "--hold", "first"],
            "red patch 99.3 % (least of 4), without it 4.7 % (most of 4)",
            ["the region alone: 6.2 %", "the picture without it"],
        ),
        (["--hold", "first"], "region 6.2 % of the picture: red patch 99.3 % (least of 4)", None),
    ],
)
def test_each_objective_says_what_it_asked_for(run, words, said, titles):
    ran = run(*words)
    assert said in ran.err
    if titles:
        assert [view.title for view in ran.exhibits[0].views] == titles
    assert ran.record["region"]["hold"] == ("first" if "first" in words else 0.9)


SECOND = (slice(4, 8), slice(0, 4))


def either_patch(images):
    """The class is there as soon as one of two patches is red, the first one a little more so."""
    red = [images[(slice(None), *patch, 0)].mean(axis=(1, 2)) for patch in (PATCH, SECOND)]
    evidence = 12 * jnp.logaddexp(8 * red[0], 7.5 * red[1]) / 8 - 6
    return jnp.stack([evidence, -evidence, evidence - 30], axis=1)


@pytest.mark.parametrize("method", [(), SEARCH])
def test_several_regions_hold_by_themselves_and_do_not_overlap(run, monkeypatch, photo, method):
    pixels = np.array(PIL.Image.open(photo))
    pixels[SECOND] = (255, 0, 0)
    PIL.Image.fromarray(pixels).save(photo)
    monkeypatch.setattr(
        classifiers,
        "load",
        lambda name, weights, layer: Pretrained(name, Partial(either_patch), LABELS, (16, 16, 3)),
    )
    ran = run("--regions", "3", *method)
    regions = ran.record["regions"]
    assert len(regions) >= 2
    assert regions[0] == ran.record["region"]
    masks = ran.ledger.read("region")[0]
    assert masks.shape == (3, 16, 16)
    assert (masks.sum(axis=0) <= 1).all()
    for mask, found in zip(masks, regions, strict=False):
        assert mask.mean() == pytest.approx(found["area"])
        assert min(map(min, found["probability"])) >= 0.9 * ran.record["probability"]["image"]
    if not method:
        assert len(regions) == 2
        assert masks[0][PATCH].all()
        assert masks[1][SECOND].all()
    titles = [view.title.partition(":")[0] for view in ran.exhibits[0].views]
    assert titles == [f"region {number} alone" for number in range(1, len(regions) + 1)]
    assert "region 1: " in ran.err
    assert "region 2: " in ran.err
    assert ran.record["settings"]["regions"] == 3


def test_without_a_hold_there_is_no_region(run):
    ran = run("--hold", "none", "--method", "occlusion", "--infill", "mean:color=0.0")
    assert ran.record["region"] is None
    assert "region" not in ran.ledger.names
    assert "region" not in ran.record["settings"]
    assert '<th class="number">region</th>' not in ran.page
    assert "region" not in ran.out + ran.err
    assert not ran.exhibits[0].views


def test_where_no_region_holds_all_say_why(run):
    ran = run("--target", "never")
    region = ran.record["region"]
    assert (region["area"], region["level"]) == (None, None)
    assert "the classifier does not know the class" in region["why_none"]
    sentence = f"no region holds: {region['why_none']}"
    assert ran.record["warnings"] == [sentence]
    assert sentence in " ".join(ran.err.split())
    assert ran.exhibits[0].warning == sentence
    assert not ran.exhibits[0].views
    assert "1 picture without a region that holds" in ran.out
    assert not ran.ledger.read("region")[0].any()
    assert np.isnan(ran.ledger.read("region_area")[0])
    # Without a figure, the page says it.
    assert '<div class="warned"><p>no region holds: the classifier does not' in ran.page


@pytest.mark.parametrize(
    ("asked", "infill", "region"),
    [
        ({}, None, (0.9, "ssr", ["mean", "blur"])),
        ({"hold": "none"}, None, None),
        ({"method": "max_box"}, None, None),
        ({"method": "max_box", "hold": "0.5"}, None, (0.5, "ssr", ["mean", "blur"])),
        ({"infill": ("local",), "objective": "dual"}, None, (0.9, "dual", ["local"])),
        ({"method": "bbmp", "objective": "sdr"}, "mean", (0.9, "sdr", ["mean", "blur"])),
        ({"method": "meaningful_perturbation"}, "mean", (0.9, "sdr", ["mean", "blur"])),
        ({"method": "pda"}, "mean", (0.9, "ssr", ["mean", "blur"])),
        ({"classifier": "mnist"}, None, (0.9, "ssr", ["mean:color=0.0"])),
    ],
)
def test_what_a_region_has_to_hold_and_where_it_is_a_setting(asked, infill, region):
    settings = prepare(Explain(**({"method": "gradient"} | asked))).settings
    assert settings["infill"] == infill
    found = settings.get("region")
    assert (found and (found["hold"], found["objective"], found["infill"])) == region


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"hold": "1.5"}, '--hold is \'1.5\', expected a share between 0 and 1, "first" or "none"'),
        ({"hold": "most"}, "--hold is 'most'"),
        ({"objective": "duel"}, "--objective: there is no 'duel'; did you mean dual?"),
        ({"infill": ("mean", "mean")}, "--infill: mean is given more than once"),
        ({"hold": "none", "objective": "ssr"}, "--objective: the method gradient has no such"),
        ({"target": ("never", "2")}, "--target: never and 2 are not different classes"),
        ({"target": ("never", "nothing")}, "no class is called 'nothing'"),
        ({"target": ("never", "0"), "regions": 2}, "--target: several classes are compared by one"),
        ({"target": ("never", "0"), "hold": "none"}, "--target: several classes are compared"),
        ({"regions": 5}, "--regions is 5, expected 1 to 4"),
        ({"regions": 2, "hold": "none"}, "--regions: without --hold there is no region"),
        ({"hold": "none", "infill": ("blur",)}, "the method gradient fills nothing in"),
    ],
)
def test_what_no_region_can_hold_is_one_sentence(asked, sentence):
    with pytest.raises(UsageError) as caught:
        prepare(Explain(method="gradient", **asked))
    assert sentence in str(caught.value)


def test_pictures_behind_the_infillers_are_pictures(photo):
    (asked,) = settings_of(ExplainSeveral(infill=("blur", str(photo), "skimage:coffee")))
    assert (asked.infill, asked.paths) == (("blur",), (str(photo), "skimage:coffee"))
    asked, other = settings_of(ExplainSeveral(target=("never", "0", str(photo))))
    assert (asked.target, asked.paths) == (("never", "0"), (str(photo),))
    assert other.target == ("0", "never")
    (asked,) = settings_of(ExplainSeveral(method=("gradient", str(photo))))
    assert (asked.method, asked.paths) == ("gradient", (str(photo),))
    with pytest.raises(UsageError, match="there is no 'bloor'; did you mean blur"):
        prepare(Explain(infill=("bloor",)))


FLAT, RAMP = np.zeros((2, 2)), np.arange(4.0).reshape(2, 2)


@pytest.mark.parametrize(
    ("method", "options", "saliency", "kept", "shown", "expected"),
    [
        ("gradient", {}, RAMP, None, None, []),
        ("gradient", {}, FLAT, None, None, ["the map is empty: it has the same value everywhere"]),
        ("max_box", {}, FLAT, None, None, []),  # that is what it is
        ("fido", {"objective": "ssr"}, RAMP, 0.3, 0.7, []),
        ("fido", {"objective": "ssr"}, RAMP, 0.3, 0.2,
         ["cat is lost on the kept pixels alone: 20.0 % of 80.0 %"]),
        ("fido", {"objective": "ssr"}, RAMP, 0.0, 0.2,
         ["the map is empty: it keeps no pixel",
          "cat is lost on the kept pixels alone: 20.0 % of 80.0 %"]),
        ("fido", {"objective": "sdr"}, RAMP, 0.9, 0.1, []),
        ("fido", {"objective": "sdr"}, RAMP, 1.0, 0.8,
         ["the map is empty: it drops no pixel",
          "cat stays on the picture without the dropped pixels: 80.0 % of 80.0 %"]),
    ],
)  # fmt: skip
def test_an_empty_map_and_a_class_that_is_lost_are_said(
    method, options, saliency, kept, shown, expected
):
    record = {
        "region": None, "kept_area": kept, "probability": {"image": 0.8, "mixture": shown},
        "target": {"name": "cat"},
    }  # fmt: skip
    assert list(warnings_of(METHOD_ROWS[method], options, record, saliency)) == expected
