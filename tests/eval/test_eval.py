"""The protocols on small inputs: they run, store, go on after a stop, and reach known numbers."""

import csv
import json

import jax
import numpy as np
import PIL.Image
import pytest
from flax import nnx

from eval.protocols.all_methods import shuffle
from eval.report import Box, markdown_table
from eval.run import main
from eval.store import Store
from fidojax import networks
from fidojax.networks import MnistAllConv, weight_files
from fidojax.runs.provenance import digest

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file with weights of the MNIST network as they are before training."""
    path = tmp_path_factory.mktemp("network") / "weights.npz"
    weight_files.save(path, MnistAllConv(nnx.Rngs(3)))
    return path


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def files(out) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}


def test_store_goes_on_and_refuses_other_settings(tmp_path):
    store = Store(tmp_path / "out", {"steps": 3, "pair": (1, 2)})
    assert not store.has("a")
    store.save("a", {"x": np.arange(3)}, seconds=1.5)
    again = Store(tmp_path / "out", {"steps": 3, "pair": (1, 2)})
    arrays, record = again.load("a")
    np.testing.assert_array_equal(arrays["x"], [0, 1, 2])
    assert record["seconds"] == 1.5
    assert {"jax", "fidojax", "platform"} <= record["environment"].keys()
    assert again.record("a") == record
    with pytest.raises(ValueError, match="other settings \\(steps: 3, now 4\\)"):
        Store(tmp_path / "out", {"steps": 4, "pair": (1, 2)})


def test_a_part_under_way_is_not_taken_for_a_finished_one(tmp_path, monkeypatch):
    store = Store(tmp_path, {})

    def killed(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", killed)
    with pytest.raises(KeyboardInterrupt):
        store.save("a", {"x": np.arange(3)})
    assert not store.has("a")


def test_digest_tells_arrays_apart():
    one = {"a": np.zeros((2, 3), np.float32)}
    assert digest(one) == digest({"a": np.zeros((2, 3), np.float32)})
    assert digest(one) != digest({"a": np.zeros((3, 2), np.float32)})
    assert digest(one) != digest({"a": np.full((2, 3), 1e-7, np.float32)})


def test_box_is_median_and_quartiles():
    box = Box.of(np.array([4.0, 0.0, 1.0, 3.0, 2.0]))
    assert box == (2.0, 1.0, 3.0)
    assert box.text() == "2.0 (1.0–3.0)"  # noqa: RUF001
    assert np.isnan(Box.of(np.array([1.0, np.nan])).median)
    assert markdown_table([{"a": "1", "b": "2"}]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


@pytest.fixture
def folder(tmp_path, weights):
    """Five pictures whose names begin with what the network takes them for, one with another."""
    folder = tmp_path / "photos"
    folder.mkdir()
    model = networks.load("mnist", weights)
    noise = np.random.default_rng(1).integers(0, 256, (6, 28, 28), np.uint8)
    seen = np.asarray(model.classifier(noise[..., None].astype(np.float32) / 255)).argmax(-1)
    for i, (picture, label) in enumerate(zip(noise, seen, strict=True)):
        name = (int(label) + (i == 5)) % 10
        PIL.Image.fromarray(picture).save(folder / f"{name:04d}_{i}.png")
    (folder / "0001_broken.png").write_bytes(b"no picture")
    return folder


def test_fido_photos_stores_map_by_map_and_goes_on(tmp_path, weights, folder, capsys):
    out = tmp_path / "out"
    command = [
        "fido-photos", folder, "--out", out, "--classifier", "mnist", "--weights", weights,
        "--infill", "mean", "random", "--steps", 2, "--samples", 2, "--crop", 1, "--limit",
    ]  # fmt: skip
    assert run(*command, 2) == 0
    first = files(out)
    maps = [name for name in first if name.count(".") == 3]
    assert len(maps) == 4
    # A larger limit keeps what is there; a picture classified otherwise is never explained.
    lost = maps[0]
    (out / "parts" / lost).unlink()
    assert run(*command, 100) == 0
    after = files(out)
    assert all(after[name] == at for name, at in first.items() if name != lost)
    assert lost in after
    with open(out / "table.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert not any(row["picture"].endswith("_5.png") for row in rows)
    for row in rows:
        assert 0 < float(row["area"]) < 1
        assert 0 < float(row["probability"]) < 1
    assert "0001_broken.png" in capsys.readouterr().out
    assert (out / "gallery_mean.png").exists()
    assert (out / "gallery_random.png").exists()


def test_fido_photos_measures_old_maps_where_a_number_is_missing(tmp_path, weights, folder):
    out = tmp_path / "out"
    command = [
        "fido-photos", folder, "--out", out, "--classifier", "mnist", "--weights", weights,
        "--infill", "mean", "--steps", 2, "--samples", 2, "--crop", 1, "--limit", 1,
    ]  # fmt: skip
    assert run(*command) == 0
    table = (out / "table.csv").read_text("utf-8")
    (part,) = (p.name.removesuffix(".npz") for p in (out / "parts").glob("*.mean.npz"))
    store = Store(out, json.loads((out / "settings.json").read_text("utf-8")))
    arrays, record = store.load(part)
    del record["sampled"], record["environment"]
    store.save(part, arrays, **record)
    assert run(*command) == 0
    again, _ = store.load(part)
    np.testing.assert_array_equal(again["saliency"], arrays["saliency"])
    assert (out / "table.csv").read_text("utf-8") == table


def test_fido_photos_says_what_is_wrong(tmp_path, weights, folder, capsys):
    options = ["--out", tmp_path / "out", "--classifier", "mnist", "--weights", weights]
    assert run("fido-photos", folder, *options, "--infill", "grey") == 1
    assert "infill is 'grey', expected some of mean" in capsys.readouterr().err
    (empty := tmp_path / "empty").mkdir()
    assert run("fido-photos", empty, *options) == 1
    assert "no file whose name begins with a class index" in capsys.readouterr().err


def test_all_methods_in_one_table_and_figure(tmp_path, weights, folder):
    out = tmp_path / "out"
    command = [
        "all-methods", folder, "--out", out, "--classifier", "mnist", "--weights", weights,
        "--crop", 1, "--limit", 2, "--shuffled", 1, "--methods", "gradient", "fido",
    ]  # fmt: skip
    assert run(*command) == 0
    rows = {row["method"]: row for row in json.loads((out / "results.json").read_text())["rows"]}
    assert (rows["fido"]["forward"], rows["fido"]["backward"]) == (242, 240)
    assert (rows["gradient"]["forward"], rows["gradient"]["backward"]) == (1, 1)
    for row in rows.values():
        assert row["finite"] == 2
        assert row["seconds"] > 0
        assert 0 <= row["smallest area for p/2"] <= 1
        assert abs(row["same when shuffled"]) < 0.9
    with PIL.Image.open(out / "figure.png") as drawn:
        assert drawn.width > 300
    before = files(out)
    assert run(*command) == 0
    assert files(out) == before


def test_shuffled_weights_are_the_same_numbers_in_another_order(weights):
    classifier = networks.load("mnist", weights).classifier
    other = shuffle(jax.random.key(0), classifier)
    pairs = list(zip(jax.tree.leaves(classifier), jax.tree.leaves(other), strict=True))
    for leaf, mixed in pairs:
        assert leaf.shape == mixed.shape
        np.testing.assert_array_equal(np.sort(leaf, axis=None), np.sort(mixed, axis=None))
    assert any(not np.array_equal(leaf, mixed) for leaf, mixed in pairs)
