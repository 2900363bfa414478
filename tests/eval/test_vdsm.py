"""VDSM's experiment on a few digits: it stores, goes on after a stop, and reaches known numbers."""

import shutil

import jax
import numpy as np
import PIL.Image
import pytest
from flax import nnx

from eval import runner
from eval.protocols.vdsm import background, vae
from eval.protocols.vdsm.experiment import Example, printed
from eval.report.reading import read
from eval.run import main
from fidojax import networks
from fidojax.networks import weight_files
from fidojax.networks.classifiers import MnistAllConv
from fidojax.runs import Ledger


@pytest.fixture(scope="module", autouse=True)
def small_gallery():
    """A large one takes long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "SHOWN", 1)
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file with weights of the MNIST network as they are before training."""
    path = tmp_path_factory.mktemp("network") / "weights.npz"
    weight_files.save(path, MnistAllConv(nnx.Rngs(3)))
    return path


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A file with three pictures of noise."""
    path = tmp_path_factory.mktemp("pictures") / "digits.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8))
    return path


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def vdsm(tmp_path_factory, weights, digits):
    """A finished run on two pictures: its folder and its command line, which ends in --limit 2."""
    out = tmp_path_factory.mktemp("vdsm") / "out"
    command = [
        "vdsm-background", "--out", out, "--data", digits, "--weights", weights,
        "--steps", 2, "--samples", 2, "--limit", 2,
    ]  # fmt: skip
    assert run(*command) == 0
    return out, command


def test_vdsm_background_stores_and_goes_on(vdsm, capsys, monkeypatch):
    out, command = vdsm
    found = read(out)
    rows = list(found.study["rows"])
    assert len(rows) == 9
    for metric in ("Removal", "Preservation"):
        values = {row: found.values(metric, row) for row in rows}
        assert all(np.isfinite(each).all() and len(each) == 2 for each in values.values())
        (table,) = (t for title, t in found.tables.items() if title.startswith(metric))
        assert [line["method"] for line in table] == rows
        medians = [float(line["fidojax"].split()[0]) for line in table]
        np.testing.assert_allclose(medians, [np.median(v) for v in values.values()], atol=0.051)
    assert "--seed" not in found.study["command"]
    assert "jax" in found.explained["PDA"].provenance
    assert found.explained["PDA"].settings["seed"] == 0
    with PIL.Image.open(out / "figures" / "boxes.png") as figure:
        assert min(figure.size) > 300

    # One row lost: it alone is run again, and to the same numbers.
    before = found.values("Removal", "VDSM-SSR")
    for part in ("rows", "scores/statistics"):
        shutil.rmtree(out / "results.zarr" / part / "VDSM-SSR")
    tables = (out / "tables.json").read_text("utf-8")
    written, write = [], Ledger.write

    def noted(ledger, *arguments):
        written.append(ledger.path.name)
        write(ledger, *arguments)

    monkeypatch.setattr(Ledger, "write", noted)
    assert run(*command) == 0
    assert set(written) == {"VDSM-SSR"}
    np.testing.assert_array_equal(read(out).values("Removal", "VDSM-SSR"), before)
    assert (out / "tables.json").read_text("utf-8") == tables

    assert run(*command, "--seed", 1) == 1
    assert "other settings" in capsys.readouterr().err


def test_vdsm_curves_start_at_the_picture_and_end_in_black(vdsm, weights, digits):
    out, _ = vdsm
    model = networks.load("mnist", weights)
    with np.load(digits) as file:
        images = file["images"][:2, ..., None].astype(np.float32) / 255
    seen = np.concatenate([images, np.zeros_like(images[:1])])
    p = np.asarray(jax.nn.softmax(model.classifier(seen)), np.float64)[:, 8]
    odds = np.log(p) - np.log1p(-p)
    scored = read(out).scored["statistics", "BBMP-SDR"]
    for metric in ("Removal", "Preservation"):
        curve = scored.read(f"{metric} curve")
        assert curve.shape == (2, 785)
        np.testing.assert_allclose(curve[:, 0], odds[:2], atol=1e-4)
        np.testing.assert_allclose(curve[:, -1], odds[2], atol=1e-4)


def test_what_the_paper_prints_of_a_digit_stands_beside_ours(vdsm):
    out, _ = vdsm
    found = read(out)
    example = Example(1, 1, "Removal", {"PDA": (-7.1, 771)})
    lines = {line["method"]: line for line in printed(found, example)}
    scored = found.scored["statistics", "PDA"]
    curve = scored.read("Removal curve")[1]
    assert lines["PDA"]["fidojax"] == f"{curve.min():.1f} at {curve.argmin()}"
    assert lines["PDA"]["printed in the paper"] == "-7.1 at 771"
    assert lines["VDSM-SDR"]["printed in the paper"] == ""


def test_what_the_paper_says_is_claimed_once(vdsm):
    claims = read(vdsm[0]).study["claims"]
    pairs = [(claim["better"], claim["worse"], claim["number"]) for claim in claims]
    assert len(pairs) == len(set(pairs))
    (words,) = (
        claim["published"]
        for claim in claims
        if claim["worse"] == "DeepLIFT-RevealCancel" and claim["better"] == "PDA"
    )
    assert words == "PDA slightly wins DeepLIFT"


def test_unusable_images_are_one_sentence(tmp_path, weights, capsys):
    path = tmp_path / "other.npz"
    np.savez(path, pictures=np.zeros(3))
    options = ["--out", tmp_path / "out", "--weights", weights]
    assert run("vdsm-background", "--images", path, *options) == 1
    told = capsys.readouterr().err
    assert "has no uint8 array `images`" in told
    assert "--images is now called --data" in told
    assert run("vdsm-background", "--data", tmp_path / "absent.npz", *options) == 1
    assert "absent.npz" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "protocol", "count"),
    [("vdsm-background", background, 19), ("vdsm-vae", vae, 9)],
)
def test_the_sweep_has_the_authors_grid(
    tmp_path, weights, digits, monkeypatch, command, protocol, count
):
    """Every λ of the search is a row, and every published box is of a row."""
    found = {}
    monkeypatch.setattr(protocol, "experiment", lambda *given: found.update(rows=given[3]))
    options = ["--out", tmp_path, "--data", digits, "--weights", weights]
    assert run(command, *options, "--sweep") == 0
    rows = found["rows"]
    assert len(rows) == count
    assert set(protocol.PUBLISHED) <= set(rows)
    for name, row in rows.items():
        if " λ " in name:
            assert row.options["lam"] == pytest.approx(float(name.partition(" λ ")[2]))


@pytest.fixture
def without_the_small_lambda(monkeypatch):
    """The row whose maps hardly differ from VDSM-SSR's is left out."""
    original = background.experiment

    def fewer(name, title, run, rows, *others):
        kept = {row: each for row, each in rows.items() if row != "VDSM-SSR λ 1e-3"}
        original(name, title, run, kept, *others)

    monkeypatch.setattr(background, "experiment", fewer)


@pytest.mark.usefixtures("optimised", "without_the_small_lambda")
def test_vdsm_on_eight_published_images(shared, tmp_path):
    """The published settings with 4 masks per step in place of 64, on 8 of the 100 images.

    With 64 masks these images have Removal medians 28.5 (VDSM-SSR), 53.5 (VDSM-SDR), 27.8 and 48.4
    (BBMP), 32.8 (PDA), 34.8 and 33.0 (DeepLIFT); Preservation 12.0, 0.9, 12.5 and 0. The bounds
    leave room for the few masks, and none for a wrong sign, a wrong order of removal or a map that
    learned nothing.
    """
    out = tmp_path / "out"
    code = run(
        "vdsm-background", "--out", out, "--limit", 8, "--samples", 4,
        "--data", shared / "data" / "mnist_eights.npz",
        "--weights", shared / "models" / "mnist_allconv.npz",
    )  # fmt: skip
    assert code == 0
    found = read(out)

    def median(metric, row):
        return np.median(found.values(metric, row))

    for method, low, high in (
        ("PDA", 32, 34), ("DeepLIFT-RevealCancel", 34, 36), ("DeepLIFT-rescale", 32.4, 33.6),
        ("BBMP-SSR λ .1", 24, 31), ("BBMP-SDR", 45, 52), ("VDSM-SSR", 27, 36), ("VDSM-SDR", 45, 55),
    ):  # fmt: skip
        assert low < median("Removal", method) < high, method
    for method, low, high in (
        ("BBMP-SSR", 11, 14), ("BBMP-SDR", 0, 0.5), ("VDSM-SSR", 9, 14), ("VDSM-SDR", 0, 4),
    ):  # fmt: skip
        assert low <= median("Preservation", method) < high, method


def test_some_rows_alone(tmp_path, weights, digits, monkeypatch, capsys):
    found = {}
    monkeypatch.setattr(background, "experiment", lambda *given: found.update(rows=given[3]))
    options = ["--out", tmp_path, "--data", digits, "--weights", weights]
    assert run("vdsm-background", *options, "--only", "PDA", "BBMP-SDR") == 0
    assert list(found["rows"]) == ["PDA", "BBMP-SDR"]
    assert run("vdsm-background", *options, "--only", "PAD") == 1
    assert "PAD" in capsys.readouterr().err
