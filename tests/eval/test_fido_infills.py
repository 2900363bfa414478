"""The protocol of FIDO's Figure 7: the same pictures under several infillers."""

import importlib
import shutil
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import infillers
from eval import runner, subject
from eval.judging import outside
from eval.report.__main__ import main
from eval.report.reading import read
from eval.subject import StudyRun
from fidojax import measure_batch, networks
from fidojax.data import Picture

# The package exports a function of the same name.
protocol: Any = importlib.import_module("eval.protocols.fido_infills")
GREY = {"mean": partial(infillers.mean, 0.0), "local": partial(infillers.local, color=0.0)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four pictures of noise, one of them with another label, under two infillers."""
    out = tmp_path_factory.mktemp("infills")
    classifier = networks.load("mnist").classifier
    images = np.random.default_rng(1).random((4, 28, 28, 1), np.float32)
    labels = np.asarray(classifier(images)).argmax(axis=1)
    labels[2] = (labels[2] + 1) % 10
    box = np.array([[0, 0, 14, 28]])
    found = [
        Picture(f"digits/{i}", image, int(label), box if i else None)
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "pictures", lambda *_, **__: found)
        patch.setattr(runner, "SHOWN", 1)  # a large gallery takes long
        patch.setattr(protocol, "make_infill", lambda name: GREY[name]())
        patch.setattr(protocol, "PRESETS", {"short": {"steps": 2, "samples": 2, "size": 28}})

        def call():
            protocol.fido_infills(
                StudyRun(out, classifier="mnist", batch_size=2),
                infill=("mean", "local"),
                preset="short",
            )
            return read(out)

        yield call, out


def test_the_same_pictures_that_are_read_right_under_each_infiller(run):
    call, out = run
    found = call()
    assert sorted(found.pictures.ids) == ["digits/0", "digits/1", "digits/3"]
    assert found.explained.keys() == {"mean", "local"}
    assert (out / "figures" / "gallery_0.png").exists()
    assert (found.explained["mean"].read("maps") != found.explained["local"].read("maps")).any()


def test_the_mixture_is_judged_with_the_infiller_of_the_map(run):
    call, _ = run
    found = call()
    images = (found.pictures.read("images") / 255).astype(np.float32)
    drawn = np.random.default_rng(1).random((4, 28, 28, 1), np.float32)
    order = [int(name.rpartition("/")[2]) for name in found.pictures.ids]
    np.testing.assert_allclose(images, drawn[order], atol=0.002)
    for row, make in GREY.items():
        expected = measure_batch(
            "mixture", networks.load("mnist").classifier, drawn[order],
            found.pictures.read("labels"), found.maps(row), options={"infill": make()},
            seed=1, ids=found.pictures.ids,
        )  # fmt: skip
        for key, column in (("kept", "area"), ("on mixture", "probability")):
            np.testing.assert_allclose(found.values(key, row), getattr(expected, column), rtol=1e-4)
        outsides = [
            outside(saliency > 0.5, boxes if area else None)
            for saliency, boxes, area in zip(
                found.maps(row), found.pictures.read("boxes"), order, strict=True
            )
        ]
        np.testing.assert_allclose(found.values("outside", row), outsides, rtol=1e-6)


def test_a_lost_row_alone_is_run_again(run):
    call, out = run
    first = call()
    values = {key: first.values(key, "local") for key in first.study["numbers"]}
    shutil.rmtree(out / "results.zarr" / "rows" / "local")
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("rows/mean/**/*")}
    again = call()
    for key, value in values.items():
        np.testing.assert_array_equal(again.values(key, "local"), value)
    assert kept == {path: path.stat().st_mtime_ns for path in out.rglob("rows/mean/**/*")}


def test_the_report_shows_the_galleries(run):
    call, out = run
    call()
    assert main([str(out)]) == 0
    page = (out / "report.html").read_text("utf-8")
    assert 'alt="gallery_0"' in page
    assert "p on its samples" in (out / "report.md").read_text("utf-8")
