"""Names of files, folders, and what a file system holds besides pictures."""

import errno
import os
import socket
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from fidojax.core import printable
from fidojax.data import BadPicture, Picture, pictures, true_class
from fidojax.data.fit import fit

SIZE = (16, 16, 3)


def read(*sources, **options) -> list[Picture | BadPicture]:
    return list(pictures(sources, SIZE, **options))


def draw(path: str | bytes | Path, colour="red", size=(16, 16)) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    PIL.Image.new("RGB", size, colour).save(path, format="PNG")


def ids(items) -> list[str]:
    return [item.id for item in items if isinstance(item, Picture)]


def reasons(items) -> dict[str, str]:
    return {Path(i.source).name: i.reason for i in items if isinstance(i, BadPicture)}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"caf\xe9.png", r"caf\xe9.png"),
        (b"\xff\xfe.png", r"\xff\xfe.png"),
        (b"two\nlines.png", r"two\nlines.png"),
        (b"a\rb\tc.png", r"a\rb\tc.png"),
        (b"\x1b[31mred.png", r"\x1b[31mred.png"),
        ("\u2028line.png".encode(), r"\u2028line.png"),
        ("gnp.\u202eexe".encode(), r"gnp.\u202eexe"),
        ("猫 と\u3000犬.png".encode(), "猫 と\u3000犬.png"),
        ("👩\u200d🔬 é.png".encode(), "👩\u200d🔬 é.png"),
    ],
)
def test_every_name_becomes_one_line_of_valid_text(tmp_path, name, shown):
    path = os.path.join(os.fsencode(tmp_path), name)
    draw(path)
    for source in (tmp_path, os.fsdecode(path)):
        (item,) = read(source)
        assert isinstance(item, Picture)
        assert item.id == shown
        assert item.source == f"{tmp_path}/{shown}"
        item.source.encode()
    with open(path, "wb") as file:
        file.write(b"broken")
    (bad,) = read(os.fsdecode(path))
    assert str(bad).startswith(f"{tmp_path}/{shown}: not a picture")
    assert len(str(bad).splitlines()) == 1


def test_names_of_other_origin_are_valid_text_too():
    assert printable("half a pair \ud800") == r"half a pair \ud800"


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path):
    draw(tmp_path / "elsewhere" / "b.png")
    draw(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path)
    (tmp_path / "photos" / "self").symlink_to(tmp_path / "photos")
    assert ids(read(tmp_path / "photos")) == ["a.png", "again/b.png", "linked/b.png"]


def test_what_is_no_file_is_named_by_its_kind(tmp_path, monkeypatch):
    draw(tmp_path / "good.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "lost.png").symlink_to("nowhere.png")
    (tmp_path / "circle.png").symlink_to("circle.png")
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("socket.png")
    expected = {
        "pipe.png": "a named pipe, expected a picture file",
        "socket.png": "a socket, expected a picture file",
        "lost.png": "a symbolic link to a file that does not exist",
        "circle.png": "it cannot be read (too many levels of symbolic links)",
    }
    found = read(tmp_path)
    listening.close()
    assert ids(found) == ["good.png"]
    assert reasons(found) == expected
    for name, reason in expected.items():
        assert reasons(read(tmp_path / name)) == {name: reason}
    assert reasons(read("/dev/null")) == {"null": "a device, expected a picture file"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x" * 300 + ".png", "it cannot be read (file name too long)"),
        ("~nobody-of-this-name/x.png", "there is no such file or folder"),
        ("good.png/x.png", "there is no such file or folder"),
    ],
)
def test_paths_that_cannot_be_are_named(tmp_path, monkeypatch, source, reason):
    draw(tmp_path / "good.png")
    monkeypatch.chdir(tmp_path)
    bad, good = read(source, "good.png")
    assert isinstance(good, Picture)
    assert str(bad) == f"{source}: {reason}"


def test_a_tilde_that_is_no_user_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw("./~backup.png")
    assert ids(read("~backup.png")) == ["~backup.png"]


def test_folders_that_cannot_be_listed_are_named(tmp_path, monkeypatch):
    draw(tmp_path / "a.png")
    draw(tmp_path / "closed" / "b.png")
    scan = os.scandir

    def closed(path):
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    found = pictures([tmp_path], SIZE)
    good, bad = found
    assert len(found) == 2
    assert ids([good]) == ["a.png"]
    assert str(bad) == f"{tmp_path}/closed: no permission to list this folder"
    (bad,) = read(tmp_path / "closed")
    assert str(bad) == f"{tmp_path}/closed: no permission to list this folder"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "there is not enough memory to read it"),
        (RuntimeError("no thread"), "the picture is damaged (no thread)"),
        (OSError(errno.EIO, "Input/output error"), "it cannot be read (input/output error)"),
        (PermissionError(errno.EACCES, "Permission denied"), "no permission to read it"),
    ],
)
@pytest.mark.parametrize("step", ["decode", "fit"])
def test_an_error_of_one_picture_is_that_pictures(tmp_path, monkeypatch, error, reason, step):
    from fidojax.data import files

    draw(tmp_path / "a.png")
    draw(tmp_path / "b.png")
    call, left = getattr(files, step), [error]

    def once(*words):
        if left:
            raise left.pop()
        return call(*words)

    monkeypatch.setattr(files, step, once)
    bad, good = read(tmp_path)
    assert ids([good]) == ["b.png"]
    assert str(bad) == f"{tmp_path}/a.png: {reason}"


def test_damaged_exif_leaves_the_pixels_as_they_are(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    whole = exif.tobytes()
    turned = stored = 0
    for at in range(6, len(whole)):
        for byte in (0, 255):
            damaged = whole[:at] + bytes([byte]) + whole[at + 1 :]
            path = tmp_path / f"{at}-{byte}.png"
            PIL.Image.fromarray(noise).save(path, exif=damaged)
            (item,) = read(path)
            assert isinstance(item, Picture), item
            upright = np.array_equal(
                item.image, fit(PIL.Image.fromarray(noise).rotate(-90, expand=True), SIZE)[0]
            )
            assert upright or np.array_equal(item.image, fit(PIL.Image.fromarray(noise), SIZE)[0])
            turned += upright
            stored += not upright
    assert turned
    assert stored


def test_only_the_middle_of_a_long_picture_is_resized():
    noise = np.random.default_rng(0).integers(0, 256, (12, 900, 3), np.uint8)
    for pixels in (noise, noise.transpose(1, 0, 2)):
        picture = PIL.Image.fromarray(pixels)
        for crop in (1.0, 0.875):
            image, placement = fit(picture, (16, 20, 3), crop)
            tall, wide = (
                round(n * s) for n, s in zip(pixels.shape[:2], placement.scale, strict=True)
            )
            whole = picture.resize((wide, tall), PIL.Image.Resampling.BILINEAR)
            top, left = placement.offset
            expected = np.asarray(whole)[top : top + 16, left : left + 20] / np.float32(255)
            np.testing.assert_allclose(image, expected, atol=2.01 / 255)  # two passes, each rounded


def test_a_picture_of_160_million_pixels_is_resized_in_its_middle():
    picture = PIL.Image.new("L", (16_000_000, 8))
    picture.paste(255, (8_000_000, 0, 16_000_000, 8))
    image, _ = fit(picture, (16, 16, 1))
    assert image[:, :6].max() == 0
    assert image[:, 10:].min() == 1


def test_large_pictures_are_converted_in_strips(tmp_path, monkeypatch):
    from fidojax.data import decode

    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 4), np.uint8)
    cases = {
        "RGBA": PIL.Image.fromarray(noise),
        "LA": PIL.Image.fromarray(noise[..., :2].copy()),
        "CMYK": PIL.Image.fromarray(noise, mode="CMYK"),
        "I;16": PIL.Image.fromarray(noise[..., :2].copy().view(np.uint16)[..., 0]),
        "P": PIL.Image.fromarray(noise[..., :3]).quantize(17),
    }
    cases["P"].info["transparency"] = 3
    whole = {name: np.asarray(decode.plain(picture)) for name, picture in cases.items()}
    monkeypatch.setattr(decode, "STRIP", 100)
    for name, picture in cases.items():
        np.testing.assert_array_equal(np.asarray(decode.plain(picture)), whole[name])


@pytest.mark.parametrize(
    ("mode", "options", "each"),
    [
        ("RGB", {"format": "PNG"}, 5),
        ("RGBA", {"format": "PNG"}, 9),
        ("RGB", {"format": "JPEG"}, 5),
        ("RGB", {"format": "JPEG", "progressive": True}, 12),
        ("RGB", {"format": "JPEG2000"}, 24),
        ("RGB", {"format": "WEBP"}, 17),
    ],
)
def test_a_picture_that_takes_too_much_memory_is_refused(
    tmp_path, monkeypatch, mode, options, each
):
    from fidojax.data import decode

    path = tmp_path / "large"
    PIL.Image.new(mode, (200, 100)).save(path, **options)
    monkeypatch.setattr(decode, "MEMORY", 20_000 * each)
    assert len(ids(read(path))) == 1
    monkeypatch.setattr(decode, "MEMORY", 20_000 * each - 1)
    (bad,) = read(path)
    assert str(bad).startswith(f"{path}: 200 x 100 pixels take 0.0 GB to decode, more than")


def test_folders_of_classes_give_labels(tmp_path):
    for name in ("tabby/b.png", "tabby/more/c.png", "goldfish/a.png", ".cache/x.png"):
        draw(tmp_path / name)
    found = [item for item in read(tmp_path) if isinstance(item, Picture)]
    assert [(i.id, i.label, i.label_name, i.classes) for i in found] == [
        ("goldfish/a.png", 0, "goldfish", 2),
        ("tabby/b.png", 1, "tabby", 2),
        ("tabby/more/c.png", 1, "tabby", 2),
    ]
    assert [true_class(i, ("tabby", "Goldfish")) for i in found] == [1, 0, 0]
    draw(tmp_path / "alone.png")  # then they are no classes
    assert {item.label for item in read(tmp_path) if isinstance(item, Picture)} == {None}


@pytest.mark.parametrize(
    ("label", "name", "classes", "labels", "index"),
    [
        (1, "n02123045", 2, ("goldfish", "tabby"), 1),
        (1, "n02123045", 2, ("goldfish", "tabby", "teapot"), None),  # which of the three?
        (1, "crane", 3, ("owl", "crane", "crane"), 1),
        (1, "crane", 2, ("owl", "crane", "crane"), None),
        (0, "crane", 3, ("owl", "crane", "crane"), None),
        (1, "wren", 2, ("goldfish", "tabby"), None),
        (1, None, 2, ("goldfish", "tabby"), 1),
        (2, None, None, ("goldfish", "tabby"), None),
        (None, None, None, ("goldfish", "tabby"), None),
    ],
)
def test_the_true_class_is_found_by_name_or_by_a_complete_order(
    label, name, classes, labels, index
):
    picture = Picture("a", np.zeros(SIZE, np.float32), label, None, "a", name, classes)
    if index is None:
        with pytest.raises(ValueError, match="label"):
            true_class(picture, labels)
    else:
        assert true_class(picture, labels) == index
