"""`fidojax bench`: what is measured is what is said."""

import dataclasses
import importlib
import io
import json
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from fidojax import cli, presets
from fidojax.bench import clocks, floors, passes, step
from fidojax.bench import row as report
from fidojax.bench.clocks import PeakMemory
from fidojax.bench.row import BenchRow, Case, How
from fidojax.cli import bench as command
from fidojax.cli import bench_plan
from fidojax.cli.options import Bench
from fidojax.engine import devices
from fidojax.methods import METHOD_ROWS
from infillers import INFILLER_ROWS, default_infillers, mean

measure: Any = importlib.import_module("fidojax.bench.measure")  # the face has the function
QUICK = How(steps=2, repeats=1, rounds=1, clock="wall")
FEW = ("--classifier", "mnist", "--batch-sizes", "2", "--steps", "2", "--repeats", "1",
       "--rounds", "1")  # fmt: skip


@pytest.fixture
def run(capfd):
    """Run `fidojax bench`: its exit code, standard output and standard error."""

    def bench(*words):
        code = cli.main(["bench", *map(str, words)])
        return code, *capfd.readouterr()

    return bench


def test_a_table_to_paste_and_the_same_numbers_as_json(run, tmp_path):
    file = tmp_path / "rows.json"
    code, out, err = run(*FEW, "--json", file)
    assert code == 0
    first, *rest = out.splitlines()
    assert re.fullmatch(
        r"Measuring 1 row \(mnist; fido; mean; float32; batches of 2\) on .*; about .*",
        first,
    )
    head, rule, line = (row.strip("| ").split(" | ") for row in rest if row.startswith("|"))
    assert set(rule) == {"---"}
    told = dict(zip(head, line, strict=True))
    written = json.loads(file.read_text())
    (row,) = written["rows"]
    assert written["about"]["versions"]["jax"] == jax.__version__
    assert written["about"]["config"]["batch_sizes"] == [2]
    assert (row["forward"], row["backward"]) == (240, 240)  # 60 steps of the preset, 4 masks
    assert row["ratio"] == row["seconds"] / row["floor"]
    assert row["evaluations_per_second"] == pytest.approx(240 * row["images_per_second"])
    measured = ("peak_share", "compile_cold", "compile_cached", "program_mb", "images_per_second")
    assert all(row[name] > 0 for name in measured)
    assert told["ratio"] == f"{row['ratio']:.3f}"
    assert (told["infill"], told["images"], told["note"]) == ("mean", "2", "preset fast")
    assert err.startswith("1/1 mnist, fido, mean, float32, 2 pictures: ")


def test_evaluations_can_be_spread(run, tmp_path):
    code, _, err = run(
        *FEW, "--spread", "--method", "fido", "bbmp", "--json", tmp_path / "rows.json"
    )
    assert code == 1
    fido, bbmp = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert fido["ratio"] > 0
    assert bbmp["problem"] == (
        "devices: bbmp shows the classifier one picture per step, which cannot be divided"
    )
    assert bbmp["problem"] in err


def test_what_cannot_be_measured_is_a_row_that_says_why(run, monkeypatch, tmp_path):
    def absent():
        raise FileNotFoundError("weights ca.npz: there is no such file")

    row = dataclasses.replace(INFILLER_ROWS["ca"], factory=absent)
    monkeypatch.setitem(INFILLER_ROWS, "ca", row)
    words = ("--method", "object_box", "fido", "--infill", "ca", "--json", tmp_path / "rows.json")
    code, out, err = run(*FEW, *words)
    assert code == 1
    box, fido = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert box["problem"] == ""
    assert box["images_per_second"] > 0
    assert (box["floor"], box["ratio"], box["peak_share"]) == (None, None, None)
    assert "ca.npz: there is no such file" in fido["problem"]
    assert fido["ratio"] is None
    assert "ca.npz: there is no such file |" in out
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--method", "fidoo"), "--method: there is no 'fidoo'; did you mean fido?"),
        (("--infill", "blurr:sigma=2"), "--infill: there is no 'blurr'"),
        (("--precision", "float33"), "--precision: there is no 'float33'"),
        (("--clock", "moon"), "--clock: there is no 'moon'"),
        (("--preset", "slow"), "--preset: there is no 'slow'"),
        (("--batch-sizes", "0"), "--batch-sizes is 0, expected at least 1"),
        (("--rounds", "0"), "--rounds is 0, expected at least 1"),
        (("--classifier", "a", "b", "--weights", "f"), "--weights: they are of one classifier"),
        (
            ("--method", "max_box", "--json", "/absent/rows.json"),
            "--json /absent/rows.json: No such",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(run, words, said):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"fidojax: {said}")
    assert len(err.splitlines()) == 1


def test_an_interrupt_keeps_what_was_measured(run, monkeypatch, tmp_path):
    rows = iter([BenchRow("mnist", "max_box", "", "", "float32", 1, images_per_second=5.0)])

    def one(case, how):
        try:
            return next(rows)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(command, "measure", one)
    file = tmp_path / "rows.json"
    words = ("--classifier", "mnist", "--method", "max_box", "--batch-sizes", "1", "2")
    code, out, err = run(*words, "--json", file)
    assert code == 130
    assert "| mnist | max_box |" in out
    assert "Interrupted after 1 of 2 rows." in err
    assert len(json.loads(file.read_text())["rows"]) == 1


def case(planted, method, images=2, **options):
    row = BenchRow("planted", method, "", "", "float32", images)
    counted = passes.passes_per_map(method, options, (12, 12, 3), 2)
    return Case(row, planted, (12, 12, 3), options, {}, counted, (1e3, 3e3))


@pytest.fixture
def precompiled(monkeypatch):
    """Nothing is compiled to be timed."""
    found = clocks.Compiled(None, None, 4.0, 0.5)
    monkeypatch.setattr(measure, "compile_timed", lambda *_: found)
    monkeypatch.setattr(measure, "needed_bytes", lambda _: 3_000_000)


def test_the_numbers_are_what_their_names_say(planted, monkeypatch, precompiled):
    seconds = {3: [4.0, 3.2, 0.5], 1: [6.0]}  # the first of two steps
    monkeypatch.setattr(measure, "interleaved", lambda calls, *_: seconds[len(calls)])
    monkeypatch.setattr(measure, "counted", lambda _: 1.0)
    given = case(planted, "fido", infill=mean(), steps=300, samples=8)
    row = measure.measure(given, QUICK)
    assert row.problem == ""
    assert (row.seconds, row.floor, row.ratio) == (2.0, 1.6, 1.25)
    assert (row.compile_cold, row.compile_cached, row.program_mb) == (4.0, 0.5, 3.0)
    # 2 of 300 steps for 2 pictures took 6 s, the others take 2 s each.
    assert row.images_per_second == pytest.approx(2 / 602)
    assert row.evaluations_per_second == pytest.approx(2 * 2400 / 602)
    peak = 2 * floors.SIDE["cpu"] ** 3 / 0.5
    assert row.peak_share == pytest.approx(2 * 8 * 3e3 / 2.0 / peak)
    monkeypatch.setattr(measure, "counted", lambda _: 1e6)  # more than the classifier's
    row = measure.measure(case(planted, "gradient"), QUICK)
    assert row.peak_share == pytest.approx(1e6 / 4.0 / (2 * floors.SIDE["cpu"] ** 3 / 3.2))


def test_passes_without_a_gradient_cost_less(planted, monkeypatch, precompiled):
    taken = []

    def timed(calls, *_):
        for call in calls:
            call()
        return [8.0, 0.5, 1.0]  # the method, the product, the bare passes

    monkeypatch.setattr(measure, "interleaved", timed)
    monkeypatch.setattr(measure, "bare_forward", lambda _, images: taken.append(len(images)))
    monkeypatch.setattr(measure, "counted", lambda _: 1.0)
    row = measure.measure(case(planted, "rise", samples=10, chunk=2, size=4), QUICK)
    assert row.problem == ""
    assert (row.forward, row.backward) == (11, 0)  # and the picture itself
    assert taken == [4]  # two pictures, two masks of each at once
    assert row.floor == 5.5  # five such batches, and half a one
    assert row.images_per_second == 2 / 8
    peak = 2 * floors.SIDE["cpu"] ** 3 / 0.5
    assert row.peak_share == pytest.approx(2 * 11 * 1e3 / 8 / peak)


def test_out_of_memory_is_told(planted, monkeypatch, precompiled):
    monkeypatch.setattr(measure, "free_bytes", lambda _: 1000)
    row = measure.measure(case(planted, "gradient"), QUICK)
    assert re.fullmatch(r"it needs \S+ GB of memory, 0.0 GB are free", row.problem)
    error = jax.errors.JaxRuntimeError(
        "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore"
    )
    assert measure.reason(error) == "out of memory"
    assert measure.reason(MemoryError()) == "out of memory"
    assert measure.reason(ValueError("one\ntwo")) == "one"
    assert measure.reason(KeyError()) == "KeyError"
    assert measure.reason(AttributeError("no such thing")) == "AttributeError: no such thing"


def test_every_method_and_infiller_is_planned_once(monkeypatch):
    monkeypatch.setattr(bench_plan, "passes_per_map", lambda *_: passes.Passes(1, 0))
    rows = [
        each if isinstance(each, BenchRow) else each.row
        for each in bench_plan.plan(
            Bench(classifier=("mnist",), method=("fido", "rise", "gradient", "object_box"),
                  infill=("all",), batch_sizes=(1, 3), precision=("float32", "bfloat16"))
        )
    ]  # fmt: skip
    names = [(row.method, row.infill) for row in rows]
    assert len(set(names)) == len(default_infillers()) + 3
    assert len(names) == 4 * len(set(names))
    assert {row.setting for row in rows} == {"preset fast", "samples=1000", ""}


@pytest.mark.parametrize("cores", [1, 3])  # of three, two are used
def test_steps_are_those_of_the_engine(cores, planted, monkeypatch):
    monkeypatch.setattr(devices, "cores", lambda: cores)
    options = {"infill": mean(), "steps": 12, "samples": 2, "warmup": 1}
    images = np.full((2, 12, 12, 3), 0.5, np.float32)
    work = step.Work("fido", planted, images, options)
    assert step.steps_per_call(work) == 6
    pair = step.paired(work)
    assert (pair.masks, pair.steps) == (4, 6)
    parts = min(cores, 2)
    for ended in (False, True):
        assert [part.tolist() for part in pair.step()] == [[ended] * (2 // parts)] * parts
    passes = [(moved.shape, scores.shape) for moved, scores in pair.gradient()]
    assert passes == [((4 // parts, 12, 12, 3), (6,))] * parts
    assert step.whole(work)().shape == (2, 12, 12)
    short = step.shortened(work, 2).options
    assert (short["steps"], short["warmup"]) == (2, 0)
    assert step.shortened(work, 19).options["steps"] == 12
    assert floors.counted(step.lower(work)) > 0


def test_tables_have_all_rows(planted):
    rows = [
        BenchRow("a|b", "fido", "", "mean", "float32", 1, ratio=1.0234, images_per_second=1234.5),
        BenchRow("a", "fido", "", "mean", "float32", 4, problem="no"),
    ]
    first = report.cells(rows[0])
    assert (first["ratio"], first["images/s"], first["passes/s"]) == ("1.023", "1234", "")
    text = report.markdown_table(rows)
    assert "| a\\|b | fido |" in text
    assert text.count("\n|") == 3


def test_a_terminal_of_80_columns_shows_every_number_whole():
    numbers = {"forward": 2400, "backward": 2400, "images_per_second": 1234.5, "ratio": 1.0234}
    numbers |= {"evaluations_per_second": 12345.0, "peak_share": 0.41, "compile_cold": 123.0}
    numbers |= {"compile_cached": 1.2, "program_mb": 12345.0, "peak_mb": 34567.0}
    names = ("tiny_imagenet40", "extremal_perturbation", "preset fast", "blur:sigma=5", "float32")
    rows = [BenchRow(*names, size, **numbers) for size in (1, 64)]
    rows.append(BenchRow("tiny_imagenet40", "varsal", "", "", "float32", 1, problem="no [encoder]"))
    printed = io.StringIO()
    console = Console(width=80, file=printed)
    console.print(report.terminal_table(rows))
    lines = printed.getvalue().splitlines()
    assert lines[0] == f"{', '.join((*names[:2], *names[3:]))}: preset fast"
    shown = ["2400", "1234", "12345", "1.023", "41%", "123", "1.2", "12345", "/", "34567"]
    assert [line.split() for line in lines[3:5]] == [["1", *shown], ["64", *shown]]
    assert lines[5] == "tiny_imagenet40, varsal, float32: no [encoder]"
    assert lines[6].split() == ["1"]
    assert max(map(len, lines)) <= 80


def test_interleaved_takes_calls_in_turn_and_the_lowest_median(monkeypatch):
    order, now = [], [0.0]
    # One warm-up, then two rounds of three: medians of the first call 5 and 2, of the second 1, 1.
    costs = {"a": iter([9, 4, 5, 6, 2, 1, 8]), "b": iter([9, 1, 1, 1, 1, 1, 1])}

    def call(name):
        order.append(name)
        now[0] += next(costs[name])

    monkeypatch.setitem(clocks.CLOCKS, "wall", lambda: now[0])
    calls = [lambda: call("a"), lambda: call("b")]
    assert clocks.interleaved(calls, repeats=3, rounds=2) == [2, 1]
    assert order == ["a", "b"] * 7


def test_compiling_again_reads_the_cache_and_leaves_the_settings():
    before = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]

    def unrolled(x):
        for i in range(200):
            x = jnp.sin(x) * i
        return x

    with clocks.fresh_cache():
        found = clocks.compile_timed(lambda: jax.jit(unrolled).lower(jnp.ones(3)))
    assert found.cached < found.cold
    assert found.program(jnp.ones(3)).shape == (3,)
    assert floors.counted(found.lowered) > 3 * 190
    assert jax.config.jax_compilation_cache_dir == before  # type: ignore[attr-defined]


def test_peak_memory_is_of_its_own_time():
    np.ones(60_000_000)  # 480 MB, before
    peak = PeakMemory()
    before = peak.megabytes()
    if before is None:
        pytest.skip("the system does not tell the peak memory")
    block = np.ones(30_000_000)
    grown = (peak.megabytes() or 0) - before
    assert 200 < grown < 300
    del block


def test_the_bare_gradient_is_that_of_the_log_odds(planted):
    images = jnp.full((2, 12, 12, 3), 0.5)
    value, gradient = floors.bare_gradient(planted, images, jnp.array([0, 1]))
    # Two classes with opposite logits: the log-odds are twice the logit.
    logits = planted(images)
    np.testing.assert_allclose(value, 2 * (logits[0, 0] + logits[1, 1]), atol=1e-5)
    (weights,) = planted.args
    np.testing.assert_allclose(gradient, jnp.stack([2 * weights, -2 * weights]), atol=1e-5)
    _, again = floors.bare_gradient(planted, images, jnp.array([0, 1]), times=3)
    np.testing.assert_allclose(again, [value] * 3, rtol=1e-6)
    forward, both = floors.operations(planted, (12, 12, 3))
    assert 2 * 432 <= forward < both


def test_a_product_is_in_its_precision(monkeypatch):
    monkeypatch.setitem(floors.SIDE, "cpu", 64)
    product = {name: floors.matrix_product(name) for name in ("float32", "bfloat16")}
    assert product["float32"].operations == 2 * 64**3
    difference = jnp.abs(product["float32"].call() - product["bfloat16"].call()).max()
    assert 1e-3 < float(difference) < 1


@pytest.mark.parametrize(
    "name", ["gradient", "input_x_gradient", "grad_cam", "grad_cam_pp", "layer_cam", "hires_cam"]
)
def test_the_passes_of_a_row_are_those_that_are_counted(name, monkeypatch):
    stated = METHOD_ROWS[name].passes
    monkeypatch.setitem(METHOD_ROWS, name, dataclasses.replace(METHOD_ROWS[name], passes=None))
    assert passes.count_passes(name, {}, (8, 8, 3), 4) == stated


def test_passes_are_counted_through_loops_and_flat_batches():
    shape, count = (8, 8, 3), passes.count_passes
    fido = {"infill": mean(), "steps": 3, "samples": 2}
    assert count("fido", fido, shape, 4) == (8, 6)
    assert count("rise", {"samples": 10, "chunk": 4}, shape, 4) == (13, 0)  # filled up, and one
    assert count("integrated_gradients", {"steps": 6, "chunk": 4}, shape, 4) == (8, 6)
    assert count("occlusion", {"window": 4, "stride": 4, "chunk": 8}, shape, 4) == (5, 0)
    assert count("center_box", {}, shape, 4) == (0, 0)
    assert count("grad_cam", {}, shape, 4) == (1, 0)  # back to the features only
    assert count("guided_backprop", {}, shape, 4) == (1, 1)
    assert count("deeplift", {"rule": "rescale"}, shape, 4) == (2, 1)
    assert passes.passes_per_map("fido", fido, shape, 4) == (6, 6)
    assert passes.passes_per_map("object_box", {}, shape, 4) == (0, 0)
    assert passes.passes_per_map("gradient", {}, shape, 4) == (1, 1)


def test_the_forecast_grows_with_the_work(planted):
    asked = Bench(steps=2, repeats=1, rounds=1)
    one, two = (case(planted, "fido", n, **presets.fast, infill=mean()) for n in (1, 1000))
    low, high = (bench_plan.expected([each], asked) for each in (one, two))
    assert bench_plan.COMPILING <= low < high
