"""libtiff's own lines do not reach the user, and standard error is what it was before."""

import io
import os

import numpy as np
import PIL.Image
import pytest

from fidojax.data.decode import UnreadableError, decode
from fidojax.data.quiet import quiet


def test_a_damaged_tiff_is_refused_without_lines_of_libtiff(capfd):
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(noise).save(file, "TIFF", compression="tiff_lzw")
    content = bytearray(file.getvalue())
    content[20:60] = b"\xff" * 40
    with pytest.raises(UnreadableError, match="the picture is damaged"):
        decode(io.BytesIO(bytes(content)))
    os.write(2, b"heard again\n")
    assert capfd.readouterr().err == "heard again\n"


@pytest.mark.parametrize(("kind", "heard"), [("TIFF", ""), ("PNG", "words"), (None, "words")])
def test_only_tiff_is_quiet(kind, heard, capfd):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with quiet(kind):
        os.write(2, b"words")
    assert capfd.readouterr().err == heard
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
