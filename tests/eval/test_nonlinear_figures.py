"""The protocol of the nonlinear maps: numbers of their trajectories and four figures a picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eval import subject
from eval.protocols.nonlinear_figures import nonlinear_figures, sayings
from eval.report.reading import StoredRun, read
from eval.subject import StudyRun
from fidojax import networks
from fidojax.data import Picture
from fidojax.methods import nonlinear_saliency


def test_numbers_are_those_of_the_trajectories_of_the_top_classes(tmp_path, monkeypatch):
    images = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    found = [Picture(f"digits/{i}", image) for i, image in enumerate(images)]  # without labels
    monkeypatch.setattr(subject, "pictures", lambda *_, **__: iter(found))
    run = StudyRun(tmp_path / "run", classifier="mnist", limit=2, batch_size=2)
    nonlinear_figures(run, steps=4, drawn=1)
    stored = read(run.out)
    assert stored.pictures.ids == ["digits/0", "digits/1"]  # the first, in the order of the data
    classifier = networks.load("mnist").classifier
    logits = np.asarray(classifier(images[:2]))
    for rank in range(2):
        top = np.argsort(-logits, axis=1)[:, rank]
        for method in ("nonlinear", "linear"):
            assert (stored.explained[f"{method} {rank + 1}"].read("targets") == top).all()
            p = stored.values("original", f"{method} {rank + 1}")
            shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            np.testing.assert_allclose(p, shares[np.arange(2), top], rtol=1e-4)
        _, info = nonlinear_saliency(
            jax.random.key(0), classifier, jnp.asarray(images[0]), int(top[0]), steps=4
        )
        row = f"nonlinear {rank + 1}"
        for key, expected in (
            ("highest", info.probabilities.max()),
            ("last", info.probabilities[-1]),
            ("threshold", info.threshold),
            ("removed", info.probability_removed),
        ):
            assert stored.values(key, row)[0] == pytest.approx(float(expected), rel=1e-3), key
    figures = [path.name for path in stored.figures]
    assert figures == [f"0000.figure{number}.png" for number in range(1, 5)]
    verdicts = {(claim["better"], claim["number"]) for claim in stored.study["claims"]}
    assert ("nonlinear 1", "last") in verdicts
    (lines,) = stored.tables.values()  # two pictures are too few for what the paper says
    apart = [line["difference"] for line in lines if "on the picture" in line["number"]]
    assert [float(text.split()[0]) for text in apart] == [0, 0]
    before = {path: path.stat().st_mtime_ns for path in run.out.rglob("*.png")}
    monkeypatch.setattr("eval.runner.explain_missing", None)  # nothing is explained again
    nonlinear_figures(run, steps=4, drawn=1)
    drawn = {path: at for path, at in before.items() if path.parent.name == "figures"}
    assert drawn == {path: path.stat().st_mtime_ns for path in drawn}


class Planted(StoredRun):
    """A run in which the threshold falls as p rises, and p falls on half of the pictures."""

    def __init__(self, related):
        p = np.linspace(0.1, 0.9, 40)
        noise = np.random.default_rng(0).permutation(p)
        values = {
            "original": p,
            "threshold": 1 - p if related else noise,
            "removed": p + 0.01 * (-1.0) ** np.arange(len(p)),
        }
        object.__setattr__(self, "values", lambda key, row: values[key])


def test_what_the_paper_says_of_its_pictures_is_put_to_the_test():
    related, falls = sayings(Planted(related=True), 1)
    assert related["here"] == falls["here"] == "**fails**"
    assert related["measured"].startswith("-1.00")
    assert falls["measured"].startswith("0.50")
    assert sayings(Planted(related=False), 1)[0]["here"] == "**undecided**"
