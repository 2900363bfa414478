"""The built wheel: what it holds, and that it works without the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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


def sizes(wheel: Path) -> dict[str, int]:
    return {each.filename: each.file_size for each in zipfile.ZipFile(wheel).infolist()}


def test_ships_the_two_packages_and_the_weights_only(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "fidojax",
        "infillers",
    }
    stored = {name: size for name, size in sizes(wheel).items() if "/weights/" in name}
    for name in (
        "fidojax/weights/mnist", "fidojax/weights/tiny_imagenet40", "infillers/weights/vae_mnist",
        "infillers/weights/vae_tiny_imagenet40", "infillers/weights/ca_tiny_imagenet40",
        "fidojax/weights/varsal_mnist", "fidojax/weights/varsal_tiny_imagenet40",
        "fidojax/weights/realtime_mnist", "fidojax/weights/realtime_tiny_imagenet40",
    ):  # fmt: skip
        assert stored[f"{name}.npz"] < 4e6
        assert f"{name}.md" in stored
    assert stored["infillers/weights/unet_imagenette.npz"] < 8e6
    assert "infillers/weights/unet_imagenette.md" in stored
    assert wheel.stat().st_size < 20e6


def test_explains_a_picture_from_the_wheel_alone(wheel, tmp_path):
    """Unpacked outside the checkout; .ci/run installs it into an empty environment as well."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = (
        "import fidojax, infillers, sys; from fidojax.cli import main;"
        "assert 'site' in fidojax.__file__ and 'site' in infillers.__file__;"
        "sys.argv = ['fidojax', 'explain', '--classifier', 'tiny_imagenet40', '--steps', '3',"
        " '--out', 'maps']; main()"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, check=False, timeout=300
    )
    assert (tmp_path / "maps" / "index.html").stat().st_size > 0
