"""Boxes, localisation metrics and the protocol of FIDO's Table 1."""

import json
import shutil
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import skimage.measure
import zarr
from jax.tree_util import Partial

import infillers
from eval import explainers, judging, subject
from eval.judging import outside
from eval.protocols.fido_table1 import fido_table1
from eval.subject import StudyRun
from fidojax import metrics, networks
from fidojax.core import boxes as geometry
from fidojax.data import Picture
from fidojax.data.boxes import padded
from fidojax.metrics.localisation import choose
from fidojax.metrics.saliency_metric import crop
from fidojax.runs.ledger import Ledger

# The package exports a function of the same name.

SHAPE = (7, 9)
BOXES = ([2, 3, 5, 7], [0, 0, 3, 4], [4, 5, 7, 9], [0, 0, 7, 9], [6, 8, 7, 9], [3, 0, 4, 9])
"""In the middle, in two corners, everywhere, one pixel, and from border to border."""


def a_map(box, inside=1.0, outside=0.0, shape=SHAPE):
    found = np.full(shape, outside, np.float32)
    found[box[0] : box[2], box[1] : box[3]] = inside
    return jnp.asarray(found)


def noise(seed=0, shape=SHAPE):
    return jnp.asarray(np.random.default_rng(seed).random(shape, np.float32))


CHOICE = ("rule", "empty", "component")


def _no_classes(images):
    return jnp.zeros((len(images), 2))


def on_boxes(metric, *static):
    """The compiled metric of a map and its boxes, for a picture that has no effect."""

    @partial(jax.jit, static_argnames=static)
    def measure(saliency, boxes, **options):
        picture = jnp.zeros((*saliency.shape, 1))
        given = jax.random.key(0), Partial(_no_classes), picture, 0, saliency
        return metric(*given, boxes=boxes, **options)

    return measure


localise = on_boxes(metrics.localisation, *CHOICE)
judge = jax.jit(metrics.saliency_metric, static_argnames=(*CHOICE, "interpolation"))
_point = on_boxes(metrics.pointing_game, "ties")
_mass = on_boxes(metrics.relevance_mass, "sign")
_rank = on_boxes(metrics.relevance_rank, "count")
_auc = on_boxes(metrics.roc_auc)


def point(saliency, boxes, **options):
    return _point(saliency, boxes, **options).hit


def mass(saliency, boxes, **options):
    return _mass(saliency, boxes, **options).share


def rank(saliency, boxes, **options):
    return _rank(saliency, boxes, **options).share


def auc(saliency, boxes):
    return _auc(saliency, boxes).auc


@jax.jit
def all_numbers(saliency, boxes):
    found = localise(saliency, boxes, threshold=1.2, rule="mean")
    return {
        "iou": found.iou,
        "hit": found.hit,
        "outside": found.outside,
        "chosen": found.chosen,
        "pointing": point(saliency, boxes),
        "near": point(saliency, boxes, tolerance=1.5),
        "mass": mass(saliency, boxes),
        "rank": rank(saliency, boxes),
        "auc": auc(saliency, boxes),
    }


def everything(saliency, boxes) -> dict[str, float]:
    """All numbers that know no classifier, of one picture."""
    return {name: float(value) for name, value in all_numbers(saliency, boxes).items()}


def test_numbers_of_other_libraries_on_a_linear_model():
    one = (jnp.arange(16.0).reshape(4, 4) - 4) / 10
    found: dict[str, list] = {}
    for box, own in (([2, 2, 4, 4], one), ([0, 0, 2, 2], 2 * one)):
        boxes = jnp.array([box])
        for name, value in {
            "auc": auc(own, boxes),
            "top": rank(own, boxes, count=4),
            "rank": rank(own, boxes),
            "signed": mass(own, boxes, sign="signed"),
            "absolute": mass(own, boxes, sign="absolute"),
        }.items():
            found.setdefault(name, []).append(float(value))
    expected = {
        "auc": [11 / 12, 1 / 12],
        "top": [0.5, 0],
        "rank": [0.5, 0],
        "signed": [0.6071428571, -0.1071428571],
        "absolute": [0.4473684211, 0.1052631579],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6, err_msg=name)


def test_numbers_of_other_libraries_on_hand_made_maps():
    whole, square = (224, 224), [50, 50, 150, 150]
    boxes = jnp.array([square])
    bright = jnp.maximum(a_map(square, shape=whole), 0.099 * noise(shape=whole))
    assert point(bright, boxes) == 1
    assert rank(bright, boxes) == 1
    assert rank(bright, boxes, count=10_000) == 1
    assert rank(bright, boxes, count=40_000) == pytest.approx(0.25, abs=1e-6)
    assert auc(bright, boxes) == pytest.approx(1, abs=1e-4)
    assert mass(a_map(square, shape=whole), boxes) == 1
    stripe = a_map([0, 75, 100, 100], shape=whole)
    boxes = jnp.array([[0, 50, 50, 100]])
    assert rank(stripe, boxes, count=2500) == pytest.approx(0.5, abs=1e-6)
    assert mass(stripe, boxes) == pytest.approx(0.5, abs=1e-6)
    quarter = a_map([112, 112, 224, 224], shape=whole)
    assert auc(quarter, jnp.array([[0, 0, 112, 112]])) == pytest.approx(1 / 3, abs=1e-4)


def _sure(probability, images):
    """The same probability of class 0 for every picture."""
    odds = jnp.log(jnp.stack([probability, 1 - probability]))
    return jnp.broadcast_to(odds, (len(images), 2))


def test_the_saliency_metric_by_hand():
    image, side = noise(shape=(10, 10, 3)), {0.01: 1, 0.25: 5, 1.0: 10}
    cases = {(0.01, 0.5): -2.302585093, (0.25, 1 - 1e-7): -1.386294361, (1.0, 0.5): 0.693147181}
    for (area, p), expected in cases.items():
        box = jnp.array([0, 0, side[area], side[area]])
        found = metrics.box_metric(Partial(_sure, jnp.float32(p)), image, 0, box)
        assert found.value == pytest.approx(expected, abs=1e-5)
        assert found.area == pytest.approx(area, abs=1e-7)


@pytest.mark.parametrize("box", BOXES)
def test_a_perfect_map_is_perfect_wherever_the_object_is(box):
    boxes = jnp.array([box])
    found = localise(a_map(box), boxes)
    assert found.box.tolist() == box
    assert (found.iou, found.hit, found.outside) == (1, 1, 0)
    assert found.chosen == a_map(box).mean()
    for ties in ("share", "first", "any"):
        assert point(a_map(box), boxes, ties=ties) == 1
    assert mass(a_map(box), boxes) == 1
    assert rank(a_map(box), boxes) == pytest.approx(1, abs=1e-6)


def test_perfect_beats_random_beats_inverted():
    boxes = jnp.array([BOXES[0]])
    perfect = everything(a_map(BOXES[0]), boxes)
    random = [everything(noise(seed), boxes) for seed in range(20)]
    inverted = everything(1 - a_map(BOXES[0]), boxes)
    for name in ("iou", "pointing", "near", "mass", "rank", "auc"):
        middle = np.mean([each[name] for each in random])
        assert perfect[name] > middle > inverted[name], name
    assert perfect["outside"] < np.mean([each["outside"] for each in random]) < inverted["outside"]


def test_boxes_and_components_are_those_of_other_libraries():
    label: Any = scipy.ndimage.label
    largest = jax.jit(geometry.largest_component)
    tightest = jax.jit(geometry.bounding_box, static_argnames="component")
    for seed in range(20):
        on = noise(seed, (12, 17)) > 0.5 + 0.02 * seed
        labels, _ = label(np.asarray(on))
        parts: Any = skimage.measure.regionprops(labels)
        best = max(parts, key=lambda part: part.area)  # the first of the largest
        np.testing.assert_array_equal(largest(on), labels == best.label)
        assert tightest(on, component="largest").tolist() == list(best.bbox)
        (whole,) = skimage.measure.regionprops(np.asarray(on).astype(int))
        assert tightest(on).tolist() == list(whole.bbox)


def test_the_largest_component_is_found_around_corners():
    spiral = np.zeros((9, 9), bool)
    spiral[0] = spiral[:, 8] = spiral[8] = spiral[2:, 0] = spiral[2, :7] = spiral[2:7, 6] = True
    spiral[6, 2:7] = True
    alone = spiral.copy()
    alone[4, 2:5] = True
    np.testing.assert_array_equal(geometry.largest_component(jnp.array(alone)), spiral)
    two = jnp.array([[True, False, True]])
    assert geometry.largest_component(two).tolist() == [[True, False, False]]


def test_auc_is_the_rank_sum_statistic():
    inside = np.asarray(a_map(BOXES[0])) == 1
    for saliency in (noise(), jnp.round(4 * noise(1))):  # without ties and with many
        values = np.asarray(saliency)
        u = scipy.stats.mannwhitneyu(values[inside], values[~inside]).statistic
        expected = u / (inside.sum() * (~inside).sum())
        found = auc(saliency, jnp.array([BOXES[0]]))
        assert found == pytest.approx(expected, abs=1e-6)
    assert jnp.isnan(auc(noise(), jnp.array([[0, 0, 7, 9]])))


def test_an_empty_map_has_the_box_that_the_option_says():
    nothing, boxes = jnp.zeros(SHAPE), jnp.array([[0, 0, 7, 5]])
    found = localise(nothing, boxes)
    assert found.box.tolist() == [0, 0, 7, 9]
    assert (found.hit, found.chosen) == (1, 0)
    assert jnp.isnan(found.outside)
    found = localise(nothing, boxes, empty="none")
    assert found.box.tolist() == [0, 0, 0, 0]
    assert (found.iou, found.hit) == (0, 0)
    assert jnp.isnan(mass(nothing, boxes))
    for constant in (0.0, 1.0, -3.0):  # none of its pixels stands out
        assert not choose(jnp.full(SHAPE, constant), 0.0, rule="mean").any()


def test_an_empty_map_in_the_saliency_metric(planted):
    image, nothing = noise(shape=(12, 12, 3)), jnp.zeros((12, 12))
    call = partial(judge, jax.random.key(0), planted, image, 0, nothing)
    whole, black = call(), call(empty="none")
    expected = jax.nn.log_softmax(planted(image[None]))[0, 0]
    assert whole.value == pytest.approx(-float(expected), abs=1e-6)
    assert (whole.area, black.area) == (1, 0)
    assert black.value == pytest.approx(np.log(0.05) - np.log(0.5), abs=1e-6)


def test_of_several_boxes_the_best_counts_and_pixels_count_in_any():
    one, other = [0, 0, 3, 3], [4, 5, 7, 9]
    both = jnp.array([one, other])
    for box in (one, other):
        found = localise(a_map(box), both)
        assert (found.iou, found.hit, found.outside) == (1, 1, 0)
        assert point(a_map(box), both) == 1
    union = jnp.maximum(a_map(one), a_map(other))
    found = localise(union, both)
    assert (found.hit, found.outside) == (0, 0)  # its box is around both
    assert found.iou == pytest.approx(12 / 63)
    overlapping = jnp.array([[0, 0, 4, 4], [1, 1, 5, 5]])
    assert mass(jnp.ones(SHAPE), overlapping) == pytest.approx(23 / 63)


def test_boxes_of_no_area_add_nothing():
    boxes = jnp.array([BOXES[0]])
    more = jnp.array([[0, 0, 0, 0], BOXES[0], [5, 5, 5, 9], [6, 6, 2, 2]])
    for saliency in (noise(), a_map([0, 0, 1, 1])):
        alone, filled = everything(saliency, boxes), everything(saliency, more)
        assert alone == pytest.approx(filled, abs=1e-6)


def test_without_a_box_or_with_a_broken_map_there_is_no_number():
    for name, value in everything(noise(), jnp.zeros((2, 4), int)).items():
        assert np.isnan(value) or name == "chosen", name
    for broken in (jnp.nan, jnp.inf):
        saliency = noise().at[1, 1].set(broken)
        for name, value in everything(saliency, jnp.array([BOXES[0]])).items():
            assert np.isnan(value) or name == "chosen", name
        assert jnp.isnan(localise(saliency, jnp.array([BOXES[0]])).hit)


def test_a_transposed_picture_has_the_same_numbers():
    for seed, box in enumerate(BOXES):
        turned = jnp.array([[box[1], box[0], box[3], box[2]]])
        one = everything(noise(seed), jnp.array([box]))
        assert one == pytest.approx(everything(noise(seed).T, turned), abs=1e-6, nan_ok=True)


def test_a_picture_is_judged_alone_whatever_else_is_in_the_batch():
    maps = jnp.stack([noise(0), 2 * noise(0), noise(1)])
    boxes = jnp.array([[BOXES[0]], [BOXES[0]], [BOXES[1]]])
    batch = jax.vmap(all_numbers)(maps, boxes)
    for i in range(3):
        alone = everything(maps[i], boxes[i])
        assert alone == pytest.approx({k: float(v[i]) for k, v in batch.items()}, abs=1e-6)
    # Twice as bright is the same map by the rule of the mean.
    for values in batch.values():
        assert values[0] == pytest.approx(float(values[1]), abs=1e-6)


def test_what_is_on_the_edge_does_not_count():
    boxes = jnp.array([[0, 0, 4, 4]])
    half = localise(a_map([0, 0, 4, 2]), boxes)
    assert (half.iou, half.hit) == (0.5, 0)
    assert localise(a_map([0, 0, 4, 3]), boxes).hit == 1
    assert localise(a_map([0, 0, 4, 2]), boxes, overlap=0.4).hit == 1
    assert not choose(jnp.full(SHAPE, 0.5)).any()
    levels = jnp.array([[0.0, 1.0, 2.0, 3.0]])  # mean one half of the largest
    assert choose(levels, 1.0, rule="mean").tolist() == [[False, False, True, True]]
    assert choose(levels + 7, 1.2, rule="mean").tolist() == [[False, False, True, True]]
    assert choose(levels + 7, 1.4, rule="mean").tolist() == [[False, False, False, True]]


def test_pointing_with_ties_and_tolerance():
    saliency = jnp.zeros(SHAPE).at[0, 0].set(1).at[3, 4].set(1).at[6, 8].set(1)
    boxes = jnp.array([BOXES[0]])
    results = {t: point(saliency, boxes, ties=t) for t in ("share", "first", "any")}
    assert results == pytest.approx({"share": 1 / 3, "first": 0, "any": 1})
    corner = jnp.zeros(SHAPE).at[6, 8].set(1)  # two down and two right of the box's last pixel
    assert point(corner, boxes, tolerance=2.8) == 0
    assert point(corner, boxes, tolerance=2.9) == 1
    left = jnp.zeros(SHAPE).at[3, 1].set(1)
    assert point(left, boxes, tolerance=1.9) == 0
    assert point(left, boxes, tolerance=2.0) == 1


def test_a_constant_map_scores_by_chance():
    boxes, share = jnp.array([BOXES[0]]), 12 / 63
    found = everything(jnp.ones(SHAPE), boxes)
    chance = {"pointing": share, "mass": share, "rank": share, "auc": 0.5}
    assert {k: found[k] for k in chance} == pytest.approx(chance, abs=1e-6)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_crop_is_the_enlarged_cut_out(interpolation):
    image = noise(shape=(*SHAPE, 3))
    enlarge = jax.jit(jax.vmap(partial(crop, image, interpolation=interpolation)))
    chosen = [BOXES[0], BOXES[2], BOXES[5]]
    for box, found in zip(chosen, enlarge(jnp.array(chosen)), strict=True):
        cut = image[box[0] : box[2], box[1] : box[3]]
        expected = jnp.clip(jax.image.resize(cut, image.shape, interpolation), 0, 1)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(crop(image, jnp.array([0, 0, 7, 9])), image, atol=1e-6)


def test_a_small_box_that_shows_the_class_is_best(planted):
    image = jnp.full((12, 12, 3), 0.9)
    right, all_of_it, wrong = [2, 3, 6, 8], [0, 0, 12, 12], [8, 8, 12, 12]
    # The planted classifier looks at a place, so what is cut out must be bright.
    image = image.at[8:, 8:].set(0)
    values = [
        judge(jax.random.key(0), planted, image, 0, a_map(box, shape=(12, 12))).value
        for box in (right, all_of_it, wrong)
    ]
    assert values[0] < values[1]
    assert values[0] < values[2]


def test_alpha_is_the_one_of_a_slow_search():
    maps = jnp.stack([noise(i) ** 3 + 2 * a_map(BOXES[i % 3]) for i in range(6)])
    maps = maps.at[5].set(jnp.nan)  # has no say
    boxes = jnp.array([[BOXES[i % 3]] for i in range(6)])
    found = jax.jit(metrics.alpha_search)(maps, boxes)
    errors = []
    for alpha in np.arange(26) * 0.2:
        hits = []
        for saliency, (box,) in zip(np.asarray(maps[:5]), np.asarray(boxes), strict=False):
            scaled = (saliency - saliency.min()) / np.ptp(saliency)
            on = scaled > np.float32(alpha) * scaled.mean()
            y, x = np.nonzero(on) if on.any() else np.nonzero(~on)
            own = np.zeros(SHAPE, bool)
            own[y.min() : y.max() + 1, x.min() : x.max() + 1] = True
            true = np.zeros(SHAPE, bool)
            true[box[0] : box[2], box[1] : box[3]] = True
            hits.append((own & true).sum() / (own | true).sum() > 0.5)
        errors.append(1 - np.mean(hits))
    np.testing.assert_allclose(found.errors, errors, atol=1e-6)
    assert 0 < np.argmin(errors) < 25
    assert found.alpha == pytest.approx(0.2 * np.argmin(errors))


def test_an_alpha_is_used_on_the_pictures_that_did_not_find_it():
    # In even places a faint part of the object wants a low alpha, in odd ones a faint background
    # a high one.
    faint = a_map([0, 0, 3, 8]) + 0.25 * a_map([3, 0, 6, 8])
    noisy = jnp.maximum(a_map(BOXES[1]), 0.2).at[6, 8].set(0)
    boxes: list[np.ndarray | None] = [np.array([box]) for box in ([0, 0, 6, 8], BOXES[1])] * 2
    images = np.ones((4, *SHAPE, 1), np.float32)
    pictures = subject.Drawn(list("abcd"), images, np.zeros(4, int), np.zeros(4, int), boxes)
    maps = np.stack([faint, noisy] * 2)
    found = judging.judge(Partial(_sure, jnp.float32(0.5)), pictures, maps, "mean", empty="none")
    assert found.alphas == (0.6, 0.0)
    assert found.numbers["error"].tolist() == [1, 1, 1, 1]
    found = judging.judge(Partial(_sure, jnp.float32(0.5)), pictures, maps, "absolute")
    assert found.alphas == ()
    assert found.numbers["error"].tolist() == [1, 0, 1, 0]


def test_unknown_options_are_named():
    boxes, saliency = jnp.array([BOXES[0]]), noise()
    for name, call in {
        "rule": partial(localise, rule="median"),
        "empty": partial(localise, empty="zero"),
        "component": partial(localise, component="biggest"),
        "ties": partial(point, ties="last"),
        "sign": partial(mass, sign="negative"),
    }.items():
        with pytest.raises(ValueError, match=f"{name}: there is no"):
            call(saliency, boxes)
    with pytest.raises(ValueError, match="interpolation: there is no 'lanczos'"):
        crop(noise(shape=(4, 4, 1)), jnp.array([0, 0, 2, 2]), interpolation="lanczos")


def test_boxes_of_pictures_are_filled_up():
    own = np.array([[1, 2, 3, 4], [0, 0, 2, 2]])
    np.testing.assert_array_equal(padded([own, None])[0], own)
    assert padded([own, None]).shape == (2, 2, 4)
    assert not padded([own, None])[1].any()
    assert np.isnan(outside(np.ones((4, 4), bool), None))


def _half(targets, confidence, *levels):
    """Keeps the upper half, of any picture."""
    mask = jnp.broadcast_to(jnp.array([[1.0], [1.0], [0.0], [0.0]]), (len(targets), 4, 1))
    return mask, jnp.zeros((len(targets), 1, 1))


UPPER = np.array([[0, 0, 14, 28]])
METHODS = ("max_box", "object_box", "gradient", "varsal", "realtime", "fido")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Five pictures of noise, one without a box, and a masker that knows where the boxes are."""
    out = tmp_path_factory.mktemp("table1")
    images = np.random.default_rng(1).random((5, 28, 28, 1), np.float32)
    found = [
        Picture(f"digits/{i}", image, i, UPPER if i else None) for i, image in enumerate(images)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "pictures", lambda *_, **__: found)
        patch.setattr(explainers, "make_infill", lambda _: infillers.mean(0.0))
        patch.setattr(explainers, "PRESETS", {"short": {"steps": 2, "samples": 2, "size": 28}})
        patch.setattr(explainers, "load_masker", lambda _: Partial(_half))

        def call(**options):
            fido_table1(
                StudyRun(out, classifier="mnist", batch_size=2), infill=("mean",), preset="short",
                **{"methods": METHODS, "encoder": "absent.npz", "learned_limit": 0} | options,
            )  # fmt: skip
            return json.loads((out / "study.json").read_text())

        yield call, out


def test_table_1_judges_every_row_on_the_same_pictures(run, capsys):
    call, out = run
    found = call()
    assert "varsal is left out" in capsys.readouterr().out
    assert list(found["rows"]) == ["max_box", "object_box", "gradient", "realtime", "fido-mean"]
    place = {name: placed(out, name) for name in found["rows"]}
    assert sorted(place["max_box"].ids) == [f"digits/{i}" for i in range(1, 5)]
    for name in ("object_box", "realtime"):
        assert not place[name].read("error").any()
    assert not place["realtime"].read("outside").any()
    # Half of the picture is the object, so the whole is no hit.
    assert place["max_box"].read("error").all()
    np.testing.assert_allclose(place["max_box"].read("outside"), 0.5)
    assert np.isnan(place["max_box"].read("alpha")).all()
    assert np.isfinite(place["gradient"].read("alpha")).all()
    assert (place["object_box"].read("box") == UPPER).all()
    model = networks.load("mnist").classifier
    pictures = {p.id: p for p in subject.pictures()}  # type: ignore
    for name, value in zip(place["max_box"].ids, place["max_box"].read("metric"), strict=True):
        logits = model(jnp.asarray(pictures[name].image)[None])[0]
        expected = -jax.nn.log_softmax(logits)[pictures[name].label]
        assert value == pytest.approx(float(expected), abs=1e-3)


def test_maps_are_kept_and_other_ways_to_judge_are_refused(run):
    call, out = run
    few = {"methods": ("gradient",)}
    call(**few)
    maps = out / "results.zarr" / "rows" / "gradient" / "maps"
    ages = {path: path.stat().st_mtime_ns for path in maps.rglob("*")}
    before = placed(out, "gradient").read("error")
    shutil.rmtree(out / "results.zarr" / "scores" / "place" / "gradient")
    call(**few)
    np.testing.assert_array_equal(placed(out, "gradient").read("error"), before)
    assert {path: path.stat().st_mtime_ns for path in maps.rglob("*")} == ages
    with pytest.raises(ValueError, match="holds results of other settings"):
        call(**few, component="largest")
    with pytest.raises(ValueError, match="component: there is no 'small'"):
        call(**few, component="small")


def placed(out, name) -> Ledger:
    """What the run has stored of where the row's maps lie."""
    path = out / "results.zarr" / "scores" / "place" / name
    settings = zarr.open_group(path, mode="r").attrs["settings"]
    return Ledger(path, 4, settings)  # type: ignore[arg-type]
