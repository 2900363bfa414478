"""Damages of a folder of results: explained again, or one sentence with the file's name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import PIL.Image
import pytest
import zarr
from jax.tree_util import Partial

from benchmarks.kills import compare
from fidojax.cli import classifier as classifiers
from fidojax.cli import main
from fidojax.networks import Pretrained
from fidojax.runs import verify

LABELS = ("red", "green", "blue")
COUNT = 5
HOW = ("--batch-size", "1", "--method", "gradient", "--no-figures")


def average_colour(scale, images):
    return scale * images.mean(axis=(1, 2))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder of pictures and the results of an undisturbed run, in files of two rows."""
    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        network = Partial(average_colour, jnp.float32(10.0))
        patch.setattr(classifiers, "packaged_weights", lambda name: None)
        patch.setattr(
            classifiers,
            "load",
            lambda name, weights, layer: Pretrained(name, network, LABELS, (8, 8, 3)),
        )
        patch.setattr("fidojax.cli.opening.rows_per_file", lambda *numbers: 2)
        photos = root / "photos"
        photos.mkdir()
        for i in range(COUNT):
            PIL.Image.new("RGB", (8, 8), (200 - 40 * i, 40 * i, 30)).save(photos / f"{i}.png")
        assert main(["explain", str(photos), "--out", str(root / "whole"), *HOW]) == 0
        yield root


class Results:
    """A copy of the results, with the places of their files."""

    def __init__(self, out: Path) -> None:
        self.out = out
        (self.ledger,) = (path for path in (out / "results.zarr").iterdir() if path.is_dir())
        self.record = sorted((out / "records").iterdir())[1]
        (self.run,) = (out / "runs").iterdir()

    def chunk(self, column: str, index: int = 0) -> Path:
        axes = zarr.open_array(self.ledger / column, mode="r").ndim
        return self.ledger.joinpath(column, "c", str(index), *["0"] * (axes - 1))


@pytest.fixture
def results(world, tmp_path) -> Results:
    shutil.copytree(world / "whole", tmp_path / "out")
    return Results(tmp_path / "out")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def folder(file: Path) -> None:
    remove(file)
    file.mkdir()


def remove(file: Path) -> None:
    shutil.rmtree(file) if file.is_dir() else file.unlink()


def change(**fields) -> Callable[[Path], None]:
    """Change fields of a JSON file; None removes one."""

    def write(file: Path) -> None:
        content = json.loads(file.read_text()) | fields
        file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))

    write.__name__ = f"change_{'_'.join(fields)}"
    return write


def text(content: str) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        remove(file)
        file.write_text(content)

    write.__name__ = f"text_{content or 'none'}"
    return write


CHUNKS = ("maps", "scale", "targets", "batch_size", "ids", "status")
AGAIN = [  # what is explained again, to the same bits
    *[(damage, lambda r, c=column: r.chunk(c), 2) for column in CHUNKS[:4]
      for damage in (flip, cut, remove)],
    *[(damage, lambda r, c=column: r.chunk(c), 2) for column in CHUNKS[4:]
      for damage in (flip, empty, remove)],
    (empty, lambda r: r.chunk("seconds"), 2),
    (folder, lambda r: r.chunk("maps"), 2),
    (flip, lambda r: r.chunk("maps", 2), 1),
    (remove, lambda r: r.ledger / "maps", COUNT),
    (remove, lambda r: r.ledger / "maps" / "zarr.json", COUNT),
    (remove, lambda r: r.ledger, COUNT),
    (remove, lambda r: r.out / "results.zarr", COUNT),
    (remove, lambda r: r.record, 1),
    (cut, lambda r: r.record, 1),
    (text("[]"), lambda r: r.record, 1),
    (change(files=None), lambda r: r.record, 1),
    (change(objective=3), lambda r: r.record, 1),
    (change(settings=None), lambda r: r.record, 1),
    (change(map=[1]), lambda r: r.record, 1),
    (remove, lambda r: r.run, 0),
    (cut, lambda r: r.run, 0),
    (text("{}"), lambda r: r.run, 0),
    (change(failures=[3]), lambda r: r.run, 0),
    (remove, lambda r: r.out / "index.html", 0),
]  # fmt: skip
REFUSED = [  # what is one sentence, before anything is computed or changed
    *[(damage, lambda r, n=name: r.ledger / n / "zarr.json", "restore it, or delete")
      for name in (".", "maps", "status") for damage in (empty, cut, text("[]"))],
    (remove, lambda r: r.ledger / "zarr.json", "has no settings"),
    (change(attributes={}), lambda r: r.ledger / "zarr.json", "has no settings"),
    (change(attributes=3), lambda r: r.ledger / "zarr.json", "restore it, or delete"),
    (change(shape=[COUNT, 80, 8]), lambda r: r.ledger / "maps" / "zarr.json", "whole rows"),
    (change(data_type="float32"), lambda r: r.ledger / "maps" / "zarr.json", "expected float16"),
    (change(data_type="uint16"), lambda r: r.ledger / "status" / "zarr.json", "expected uint8"),
    (change(data_type="float17"), lambda r: r.ledger / "maps" / "zarr.json", "float17"),
    (remove, lambda r: r.ledger / "ids" / "zarr.json", "is missing"),
    (empty, lambda r: r.out / "results.zarr" / "zarr.json", "restore it, or delete"),
    (text(""), lambda r: r.out / "results.zarr", "results.zarr"),
    (text(""), lambda r: r.ledger, "results.zarr"),
    (text(""), lambda r: r.out / "records", "records"),
    (text(""), lambda r: r.out / "runs", "runs"),
]  # fmt: skip
STOPPED = [  # what cannot be written at the end
    (folder, lambda r: r.out / "index.html", "index.html: Is a directory"),
    (folder, lambda r: r.run, ".json: Is a directory"),
]


def explain(world, results, capfd, *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = main(["explain", str(world / "photos"), "--out", str(results.out), *HOW, *words])
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


def bits_of(world, results) -> list[str]:
    """The arrays that differ from those of the undisturbed run."""
    found = compare(world / "whole" / "results.zarr", results.out / "results.zarr")
    return [name for name in found[1] if not name.endswith("problem")]


def name_of(case) -> str:
    return getattr(case, "__name__", str(case))


@pytest.mark.parametrize(("damage", "file", "count"), AGAIN, ids=name_of)
def test_damaged_results_are_explained_again_to_the_same_bits(
    damage, file, count, world, results, capfd
):
    damage(file(results))
    code, out, err = explain(world, results, capfd)
    assert (code, err.count("fidojax:")) == (0, 0)
    assert f"{count} picture{'' if count == 1 else 's'} explained" in out
    assert bits_of(world, results) == []
    assert verify(results.out) == []
    assert len(list((results.out / "records").iterdir())) == COUNT
    assert f"{COUNT} explanations" in (results.out / "index.html").read_text()


@pytest.mark.parametrize(("damage", "file", "sentence"), REFUSED, ids=name_of)
def test_a_store_that_cannot_be_trusted_is_refused_in_one_sentence(
    damage, file, sentence, world, results, capfd
):
    place = file(results)
    damage(place)
    code, out, err = explain(world, results, capfd)
    assert (code, out) == (2, "")
    assert sentence in err
    assert str(place.resolve().relative_to(results.out)).removesuffix("/zarr.json") in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("damage", "file", "sentence"), STOPPED, ids=name_of)
def test_what_cannot_be_written_is_one_sentence_and_the_maps_are_kept(
    damage, file, sentence, world, results, capfd
):
    damage(file(results))
    code, _, err = explain(world, results, capfd)
    assert code == 3
    assert sentence in err
    assert err.count("\n") == 1
    assert bits_of(world, results) == []


def test_a_record_of_a_replaced_map_is_not_shown(world, results, capfd):
    """As earlier versions left it when they were killed between a record and its row."""
    stale = json.loads(results.record.read_text()) | {"id": "gone.png"}
    (results.out / "records" / "gone.gradient-00000000.json").write_text(json.dumps(stale))
    assert explain(world, results, capfd)[0] == 0
    page = (results.out / "index.html").read_text()
    assert "gone.png" not in page
    assert f"{COUNT} explanations" in page


def test_a_foreign_record_is_named_and_left_out(world, results, capfd):
    (results.out / "records" / "mine.json").write_text("{}")
    code, out, _ = explain(world, results, capfd)
    assert code == 0
    assert f"left out: {results.out}/records/mine.json: it is no record of a result" in out
    assert f"{COUNT} explanations" in (results.out / "index.html").read_text()
