"""Facts of files: the header alone, and only of files that are what the store knows."""

import os
from pathlib import Path

import pytest
from demijohn.cache import Row
from demijohn.cache.index import FileIndex, hash_bytes
from demijohn.pipeline.pictures.facts import jpeg_quality, read_facts
from PIL import Image, ImageFile
from support.pictures import encode
from support.scenes import scene


def write(folder: Path, name: str, content: bytes) -> Row:
    """Write a file and return its row."""
    (folder / name).write_bytes(content)
    return Row(name, hash_bytes(content), "a", "train")


@pytest.mark.parametrize("quality", [1, 10, 35, 50, 75, 90, 95, 100])
def test_the_quality_that_pillow_wrote_is_read(quality: int, tmp_path: Path) -> None:
    row = write(tmp_path, "a.jpg", encode(scene(1), "JPEG", quality=quality))
    facts = read_facts(tmp_path, [row], FileIndex(tmp_path / "i")).facts["a.jpg"]
    assert facts.quality is not None
    assert abs(facts.quality - quality) <= 1


def test_gray_jpegs_have_a_quality_and_other_kinds_none(tmp_path: Path) -> None:
    rows = [
        write(tmp_path, "gray.jpg", encode(scene(1).convert("L"), "JPEG", quality=80)),
        write(tmp_path, "a.png", encode(scene(1, size=(30, 60)))),
    ]
    facts = read_facts(tmp_path, rows, FileIndex(tmp_path / "i")).facts
    assert facts["gray.jpg"].quality == 80
    other = facts["a.png"]
    assert (other.quality, other.kind, other.width, other.height, other.aspect) == (None, "PNG", 30, 60, 0.5)
    assert other.size == (tmp_path / "a.png").stat().st_size
    assert jpeg_quality({}) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_on_its_side_is_known(kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    row = write(tmp_path, "a", encode(scene(1), kind, exif=exif))
    facts = read_facts(tmp_path, [row], FileIndex(tmp_path / "i")).facts["a"]
    shown = (facts.height, facts.width) if facts.on_its_side else (facts.width, facts.height)
    assert shown == scene(1).size[::-1]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_no_pixel_is_decoded(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = write(tmp_path, "a", encode(scene(1), kind))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("pixels were decoded"))
    assert read_facts(tmp_path, [row], FileIndex(tmp_path / "i")).facts["a"].kind == kind


def test_files_that_are_gone_or_changed_are_told_apart(tmp_path: Path) -> None:
    rows = [write(tmp_path, f"{n}.png", encode(scene(n))) for n in range(4)]
    rows.append(write(tmp_path, "text.png", b"no picture"))
    (tmp_path / "1.png").unlink()
    (tmp_path / "2.png").write_bytes(encode(scene(99)))
    (tmp_path / "3.png").unlink()
    # A pipe that nobody writes to would be waited for without end.
    os.mkfifo(tmp_path / "3.png")
    state = read_facts(tmp_path, rows, FileIndex(tmp_path / "i"))
    assert set(state.facts) == {"0.png"}
    assert state.present == {"0.png", "text.png"}
    assert state.changed == ("2.png",)
    assert state.gone == ("1.png", "3.png")


def test_a_file_that_the_index_knows_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = write(tmp_path, "a.png", encode(scene(1)))
    os.utime(tmp_path / "a.png", (1e9, 1e9))
    index = FileIndex(tmp_path / "i")
    first = read_facts(tmp_path, [row], index)
    monkeypatch.setattr("demijohn.pipeline.pictures.facts.hash_file", lambda path: pytest.fail(f"{path} was read"))
    assert read_facts(tmp_path, [row], index) == first
