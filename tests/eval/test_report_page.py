"""The report of a small planted run: its numbers, marks and verdicts are known beforehand."""

import base64
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest

from eval.intervals import difference, interval, means
from eval.report.__main__ import main
from eval.report.comparison import _best
from eval.report.reading import read
from fidojax.runs.ledger import Ledger
from fidojax.runs.maps import pack

N = 12
EVIL = "<script>alert('x')</script>"
IDS = [EVIL, *(f"picture-{i}" for i in range(1, N))]
WIGGLE = 0.05 * (-1.0) ** np.arange(N)
BASE = np.linspace(0.2, 0.42, N)
FAILED = 3
"""The picture of which the row `worse` has no map."""
LATE = 5
"""So many pictures of the row `late` are done."""
ERRORS = {
    "control": np.zeros(N),
    "ours": BASE,
    "alike": BASE + WIGGLE,
    "worse": BASE + 0.3 + WIGGLE,
    "late": BASE - 0.1 + 0.01 * WIGGLE,
}
HITS = {row: 1 - errors for row, errors in ERRORS.items()} | {
    "alike": np.where(np.arange(N) < 2, np.nan, 1 - BASE - WIGGLE)
}
GROUPS = {"control": "controls", "ours": "masks", "alike": "masks", "worse": "others", "late": ""}
LEVELS = [1, 2, 3]
RED = (255, 0, 128)


def claim(better, worse, number, text="ahead"):
    return {"text": text, "better": better, "worse": worse, "number": number, "published": "yes"}


STUDY = {
    "name": "planted",
    "title": f"A planted run {EVIL}",
    "reference": "Nobody, Nothing, 1999",
    "about": "What is known beforehand.",
    "command": "python -m eval.run planted --out DIR",
    "settings": {"seed": 7, "nested": {"a": [1, 2]}},
    "rows": {
        row: {"label": f"the {row} row", "method": "fido", "group": GROUPS[row],
              "options": "steps 3", "why": "smaller" if row == "alike" else "",
              "passes": {"forward": 1234, "backward": 56} if row == "ours" else None, "limit": None,
              "like": "ours" if row == "alike" else "",
              "scores": {"order": "order-ours"} if row == "alike" else {}}
        for row in ERRORS
    },
    "numbers": {
        "error": {"label": "WSL error", "better": "low", "digits": 3, "set": "place",
                  "column": "error", "index": None, "unit": ""},
        "hit": {"label": "share", "better": "high", "digits": 2, "set": "order",
                "column": "pair", "index": 1, "unit": "nats"},
        "size": {"label": "share", "better": "none", "digits": 1, "set": "place",
                 "column": "size", "index": None, "unit": ""},
        "game": {"label": "pointing game", "better": "high", "digits": 1, "set": "place",
                 "column": "game", "index": None, "unit": ""},
    },
    "curves": {"fall": {"label": "The fall", "set": "order", "column": "levels", "x": LEVELS,
                        "xlabel": "level", "ylabel": "what is left", "better": "low"}},
    "claims": [
        claim("ours", "worse", "error", "ours ahead of worse"),
        claim("worse", "ours", "error"),
        claim("ours", "alike", "error"),
        claim("ours", "worse", "hit"),
        claim("worse", "ours", "hit"),
        claim("ours", "nobody", "error"),
    ],
    "published": {"ours": {"error": 0.777}},
    "deviations": ["The network is small."],
    "reading": ["Few pictures."],
    "gallery": "error",
    "gallery_rows": ["ours", "worse"],
}  # fmt: skip


def write(out, finished=("control", "ours", "alike", "worse")):
    """The run as the runner writes it."""
    (out / "study.json").write_text(json.dumps(STUDY), "utf-8")
    images = np.random.default_rng(0).integers(0, 256, (N, 8, 8, 3), np.uint8)
    images[0] = RED
    boxes = np.zeros((N, 2, 4), np.int32)
    boxes[:, 0] = (1, 2, 4, 7)
    labels = np.arange(N, dtype=np.int32) % 2
    stored = out / "results.zarr"
    names = {"label_names": [EVIL, "dog"], "jax": "0.0"}
    Ledger(stored / "pictures", N, {}, provenance=names).write(
        range(N),
        IDS,
        {"images": images, "labels": labels, "predictions": 1 - labels, "boxes": boxes},
    )
    for row in ERRORS:
        done = N if row in finished else LATE
        bad = [row == "worse" and i == FAILED for i in range(done)]
        maps = np.zeros((done, 8, 8), np.float32) + np.linspace(-1, 1, 8, dtype=np.float32)
        ids, rows = IDS[:done], np.arange(done)
        seconds = np.arange(done, dtype=np.float32)
        columns = {**pack(maps), "targets": labels[:done], "seconds": seconds}
        reasons = [f"broken {EVIL}" if one else None for one in bad]
        provenance = {"device": "a toaster"}
        maps = Ledger(stored / "rows" / row, N, {"method": "fido"}, provenance=provenance)
        maps.write(rows, ids, columns, reasons)
        # The runner scores only what has a map.
        rows = rows[~np.array(bad)]
        ids = [IDS[i] for i in rows]
        place = Ledger(stored / "scores/place" / row, N, {})
        place.write(
            rows,
            ids,
            {
                "error": ERRORS[row][rows].astype(np.float32),
                "size": np.full(len(rows), 0.5, np.float32),
                "game": (rows % 2).astype(np.float32),
            },
        )
        if done < N:
            # A set of scores may fail by itself; what stands in its columns is no value.
            place.write([done], [IDS[done]], {"error": np.array([-99.0])}, ["no box"])
        levels = np.outer(1 + rows, LEVELS).astype(np.float32)
        levels[rows < 4, 2] = np.nan
        pair = np.stack([np.full(len(rows), 99.0), HITS[row][rows]], axis=1)
        order = "order-ours" if row == "alike" else "order"
        Ledger(stored / "scores" / order / row, N, {}).write(
            rows, ids, {"pair": pair.astype(np.float32), "levels": levels}
        )


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The report: its folder, its numbers, its page."""
    out = tmp_path_factory.mktemp("run")
    write(out)
    assert main([str(out)]) == 0
    return report(out)


def report(out):
    def never(constant):
        raise AssertionError(f"{constant} is no JSON")

    found = json.loads((out / "report.json").read_text("utf-8"), parse_constant=never)
    return SimpleNamespace(out=out, found=found, html=(out / "report.html").read_text("utf-8"))


class Elements(HTMLParser):
    """Every element of a page with its attributes, and all the text outside of scripts."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.found and self.found[-1][0] not in ("script", "style"):
            self.text.append(data)


def text(page):
    return re.sub(r"\s+", " ", " ".join(Elements(page).text))


def test_means_are_those_of_scipy_one_by_one():
    columns = np.random.default_rng(0).normal(size=(40, 6))
    columns[:7, 1] = np.nan
    columns[3, 2] = np.inf
    columns[1:, 3] = np.nan
    columns[:, 4] = np.nan
    found = means(columns)
    np.testing.assert_allclose(found[0], interval(columns[:, 0]), rtol=1e-12)
    np.testing.assert_allclose(found[1], interval(columns[7:, 1]), rtol=1e-12)
    np.testing.assert_allclose(found[2], interval(np.delete(columns[:, 2], 3)), rtol=1e-12)
    assert found[3].value == columns[0, 3]
    assert np.isnan([found[3].low, found[3].high, *found[4]]).all()
    assert means(np.empty((3, 0))) == []
    paired = means((columns[:, 0] - columns[:, 5])[:, None])[0]
    np.testing.assert_allclose(paired, difference(columns[:, 0], columns[:, 5]), rtol=1e-9)


def test_means_intervals_and_counts(planted):
    for key, samples in (("error", ERRORS), ("hit", HITS)):
        rows = planted.found["numbers"][key]["rows"]
        for row, values in samples.items():
            there = np.ones(N, bool)
            there[LATE:] = row != "late"
            there[FAILED] &= row != "worse"
            there &= np.isfinite(values)
            expected = interval(values[there].astype(np.float32))
            assert rows[row]["n"] == there.sum()
            np.testing.assert_allclose(
                [rows[row][name] for name in ("mean", "low", "high")], expected, rtol=1e-6
            )
    ours = planted.found["numbers"]["error"]["rows"]["ours"]
    np.testing.assert_allclose(ours["q25"], np.quantile(BASE, 0.25), rtol=1e-6)
    assert ours["published"] == 0.777
    low, high = ours["low"], ours["high"]
    assert f"0.310 ★ [{low:.3f}, {high:.3f}] paper 0.777" in text(planted.html)


def test_the_best_and_the_marks(planted):
    numbers = planted.found["numbers"]
    marks = {row: of["mark"] for row, of in numbers["error"]["rows"].items()}
    # The control is ahead of all and the late row has a smaller mean; neither competes.
    assert numbers["error"]["best"] == "ours"
    assert marks == {
        "control": "better", "ours": "best", "alike": "same", "worse": "worse", "late": "better",
    }  # fmt: skip
    assert numbers["hit"]["best"] == "ours"
    assert numbers["hit"]["rows"]["worse"]["mark"] == "worse"
    assert numbers["hit"]["rows"]["control"]["mark"] == "better"
    assert numbers["size"]["best"] is None
    assert {of["mark"] for of in numbers["size"]["rows"].values()} == {None}
    late = numbers["error"]["rows"]["late"]["difference"]
    assert late["n"] == LATE
    np.testing.assert_allclose(late["mean"], -0.1 + 0.01 * WIGGLE[:LATE].mean(), rtol=1e-5)
    # Paired on the pictures that both have, without the two that have no number.
    np.testing.assert_allclose(
        numbers["hit"]["rows"]["alike"]["difference"]["mean"], -WIGGLE[2:].mean(), atol=1e-6
    )


def test_a_control_is_never_the_best(planted):
    run = read(planted.out)
    study: dict[str, Any] = {
        "numbers": {"error": {"better": "low"}},
        "rows": {"control": {"group": "controls"}},
    }
    found = {("error", "control"): {"n": 3, "mean": 0.1}, ("error", "ours"): {"n": 0, "mean": None}}
    assert _best(replace(run, study=study), "error", found) is None
    study["rows"]["ours"] = {"group": "own"}  # nothing is measured yet
    assert _best(replace(run, study=study), "error", found) is None
    found["error", "ours"] = {"n": 3, "mean": 0.2}
    assert _best(replace(run, study=study), "error", found) == "ours"


def test_the_claims(planted):
    claims = planted.found["claims"]
    verdicts = [claim["verdict"] for claim in claims]
    assert verdicts == ["holds", "fails", "undecided", "holds", "fails", "undecided"]
    assert [claim["difference"]["n"] for claim in claims] == [N - 1, N - 1, N, N - 1, N - 1, 0]
    assert claims[0]["difference"]["mean"] > 0 > claims[3]["difference"]["mean"]
    assert claims[5]["difference"]["mean"] is None
    page = text(planted.html)
    assert "✓ holds 2" in page
    assert "✗ fails 2" in page
    assert "? undecided 2" in page
    assert "the worse row − the ours row" in page  # noqa: RUF001


def test_the_claims_are_told_by_verdict(planted):
    written = (planted.out / "report.md").read_text("utf-8")
    assert "Of the paper's 6 orderings 2 hold, 2 fail, 2 are undecided" in written
    told = re.findall(r"\*\*(holds|fails|undecided)\*\*", written)
    assert told == ["holds", "holds", "fails", "fails", "undecided", "undecided"]
    page = text(planted.html)
    marks = re.findall(r"([✓✗?]) (?:holds|fails|undecided) (?!\d)", page)
    assert marks == [*"✓✓✗✗??"]
    (late,) = re.findall(r"^\| the late row \|.*", written, re.MULTILINE)
    assert f"| {LATE} |" in late


def test_what_is_missing_is_said(planted):
    state = planted.found["progress"]
    assert not state["finished"]
    assert state["rows"]["late"]["maps"] == {
        "expected": N, "done": LATE, "failed": 0, "missing": N - LATE,
    }  # fmt: skip
    assert state["rows"]["late"]["scores"]["place"]["failed"] == 1
    # A failed map is an end, of the map and of its scores.
    failed = {"expected": N, "done": N - 1, "failed": 1, "missing": 0}
    assert state["rows"]["worse"] == {
        "maps": failed, "scores": {"place": failed, "order": failed}
    }  # fmt: skip
    page = text(planted.html)
    assert "This run is not finished. 4 of 5 rows are complete." in page
    assert re.search(rf"the late row (\S+ ▲ \[\S+, \S+\] {LATE} of {N} ?){{2}}", page)
    assert f"{N - 1} of {N} 1 failed" in page


def test_failures_have_reasons(planted):
    assert planted.found["failures"] == [
        {
            "row": "worse", "parts": ["maps"], "reason": f"broken {EVIL}",
            "pictures": [IDS[FAILED]],
        },
        {"row": "late", "parts": ["place"], "reason": "no box", "pictures": [IDS[LATE]]},
    ]  # fmt: skip
    assert planted.found["progress"]["failed"] == 2
    assert f"the worse row maps broken {EVIL} 1 {IDS[FAILED]}" in text(planted.html)


def test_curves_leave_out_what_has_no_value(planted):
    ours = planted.found["curves"]["fall"]["rows"]["ours"]
    assert ours["n"] == [N, N, N - 4]
    expected = [np.arange(1, N + 1).mean(), 2 * np.arange(1, N + 1).mean(), 3 * 8.5]
    np.testing.assert_allclose(ours["mean"], expected, rtol=1e-6)
    assert ours["low"][0] < ours["mean"][0] < ours["high"][0]
    lines = [attributes for tag, attributes in Elements(planted.html).found if tag == "polyline"]
    # A panel for each of four groups, and in each all five rows.
    assert len(lines) == 4 * 5
    assert all(len(line["points"].split()) == len(LEVELS) for line in lines)


def test_the_gallery(planted):
    rows = planted.found["gallery"]["rows"]
    assert list(rows) == ["ours", "worse"]
    ours = rows["ours"]
    assert [case["case"] for case in ours] == ["best", "median", "worst"]
    assert [case["id"] for case in ours] == [IDS[0], IDS[(N - 1) // 2], IDS[N - 1]]
    assert [ours[0][name] for name in ("label", "prediction", "target")] == [EVIL, "dog", EVIL]
    assert FAILED not in [case["picture"] for case in rows["worse"]]
    found = [attributes for tag, attributes in Elements(planted.html).found if tag == "image"]
    assert len(found) == 2 * 3 * 2
    pixels = [
        np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(one["href"].partition(",")[2]))))
        for one in found
    ]
    assert (pixels[0] == RED).all()
    # Blue on the left, where the map speaks against the class, and red on the right.
    left, right = pixels[1][0, 0].astype(int), pixels[1][0, -1].astype(int)
    assert left[2] > left[0]
    assert right[0] > right[2]
    boxes = [attributes for _, attributes in Elements(planted.html).found
             if attributes.get("class") == "truth"]  # fmt: skip
    assert len(boxes) == len(found)
    place = tuple(boxes[0][name] for name in ("x", "y", "width", "height"))
    assert place == ("2", "1", "5", "3")


def test_cost_and_settings(planted):
    ours = planted.found["costs"]["ours"]
    assert ours["seconds"] == {"median": 5.5, "q1": 2.75, "q3": 8.25}
    assert ours["total"] == 66
    assert planted.found["costs"]["worse"]["n"] == N - 1
    assert planted.found["environment"] == {"jax": "0.0"}
    page = text(planted.html)
    for part in ("5.5 s", "1.1 min", "1,234", "a toaster", '{"a": [1, 2]}', STUDY["command"],
                 "Few pictures.", "The network is small.", STUDY["reference"]):  # fmt: skip
        assert part in page
    assert "Yes or no, and not drawn: pointing game" in page
    # Labels that two numbers share are told apart.
    assert "share (hit) (nats)" in page
    assert "share (size)" in page
    assert page.count("smaller likeness to the ours row") == 1


def test_markdown_has_the_tables(planted):
    written = (planted.out / "report.md").read_text("utf-8")
    table = written.partition("## Numbers")[2].partition("##")[0].splitlines()
    lines = {line.split(" | ")[0].strip("| "): line for line in table}
    ours = planted.found["numbers"]["error"]["rows"]["ours"]
    assert f"0.310★ [{ours['low']:.3f}, {ours['high']:.3f}] |" in lines["the ours row"]
    assert f"({LATE})" in lines["the late row"]
    assert lines["the alike row"].startswith("| the alike row | the ours row | ")
    for verdict in ("holds", "fails", "undecided"):
        assert written.count(f"**{verdict}**") == 2
    assert "The run is not finished." in written
    assert STUDY["command"] in written


def test_the_page_is_safe_and_alone(planted):
    elements = Elements(planted.html)
    assert [tag for tag, _ in elements.found].count("script") == 1
    assert EVIL in text(planted.html)
    assert not re.search(r"https?:|@import|url\(", planted.html)
    for _, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    names = {attributes.get("id") for _, attributes in elements.found}
    links = [a["href"] for tag, a in elements.found if tag == "a"]
    assert len(links) == 10
    assert all(link[1:] in names for link in links)


def test_a_finished_run_says_so(tmp_path, capsys):
    write(tmp_path, finished=tuple(ERRORS))
    assert main([str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "not finished" not in shown
    assert f"{tmp_path / 'report.html'}\n" in shown
    assert "holds 2, fails 2, undecided 2" in shown
    finished = report(tmp_path)
    assert finished.found["numbers"]["error"]["best"] == "late"
    assert "not finished" not in finished.html


def test_a_run_that_has_only_begun(tmp_path):
    write(tmp_path)
    for name in ("rows", "scores"):
        shutil.rmtree(tmp_path / "results.zarr" / name)
    assert main([str(tmp_path)]) == 0
    begun = report(tmp_path)
    assert begun.found["numbers"]["error"]["best"] is None
    assert begun.found["numbers"]["error"]["rows"]["ours"]["mean"] is None
    assert f"0 of {N}" in text(begun.html)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda out: (out / "study.json").unlink(), "holds no run"),
        (lambda out: (out / "study.json").write_text("{"), "is not a study"),
        (lambda out: (out / "study.json").write_text("[]"), "is not a study"),
        (lambda out: (out / "study.json").write_text('{"rows": {}}'), "it has no 'numbers'"),
        (
            lambda out: (out / "study.json").write_text(
                json.dumps(STUDY | {"numbers": {"a": {"set": "place"}}})
            ),
            "it has no 'numbers.a.column'",
        ),
        (
            lambda out: (out / "study.json").write_text(
                json.dumps(STUDY).replace('"better": "high"', '"better": "up"')
            ),
            "expected one of ('low', 'high', 'none')",
        ),
        (lambda out: shutil.rmtree(out / "results.zarr/pictures"), "has no pictures yet"),
    ],
)
def test_a_folder_without_a_run_is_one_sentence(tmp_path, capsys, change, sentence):
    (tmp_path / "study.json").write_text(json.dumps(STUDY))
    Ledger(tmp_path / "results.zarr/pictures", N, {})
    change(tmp_path)
    assert main([str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_a_browser_draws_it(planted, tmp_path):
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("there is no Chromium to look with")
    picture = tmp_path / "page.png"
    command = [
        browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1000,5000",
        f"--screenshot={picture}", (planted.out / "report.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert picture.exists(), done.stderr
    with PIL.Image.open(picture) as drawn:
        pixels = np.asarray(drawn.convert("RGB"))
    assert pixels.shape == (5000, 1000, 3)
    # The gallery's red picture, and the purple of the best row's box.
    assert (pixels == RED).all(axis=-1).sum() > 5000
    assert (pixels == (0xA9, 0x8B, 0xD8)).all(axis=-1).sum() > 200
