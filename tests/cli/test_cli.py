"""The command line as a user meets it, with a classifier that looks at the average colour."""

import contextlib
import errno
import io
import json
import os
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from flax import nnx
from jax.tree_util import Partial

from benchmarks.kills import compare
from fidojax import Stop, cite, load_maps, load_run, presets
from fidojax.cli import classifier as classifiers
from fidojax.cli import job as jobs
from fidojax.cli import main
from fidojax.cli.citing import used_in
from fidojax.cli.explainer import LOADERS
from fidojax.cli.interrupt import Interrupt
from fidojax.cli.options import Explain, UsageError
from fidojax.cli.target import target_of
from fidojax.cli.terminal import terminal
from fidojax.data import Picture
from fidojax.data.boxes import boxes_of
from fidojax.engine import Stopwatch, programs
from fidojax.engine.devices import Spread
from fidojax.methods.table import LOOPS, METHOD_ROWS, METHODS
from fidojax.networks import Pretrained, VarSalNetwork, load_encoder, weight_files
from fidojax.runs import resume, verify
from fidojax.runs.ledger import DONE, Ledger, find_ledger
from fidojax.runs.maps import read_maps, unpack
from fidojax.runs.rows import RowAssignment
from fidojax.transforms import cpu
from fidojax.viz import coloured, overlay

ROOT = Path(__file__).parents[2]
LABELS = ("red fox", "green lizard", "blue jay", "crane", "crane")
QUICK = ("--batch-size", "2", "--no-figures", "--method", "max_box")
"""Enough for tests of files and words: the method that says that all is important."""
FIDO = ("--batch-size", "2", "--steps", "3", "--samples", "2")
SMALL = ("--batch-size", "1", "--no-figures", *FIDO[2:])


def average_colour(scale, images):
    """Three classes by colour, and two that are never likely."""
    colour = scale * images.mean(axis=(1, 2))
    return jnp.concatenate([colour, jnp.full((len(images), 2), -20.0)], axis=1)


@pytest.fixture(autouse=True)
def colours(monkeypatch):
    """`load` gives the colour classifier under every shipped name; returns what it was asked."""
    asked = []

    def load(name, weights, layer=None):
        asked.append((name, weights))
        if weights == "missing.npz":
            raise FileNotFoundError("weights missing.npz: there is no such file")
        scale = jnp.float32(np.nan if weights == "broken.npz" else 10.0)
        return Pretrained(name, Partial(average_colour, scale), LABELS, (16, 16, 3))

    monkeypatch.setattr(classifiers, "load", load)
    monkeypatch.setattr(classifiers, "packaged_weights", lambda name: None)
    return asked


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three pictures, one of them in a subfolder."""
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name, colour in {"fox.png": "red", "jay.jpg": "blue", "more/lizard.png": "green"}.items():
        PIL.Image.new("RGB", (24, 20), colour).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


class Ran:
    """What a command left behind."""

    def __init__(self, code: int, out: str, err: str, results: Path) -> None:
        self.code, self.out, self.err, self.results = code, out, err, results

    @property
    def records(self) -> dict[str, dict]:
        found = [json.loads(p.read_text()) for p in (self.results / "records").glob("*.json")]
        return {record["id"]: record for record in found}

    @property
    def finished(self) -> list[str]:
        """Names of the pictures that have a map."""
        found = map(find_ledger, sorted((self.results / "results.zarr").glob("*/")))
        return [
            ledger.ids[i]
            for ledger in found
            if ledger is not None
            for i in np.flatnonzero(ledger.status == DONE)
        ]

    def ledger(self, record: dict) -> Ledger:
        ledger = find_ledger(self.results / record["map"]["ledger"], record["settings"])
        assert ledger is not None
        return ledger

    def saliency(self, picture: str) -> np.ndarray:
        record = self.records[picture]
        return read_maps(self.ledger(record), [record["map"]["row"]])[0]


@pytest.fixture
def run(tmp_path, capfd):
    """Run `fidojax explain` into one folder of results."""

    def explain(*words, how: Sequence[str] = QUICK, out: Path | str = tmp_path / "out") -> Ran:
        arguments = ["explain", "--out", str(out), *how, *map(str, words)]
        capfd.readouterr()
        code = main(arguments)
        printed = capfd.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return Ran(code, printed.out, printed.err, Path(out))

    return explain


def test_a_folder_becomes_figures_maps_records_and_a_page(run, folder):
    ran = run(folder, how=FIDO)
    assert ran.code == 0
    assert ran.records.keys() == {"fox.png", "jay.jpg", "more/lizard.png"}
    record = ran.records["fox.png"]
    saliency = ran.saliency("fox.png")
    assert (saliency.shape, saliency.dtype) == ((16, 16), np.float32)
    assert 0 <= saliency.min() <= saliency.max() <= 1
    with PIL.Image.open(ran.results / record["files"]["figure"]) as figure:
        assert figure.width > 1000
    page = (ran.results / "index.html").read_text()
    for found in ran.records.values():
        assert found["id"] in page
        assert found["files"]["figure"] in page
    assert "http" not in page.replace("http-equiv", "")  # nothing from elsewhere
    assert not [path for path in ran.results.rglob("*") if path.name.startswith(".")]


def test_a_record_tells_all(run, folder):
    words = ("--seed", "3", "--lam", "0.5", "--infill", "blur:sigma=2")
    record = run(folder, *words, how=FIDO).records["fox.png"]
    assert record["prediction"]["name"] == "red fox"
    assert record["target"] == record["prediction"]
    assert record["prediction"]["probability"] == pytest.approx(np.exp(10) / (np.exp(10) + 2), 1e-3)
    assert record["probability"]["image"] == record["target"]["probability"]
    assert 0 <= record["probability"]["mixture"] <= 1
    assert 0 <= record["kept_area"] <= 1
    assert len(record["objective"]["history"]) == 3
    assert record["objective"]["end"] == record["objective"]["history"][-1]
    assert record["seconds"] > 0
    assert (record["evaluations"], record["batch_size"]) == (12, 2)
    assert record["devices"]["platform"] == "cpu"
    assert record["source"] == str(folder / "fox.png")
    settings = record["settings"]
    assert (settings["method"], settings["preset"], settings["seed"]) == ("fido", "hold", 3)
    assert (settings["infill"], settings["options"]["lam"]) == ("blur:sigma=2", 0.5)
    assert settings["options"]["temperature"] == presets.hold["temperature"]
    assert {"fidojax", "jax", "numpy", "python"} <= record["versions"].keys()


def test_before_and_after_the_work_it_says_what(run, folder):
    ran = run(folder, how=FIDO)
    first = ran.out.splitlines()[0]
    for words in (
        "3 pictures",
        "fido",
        "preset hold",
        "objective ssr",
        "infill mean and blur",
        "18 class",
    ):
        assert words in first
    second = ran.out.splitlines()[1]
    assert "tiny_imagenet40 (16 x 16, 5 classes)" in second
    assert "on 1 CPU core" in second
    assert "3 pictures explained in" in ran.out
    assert str(ran.results / "index.html") in ran.out.splitlines()[-1]
    assert "fox.png: red fox (> 99.9 %)" in ran.err


def test_the_papers_preset_is_one_word_away():
    hold, paper, bbmp = (
        jobs.prepare(Explain(method=method, preset=preset))
        for method, preset in (("fido", None), ("fido", "paper"), ("bbmp", None))
    )
    assert (hold.preset, paper.preset, bbmp.preset) == ("hold", "paper", None)
    assert (paper.options["temperature"], paper.options["learning_rate"]) == (0.1, 0.05)
    assert (paper.evaluations, hold.evaluations <= 240) == (2400, True)
    assert len({hold.digest, paper.digest, bbmp.digest}) == 3


def test_without_arguments_the_photos_of_scikit_image_are_explained(run):
    ran = run()
    assert ran.code == 0
    assert ran.records.keys() == {"chelsea", "coffee"}


def test_bad_files_are_reported_and_the_others_explained(run, folder):
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("words")
    ran = run(folder, "nowhere.png")
    assert ran.code == 1
    assert len(ran.records) == 3
    assert f"failed: {folder}/empty.png: the file is empty" in ran.out
    assert "notes.txt" not in ran.out
    assert "\n  1 other file ignored: no pictures\n" in ran.out
    assert "failed: nowhere.png: there is no such file or folder" in ran.out
    page = (ran.results / "index.html").read_text()
    assert "the file is empty" in page
    (folder / "empty.png").unlink()
    PIL.Image.new("RGB", (16, 16)).save(folder / "empty.png")
    assert run(folder).code == 0
    page = (ran.results / "index.html").read_text()
    assert "the file is empty" not in page  # that picture is fine now
    assert "nowhere.png" in page  # this one was not tried again


def test_a_second_run_skips_what_is_there(run, folder):
    first = run(folder / "fox.png")
    (path,) = (first.results / "records").iterdir()
    written = path.stat().st_mtime_ns
    second = run(folder)
    assert "2 pictures explained" in second.out
    assert "1 already explained" in second.out
    assert "1 done before, 2 to go" in second.err
    assert path.stat().st_mtime_ns == written
    third = run(folder)
    assert third.code == 0
    assert "--force explains them again" in third.out
    assert run(folder / "fox.png", "--force").code == 0
    assert path.stat().st_mtime_ns > written


def test_maps_are_saved_for_other_programs_also_those_explained_before(run, folder):
    how = FIDO
    first = run("--save", "npy", folder / "fox.png", how=how)
    assert f"Maps are in {first.results}/maps/" in first.out
    record = first.records["fox.png"]
    assert record["files"].keys() == {"figure", "npy", "small"}
    saved = np.load(first.results / record["files"]["npy"])
    np.testing.assert_array_equal(saved, first.saliency("fox.png"))
    assert saved.dtype == np.float32
    again = run(folder / "fox.png", "--save", "npy", "png", "overlay", how=how)
    assert "1 already explained" in again.out
    files = again.records["fox.png"]["files"]
    assert files.items() > record["files"].items()
    assert {Path(files[kind]).name for kind in ("png", "overlay")} == {
        Path(files["npy"]).with_suffix(end).name for end in (".png", ".overlay.png")
    }
    red = np.zeros((16, 16, 3), np.float32) + np.asarray(
        [254 / 255, 0, 0], np.float32
    )  # a JPEG's red
    for kind, expected in (
        ("png", coloured(saved, limits=(0, 1))),
        ("overlay", overlay(red, saved, limits=(0, 1))),
    ):
        with PIL.Image.open(again.results / files[kind]) as shown:
            np.testing.assert_allclose(np.asarray(shown) / 255, expected, atol=1.5 / 255)
    page = (again.results / "index.html").read_text()
    assert all(f'href="{files[kind]}" download' in page for kind in ("npy", "png", "overlay"))
    for kind in ("npy", "png"):
        (again.results / files[kind]).unlink()
    run(folder / "fox.png", "--save", "npy", how=how)
    assert (again.results / files["npy"]).is_file()
    assert not (again.results / files["png"]).exists()  # nobody asks for it now
    loaded = load_run(again.results)
    np.testing.assert_array_equal(loaded["fox", "fido"].saliency, saved)
    np.testing.assert_array_equal(load_maps(again.results), saved[None])
    told = run("--save", "nyp", folder / "fox.png", how=how)
    assert (told.code, "--save: there is no 'nyp'; did you mean npy?" in told.err) == (2, True)


def test_other_settings_and_other_pixels_are_not_taken_for_done(run, folder):
    run(folder / "fox.png")
    assert "1 picture explained" in run(folder / "fox.png", "--seed", "1").out
    PIL.Image.new("RGB", (24, 20), (250, 5, 5)).save(folder / "fox.png")
    ran = run(folder / "fox.png")
    assert "1 picture explained" in ran.out
    assert len(ran.finished) == 3  # and nothing was overwritten


def test_a_picture_is_finished_when_all_of_it_is_there(run, folder):
    figures = (*QUICK, "--figures")
    first = run(folder / "fox.png")
    assert "1 picture explained" in run(folder / "fox.png", how=figures).out  # now with a figure
    assert "1 already explained" in run(folder / "fox.png").out
    record = run(folder / "fox.png").records["fox.png"]
    (name,) = first.finished
    for file in (record["files"]["figure"], f"records/{name}.json"):
        (first.results / file).unlink()
        assert "1 picture explained" in run(folder / "fox.png", how=figures).out
        assert "1 already explained" in run(folder / "fox.png", how=figures).out
    shutil.rmtree(first.results / record["map"]["ledger"])
    assert "1 picture explained" in run(folder / "fox.png").out


def test_a_changed_listing_keeps_what_is_there(run, folder):
    """Rows are the places of the first listing; what is new where one is taken comes behind."""
    rows = {"fox.png": 0, "jay.jpg": 1, "more/lizard.png": 2}

    def found(ran):
        return {name: record["map"]["row"] for name, record in ran.records.items()}

    assert found(run(folder)) == rows
    PIL.Image.new("RGB", (24, 20), "yellow").save(folder / "bee.png")
    (folder / "fox.png").rename(folder / "zorro.png")
    ran = run(folder)
    assert "2 pictures explained" in ran.out
    assert "2 already explained" in ran.out
    assert found(ran) == rows | {"bee.png": 4, "zorro.png": 5}
    assert "4 already explained" in run(folder).out
    assert len(set(ran.finished)) == len(ran.finished) == 5


def test_twins_and_pictures_named_twice(run, folder):
    (folder / "more" / "fox.png").write_bytes((folder / "fox.png").read_bytes())
    ran = run(folder / "fox.png", folder / "fox.png", folder / "more" / "fox.png", folder)
    assert len(ran.finished) == 4  # fox.png, more/fox.png, jay.jpg, more/lizard.png
    assert "3 already explained" in ran.out


def test_results_inside_the_folder_are_not_explained_themselves(run, folder):
    assert run(folder, out=folder / "out").code == 0
    assert "3 already explained" in run(folder, out=folder / "out").out


def test_a_map_does_not_depend_on_the_neighbours(run, folder, tmp_path):
    together = run(folder, how=FIDO, out=tmp_path / "a").saliency("jay.jpg")
    alone = run(folder / "jay.jpg", how=FIDO, out=tmp_path / "b").saliency("jay.jpg")
    np.testing.assert_array_equal(together, alone)


def test_ctrl_c_keeps_what_is_finished(run, folder, monkeypatch):
    calls = []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    original = programs.one_shot
    monkeypatch.setattr(programs, "one_shot", interrupted)
    ran = run(folder, "--batch-size", "1")
    assert ran.code == 130
    assert "1 picture explained" in ran.err  # and one was under way
    assert len(ran.records) == 1
    assert "fox.png" in (ran.results / "index.html").read_text()
    monkeypatch.setattr(programs, "one_shot", original)
    assert "2 pictures explained" in run(folder, "--batch-size", "1").out


def test_an_interrupt_that_python_swallows_is_not_lost():
    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        interrupt.check()
        with contextlib.suppress(KeyboardInterrupt):  # as Python does in a destructor
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
    assert signal.getsignal(signal.SIGINT) is before


def test_short_memory_goes_on_with_fewer_pictures_at_a_time(run, folder, monkeypatch):
    original = programs.one_shot

    def narrow(program, model, batch):
        if len(batch.targets) > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return original(program, model, batch)

    monkeypatch.setattr(programs, "one_shot", narrow)
    ran = run(folder, "--batch-size", "4")
    assert ran.code == 0
    assert "3 pictures explained" in ran.out
    said = "out of memory: going on with {} pictures per call"
    assert said.format(2) in ran.err
    assert said.format(1).replace("pictures", "picture") in ran.err


def test_no_memory_for_one_picture_is_one_sentence(run, folder, monkeypatch):
    def full(*arguments, **options):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(programs, "one_shot", full)
    ran = run(folder, "--batch-size", "4")
    assert ran.code == 3
    assert "out of memory with one picture at a time; 0 pictures explained" in ran.err


def test_a_full_disk_is_one_sentence(run, folder, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Ledger, "write", full)
    ran = run(folder)
    assert ran.code == 3
    assert "No space left on device; 0 pictures explained" in ran.err
    assert ran.err.count("\n") == 1
    assert not [path for path in ran.results.rglob(".*")]  # no half-written file


SLOW = """
import sys, time
import jax.numpy as jnp
from jax.tree_util import Partial
sys.path[:0] = ["tests", "tests/cli"]
from test_cli import LABELS, average_colour
from fidojax.cli import classifier, main
from fidojax.networks import Pretrained
classifier.packaged_weights = lambda name: None
classifier.load = lambda name, weights, layer: Pretrained(
    name, Partial(average_colour, jnp.float32(10.0)), LABELS, (16, 16, 3)
)
sys.exit(main(sys.argv[1:]))
"""


def test_two_shards_are_one_run_and_share_a_page(run, folder, tmp_path):
    for i in range(3):
        PIL.Image.new("RGB", (16, 16), (90, 40 * i, 0)).save(folder / f"{i}.png")
        (folder / f"bad {i}.png").write_bytes(b"")
    whole = run(folder, how=SMALL, out=tmp_path / "whole")
    first = run(folder, "--shard", "2/2", how=SMALL)
    assert "9 pictures, part 2 of 2," in first.out
    assert "2 pictures explained" in first.out
    assert "5 left to other shards" in first.out
    second = run(folder, "--shard", "1/2", how=SMALL)
    assert (first.code, second.code) == (1, 1)
    assert compare(whole.results / "results.zarr", second.results / "results.zarr") == (13, [])
    page = (second.results / "index.html").read_text()
    assert "6 explanations, 3 failed" in page
    assert all(f"bad {i}.png" in page for i in range(3))
    (folder / "bad 0.png").unlink()
    PIL.Image.new("RGB", (16, 16), "pink").save(folder / "bad 0.png")
    page = (run(folder, how=SMALL).results / "index.html").read_text()
    assert "7 explanations, 2 failed" in page


def test_shards_leave_each_other_s_files_alone_when_the_listing_has_changed(folder, tmp_path):
    """New pictures go to rows of the shard that their place belongs to."""
    ledger = Ledger(tmp_path / "maps", 6, {}, chunk=1)
    ledger.write(range(6), [f"old {i}" for i in range(6)], {})
    for shards in (1, 2, 3):
        rows = {}
        for index in range(shards):
            places = RowAssignment(find_ledger(ledger.path), 8, 1, (index, shards))
            for place, name in enumerate(["old 5", "a", "old 0", "b", "c", "d", "old 1", "e"]):
                row = places.row(place, name)
                if row is not None:
                    assert name not in rows
                    assert places.owns(row)
                    assert row < places.room(row)
                    rows[name] = row
        assert len(set(rows.values())) == 8
        assert [rows[f"old {i}"] for i in (0, 1, 5)] == [0, 1, 5]
        assert rows["e"] == 7
        assert min(rows[name] for name in "abcd") >= 8


def test_a_dry_run_says_the_cost_and_writes_nothing(run, folder):
    (folder / "empty.png").write_bytes(b"")
    ran = run(folder, "--dry-run", how=SMALL)
    assert ran.code == 0
    assert "to explain: 4; classifier evaluations: 72; about" in ran.out
    assert " to compile, measured on a batch)" in ran.out
    assert not ran.results.exists()
    assert "to explain: 2; class" in run(folder, "--dry-run", "--shard", "1/2", how=SMALL).out
    run(folder / "fox.png", how=SMALL)
    before = sorted(ran.results.rglob("*"))
    ran = run(folder, "--dry-run", how=SMALL)
    assert "to explain: 2; already explained: 1; not readable: 1; class" in ran.out
    assert "measured on the stored maps" in ran.out
    assert sorted(ran.results.rglob("*")) == before


def test_a_resumed_run_says_when_its_number_of_threads_is_another(run, folder, monkeypatch):
    how = ("--no-figures", "--method", "max_box")
    monkeypatch.setenv("NPROC", "2")
    ran = run(folder / "fox.png", how=how)
    assert ran.ledger(ran.records["fox.png"]).provenance["threads"] == 2
    assert "threads of XLA" not in run(folder / "fox.png", how=how).out
    monkeypatch.setenv("NPROC", "3")
    told = " ".join(run(folder / "fox.png", how=how).out.split())
    assert "made with 2 threads of XLA and are kept; with 3 some differ" in told
    assert "NPROC=2 gives the same" in told


def test_the_number_at_a_time_stays_unless_there_were_fewer_pictures(run, folder):
    how = ("--no-figures", "--method", "max_box")

    def at_a_time(*words):
        ran = run(*words, how=how)
        ledger = ran.ledger(ran.records["fox.png"])
        return ran.out.partition(" at a time")[0][-1], ledger.provenance["batch_size"], ran.out

    number, first, told = at_a_time(folder / "fox.png")
    assert (number, first, "were made" in told) == ("1", 1, False)
    number, first, told = at_a_time(folder)
    assert (number, first) == ("3", 1)
    assert "The stored maps were made 1 at a time" in told
    shutil.rmtree(run(folder, how=how).results)
    at_a_time(folder, "--batch-size", "2")
    PIL.Image.new("RGB", (16, 16), "pink").save(folder / "pig.png")
    assert at_a_time(folder)[:2] == ("2", 2)


def test_runs_killed_at_random_end_with_the_same_bits(run, tmp_path):
    """Once, or as often as FIDOJAX_KILLS says."""
    photos, out = tmp_path / "photos", tmp_path / "killed"
    photos.mkdir()
    for i in range(12):
        PIL.Image.new("RGB", (16, 16), (20 * i, 0, 99)).save(photos / f"{i:02}.png")
    whole = run(photos, how=SMALL, out=tmp_path / "whole").results / "results.zarr"
    draw, kills = random.Random(0), int(os.environ.get("FIDOJAX_KILLS", "1"))
    while kills:
        with subprocess.Popen(
            [sys.executable, "-c", SLOW, "explain", str(photos), "--out", str(out), *SMALL],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            process.stdout.readline()  # it is about to begin
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(draw.uniform(0, 3))
            kills -= process.poll() is None
            process.kill()
        assert process.returncode in (0, -signal.SIGKILL)
        if process.returncode == 0:  # and once more from the beginning
            assert compare(whole, out / "results.zarr")[1] == []
            shutil.rmtree(out)
    assert run(photos, how=SMALL, out=out).code == 0
    assert compare(whole, out / "results.zarr")[1] == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_whole_results_and_goes_on(run, tmp_path, how):
    photos, out = tmp_path / "many", tmp_path / "out"
    photos.mkdir()
    for i in range(40):
        PIL.Image.new("RGB", (16, 16), (i, 0, 255)).save(photos / f"{i:02}.png")
    arguments = ["explain", str(photos), "--out", str(out), *QUICK]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments, "--figures"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while len(list(out.glob("records/*.json"))) < 5:
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(how)
        process.communicate()
    records = {path.stem: json.loads(path.read_text()) for path in out.glob("records/*.json")}
    left = Ran(0, "", "", out)
    finished = set(left.finished)
    assert 5 <= len(records) < 40
    assert records.keys() <= finished  # a record comes after its map
    assert process.returncode == (130 if how == signal.SIGTERM else -9)
    for name, record in records.items():
        assert left.ledger(record).ids[record["map"]["row"]] == name
        with PIL.Image.open(out / record["files"]["figure"]) as figure:
            figure.load()
    ran = run(photos)
    assert f"{len(records)} already explained" in ran.out
    assert len(ran.records) == 40


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--method", "fidoo"], "--method: there is no 'fidoo'; did you mean fido?"),
        (["--infill", "blurr"], "--infill: there is no 'blurr'; did you mean blur?"),
        (["--infill", "blur:sigmas=3"], "there is no 'sigmas'; did you mean sigma?"),
        (["--infill", "blur:3"], "--infill: expected blur:OPTION=VALUE"),
        (["--infill", "blur:sigma=-1"], "sigma is -1"),
        (["--infill", "vae:weights='none.npz'"], "--infill: weights none.npz: there is no such"),
        (["--infill", "vae:weights='mnist'"], "the network of vae has one, grey pictures"),
        (["--preset", "papers"], "did you mean paper?"),
        (["--preset", "vdsm", "--method", "bbmp"], "vdsm is not for the method bbmp"),
        (["--objective", "srs"], "there is no 'srs'; did you mean ssr or sdr?"),
        (["--score", "odds"], "there is no 'odds'; did you mean log_odds?"),
        (["--target", "blue jya"], "no class is called 'blue jya'; did you mean blue jay? In che"),
        (["--target", "jay"], "In chelsea the classifier sees red fox 78.0 %, green"),
        (["nowhere.png", "--target", "owl"], "red fox, green lizard, blue jay, crane, crane\n"),
        (["--target", "5"], "--target: 5 is not in 0 to 4"),
        (["--target", "crane"], "the classes 3 and 4 are both called 'crane'; give the index"),
        (["--classifier", "minst"], "--classifier: there is no 'minst'; did you mean mnist?"),
        (["--weights", "missing.npz"], "there is no such file"),
        (["--method", "max_box", "--infill", "blur"], "the method max_box fills nothing in"),
        (["--method", "max_box", "--steps", "2"], "--steps: the method max_box has no such option"),
        (["--set", "averag=0.1"], "there is no 'averag'; did you mean average?"),
        (["--set", "average"], "--set: expected NAME=VALUE"),
        (["--set", "antithetic=true", "--samples", "3"], "even samples, got 3"),
        (["--crop", "2"], "--crop is 2.0, expected"),
        (["--infill", "blur:sigma=abc"], "--infill blur: sigma is abc, expected a number, or text"),
        (["--infill", "vae:weights=a.npz"], "weights is a.npz, expected a number, or text in quo"),
        (["--steps", "-5"], "--steps is -5, expected at least 1"),
        (["--method", "object_box"], "--method object_box: it needs the boxes of the objects; g"),
        (["--size", "0"], "--size is 0, expected at least 1"),
        (["--lambda", "-1"], "--lam is -1.0, expected at least 0"),
        (["--lr", "0"], "--learning-rate is 0.0, expected more than 0"),
        (["-m", "fidoo"], "--method: there is no 'fidoo'; did you mean fido?"),
        (["--limit", "0"], "--limit is 0, expected at least 1"),
        (["--shard", "3/2"], "--shard is '3/2', expected I/N with I from 1 to N"),
        (["nowhere.png"], "nowhere.png: there is no such file or folder"),
        (["tfds:mnist", "--data-dir", "nowhere"], "lies prepared in nowhere"),
    ],
)
def test_usage_errors_are_one_sentence(run, words, sentence):
    ran = run(*words, how=())
    assert ran.code == 2
    assert ran.out == ""
    assert sentence in ran.err
    assert ran.err.startswith("fidojax: ")
    assert ran.err.count("\n") == 1
    assert not ran.results.exists()


def test_an_output_folder_that_cannot_be_is_a_usage_error(run, tmp_path):
    (tmp_path / "file").write_text("")
    ran = run(out=tmp_path / "file" / "out", how=())
    assert ran.code == 2
    assert "--out" in ran.err


@pytest.mark.parametrize("words", [["--stepz", "3"], ["--steps", "many"]])
def test_misspelt_options_are_refused(run, words):
    assert run(*words, how=()).code == 2


@pytest.mark.parametrize(
    ("target", "index"), [("blue jay", 2), ("Blue_Jay", 2), ("2", 2), ("prediction", 0)]
)
def test_targets_are_names_or_indices(run, folder, target, index):
    ran = run(folder / "fox.png", "--target", target)
    assert ran.records["fox.png"]["target"]["index"] == index
    assert ran.records["fox.png"]["prediction"]["index"] == 0


def test_labels_need_a_data_set_that_has_them(run, folder):
    ran = run(folder / "fox.png", "--target", "label")
    assert ran.code == 1
    assert "it has no label to explain" in ran.out


@pytest.mark.parametrize(
    ("label", "name", "index"),
    [(7, "n01855672 blue jay", 2), (7, "Red_Fox", 0), (1, "n02123045", 1), (1, None, 1),
     (0, "owl", None), (1, "1", 1), (0, "crane", None), (9, None, None)],
)  # fmt: skip
def test_a_data_sets_label_is_found_by_its_name(label, name, index):
    network = Pretrained("birds", Partial(average_colour, jnp.float32(1.0)), LABELS, (16, 16, 3))
    picture = Picture("a", np.zeros((16, 16, 3), np.float32), label, label_name=name)
    even = np.full(5, 0.2, np.float32)
    if index is None:
        with pytest.raises(ValueError, match="birds has no class for its label"):
            target_of("label", network, picture, even)
    else:
        assert target_of("label", network, picture, even) == index


def test_boxes_and_labels_come_from_a_table(run, folder):
    table = folder / "boxes.csv"
    table.write_text("file,x0,y0,x1,y1,label\nfox.png,2,0,14,10,green lizard\n")
    how = ("--boxes", table, "--target", "label")
    ran = run(folder / "fox.png", *how, how=("--no-figures", "--method", "object_box"))
    assert ran.code == 0
    expected = np.zeros((16, 16))
    expected[:8, :9] = 1  # 24 x 20 pixels become 19 x 16, and 2 columns are cut off on the left
    np.testing.assert_array_equal(ran.saliency("fox.png"), expected)
    assert ran.records["fox.png"]["target"]["name"] == "green lizard"
    table.write_text("file,x0,y0,x1,y1,label\nfox.png,2,0,20,10,green lizard\n")
    again = run(folder / "fox.png", *how, how=("--no-figures", "--method", "object_box"))
    assert "1 picture explained" in again.out  # by the other box
    bad = run(folder, "--boxes", "nowhere.csv")
    assert (bad.code, bad.err) == (2, "fidojax: --boxes nowhere.csv: there is no such file\n")


def test_folders_of_classes_are_labels(run, folder):
    for name, colour in {"red fox/a.png": "blue", "owl/b.png": "red"}.items():
        (folder / "classes" / name).parent.mkdir(parents=True)
        PIL.Image.new("RGB", (16, 16), colour).save(folder / "classes" / name)
    ran = run(folder / "classes", "--target", "label")
    assert ran.code == 1
    assert ran.records["red fox/a.png"]["target"]["name"] == "red fox"
    assert "owl/b.png: tiny_imagenet40 has no class for its label 'owl'" in ran.out


def test_boxes_are_padded_to_the_same_number():
    image = np.zeros((10, 20, 3), np.float32)
    two = Picture("a", image, boxes=np.array([[0, 0, 5, 5], [5, 10, 10, 20]]))
    boxes = boxes_of([two, Picture("b", image)])["boxes"]
    np.testing.assert_array_equal(boxes[0], [[0, 0, 5, 5], [5, 10, 10, 20]])
    np.testing.assert_array_equal(boxes[1], np.zeros((2, 4)))


def test_results_that_are_not_finite_are_failures_without_a_figure(run, folder, monkeypatch):
    def spoiled(*arguments, **options):
        explanation = original(*arguments, **options)
        return explanation._replace(saliency=explanation.saliency.at[0, 3, 3].set(np.nan))

    original = programs.one_shot
    monkeypatch.setattr(programs, "one_shot", spoiled)
    ran = run(folder / "fox.png", folder / "jay.jpg")
    assert ran.code == 1
    assert f"{folder}/fox.png: the explanation is not finite" in ran.out
    assert ran.records["fox.png"]["status"] == "failed"
    assert ran.records["fox.png"]["files"] == {}
    assert len(ran.finished) == 1
    monkeypatch.setattr(programs, "one_shot", original)
    assert run(folder).records["fox.png"]["status"] == "explained"


def test_a_classifier_that_gives_nan_fails_every_picture(run, folder):
    ran = run(folder, "--weights", "broken.npz")
    assert ran.code == 1
    assert ran.out.count("the classifier's output for it is not finite") == 3


@pytest.mark.parametrize(
    ("method", "objective", "word"),
    [("fido", "ssr", "kept"), ("fido", "sdr", "filled in"), ("bbmp", "ssr", "kept"),
     ("meaningful_perturbation", None, "filled in"), ("max_box", None, ""),
     ("center_box", None, ""),
     ("extremal_perturbation", None, "kept"), ("occlusion", None, ""), ("deeplift", None, ""),
     ("gradient", None, "")],
)  # fmt: skip
def test_every_method_goes_through(run, folder, method, objective, word):
    words = ["--objective", objective] if objective else []
    steps = ["--steps", "2"] if method in LOOPS else []
    ran = run(folder / "fox.png", "--method", method, *words, *steps, "--hold", "none", how=())
    assert ran.code == 0, ran.err
    assert word in ran.err
    assert (ran.results / ran.records["fox.png"]["files"]["figure"]).exists()


@pytest.fixture
def encoder(tmp_path) -> Path:
    """The weights of an encoder for VarSal, of one layer."""
    path = tmp_path / "encoder.npz"
    weight_files.save(path, VarSalNetwork(3, (4,), norm=False, rngs=nnx.Rngs(0)))
    return path


def test_varsal_stores_and_draws_how_sure_it_is(run, folder, encoder):
    words = ("--method", "varsal", "--explainer", encoder, "--set", "samples=4")
    ran = run(folder / "fox.png", *words, how=())
    assert ran.code == 0, ran.err
    assert f"encoder {encoder}" in ran.out.splitlines()[0]
    record = ran.records["fox.png"]
    files = record["files"]
    assert files.keys() == {"figure", "samples", "small"}
    images = np.stack([np.asarray(PIL.Image.open(folder / "fox.png").resize((16, 16)))]) / 255
    mean, log_variance = load_encoder(encoder)(jnp.float32(images))
    np.testing.assert_allclose(ran.saliency("fox.png"), mean[0], rtol=1e-3, atol=1e-5)
    columns = (ran.ledger(record).read(name) for name in ("deviation", "deviation_scale"))
    deviation = unpack(*columns)[record["map"]["row"]]
    np.testing.assert_allclose(deviation, np.exp(0.5 * log_variance[0]), rtol=1e-3)
    assert record["mean_standard_deviation"] == pytest.approx(deviation.mean(), rel=1e-3)
    assert f"mean standard deviation {deviation.mean():.2f}" in ran.err
    page = (ran.results / "index.html").read_text()
    assert all(file in page for kind, file in files.items() if kind != "small")
    assert page.count("<img") == 2  # no array is taken for a picture
    assert page.count("mean standard deviation</th>") == page.count("<td>all classes</td>") == 1


def test_another_encoder_is_another_run(run, folder, encoder, tmp_path):
    words = ("--method", "varsal", "--no-figures", "--explainer")
    run(folder, *words, encoder, how=())
    weight_files.save(encoder, VarSalNetwork(3, (4,), norm=False, rngs=nnx.Rngs(1)))
    assert "3 pictures explained" in run(folder, *words, encoder, how=()).out
    assert "samples" not in run(folder, *words, encoder, how=()).records["fox.png"]["files"]


def test_varsal_takes_the_encoder_of_the_classifiers_name(monkeypatch, encoder):
    asked = []

    def shipped(name):
        asked.append(name)
        if name != "tiny_imagenet40":
            raise FileNotFoundError("there is no such file")
        return load_encoder(encoder)

    monkeypatch.setitem(LOADERS, "encoder", shipped)
    job = jobs.prepare(Explain(method="varsal"))
    assert asked == ["tiny_imagenet40"]
    assert job.settings["encoder"] == "tiny_imagenet40"
    assert "encoder" not in job.options
    for other, whose in (
        (Explain(method="varsal", classifier="mnist"), "mnist"),
        (Explain(method="varsal", classifier="keras:VGG16"), "keras:VGG16"),
        (Explain(method="varsal", weights="my.npz"), "tiny_imagenet40 with other weights"),
    ):
        with pytest.raises(UsageError, match=f"no encoder is shipped for {whose}; give the file"):
            jobs.prepare(other)


def test_an_encoder_that_does_not_fit_is_a_usage_error(run, folder, encoder, tmp_path):
    grey = tmp_path / "grey.npz"
    weight_files.save(grey, VarSalNetwork(1, (4,), norm=False, rngs=nnx.Rngs(0)))
    for words, sentence in (
        (("--explainer", grey), "images are 16 x 16 x 3, but the encoder is for any x any x 1"),
        (("--explainer", "none.npz"), "--explainer: weights none.npz: there is no such file"),
        (("--explainer", encoder, "--samples", "-1"), "samples is -1"),
        (("--explainer", encoder, "--target", "crane"), "varsal explains all classes at once"),
        (
            ("--explainer", encoder, "--method", "max_box"),
            "the method max_box needs no trained network",
        ),
    ):
        ran = run(folder, "--method", "varsal", *words, how=())
        assert ran.code == 2
        assert sentence in ran.err
        assert ran.err.count("\n") == 1


def test_a_classifier_that_a_method_cannot_take_is_a_usage_error(run, folder):
    ran = run(folder, "--method", "grad_cam", how=())
    assert ran.code == 2
    assert "layer=" in ran.err
    assert ran.err.count("\n") == 1
    ran = run(folder, "--method", "attention_rollout", how=())
    assert ran.code == 2
    assert "its program has no attention" in ran.err
    assert ran.err.count("\n") == 1


def test_every_method_has_a_meaning():
    for method in METHODS:
        assert METHOD_ROWS[method].meaning({})
        assert METHOD_ROWS[method].limits in ((0, 1), None)
    assert METHOD_ROWS["fido"].meaning({"objective": "sdr"}) == "drop probability"
    assert METHOD_ROWS["deeplift"].is_signed(np.array([-1.0, 2.0]))
    assert not METHOD_ROWS["rise"].is_signed(np.array([1.0, 2.0]))
    assert not METHOD_ROWS["varsal"].is_signed(np.array([-1.0, 2.0]))  # its zero means nothing


def test_limit_and_no_figures(run, folder):
    ran = run(folder, "--limit", "2", how=QUICK)
    assert len(ran.records) == 2
    assert not list((ran.results / "figures").iterdir())
    assert "<img" not in (ran.results / "index.html").read_text()


def test_names_from_files_cannot_leave_the_page_or_the_folder(run, tmp_path):
    photos = tmp_path / "photos" / "a & b"
    photos.mkdir(parents=True)
    name = "<script>alert(1)<.png"
    PIL.Image.new("RGB", (16, 16), "red").save(photos / name)
    PIL.Image.new("RGB", (16, 16), "red").save(photos / ("ü" * 100 + ".png"))
    ran = run(tmp_path / "photos")
    assert ran.code == 0
    page = (ran.results / "index.html").read_text()
    assert "<script>alert" not in page
    assert "a &amp; b/&lt;script&gt;alert(1)&lt;.png" in page
    assert len(ran.finished) == 2


def test_settings_of_two_runs_stand_on_one_page(run, folder):
    run(folder / "fox.png")
    ran = run(folder / "fox.png", "--target", "1")
    run(folder / "fox.png", "--target", "1", "--seed", "7")
    page = (ran.results / "index.html").read_text()
    assert page.count('<section class="photo">') == 1
    heads = re.findall("<h3>(.*)</h3>", page)
    # What tells apart two that look the same; the first one first.
    assert heads == [
        "predicted class",
        "class green lizard · seed 0",
        "class green lizard · seed 7",
    ]
    assert "3 explanations with 3 different settings" in page


def test_digits_are_filled_in_black_and_seen_sharp(colours):
    job = jobs.prepare(Explain(classifier="mnist", weights="my.npz"))
    assert job.settings["infill"] == "mean:color=0.0"
    assert job.options["size"] == 16  # the picture's own, since it is small
    assert jobs.prepare(Explain(size=4)).options["size"] == 4
    assert colours[:1] == [("mnist", "my.npz")]


def test_list_shows_every_name(capsys):
    from fidojax.methods.table import METHODS
    from fidojax.metrics import METRICS
    from fidojax.networks import SHIPPED
    from fidojax.presets import PRESETS
    from infillers import INFILLERS

    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in (*METHODS, *INFILLERS, *PRESETS, *SHIPPED, *METRICS, "keras:NAME"):
        assert name in out
    assert "arXiv 1807.08024" in out


def test_list_of_names_shows_options_and_their_meaning(capsys):
    assert main(["list", "rise", "blur", "hold"]) == 0
    out = capsys.readouterr().out
    assert " ".join(out.split()).count("samples 4000 number of masks, each one evaluation of") == 1
    assert "standard deviation in pixels" in out
    assert "hold = 0.9" in out
    assert main(["list", "classes", "--classifier", "mnist"]) == 0
    assert capsys.readouterr().out.split() == [str(n // 2) for n in range(20)]
    assert main(["list", "fidoo"]) == 2
    assert "there is no 'fidoo'; did you mean fido?" in capsys.readouterr().err
    assert main(["lst"]) == 2
    assert capsys.readouterr().err.startswith(
        "fidojax: command: there is no 'lst'; did you mean li"
    )


def test_everything_listed_can_be_cited():
    from fidojax.methods.table import METHODS
    from fidojax.metrics import METRICS
    from fidojax.networks import SHIPPED
    from infillers import INFILLERS

    for name in (*METHODS, *INFILLERS, *SHIPPED, *METRICS):
        assert cite.cite(name).startswith("@")
    assert all(key in cite.BIBTEX for keys in cite.uses().values() for key in keys)


def test_cite_prints_each_entry_once(capsys):
    assert main(["cite", "fido", "blur"]) == 0
    out = capsys.readouterr().out
    assert out.count("chang2019fido") == 1
    assert "fong2017bbmp" in out
    assert main(["cite"]) == 0
    everything = capsys.readouterr().out
    assert everything.count("@") == len(cite.BIBTEX)
    assert everything.count("{") == everything.count("}")
    assert main(["cite", "fiddo"]) == 2
    assert "did you mean fido?" in capsys.readouterr().err


def test_cite_of_a_folder_is_what_its_runs_used(run, folder, tmp_path, capfd):
    ran = run(folder / "fox.png", how=("--no-figures", "--method", "gradient", "--hold", "none"))
    settings = json.loads(next((ran.results / "runs").glob("*.json")).read_text())["settings"]
    settings |= {"preset": "fast", "infill": ["blur:sigma=5", "mean"], "region": {"infill": ["ca"]}}
    assert [*used_in(settings)] == ["gradient", "blur", "mean", "ca", "tiny_imagenet40"]
    capfd.readouterr()
    assert main(["cite", str(ran.results)]) == 0
    assert capfd.readouterr().out == cite.cite("gradient", "tiny_imagenet40") + "\n"
    assert main(["cite", "rise", str(tmp_path)]) == 2
    said = f"fidojax: cite {tmp_path}: the folder has no runs of fidojax explain\n"
    assert capfd.readouterr().err == said


def test_version_and_help(capsys):
    from fidojax import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fidojax {__version__}\n"
    assert main([]) == 0
    assert "explain" in capsys.readouterr().out
    assert main(["explain", "--help"]) == 0
    assert "--learning-rate" in capsys.readouterr().out


def test_help_needs_neither_keras_nor_matplotlib():
    check = (
        "import sys; from fidojax.cli import main; main(['explain', '--help']); "
        "heavy = {'keras', 'matplotlib', 'skimage', 'tensorflow_datasets', 'PIL'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_package_is_the_program(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fidojax", "--version"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("fidojax", run_name="__main__")
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith("fidojax ")
    with contextlib.suppress(SystemExit):
        main(["--tyro-print-completion", "bash"])
    assert "--stop-early" in capsys.readouterr().out


def test_early_stopping_and_a_precision_are_settings_of_the_run(run, folder, tmp_path, monkeypatch):
    given = []
    stream = resume.explain_samples
    monkeypatch.setattr(
        resume, "explain_samples",
        lambda request, *a, **k: given.append((request.precision, request.stop))
        or stream(request, *a, **k),
    )  # fmt: skip
    run(folder, how=FIDO)
    other = run(folder, "--precision", "bfloat16", "--stop-early", how=FIDO, out=tmp_path / "other")
    assert other.code == 0
    assert "3 pictures explained" in other.out
    assert given == [(None, None), ("bfloat16", Stop())]
    settings = [record["settings"] for record in other.records.values()]
    assert [own["stop"] for own in settings] == [Stop()._asdict()] * 3
    assert {own["precision"] for own in settings} == {"bfloat16"}


def test_the_form_for_cpus_can_be_switched_off(run, folder, tmp_path, monkeypatch):
    given, stream = [], resume.explain_samples
    monkeypatch.setattr(
        resume, "explain_samples",
        lambda request, *a, **k: given.append((request.classifier, request.rewrite))
        or stream(request, *a, **k),
    )  # fmt: skip
    run(folder, how=FIDO)
    stock = run(folder, "--no-rewrite", how=FIDO, out=tmp_path / "other")
    assert stock.code == 0
    (fast, on), (plain, off) = given
    assert (on, off) == (True, False)
    assert cpu.fast(fast) is fast
    assert cpu.fast(plain) is not plain
    assert [record["settings"]["rewrite"] for record in stock.records.values()] == [False] * 3


def test_evaluations_can_be_spread_over_the_devices(run, folder, tmp_path, monkeypatch):
    given, stream = [], resume.explain_samples
    monkeypatch.setattr(
        resume, "explain_samples",
        lambda request, *a, **k: given.append(request.devices) or stream(request, *a, **k),
    )  # fmt: skip
    alone = run(folder, how=FIDO)
    together = run(folder, "--spread", how=FIDO, out=tmp_path / "other")
    assert together.code == 0
    assert "at a time on all" in together.out
    assert "at a time on each" in alone.out
    assert [type(devices) for devices in given] == [list, Spread]
    spread = {record["settings"].get("spread") for record in together.records.values()}
    assert spread == {jax.local_device_count()}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--precision", "float16"], "--precision: there is no 'float16'; did you mean bfloat16"),
        (["--method", "gradient", "--stop-early"], "--stop-early: gradient has no mask that"),
        (["--method", "bbmp", "--spread"], "--spread: bbmp shows the classifier one picture"),
    ],
)
def test_what_cannot_be_stopped_rounded_or_spread_says_so(words, sentence, run, folder):
    ran = run(folder, *words, how=())
    assert ran.code == 2
    assert sentence in ran.err


def test_old_names_work_with_one_note_each(run, folder, tmp_path):
    old = run(folder, how=(*SMALL, "--dtype", "bfloat16"))
    assert old.code == 0
    assert old.err.count("'--dtype' is now called '--precision'") == 1
    new = run(folder, how=(*SMALL, "--precision=bfloat16"))
    assert "3 already explained" in new.out
    assert "is now called" not in new.err
    boxes = run(folder, how=("--method", "max", "--no-figures"), out=tmp_path / "boxes")
    assert boxes.code == 0
    assert boxes.err.count("'max' is now called 'max_box'") == 1
    assert {record["settings"]["method"] for record in boxes.records.values()} == {"max_box"}


NAME = "a\x1b[2J\nb\u202e.png"
SHOWN = r"a\x1b[2J\nb\u202e.png"


def test_names_cannot_command_the_terminal(run, tmp_path):
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    PIL.Image.new("RGB", (16, 16), "red").save(photos / NAME)
    (photos / "more" / NAME).write_bytes(b"")
    ran = run(photos, f"--weights=\x1b[2J{tmp_path}", out=tmp_path / "o\x1b[2J\nut")
    for text in (ran.out, ran.err):
        assert not {"\x1b", "\u202e"} & set(text)
    assert f"{SHOWN}: red fox" in ran.err
    assert f"failed: {photos}/more/{SHOWN}: the file is empty" in ran.out
    assert r"results go to" in ran.out.splitlines()[1]
    assert r"o\x1b[2J\nut/index.html" in ran.out.splitlines()[-1]
    assert run("\x1b[2Jno\nwhere.png").err == (
        "fidojax: \\x1b[2Jno\\nwhere.png: there is no such file or folder\n"
    )


def test_a_terminal_of_ascii_shows_escapes(folder, tmp_path, monkeypatch):
    (folder / "fox.png").rename(folder / "füchse 狐.png")
    (folder / "jay.jpg").write_bytes(b"")
    (folder / "jay.jpg").rename(folder / "häher.jpg")
    streams = {name: io.TextIOWrapper(io.BytesIO(), "ascii") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    assert main(["explain", str(folder), "--out", str(tmp_path / "o"), *QUICK]) == 1
    said = []
    for stream in streams.values():
        stream.flush()
        said.append(stream.buffer.getvalue().decode("ascii"))  # type: ignore[attr-defined]
    assert r"h\xe4her.jpg: the file is empty" in said[0]
    assert r"f\xfcchse \u72d0.png: red fox" in said[1]


@pytest.mark.filterwarnings("always::UserWarning")
def test_warnings_are_one_line_each_without_our_source(capsys):
    with terminal("fidojax"):
        for _ in range(2):
            warnings.warn("two\n  lines \x1b[2J", stacklevel=1)
        warnings.warn("Glyph 29392 (\\N{CJK}) missing from font(s) DejaVu Sans.", stacklevel=1)
    assert capsys.readouterr().err == "fidojax: two lines \\x1b[2J\n"


def test_figures_of_names_without_a_glyph_warn_nobody(run, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    PIL.Image.new("RGB", (16, 16), "red").save(photos / "狐\U00012000.png")
    ran = run(photos, "--figures")
    assert ran.code == 0
    assert "Glyph" not in ran.err
    assert "warn" not in ran.err


def raising(error: BaseException):
    def raised(*arguments, **more):
        raise error

    return raised


FULL = OSError(errno.ENOSPC, "No space left on device", "out/index.html")


@pytest.mark.parametrize(
    ("place", "error", "code", "sentence", "maps"),
    [
        ("run.write_index", FULL, 3, "out/index.html: No space left on device; 3 pictures", 3),
        ("run.figure", FULL, 3, "index.html: No space left on device; 0 pictures", 2),
        ("run.explain_missing", MemoryError(), 3, "the memory is exhausted; 0 pictures", 0),
        ("run.explain_missing", RuntimeError("can't start new thread"), 3, "(ulimit -u", 0),
        ("run.find_ledger", KeyboardInterrupt(), 130, "interrupted before the work began", 0),
        ("run.prepare", KeyboardInterrupt(), 130, "interrupted before the work began", 0),
        ("run.prepare", RuntimeError("can't start new thread"), 3, "(ulimit -u", 0),
        ("run.prepare", ImportError("libfoo.so"), 70, "an error of fidojax itself", 0),
        ("run.explain_missing", KeyError("foo"), 70, "an error of fidojax itself", 0),
    ],
)
def test_whatever_ends_a_run_is_one_sentence_and_a_code(
    place, error, code, sentence, maps, folder, tmp_path, monkeypatch, capfd
):
    arguments = ["explain", str(folder), "--out", str(tmp_path / "out"), *QUICK, "--figures"]
    module, _, name = place.partition(".")
    with monkeypatch.context() as patch:
        patch.setattr(f"fidojax.cli.{module}.{name}", raising(error))
        if name == "find_ledger":
            arguments.append("--dry-run")
        assert main(arguments) == code
    out, err = capfd.readouterr()
    last = err.strip().splitlines()[-1]
    assert last.startswith("fidojax: ")
    assert sentence in last
    assert ("Traceback" in err) == (code == 70)
    assert "Traceback" not in out
    assert len(Ran(0, "", "", tmp_path / "out").finished) == maps
    assert main(arguments) == 0


def test_the_limit_counts_pictures_that_can_be_read(run, folder):
    for i in range(3):
        (folder / f"a{i}.png").write_bytes(b"")
    ran = run(folder, "--limit", "2", "--batch-size", "1")
    assert ran.code == 1
    assert "2 pictures explained" in ran.out
    assert ran.records.keys() == {"fox.png", "jay.jpg"}
    again = run(folder, "--limit", "2", "--batch-size", "1")
    assert "2 already explained" in again.out
    whole = run(folder)
    assert "1 picture explained" in whole.out
    assert len(set(whole.finished)) == 3
    assert run("nowhere.png", folder / "fox.png", "--limit", "1").code == 1


def test_a_kill_between_row_and_record_leaves_one_record_for_a_map(run, folder, monkeypatch):
    """Then another picture stands at its place of the listing."""
    with monkeypatch.context() as patch:
        patch.setattr("fidojax.cli.records.ResultsFolder.store", raising(KeyboardInterrupt()))
        ran = run(folder)
    assert ran.code == 130
    assert (len(ran.finished), len(ran.records)) == (2, 0)
    (folder / "fox.png").unlink()
    PIL.Image.new("RGB", (16, 16), "pink").save(folder / "fox2.png")
    ran = run(folder)
    assert ran.code == 0
    places = {
        name: (record["map"]["row"], ran.ledger(record).ids[record["map"]["row"]])
        for name, record in ran.records.items()
    }
    assert places.keys() == {"fox2.png", "jay.jpg", "more/lizard.png"}
    assert len({row for row, _ in places.values()}) == 3
    assert all(found.startswith(Path(name).stem.replace("/", "_")) or "lizard" in found
               for name, (_, found) in places.items())  # fmt: skip
    assert verify(ran.results) == []


def test_the_seconds_of_the_pictures_and_of_compilation_are_those_of_the_run(
    run, folder, monkeypatch
):
    """Three pictures, two at once: 4 s for each call, of which 1 s compiles in the first one."""
    clock, original = {"time": 0.0, "compiled": 0.0}, programs.one_shot
    watch = Stopwatch(lambda: clock["time"], lambda: clock["compiled"])

    def slow(*arguments):
        clock["compiled"] = 1.0
        clock["time"] += 4.0
        return original(*arguments)

    monkeypatch.setattr(programs, "one_shot", slow)
    monkeypatch.setattr("fidojax.cli.run.Stopwatch", lambda: watch)
    ran = run(folder)
    seconds = {name: record["seconds"] for name, record in ran.records.items()}
    assert seconds == {"fox.png": 1.5, "jay.jpg": 1.5, "more/lizard.png": 4.0}
    (stored,) = (ran.results / "runs").glob("*.json")
    assert json.loads(stored.read_text())["compile_seconds"] == 1.0
