"""The Pareto benchmark: the cost of a schedule, and the measures of its maps."""

import json

import numpy as np
import PIL.Image
from conftest import PLANTED

from benchmarks.fido_cost import pareto, pareto_report
from benchmarks.fido_cost.pareto import Point
from fidojax import Stop, networks
from fidojax.data import Picture
from fidojax.methods.fido import fido_loop
from infillers import mean


def config(folder, **more):
    return pareto.Config(
        out=folder / "out",
        network="mnist",
        pictures=(str(folder / "pictures"),),
        batch_size=2,
        samples=8,
        **more,
    )


def test_a_plan_costs_what_it_says(tmp_path):
    wanted = {
        "paper": [120, 240, 480, 960, 2400],
        "fast": [60, 120, 240, 480],
        "warm": [60, 120, 240, 480],
        "paper, stopped": [2400] * 3,
        "fast, stopped": [480] * 3,
    }
    found: dict[str, list[int]] = {}
    for plan in pareto.planned(config(tmp_path)):
        loop = fido_loop(infill=mean(), **plan.options)
        found.setdefault(plan.family, []).append(loop.steps * loop.evaluations)
        assert (plan.stop is None) == ("stopped" not in plan.family)
    assert found == wanted


def test_a_good_map_needs_few_pixels(planted):
    image = np.random.default_rng(0).uniform(0.6, 1, (12, 12, 3)).astype(np.float32)
    truth = np.zeros((12, 12), np.float32)
    truth[PLANTED] = 1
    network = networks.Pretrained("planted", planted, (), image.shape)
    subjects = pareto.Subjects(network, [Picture("a", image)], [0])
    best, worst = (pareto.deleted(subjects, [m]) for m in (truth[None], 1 - truth[None]))
    share = truth.mean()
    assert 0.3 * share < best[0] < 0.8 * share
    assert worst[0] > 1 - share


def test_stopped_schedules_cost_less_and_are_kept(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    for i, picture in enumerate(np.random.default_rng(3).integers(0, 256, (5, 28, 28), np.uint8)):
        PIL.Image.fromarray(picture).save(tmp_path / "pictures" / f"{i}.png")
    settings = config(
        tmp_path,
        families=("paper", "paper, stopped"),
        paper=(240,),
        budgets=(240, 60),
        stops=((1.0, 1e6), (-1.0, 0.0)),
    )
    full, at_once, never = pareto.main(settings)
    spent = [point.values["evaluations"] for point in (full, at_once, never)]
    np.testing.assert_array_equal(spent, [[240] * 2, [160] * 2, [240] * 2])
    np.testing.assert_allclose(never.values["objective"], full.values["objective"], atol=1e-3)
    assert (at_once.values["objective"] != full.values["objective"]).all()
    out = tmp_path / "out"
    assert "| paper, stopped | 1, 1e+06 | 160 |" in (out / "table.md").read_text("utf-8")
    assert "160" in capsys.readouterr().out
    with PIL.Image.open(out / "pareto.png") as drawing:
        assert drawing.width > 800  # three panels: there are no boxes
    written = json.loads((out / "table.json").read_text("utf-8"))["points"][1]["values"]
    assert written["outside"] == [None] * 2
    np.testing.assert_allclose(written["deletion"], at_once.values["deletion"])
    files = {path: path.stat().st_mtime_ns for path in (out / "maps").iterdir()}
    again = pareto.main(settings)
    assert files == {path: path.stat().st_mtime_ns for path in (out / "maps").iterdir()}
    np.testing.assert_array_equal(again[1].values["evaluations"], spent[1])


def test_differences_are_to_the_papers_longest_schedule():
    def point(family, evaluations, objective, stop=None):
        values = {
            "evaluations": np.full(4, evaluations),
            "objective": objective + np.arange(4.0),
            "outside": np.full(4, np.nan),
            "deletion": np.full(4, 0.25),
            "correlation": np.array([np.nan, 0.5, 0.5, 0.5]),
        }
        return Point(family, stop, values)

    points = [
        point("paper", 120, 3),
        point("paper", 2400, 1),
        point("fast", 240, 0.5),
        point("fast, stopped", 131.5, 0.75, Stop(0.02, 0.2)),
    ]
    _, _, short, full, fast, stopped = pareto_report.table(points).splitlines()
    assert "| +2.00 [+2.00, +2.00] |" in short
    assert "2400" in full
    assert "+" not in full
    assert "| -0.50 [-0.50, -0.50] |" in fast
    assert "| fast, stopped | 0.02, 0.2 | 132 |" in stopped
    assert "0.500 [0.500, 0.500]" in stopped
    drawing = pareto_report.figure(points)
    assert [panel.get_title() for panel in drawing.axes] == [
        pareto_report.TITLES[name] for name in ("objective", "deletion", "correlation")
    ]
    lines = {line.get_label(): line for line in drawing.axes[0].lines}
    assert list(lines) == ["paper", "fast", "fast, stopped"]
    np.testing.assert_array_equal(lines["paper"].get_xydata(), [[120, 4.5], [2400, 2.5]])
