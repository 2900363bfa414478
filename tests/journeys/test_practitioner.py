"""The journey of someone with photos, by the shipped network and in the words of a shell."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import skimage

import fidojax
from fidojax.cli import main

ROOT = Path(__file__).parents[2]
CHEAP = ("--classifier", "tiny_imagenet40", "--method", "gradient", "--hold", "none")
"""The shipped network, and a method that compiles in a moment."""


@pytest.fixture
def photo(tmp_path, monkeypatch) -> str:
    """A photo in a folder that one works in."""
    monkeypatch.chdir(tmp_path)
    found = Path(skimage.__file__).parent / "data" / "coffee.png"
    with PIL.Image.open(found) as picture:
        picture.resize((120, 80)).save("coffee.png")
    return "coffee.png"


def fidojax_(*words: str) -> int:
    """The exit code of a command; a bad option ends the program, as tyro does it."""
    try:
        return main([*words])
    except SystemExit as end:
        return int(end.code or 0)


def test_from_a_photo_to_files_for_other_programs_and_two_methods_on_a_page(photo, capfd):
    words = ("explain", photo, "--out", "found", *CHEAP)
    assert fidojax_(*words, "--no-figures", "--save", "npy", "overlay") == 0
    (array,) = Path("found").rglob("maps/*.npy")
    (drawn,) = Path("found").rglob("maps/*.overlay.png")
    with PIL.Image.open(drawn) as picture:
        assert picture.size == (64, 64)
    stored = fidojax.load_run("found")["coffee", "gradient"]
    np.testing.assert_array_equal(np.load(array), stored.saliency)
    assert stored.info.record["target"]["name"] == "espresso"
    more = ("--method", "input_x_gradient", "--target", "espresso")
    assert fidojax_(*words, "--no-figures", *more) == 0
    run = fidojax.load_run("found")
    assert np.abs(run["coffee", "input_x_gradient"].saliency).max() > 0
    page = Path("found/index.html").read_text("utf-8")
    assert all(page.count(name) for name in ("gradient", "input_x_gradient", "coffee", "espresso"))
    assert fidojax_(*words, "--no-figures") == 0
    assert "1 already explained" in capfd.readouterr().out


def test_two_classes_of_a_photo_are_two_answers(photo):
    """With the centred box as the method, which compiles in a moment."""
    words = ("--method", "center_box", "--hold", "first", "--target", "espresso", "tabby")
    assert fidojax_("explain", photo, "--out", "two", *CHEAP, "--no-figures", *words) == 0
    records = [json.loads(path.read_text()) for path in Path("two/records").glob("*.json")]
    found = {one["target"]["name"]: one["target"]["probability"] for one in records}
    assert found.keys() == {"espresso", "tabby"}
    assert found["espresso"] > 0.5 > found["tabby"]
    page = Path("two/index.html").read_text("utf-8")
    assert page.count("espresso")
    assert page.count("tabby")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("explain", "coffee.png", "--target", "expresso"), "espresso"),
        (("explain", "coffee.png", "--method", "grad-cam"), "grad_cam"),
        (("explain", "cofee.png"), "cofee.png"),
        (("explian", "coffee.png"), "explain"),
        (("explain", "coffee.png", "--infil", "mean"), "--infill"),
    ],
)
def test_a_slip_of_the_pen_is_answered_by_the_word_that_was_meant(photo, capfd, words, sentence):
    code = fidojax_(*words, *(CHEAP[:2] if words[0] == "explain" else ()))
    said = capfd.readouterr()
    assert code != 0
    assert sentence in said.out + said.err
    assert "Traceback" not in said.err


def test_ctrl_c_in_a_shell_and_the_same_command_goes_on(photo, capfd):
    """A process of its own, interrupted when it has explained one of many photos."""
    many = Path("many")
    many.mkdir()
    with PIL.Image.open(photo) as picture:
        for i in range(30):
            picture.rotate(12 * i).save(many / f"{i:02}.png")
    words = ["explain", str(many), "--out", "found", *CHEAP, "--batch-size", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "fidojax", *words], text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while not list(Path("found").glob("records/*.json")):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    done = len(list(Path("found").glob("records/*.json")))
    assert process.returncode == 130
    assert 1 <= done < 30
    assert "Traceback" not in out + err
    assert fidojax_(*words, "--no-figures") == 0
    said = capfd.readouterr().out
    assert "30" in said
    assert len(list(Path("found").glob("records/*.json"))) == 30
    assert len(fidojax.load_maps("found")) == 30
