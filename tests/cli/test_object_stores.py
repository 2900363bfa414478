"""Results and pictures in an object store, against a server of S3's protocol on this machine."""

import logging
import os
import signal
import subprocess
import sys
import time
import urllib.request

import numpy as np
import PIL.Image
import pytest

import fidojax
from fidojax.cli import main
from fidojax.data import place, write_json
from fidojax.runs import damages, load_maps

pytest.importorskip("obstore", reason="needs the extra cloud")
pytest.importorskip("upath", reason="needs the extra cloud")
moto = pytest.importorskip("moto.server", reason="needs moto, a server of S3's protocol")

COUNT = 6
HOW = ("--classifier", "mnist", "--method", "fido", "--preset", "paper", "--steps", "8",
       "--batch-size", "1", "--no-figures")  # fmt: skip


@pytest.fixture(scope="module")
def bucket():
    """The address of a bucket; its server and credentials are in the environment."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        make = urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT")
        urllib.request.urlopen(make).close()
        yield "s3://bucket"
    server.stop()


@pytest.fixture(scope="module")
def photos(bucket):
    """Pictures in the bucket, one of them damaged, and files that are no pictures."""
    folder = place(f"{bucket}/photos")
    draw = np.random.default_rng(0)
    for number in range(COUNT):
        picture = PIL.Image.fromarray(draw.integers(0, 255, (28, 28), np.uint8))
        with (folder / "digits" / f"{number:02}.png").open("wb") as file:
            picture.save(file, "png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"")
    return str(folder)


def explained(capfd, *words):
    capfd.readouterr()
    code = main(["explain", *HOW, *words])
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err
    return code, printed.out + printed.err


def test_a_killed_run_goes_on_and_its_results_are_read_where_they_lie(bucket, photos, capfd):
    out = place(f"{bucket}/runs/first")
    command = [sys.executable, "-m", "fidojax", "explain", *HOW, photos, "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            if list(out.glob("records/*.json")) or process.poll() is not None:
                break
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = len(list(out.glob("records/*.json")))
    assert 0 < before < COUNT

    code, said = explained(capfd, photos, "--out", str(out), "--save", "npy")
    assert code == 1  # of the damaged picture
    assert f"{COUNT - before} pictures explained" in said
    assert f"{before} already explained" in said
    assert "1 other file ignored" in said
    assert "broken.png" in said
    assert "index.html" in said
    run = fidojax.load_run(str(out))
    assert len(run) == COUNT
    map_of = {run[key].saliency.tobytes() for key in run}
    assert len(map_of) == COUNT
    saved = list(out.glob("maps/*.npy"))
    assert len(saved) == COUNT
    with saved[0].open("rb") as file:
        assert np.load(file).tobytes() in map_of
    assert np.isfinite(load_maps(str(out))[:COUNT]).sum() > 0
    assert damages.verify(str(out)) == []


def test_a_damaged_file_is_found_and_computed_again(bucket, photos, capfd):
    out = place(f"{bucket}/runs/second")
    one = f"{photos}/digits/00.png"
    assert explained(capfd, one, "--out", str(out))[0] == 0
    maps = fidojax.load_run(str(out))["00", "fido"].saliency
    (chunk,) = out.glob("results.zarr/*/maps/c/0/0/0")
    content = bytearray(chunk.read_bytes())
    content[-1] ^= 255
    chunk.write_bytes(bytes(content))
    assert any("checksum" in said for said in damages.verify(str(out)))
    code, said = explained(capfd, one, "--out", str(out))
    assert code == 0, said
    assert "1 picture explained" in said
    np.testing.assert_array_equal(fidojax.load_run(str(out))["00", "fido"].saliency, maps)


def test_sentences_for_what_is_not_there(bucket, photos, capfd, monkeypatch):
    code, said = explained(capfd, f"{bucket}/nothing", "--out", f"{bucket}/runs/third")
    assert code == 2
    assert "there is no such file or folder" in said
    code, said = explained(capfd, photos, "--out", "s3://elsewhere/run")
    assert code == 2
    assert "--out s3://elsewhere/run" in said
    assert "bucket does not exist" in said.lower()
    with pytest.raises(OSError, match=r"bucket does not exist.*s3://elsewhere/a\.json"):
        write_json("s3://elsewhere/a.json", {})
    for module in ("obstore", "obstore.fsspec"):
        monkeypatch.setitem(sys.modules, module, None)
    code, said = explained(capfd, photos, "--out", "s3://bucket/run")
    assert code == 2
    assert "pip install 'fidojax[cloud]'" in said


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="as on Linux")
def test_a_tfds_set_is_copied_to_the_cache(bucket, tmp_path, monkeypatch):
    from fidojax.data import fetched as module

    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    folder = place(f"{bucket}/sets/mnist/1.0.0")
    (folder / "a.json").write_text("{}")
    (folder / "part" / "b.bin").write_bytes(b"bytes")
    copy = module.fetched(folder)
    assert (copy / "part" / "b.bin").read_bytes() == b"bytes"
    (copy / "a.json").write_text("[]")  # of the same size: not fetched again
    (folder / "part" / "b.bin").write_bytes(b"other bytes")
    assert (module.fetched(folder) / "part" / "b.bin").read_bytes() == b"other bytes"
    assert (copy / "a.json").read_text() == "[]"
