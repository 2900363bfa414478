"""FIDO's ablations and its Table 2, with few steps on digits of noise."""

import json
from functools import partial

import numpy as np
import pytest

import infillers
from eval import runner, subject
from eval.protocols import fido_ablations
from eval.protocols.ablation_tables import breaks, factors
from eval.protocols.fido_ablations import fido_lambda, fido_networks, fido_seeds, fido_table2
from eval.report.reading import StoredRun, read
from eval.subject import StudyRun
from fidojax import networks
from fidojax.data import Picture
from fidojax.networks import weight_files
from fidojax.runs.ledger import DONE, find_ledger
from fidojax.runs.maps import read_maps

COUNT = 3
SHORT = {"steps": 3, "samples": 2, "size": 14, "learning_rate": 0.5, "warmup": 0}
BLACK, WHITE = partial(infillers.mean, 0.0), partial(infillers.mean, 1.0)


@pytest.fixture
def run(tmp_path, monkeypatch):
    images = np.random.default_rng(1).random((COUNT, 28, 28, 1), np.float32)
    model = networks.load("mnist").classifier
    labels = np.asarray(model(images)).argmax(axis=1)
    box = np.array([[0, 0, 14, 28]])
    found = [
        Picture(f"digits/{i}", image, int(label), box)
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    monkeypatch.setattr(subject, "pictures", lambda *_, **__: found)
    monkeypatch.setattr(runner, "SHOWN", 1)  # a large gallery takes long
    infills = {"mean": BLACK, "ca": WHITE, "blur": WHITE}
    monkeypatch.setattr(fido_ablations, "make_infill", lambda name: infills[name]())
    monkeypatch.setattr(fido_ablations, "PRESETS", {"fast": SHORT})
    short = partial(fido_ablations.bbmp_row, steps=8)
    monkeypatch.setattr(fido_ablations, "bbmp_row", short)
    return StudyRun(tmp_path / "run", classifier="mnist", batch_size=COUNT)


def numbers(run, row, kind, column):
    ledger = find_ledger(run.out / "results.zarr" / "scores" / kind / row)
    assert ledger is not None
    assert (ledger.status == DONE).all()
    return ledger.read(column)


def maps(run, row):
    ledger = find_ledger(run.out / "results.zarr" / "rows" / row)
    assert ledger is not None
    return read_maps(ledger)


def test_seeds_are_compared_with_the_first_of_their_infiller(run):
    fido_seeds(run, seeds=2, infill=("mean", "ca"))
    found = read(run.out)
    for fill in ("mean", "ca"):
        np.testing.assert_allclose(found.values("pearson", f"{fill} 0"), 1, atol=1e-6)
        other = found.values("pearson", f"{fill} 1")
        assert (other < 0.999).all()
        expected = [
            np.corrcoef(a.ravel(), b.ravel())[0, 1]
            for a, b in zip(maps(run, f"{fill} 0"), maps(run, f"{fill} 1"), strict=True)
        ]
        np.testing.assert_allclose(other, expected, atol=1e-5)
        assert found.study["rows"][f"{fill} 1"]["like"] == f"{fill} 0"
    assert (run.out / "gallery.png").stat().st_size > 1000


def test_a_larger_lambda_leaves_less(run):
    fido_lambda(run, lam=(0.0, 10.0), infill=("mean",), bbmp_infill=())
    sizes = [numbers(run, f"fido-mean {lam}", "shape", "size") for lam in (0, 10)]
    assert (sizes[1] < sizes[0]).all()
    study = json.loads((run.out / "study.json").read_text())
    (claim,) = study["claims"]
    assert (claim["better"], claim["worse"], claim["number"]) == (
        "fido-mean 10",
        "fido-mean 0",
        "size",
    )
    assert study["numbers"]["size"]["better"] == "low"  # or no claim of it could hold
    assert "--lam 0.0 10.0" in study["command"]


def test_table_2_shows_the_infiller_what_is_above_tau(run):
    fido_table2(run, tau=(0.0, 1.0), infill=("ca",), bbmp_infill=("blur",))
    study = json.loads((run.out / "study.json").read_text())
    assert list(study["rows"]) == ["object_box", "bbmp-blur", "bbmp-ca 0", "bbmp-ca 1", "fido-ca"]
    assert study["published"]["bbmp-ca 1"] == {"error": 0.635, "metric": 1.117}
    assert {claim["better"] for claim in study["claims"]} == {"fido-ca"}
    assert not numbers(run, "object_box", "place", "outside").any()


def test_every_network_is_judged_for_itself(run, tmp_path):
    path = tmp_path / "other.npz"
    arrays = weight_files.read(networks.WEIGHTS / "mnist.npz")
    np.savez(path, **{name: 0.5 * array for name, array in arrays.items()})  # type: ignore
    fido_networks(run, others=(f"mnist={path}",), infill=("mean",))
    rows = list(json.loads((run.out / "study.json").read_text())["rows"])
    assert len(rows) == 2
    settings = [find_ledger(run.out / "results.zarr" / "rows" / row).settings for row in rows]  # type: ignore
    assert settings[0]["classifier"] == settings[1]["classifier"]
    assert "row_classifier" in settings[1]
    assert "row_classifier" not in settings[0]
    assert (numbers(run, rows[1], f"like-{rows[0]}", "pearson") < 0.9999).all()
    shown = [numbers(run, row, "place", "metric") for row in rows]
    assert (shown[0] != shown[1]).any()
    with pytest.raises(ValueError, match="takes pictures of"):
        fido_networks(run, others=("tiny_imagenet40",))


class Planted(StoredRun):
    """A run whose values are known beforehand."""

    def __init__(self, values):
        numbers = {
            key: {"label": key, "digits": 1} for key in ("components", "border", "deletion50")
        }
        object.__setattr__(self, "study", {"numbers": numbers})
        object.__setattr__(self, "values", values)


def test_a_break_is_a_doubling_that_gains_more_than_the_next():
    means = {1: 9.0, 2: 8.0, 4: 3.0, 8: 2.0}
    apart = np.array([-1.0, 0.0, 1.0])
    stored = Planted(lambda key, row: means[int(row.split()[1])] + (key == "border") * apart)
    lines = breaks(stored, ["mean"], [8, 1, 2, 4])
    assert [line["number"] for line in lines] == ["components", "border", "deletion50"]
    for line in lines:
        assert line["gain up to 4"].startswith("+5.0")
        assert line["break"].startswith("+4.0")
        assert line["pictures"] == "3"
    (line, *_) = breaks(stored, ["mean"], [1, 2])
    assert line["break"] == ""


def test_the_factor_of_lambda_is_read_between_the_weights():
    sizes = {"bbmp-blur 0.001": 0.4, "bbmp-blur 0.004": 0.2,
             "fido-ca 0.001": 0.3, "fido-ca 0.004": 0.1}  # fmt: skip
    stored = Planted(lambda key, row: np.full(2, sizes[row]))
    first, last = factors(stored, ["ca"], ["blur"], [0.001, 0.004])
    assert first["times FIDO's weight"] == "2.0"
    assert last["times FIDO's weight"] == "> 1.0"
    sizes["fido-ca 0.001"] = 0.5
    first, _ = factors(stored, ["ca"], ["blur"], [0.001, 0.004])
    assert first["times FIDO's weight"] == "below the smallest"
