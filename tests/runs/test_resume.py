"""The engine gives the same bits wherever it is stopped and however many share the work."""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import fidojax
from fidojax.data import BadPicture, Picture
from fidojax.engine import ExplainRequest, Stopwatch, programs
from fidojax.runs import resume
from fidojax.runs.explained import NOT_FINITE, Explained, Item
from fidojax.runs.ledger import DONE, FAILED, MISSING, Ledger
from fidojax.runs.maps import read_maps, unpack
from fidojax.runs.resume import explain_missing, seconds_per_map
from fidojax.types import Explanation

COUNT = 11
RNG = np.random.default_rng(0)
PICTURES = [
    Picture(f"picture {i}", RNG.random((8, 8, 3), np.float32), i % 2, source=f"{i}.png")
    for i in range(COUNT)
]


class Spread(NamedTuple):
    standard_deviation: jax.Array


@pytest.fixture(autouse=True)
def every_batch_is_stored_by_itself(monkeypatch):
    monkeypatch.setattr(resume, "QUICK", 0)


def two_classes(weights, images):
    evidence = jnp.einsum("nhwc,hwc->n", images, weights)
    return jnp.stack([evidence, -evidence], axis=-1)


CLASSIFIER = Partial(two_classes, jnp.linspace(-1, 1, 192).reshape(8, 8, 3))


def noisy(key, classifier, image, target, *, strength=0.1):
    """A map that depends on all that it may depend on; not finite for a black picture."""
    gradient = jax.grad(lambda shown: classifier(shown[None])[0, target])(image).sum(-1)
    noise = strength * jax.random.normal(key, gradient.shape)
    return Explanation(gradient + noise / (image.max() > 0), Spread(jnp.exp(noise)))


def request(batch_size=2, **more) -> ExplainRequest:
    return ExplainRequest(
        noisy, CLASSIFIER, {"strength": 0.5}, seed=3, batch_size=batch_size, **more
    )


def labels(shown):
    return [picture.label for picture in shown]


def opened(path, count=COUNT) -> Ledger:
    return Ledger(path, count, {"method": "noisy"}, chunk=2)


def explain(ledger, shard=(0, 1), pictures=PICTURES, targets=labels, **more):
    items = (Item(int(i), f"name {i}", pictures[i]) for i in ledger.missing(shard))
    return explain_missing(ledger, request(), items, targets, **more)


def same(one: Ledger, other: Ledger) -> None:
    """Bit for bit, all but the time it took."""
    assert one.names == other.names
    assert one.ids == other.ids
    assert one.problems == other.problems
    for name in ("status", *one.names):
        if name != "seconds":
            np.testing.assert_array_equal(one.read(name), other.read(name))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Ledger:
    """An uninterrupted run."""
    ledger = opened(tmp_path_factory.mktemp("whole") / "maps")
    assert explain(ledger).explained == COUNT
    return ledger


def test_the_maps_are_those_of_the_method(whole):
    assert (whole.status == DONE).all()
    assert whole.names == [
        "batch_size", "deviation", "deviation_scale", "maps", "scale", "seconds", "targets",
    ]  # fmt: skip
    assert (whole.read("batch_size") == 2).all()
    assert whole.read("targets").tolist() == [i % 2 for i in range(COUNT)]
    assert (whole.read("seconds") > 0).all()
    shown = [picture.image for picture in PICTURES]
    found = fidojax.explain_batch(
        noisy, CLASSIFIER, np.stack(shown), labels(PICTURES), options={"strength": 0.5}, seed=3,  # type: ignore
        ids=[picture.id for picture in PICTURES], batch_size=2,
    )  # fmt: skip
    np.testing.assert_allclose(read_maps(whole), found.saliency, atol=2**-11 * 4)
    deviation = unpack(whole.read("deviation"), whole.read("deviation_scale"))
    np.testing.assert_allclose(deviation, found.info.standard_deviation, rtol=2**-11)


def test_the_same_bits_whatever_the_order_of_the_shards(whole, tmp_path):
    for shards in (2, 3):
        ledger = opened(tmp_path / str(shards))
        for index in reversed(range(shards)):
            tally = explain(opened(ledger.path), (index, shards))
            assert 0 < tally.explained < COUNT
        same(whole, ledger)


@pytest.mark.parametrize("after", [0, 1, 3, 5])
@pytest.mark.parametrize("where", ["explaining", "columns", "status"])
def test_the_same_bits_wherever_it_was_stopped(whole, tmp_path, monkeypatch, where, after):
    """Stopped in the batch of that number: before it, while it is stored, before it counts."""
    ledger = opened(tmp_path / "maps")
    calls = []

    def stopping(original):
        def call(*arguments, **options):
            calls.append(1)
            if len(calls) > after:
                raise KeyboardInterrupt
            return original(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        if where == "explaining":
            patch.setattr(programs, "one_shot", stopping(programs.one_shot))
        elif where == "columns":
            patch.setattr(ledger, "write", stopping(ledger.write))
        else:
            find, write = ledger.column, ledger.write

            def counted(*arguments):
                calls.append(1)
                write(*arguments)

            def before_status(name):
                if name == "status" and len(calls) > after:
                    raise KeyboardInterrupt
                return find(name)

            patch.setattr(ledger, "write", counted)
            patch.setattr(ledger, "column", before_status)
        with pytest.raises(KeyboardInterrupt):
            explain(ledger)
    reopened = opened(ledger.path)
    # A batch is handed out when the next one is under way.
    stored = 2 * max(after - (where == "explaining"), 0)
    assert (reopened.status == DONE).sum() == stored
    assert explain(reopened).explained == COUNT - stored
    same(whole, reopened)


def test_the_same_bits_in_another_order_and_other_batches(whole, tmp_path):
    ledger = opened(tmp_path / "maps")
    for rows in ([10, 3, 4], [0], [9, 8, 7, 6, 5, 2, 1]):
        items = (Item(i, f"name {i}", PICTURES[i]) for i in rows)
        explain_missing(ledger, request(), items, labels)
    same(whole, ledger)


@pytest.mark.parametrize(("most", "stored"), [(256, [2, 9]), (4, [2, 4, 4, 1]), (1, [2] * 5 + [1])])
def test_quick_batches_are_stored_together_with_the_same_bits(
    most, stored, whole, tmp_path, monkeypatch
):
    monkeypatch.setattr(resume, "QUICK", 100)
    monkeypatch.setattr(resume, "PICTURES", most)
    ledger, sizes = opened(tmp_path / "maps"), []

    def finish(batch: Explained):
        sizes.append(len(batch.items))
        return batch.problems()

    explain(ledger, finish=finish)
    assert sizes == stored
    same(whole, ledger)


def test_what_is_finished_when_a_run_is_interrupted_is_stored(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "QUICK", 100)
    ledger = opened(tmp_path / "maps")

    def interrupt(done, stored):
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explain(ledger, progress=interrupt)
    assert (ledger.status == DONE).sum() == 6
    assert explain(ledger).explained == COUNT - 6
    same(whole, ledger)


def test_short_memory_is_written_down_with_each_map(tmp_path, monkeypatch):
    original, calls = programs.one_shot, []

    def narrow(program, model, batch):
        calls.append(1)
        if len(calls) == 3:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return original(program, model, batch)

    monkeypatch.setattr(programs, "one_shot", narrow)
    ledger = opened(tmp_path / "maps")
    assert explain(ledger).explained == COUNT
    assert ledger.read("batch_size").tolist() == [2] * 2 + [1] * (COUNT - 2)


def test_failures_are_stored_with_their_reason_and_tried_again(whole, tmp_path):
    pictures: list[Picture | BadPicture] = list(PICTURES)
    pictures[2] = BadPicture("2.png", "the file is empty")
    pictures[7] = Picture("picture 7", np.zeros((8, 8, 3), np.float32), 1, source="7.png")

    def targets(shown):
        return ["no label" if picture.id == "picture 5" else picture.label for picture in shown]

    ledger = opened(tmp_path / "maps")
    tally = explain(ledger, pictures=pictures, targets=targets)
    reasons = {2: "the file is empty", 5: "no label", 7: NOT_FINITE}
    assert ledger.problems == reasons
    assert tally.explained == COUNT - 3
    assert {bad.source: bad.reason for bad in tally.failures} == {
        f"{row}.png": reason for row, reason in reasons.items()
    }
    assert np.flatnonzero(ledger.status == FAILED).tolist() == [2, 5, 7]
    assert np.isnan(read_maps(ledger, [2, 5])).all()
    good = np.setdiff1d(np.arange(COUNT), [2, 5, 7])
    np.testing.assert_array_equal(read_maps(ledger, good), read_maps(whole, good))
    assert explain(ledger).explained == 3
    same(whole, ledger)


def test_a_batch_of_failures_alone_is_no_end(tmp_path):
    pictures = [BadPicture(f"{i}.png", "empty") for i in range(4)] + PICTURES[4:]
    ledger = opened(tmp_path / "maps")
    assert explain(ledger, pictures=pictures).explained == COUNT - 4
    assert (ledger.status[:4] == FAILED).all()


def test_who_finishes_a_batch_sees_it_before_it_is_stored_and_may_refuse(tmp_path):
    ledger = opened(tmp_path / "maps")
    seen = []

    def finish(batch: Explained):
        assert (ledger.status[[item.row for item in batch.items]] == MISSING).all()
        assert batch.explanation.saliency.shape == (len(batch.items), 8, 8)
        seen.extend(
            (item.name, target) for item, target in zip(batch.items, batch.targets, strict=True)
        )
        return ["refused" if item.row == 4 else None for item in batch.items]

    tally = explain(ledger, finish=finish)
    assert seen == [(f"name {i}", i % 2) for i in range(COUNT)]
    assert ledger.problems == {4: "refused"}
    assert (tally.explained, len(tally.failures)) == (COUNT - 1, 1)


def test_options_that_differ_per_picture_come_from_the_batch(tmp_path):
    ledger = opened(tmp_path / "maps")

    def each(shown):
        return {"strength": np.array(labels(shown), np.float32)}

    given = replace(request(), options={})
    items = [Item(i, f"name {i}", PICTURES[i]) for i in range(COUNT)]
    explain_missing(ledger, given, items, labels, each=each)
    spread = unpack(ledger.read("deviation"), ledger.read("deviation_scale"))
    assert (spread[::2] == 1).all()  # label 0, no noise
    assert (spread[1::2] != 1).any(axis=(1, 2)).all()


def test_progress_never_goes_back_and_ends_with_all(tmp_path):
    told = []
    pictures = [*PICTURES[:3], BadPicture("3.png", "empty"), *PICTURES[4:]]
    ledger = opened(tmp_path / "maps")
    explain(
        ledger, pictures=pictures,
        progress=lambda done, stored: told.append((done, stored, (ledger.status > 0).sum())),
    )  # fmt: skip
    done, stored, there = zip(*told, strict=True)
    assert sorted(done) == list(done)
    assert sorted(stored) == list(stored)
    assert all(said <= real for said, real in zip(stored, there, strict=True))
    assert all(some <= all_ <= COUNT for some, all_ in zip(stored, done, strict=True))
    assert told[-1] == (COUNT, COUNT, COUNT)


def test_the_time_per_map_is_the_median_of_the_stored_ones(tmp_path):
    ledger = opened(tmp_path / "maps", 5)
    assert seconds_per_map(None) is None
    assert seconds_per_map(ledger) is None
    seconds = np.array([1, 9, 2, 50], np.float32)
    names = [f"name {i}" for i in range(4)]
    ledger.write(range(4), names, {"seconds": seconds}, [None, None, None, "failed"])
    assert seconds_per_map(ledger) == 2
    assert seconds_per_map(ledger, [0, 1]) == 5


class Found(NamedTuple):
    region: fidojax.Region


def region_of(maps) -> fidojax.Region:
    """The pixels above zero; none for the third picture of all."""
    mask = (maps > 0).astype(np.float32)
    area = mask.mean((1, 2))
    p = jnp.stack([jnp.full((2, 2), share) for share in area])
    return fidojax.Region(mask, maps.min((1, 2)), area, p, 1 - p, area)


def test_regions_that_are_read_out_lie_beside_their_maps(tmp_path):
    ledger, asked = Ledger(tmp_path / "rows", 5, {}), []

    def regions(found_now):
        asked.append(len(found_now.items))
        found = region_of(found_now.explanation.saliency)
        gone = np.array([item.name == "name 2" for item in found_now.items])
        return found._replace(
            mask=np.where(gone[:, None, None], np.nan, found.mask),
            area=np.where(gone, np.nan, found.area),
        )

    seen = []
    explain(ledger, regions=regions, stored=lambda batch: seen.append(batch.region))
    assert sum(asked) == 5
    maps, mask = read_maps(ledger), ledger.read("region")
    held = np.arange(5) != 2
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask[held], maps[held] > 0)
    assert not mask[2].any()
    area = ledger.read("region_area")
    np.testing.assert_allclose(area[held], mask[held].mean((1, 2)), rtol=1e-6)
    assert np.isnan(area[2])
    assert ledger.read("region_probability").shape == ledger.read("region_without").shape == (
        5, 2, 2,
    )  # fmt: skip
    np.testing.assert_allclose(ledger.read("region_level"), maps.min((1, 2)), rtol=2.0**-11)
    assert sum(len(region.area) for region in seen) == 5


def test_regions_of_the_method_itself_are_stored(tmp_path):
    def with_region(key, classifier, image, target):
        del key, target
        return Explanation(image.mean(-1), Found(region_of_one(image.mean(-1))))

    def region_of_one(map_):
        one = map_.max()
        p = jnp.full((1, 2), one)
        return fidojax.Region((map_ > 0.5) * 1.0, one, one, p, p, one)

    ledger = Ledger(tmp_path / "rows", 3, {})
    given = replace(request(), method=with_region, options={})
    items = [Item(i, picture.id, picture) for i, picture in enumerate(PICTURES[:3])]
    explain_missing(ledger, given, items, labels)
    shown = np.stack([picture.image.mean(-1) for picture in PICTURES[:3]])
    np.testing.assert_array_equal(ledger.read("region"), shown > 0.5)
    np.testing.assert_allclose(ledger.read("region_probability")[:, 0, 1], shown.max((1, 2)))


class Clock:
    """A clock that only the work moves."""

    time = 0.0

    def watch(self) -> Stopwatch:
        return Stopwatch(lambda: self.time, lambda: 0.0)


def test_the_seconds_of_the_pictures_add_up_to_the_time_of_the_run(tmp_path, monkeypatch):
    """4 s for each call of two pictures, 1 s for the regions of each two, 0.5 s to store them."""
    clock, original = Clock(), programs.one_shot

    def slow(*arguments):
        clock.time += 4.0
        return original(*arguments)

    def regions(found_now):
        clock.time += 1.0
        return region_of(found_now.explanation.saliency)

    def stored(_):
        clock.time += 0.5

    monkeypatch.setattr(programs, "one_shot", slow)
    ledger = Ledger(tmp_path / "rows", 4, {})
    explain(ledger, regions=regions, stored=stored, watch=clock.watch())
    seconds = ledger.read("seconds")
    # The second two also wait for the first two to be stored; nobody waits for themselves.
    np.testing.assert_allclose(seconds, [2.5, 2.5, 2.75, 2.75])
    assert clock.time == 2 * 4.0 + 2 * 1.0 + 2 * 0.5 == seconds.sum() + 0.5
