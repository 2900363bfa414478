"""The benchmark of warm starts: savings are read from the curves, stored maps are reused."""

import json

import numpy as np
import PIL.Image
import pytest
from flax import nnx

from benchmarks.fido_cost import warm_start
from benchmarks.fido_cost.warm_start_report import needed, tables
from fidojax.networks import VarSalNetwork, weight_files


def curve(*means, count=4):
    """Values of `count` pictures around each mean, by evaluations 0, 60, 120, 240."""
    spread = np.linspace(-0.5, 0.5, count)
    return {n: mean + spread for n, mean in zip((0, 60, 120, 240), means, strict=True)}


@pytest.mark.parametrize(
    ("ours", "at_120", "at_240"),
    [
        ((3, 2, 1, 0), 120, 240),
        ((3, 1, 0, -1), 60, 120),
        ((1, 0, -1, -2), 0, 60),
        ((3, 2, 0, -1), 60 * 2**0.5, 120),  # half way in the logarithm
        ((3, 2, 1.5, 1.2), np.inf, np.inf),
    ],
)
def test_needed_is_where_the_curve_first_is_as_good(ours, at_120, at_240):
    cold = curve(3, 2, 1, 0)
    for budget, wanted in ((120, at_120), (240, at_240)):
        for sign, name in ((1, "objective"), (-1, "long_run")):
            mine, theirs = ({n: sign * v for n, v in c.items()} for c in (curve(*ours), cold))
            found = needed({name: mine}, {name: theirs}, budget, slice(None))
            assert found[name] == pytest.approx(wanted)


def test_a_measure_that_is_not_known_yet_is_passed_over():
    cold = {n: np.full(3, 0.5) for n in (60, 120)}
    ours = {0: np.full(3, np.nan), 60: np.full(3, 0.4), 120: np.array([np.nan, 0.5, 0.5])}
    assert needed({"long_run": ours}, {"long_run": cold}, 120, slice(None))["long_run"] == 120


def test_the_tables_say_what_is_saved():
    values = {"cold": curve(4, 3, 2, 1), "warm": curve(4, 2, 1, 0.5)}
    cases = [
        warm_start.Case(start, n, {"objective": v, "on": np.full(4, 0.25)})
        for start, by in values.items()
        for n, v in by.items()
    ]
    text = tables(cases, ("cold", "warm"))
    assert "| warm | 120 | 1.00 [" in text
    assert "] | -1.00 [-1.00, -1.00] | 0.250 |" in text
    assert "| warm | 240 | 120 [120, 120] | 120 |" in text
    assert "| warm | 120 | ≤ 60 [≤ 60, ≤ 60] | ≤ 60 |" in text


def test_it_runs_and_goes_on_from_what_is_stored(tmp_path, capsys):
    folder, encoder = tmp_path / "pictures", tmp_path / "encoder.npz"
    folder.mkdir()
    for i, picture in enumerate(np.random.default_rng(3).integers(0, 256, (4, 28, 28), np.uint8)):
        PIL.Image.fromarray(picture).save(folder / f"{i}.png")
    weight_files.save(encoder, VarSalNetwork(1, (4,), norm=False, rngs=nnx.Rngs(0)))
    config = warm_start.Config(
        out=tmp_path / "out",
        network="mnist",
        pictures=(str(folder),),
        encoder=str(encoder),
        starts=("cold", "varsal"),
        evaluations=(8,),
        batch_size=2,
        samples=8,
        paper=False,
    )
    cases = warm_start.main(config)
    planned = [(start, n) for start in ("cold", "varsal") for n in (0, 8)]
    assert [(c.start, c.evaluations) for c in cases] == planned
    cold, warm = cases[0].values, cases[2].values
    np.testing.assert_allclose(cold["tv"], 0, atol=1e-6)
    assert (warm["tv"] > 0.1).all()
    assert np.isnan(warm["correlation"]).all()  # the start does not depend on the seed
    assert "evaluations" in capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "table.json").read_text())
    np.testing.assert_allclose(written["cases"][3]["values"]["on"], cases[3].values["on"])
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "maps").iterdir()}
    assert len(files) == 4  # two starts, two seeds
    again = warm_start.main(config)
    assert files == {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "maps").iterdir()}
    np.testing.assert_array_equal(again[3].values["objective"], cases[3].values["objective"])
    # Another encoder is another start.
    weight_files.save(encoder, VarSalNetwork(1, (4,), norm=False, rngs=nnx.Rngs(1)))
    warm_start.main(config)
    assert len(list((tmp_path / "out" / "maps").iterdir())) == 6
