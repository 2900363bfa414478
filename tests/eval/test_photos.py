"""fido-photos and all-methods on a folder of small pictures."""

import shutil

import jax
import numpy as np
import PIL.Image
import pytest
from flax import nnx

from eval.protocols.all_methods import shuffle
from eval.report.reading import read
from eval.run import main
from fidojax import networks
from fidojax.networks import weight_files
from fidojax.networks.classifiers import MnistAllConv
from fidojax.runs import DONE


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file with weights of the MNIST network as they are before training."""
    path = tmp_path_factory.mktemp("network") / "weights.npz"
    weight_files.save(path, MnistAllConv(nnx.Rngs(3)))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory, weights):
    """Six pictures whose names begin with the predicted class, the last with another one."""
    folder = tmp_path_factory.mktemp("pictures") / "photos"
    folder.mkdir()
    model = networks.load("mnist", weights)
    noise = np.random.default_rng(1).integers(0, 256, (6, 28, 28), np.uint8)
    seen = np.asarray(model.classifier(noise[..., None].astype(np.float32) / 255)).argmax(-1)
    for i, (picture, label) in enumerate(zip(noise, seen, strict=True)):
        name = (int(label) + (i == 5)) % 10
        PIL.Image.fromarray(picture).save(folder / f"{name:04d}_{i}.png")
    (folder / "0001_broken.png").write_bytes(b"no picture")
    (folder / "notes.png").write_bytes((folder / f"{int(seen[0]):04d}_0.png").read_bytes())
    return folder


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def photos(tmp_path_factory, folder, weights):
    """A command line of fido-photos that ends in --limit, and its finished run on two pictures."""
    out = tmp_path_factory.mktemp("photos") / "out"
    command = [
        "fido-photos", "--data", folder, "--out", out, "--classifier", "mnist", "--weights",
        weights, "--infill", "mean", "random", "--steps", 2, "--samples", 2,
        "--crop", 1, "--limit",
    ]  # fmt: skip
    assert run(*command, 2) == 0
    return out, command


def times(out) -> dict[str, int]:
    files = (path for path in (out / "results.zarr").rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in files}


def test_photos_are_those_that_are_predicted_as_their_names_say(photos, folder, capsys, tmp_path):
    out, command = photos
    grown = tmp_path / "out"
    shutil.copytree(out, grown)
    command = [grown if word == out else word for word in command]
    before = read(grown)
    first = {row: before.maps(row) for row in before.explained}
    assert run(*command, 100) == 0  # a larger limit keeps what is there
    assert "0001_broken.png" in capsys.readouterr().out
    after = read(grown)
    assert len(after) == 5
    assert not any(name.endswith("_5.png") or "notes" in name for name in after.pictures.ids)
    assert after.pictures.ids[:2] == before.pictures.ids
    for row, maps in first.items():
        np.testing.assert_array_equal(after.maps(row)[:2], maps)
        assert (after.explained[row].status == DONE).all()
        assert ((after.values("kept", row) > 0) & (after.values("kept", row) < 1)).all()
        probability = after.values("on mixture", row)
        assert ((probability > 0) & (probability < 1)).all()
        assert len(list((grown / "figures").glob(f"gallery_{row}.png"))) == 1
    assert "Median (quartiles)" in after.tables


def test_a_finished_run_of_photos_writes_no_result_again(photos):
    out, command = photos
    before = times(out)
    assert run(*command, 2) == 0
    assert times(out) == before


def test_stored_maps_are_measured_where_numbers_are_missing(photos, tmp_path):
    out, command = photos
    again = tmp_path / "out"
    shutil.copytree(out, again)
    shutil.rmtree(again / "results.zarr" / "scores" / "mixture")
    before = times(again)
    assert run(*[again if word == out else word for word in command], 2) == 0
    kept = {name: at for name, at in times(again).items() if "/scores/mixture/" not in name}
    assert kept == before
    for key in ("kept", "on samples", "on random samples"):
        for row in read(out).explained:
            np.testing.assert_array_equal(read(again).values(key, row), read(out).values(key, row))


def test_photos_say_what_is_wrong(tmp_path, weights, folder, capsys):
    options = ["--out", tmp_path / "out", "--classifier", "mnist", "--weights", weights]
    assert run("fido-photos", "--data", folder, *options, "--infill", "grey") == 1
    assert "'grey'" in capsys.readouterr().err
    (empty := tmp_path / "empty").mkdir()
    PIL.Image.new("L", (28, 28)).save(empty / "picture.png")
    assert run("fido-photos", empty, *options) == 1
    told = capsys.readouterr().err
    assert "now given as --data" in told
    assert "no file whose name begins with a class index" in told


def test_table_1_takes_a_folder_whose_table_has_boxes_and_classes(tmp_path, weights, folder):
    own = tmp_path / "photos"
    shutil.copytree(folder, own, ignore=shutil.ignore_patterns("notes*", "*broken*"))
    boxes = tmp_path / "boxes.csv"
    names = sorted(path.name for path in own.iterdir())
    lines = [f"{name},{int(name[:4])},2,2,20,26" for name in names]
    boxes.write_text("\n".join(["file,class,x0,y0,x1,y1", *lines]))
    out = tmp_path / "out"
    options = ["--classifier", "mnist", "--weights", weights, "--learned-limit", 0]
    rows = ["--methods", "object_box", "bbmp", "--bbmp-infill", "blur", "--bbmp-lam", 0.001]
    command = ["fido-table1", "--data", own, "--boxes", boxes, "--out", out, *options, *rows]
    assert run(*command, "--limit", 2, "--first", "bbmp-blur=2", "bbmp-blur@0.001=2") == 0
    found = read(out)
    assert list(found.explained) == ["object_box", "bbmp-blur", "bbmp-blur@0.001"]
    classes = [int(name.rpartition("/")[2][:4]) for name in found.pictures.ids]
    np.testing.assert_array_equal(found.pictures.read("labels"), classes)
    assert not found.values("outside", "object_box").any()
    assert (found.values("components", "object_box") == 1).all()
    weights_of = {row: ledger.settings["options"] for row, ledger in found.explained.items()}
    assert weights_of["bbmp-blur@0.001"]["lam"] == 0.001
    assert "lam" not in weights_of["bbmp-blur"]
    assert "55% of a picture" in found.study["reading"][0]


def test_all_methods_in_one_table_and_figure(tmp_path, weights, folder):
    out = tmp_path / "out"
    command = [
        "all-methods", "--data", folder, "--out", out, "--classifier", "mnist", "--weights",
        weights, "--crop", 1, "--limit", 2, "--shuffled", 1, "--methods", "gradient", "fido",
    ]  # fmt: skip
    assert run(*command) == 0
    found = read(out)
    lines = {line["row"]: line for line in found.tables["Median (quartiles)"]}
    passes = {row: (line["forward"], line["backward"]) for row, line in lines.items()}
    assert passes["fido"] == passes["fido, shuffled"] == ("299", "240")
    assert passes["gradient"] == ("1", "1")
    for row in ("gradient", "fido"):
        assert np.isfinite(found.maps(row)).all()
        assert (found.explained[row].read("seconds") > 0).all()
        needs = found.values("needs", row)
        assert ((needs >= 0) & (needs <= 1)).all()
        alike = found.values("spearman", f"{row}, shuffled")
        assert abs(alike[0]) < 0.9
        assert np.isnan(alike[1])
        expected = read(out).maps(f"{row}, shuffled", [0])
        assert np.abs(expected - found.maps(row, [0])).max() > 0
    with PIL.Image.open(out / "gallery.png") as drawn:
        assert drawn.width > 300
    before = times(out)
    assert run(*command) == 0
    assert times(out) == before


def test_shuffled_weights_are_the_same_numbers_in_another_order(weights):
    classifier = networks.load("mnist", weights).classifier
    other = shuffle(jax.random.key(0), classifier)
    pairs = list(zip(jax.tree.leaves(classifier), jax.tree.leaves(other), strict=True))
    for leaf, mixed in pairs:
        assert leaf.shape == mixed.shape
        np.testing.assert_array_equal(np.sort(leaf, axis=None), np.sort(mixed, axis=None))
    assert any(not np.array_equal(leaf, mixed) for leaf, mixed in pairs)
