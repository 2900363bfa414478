"""Scores of regions against planted classifiers, rows from text, and the protocol on pictures."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from conftest import beside_zero
from jax.tree_util import Partial

import infillers
from eval.holding_scores import Judge, boxed, holding_scores, record_region
from eval.intervals import ratio
from eval.judges import resized
from eval.report.reading import read
from eval.row_specs import row_of_spec
from eval.run import main
from eval.scores import Maps, pieces
from eval.speckle import speckle, spread
from eval.study import StudyRow
from eval.subject import Drawn
from fidojax import networks
from fidojax.presets import PRESETS

SIDE = 12
NEEDED = np.zeros((SIDE, SIDE), np.float32)
NEEDED[2:6, 3:8] = 1
DARK = np.zeros((SIDE, SIDE), np.float32)
DARK[7:10, 1:6] = 1
IMAGE = (1 - DARK)[..., None]
BLACK, WHITE = infillers.mean(0.0), infillers.mean(1.0)
ORDER = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)


def bright_on_dark(needed, dark, images):
    """The class is there if the needed pixels are bright and the dark ones dark."""
    grey = images[..., 0]
    seen = [(grey * part).sum((1, 2)) / part.sum() for part in (needed, dark)]
    return beside_zero(400 * (seen[0] - seen[1] - 1) + 9)


CLASSIFIER = Partial(bright_on_dark, jnp.asarray(NEEDED), jnp.asarray(DARK))
NOBODY = Partial(lambda images: jnp.zeros((len(images), 2)))


ROW = StudyRow("fido", {})


def given(*maps, row=ROW, columns=None):
    count = len(maps)
    zeros = np.zeros(count, int)
    boxes: list[np.ndarray | None] = [np.array([[2, 3, 6, 8]])] * count
    drawn = Drawn([str(i) for i in range(count)], np.stack([IMAGE] * count), zeros, zeros, boxes)
    lookup = (columns or {}).__getitem__
    return Maps(CLASSIFIER, drawn, zeros, np.stack(maps), row, 0, column=lookup)


PERFECT = 2 * NEEDED + DARK + 0.5 * ORDER
JUDGES = {
    "black": Judge((BLACK,)),
    "white": Judge((WHITE,)),
    "other": Judge((BLACK,), NOBODY),
}


def test_the_region_is_judged_by_those_that_took_no_part():
    scores = holding_scores(JUDGES, holds=(0.5, 0.9), boxes=True)
    found = scores.compute(given(PERFECT, np.full_like(PERFECT, np.nan)))
    np.testing.assert_allclose(found["areas"], [[20 / 144] * 2, [np.nan] * 2], rtol=1e-6)
    np.testing.assert_array_equal(found["region"], [NEEDED, 0 * NEEDED])
    np.testing.assert_array_equal(found["components"], [1, np.nan])
    np.testing.assert_array_equal(found["total_variation"], [18, np.nan])
    np.testing.assert_allclose(found["area"], [20 / 144, np.nan], rtol=1e-6)
    held = [found[f"held{at}"] for at in range(3)]
    # White fills the dark part, too; the other network does not know the class.
    np.testing.assert_array_equal(held, [[1, 0], [0, 0], [np.nan, np.nan]])
    np.testing.assert_array_equal(found["held_controls"], np.zeros((2, 3)))
    p = float(jax.nn.sigmoid(9.0))
    np.testing.assert_allclose(found["alone0"], [p, np.nan], rtol=1e-4)
    np.testing.assert_allclose(found["alone1"], [0, np.nan], atol=1e-6)
    np.testing.assert_allclose(found["without0"], [0, np.nan], atol=1e-6)
    np.testing.assert_allclose(found["outside"], [0, np.nan])
    # All brightness of 20 of 129 bright pixels; the region's border, the dark part has none.
    np.testing.assert_allclose(found["conciseness"], [129 / 20, np.nan], rtol=1e-4)
    assert 0 < found["hallucination"][0] <= 1
    assert np.isnan(found["hallucination"][1])
    numbers = {key: number.label for key, number in scores.numbers.items()}
    assert numbers["held, white"] == "class holds, white"
    assert {number.column for number in scores.numbers.values()} <= set(found)


@pytest.mark.parametrize(
    ("region", "components", "border"),
    [
        (["....", "....", "...."], np.nan, np.nan),
        (["####", "####", "####"], 1, 0),
        ([".#..", "....", "...."], 1, 3),
        ([".##.", ".##.", "...."], 1, 6),
        (["#...", ".#..", "...."], 2, 6),  # touching corners do not connect
        (["#.#.", "....", ".#.#"], 4, 10),
    ],
)
def test_speckle_is_counted(region, components, border):
    mask = np.array([[char == "#" for char in line] for line in region], np.float32)
    found = speckle(np.stack([mask, np.ones_like(mask)]))
    np.testing.assert_array_equal(found["components"], [components, 1])
    np.testing.assert_array_equal(found["total_variation"], [border, 0])


def test_spread_is_the_distance_from_the_centre():
    rows, columns = np.mgrid[:40, :30]
    disc = (rows - 20) ** 2 + (columns - 12) ** 2 <= 10**2
    apart = np.zeros_like(disc)
    apart[[0, 39], 15] = True
    found = spread(np.stack([disc, apart, 0 * disc]).astype(np.float32))
    np.testing.assert_allclose(found, [10 / np.sqrt(2) / 50, 19.5 / 50, np.nan], rtol=0.02)


def test_pieces_are_of_masks_alone():
    maps = np.zeros((2, *IMAGE.shape[:2]), np.float32)
    maps[0, :2, :2] = maps[0, -1, -1] = 0.6
    maps[0, 0, 5] = 0.4
    found = pieces().compute(given(*maps, row=StudyRow("fido", {}, cut="absolute")))
    np.testing.assert_array_equal(found["components"], [2, np.nan])
    np.testing.assert_array_equal(found["total_variation"], [6, np.nan])
    found = pieces().compute(given(*maps, row=StudyRow("gradient", {}, cut="mean")))
    assert all(np.isnan(column).all() for column in found.values())


def test_a_region_that_the_method_has_read_out_is_shown_as_it_is():
    wide = np.zeros_like(NEEDED)
    wide[1:7, 2:9] = 1
    region = SimpleNamespace(mask=np.stack([wide, np.full_like(wide, np.nan), NEEDED - ORDER]))
    recorded = record_region(SimpleNamespace(region=region))["region"]
    np.testing.assert_array_equal(recorded[:2], [wide, 0 * wide])
    row = StudyRow("fido", {}, record=record_region)
    shown = given(PERFECT, PERFECT, row=row, columns={"region": recorded[:2]})
    found = holding_scores(JUDGES).compute(shown)
    np.testing.assert_array_equal(found["region"], recorded[:2])
    np.testing.assert_allclose(found["area"], [42 / 144, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found["areas"], 20 / 144, rtol=1e-6)
    np.testing.assert_array_equal(found["held0"], [1, 0])


def test_deletion_and_both_at_once():
    for objective, count in (("sdr", 1), ("dual", 20)):
        scores = holding_scores({"black": JUDGES["black"]}, objective=objective)
        found = scores.compute(given(PERFECT))
        assert found["held0"] == 1
        assert found["area"][0] == pytest.approx(count / 144)


def test_places_of_the_order():
    found = boxed().compute(given(NEEDED + 0.5 * ORDER, DARK + 0.5 * ORDER))
    np.testing.assert_array_equal(found["pointing"], [1, 0])
    np.testing.assert_array_equal(found["tenth"], [0, 1])


def test_ratios_are_paired():
    theirs = np.linspace(1, 2, 20)
    found = ratio(0.25 * theirs, theirs)
    np.testing.assert_allclose(found, 0.25)


@pytest.mark.parametrize(
    ("spec", "method", "options"),
    [
        ("fido@fast:steps=7", "fido", PRESETS["fast"] | {"steps": 7, "infill": "mean"}),
        ("fido@paper:infill=blur", "fido", {"infill": "blur"}),
        ("bbmp", "bbmp", {"infill": "mean"}),
        ("rise:samples=30", "rise", {"samples": 30, "chunk": 16}),
        ("meaningful_perturbation", "meaningful_perturbation", {"infill": "blur"}),
        ("centre", "centre", {}),
    ],
)
def test_rows_are_written_as_text(spec, method, options):
    row = row_of_spec(spec, ("mean", "blur"), "ssr")
    options = dict(options)
    if "infill" in options:
        options["infill"] = infillers.make_infill(options["infill"])
    if method in ("fido", "bbmp"):
        options["objective"] = "ssr"
    assert row.name == method
    assert row.options.keys() == options.keys()
    same = jax.tree.map(lambda ours, theirs: bool(np.all(ours == theirs)), row.options, options)
    assert all(jax.tree.leaves(same))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("fidoo", "rows: there is no 'fidoo'; did you mean fido"),
        ("fido@fats", "there is no 'fats'; did you mean fast"),
        ("rise:sample=3", "there is no 'sample'; did you mean samples"),
        ("rise:3", "expected METHOD.*got 'rise:3'"),
    ],
)
def test_rows_that_are_none_are_refused(spec, says):
    with pytest.raises(ValueError, match=says):
        row_of_spec(spec, ("mean",), "ssr")


def test_a_judge_of_another_size_sees_resized_pictures():
    images = jnp.arange(8.0).reshape(1, 2, 4, 1)
    found = resized((4, 8, 1), lambda images: images.mean((1, 2)), images)
    np.testing.assert_allclose(found, [[3.5]], rtol=1e-6)


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Noise with a table of boxes whose labels are what the network takes it for."""
    folder = tmp_path_factory.mktemp("pictures") / "photos"
    noise = np.random.default_rng(1).integers(0, 256, (3, 28, 28), np.uint8)
    seen = networks.load("mnist").classifier(noise[..., None].astype(np.float32) / 255).argmax(-1)
    lines = ["file,class,x0,y0,x1,y1"]
    for i, (picture, label) in enumerate(zip(noise, np.asarray(seen), strict=True)):
        (folder / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        name = f"{'ab'[i % 2]}/picture{i}.png"
        PIL.Image.fromarray(picture).save(folder / name)
        lines.append(f"{name},{label},4,4,20,24")
    (folder / "boxes.csv").write_text("\n".join(lines))
    return folder


def test_the_protocol_goes_on_where_it_was(pictures, tmp_path, capsys):
    command = [
        "holding", "--data", pictures, "--boxes", pictures / "boxes.csv", "--out", tmp_path / "out",
        "--classifier", "mnist", "--crop", 1, "--infill", "mean:color=0.0", "--unseen", "random",
        "--judge", "mnist", "--rows", "gradient", "random", "--against", "random",
        "--again", "random", "--limit",
    ]  # fmt: skip
    assert run(*command, 2) == 0, capsys.readouterr().err
    before = read(tmp_path / "out")
    assert run(*command, 3) == 0
    stored = read(tmp_path / "out")
    assert len(stored) == 3
    areas = stored.values("area 0.9", "gradient")
    np.testing.assert_array_equal(areas[:2], before.values("area 0.9", "gradient"))
    assert ((areas > 0) & (areas <= 1)).all()
    for row in ("gradient", "random"):
        assert (stored.values("area 0.5", row) <= stored.values("area 0.9", row)).all()
        # The judge that is the network itself, and sees the same fill, says the same.
        own, other = (np.array(stored.column("holding", row, f"alone{at}")) for at in (0, 2))
        np.testing.assert_allclose(other, own, rtol=1e-4)
        np.testing.assert_array_equal(stored.values("held, mnist", row), 1)
        assert np.isfinite(stored.values("outside", row)).all()
        assert np.isfinite(stored.values("pointing", row)).all()
    areas, p, held, seeds = stored.tables.values()
    assert [line["row"] for line in areas] == ["gradient", "random, another seed"]
    assert [line["row"] for line in seeds] == ["random"]
    shown = ["random of its area", "blobs of its area", "centre of its area"]
    assert [*held[0]] == ["row", "the region", *shown]
    assert held[0]["the region"] == "1.000 [1.000, 1.000]"
    assert [*p[0]][1:5] == ["the picture", "mean:color=0.0", "random infill", "mnist"]
    assert (stored.values("spearman", "random, another seed") < 0.2).all()
