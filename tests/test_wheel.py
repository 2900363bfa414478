"""The built wheel: what it holds, and that it works without the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT],
        check=True,
        capture_output=True,
    )
    (path,) = out.glob("*.whl")
    return path


def test_ships_the_two_packages_and_the_weights_only(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "fidojax",
        "infillers",
    }
    for weights in ("mnist", "tiny_imagenet40"):
        assert f"fidojax/weights/{weights}.npz" in names
        assert f"fidojax/weights/{weights}.md" in names
    assert wheel.stat().st_size < 6e6


def test_explains_a_picture_from_the_wheel_alone(wheel, tmp_path):
    """Unpacked outside the checkout; .ci/run installs it into an empty environment as well."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = (
        "import fidojax, infillers, sys; from fidojax.cli import main;"
        "assert 'site' in fidojax.__file__ and 'site' in infillers.__file__;"
        "sys.argv = ['fidojax', 'explain', '--steps', '3', '--out', 'maps']; main()"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, check=False, timeout=300
    )
    assert (tmp_path / "maps" / "index.html").stat().st_size > 0
