"""The table of metrics: what every row must say, and what one row more brings."""

import inspect
import runpy
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import fidojax
from fidojax import cite, metrics
from fidojax.cli import main
from fidojax.metrics import METRIC_ROWS, METRICS, MetricRow, register_metric

ROOT = Path(__file__).parents[2]
FIRST = ["key", "classifier", "image", "target", "saliency"]


def _logits(images):
    return images.sum((1, 2)) * jnp.array([1.0, 2.0])


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_the_one_signature(name):
    row, parameters = METRIC_ROWS[name], inspect.signature(METRICS[name]).parameters
    assert row.function is METRICS[name]
    assert list(parameters)[:5] == FIRST
    options = list(parameters.values())[5:]
    assert all(option.kind in (option.KEYWORD_ONLY, option.VAR_KEYWORD) for option in options)
    asked = {option.name for option in options if option.default is option.empty}
    asked -= {option.name for option in options if option.kind is option.VAR_KEYWORD}
    needed = {"infill": row.infill, "boxes": row.boxes}
    assert asked == {option for option, needs in needed.items() if needs}
    assert set(row.papers) <= set(cite.BIBTEX)
    result = inspect.signature(METRICS[name]).return_annotation
    assert row.headline in result._fields


class Level(NamedTuple):
    """What the toy metric returns."""

    mean: jax.Array


def toy_level(key, classifier, image, target, saliency, *, boxes, factor=1.0):
    """The mean of a map, times a factor, over the first box."""
    del key, classifier, image, target
    return Level(factor * saliency.mean() + boxes[0, 0])


@pytest.fixture
def toy():
    register_metric(
        MetricRow(toy_level, "mean", "higher", "units of the map", ("fido",), boxes=True)
    )
    yield "toy_level"
    del METRIC_ROWS["toy_level"]


def test_a_metric_is_one_function_and_one_row(toy, capsys):
    assert METRICS[toy] is toy_level
    images = np.zeros((2, 4, 4, 1), np.float32)
    maps = np.stack([np.full((4, 4), 0.25), np.ones((4, 4))]).astype(np.float32)
    given = toy, Partial(_logits), images, [0, 0], maps
    boxes = np.array([[[1, 0, 2, 2]], [[2, 0, 3, 2]]])
    found = fidojax.measure_batch(*given, boxes=boxes, options={"factor": 2.0})
    np.testing.assert_allclose(found.mean, [1.5, 4])
    with pytest.raises(ValueError, match="toy_level asks for boxes"):
        fidojax.measure_batch(*given)
    assert "chang2019fido" in cite.cite(toy)
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "toy_level" in listed
    assert "The mean of a map" in listed
    page = runpy.run_path(str(ROOT / "docs" / "write_methods.py"))["page"]()
    assert "| `toy_level` |" in page


def test_rows_that_cannot_be_are_refused(toy):
    with pytest.raises(ValueError, match="there is a 'toy_level' already"):
        register_metric(METRIC_ROWS[toy])
    with pytest.raises(ValueError, match="better: there is no 'low'; did you mean lower"):
        register_metric(METRIC_ROWS[toy]._replace(better="low"))
    assert list(METRICS).count(toy) == 1


def test_a_function_without_a_row_is_measured_too():
    images = np.zeros((2, 4, 4, 1), np.float32)
    maps = np.ones((2, 4, 4), np.float32)
    boxes = np.array([[[1, 0, 2, 2]], [[2, 0, 3, 2]]])
    found = fidojax.measure_batch(
        toy_level, Partial(_logits), images, [0, 0], maps, boxes=boxes, batch_size=1
    )
    np.testing.assert_allclose(found.mean, [2, 3])


def test_old_names_work_with_a_warning():
    with pytest.warns(DeprecationWarning, match="'MEASURES' is now called 'METRICS'"):
        assert metrics.MEASURES is METRICS
    maps = np.ones((1, 4, 4), np.float32)
    given = "complexity", Partial(_logits), np.zeros((1, 4, 4, 1), np.float32), [0], maps
    old: dict[str, Any] = {"batch": 1}
    with pytest.warns(DeprecationWarning, match="'batch' is now called 'batch_size'"):
        found = fidojax.measure_batch(*given, **old)
    np.testing.assert_array_equal(found.gini, fidojax.measure_batch(*given, batch_size=1).gini)
    assert jnp.shape(found.gini) == (1,)
