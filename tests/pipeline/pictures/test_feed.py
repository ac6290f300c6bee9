"""Files are read without waiting for anything but the disk, under any name."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from demijohn.cache.index import hash_bytes
from demijohn.pipeline.checking import check_backbone
from demijohn.pipeline.errors import UnreadableImage
from demijohn.pipeline.pictures.feed import Decoded, Frame, Picture, decoding_ahead, read_file
from demijohn.pipeline.pictures.images import ReadingPolicy
from support.pictures import encode, picture

CONTENT = encode(picture(0))
FRAME = Frame((8, 8), "squash-bilinear")


def decode(path: Path, policy: ReadingPolicy | None = None) -> Decoded:
    wanted = Picture(path, path.name, hash_bytes(CONTENT), (FRAME,))
    with decoding_ahead([wanted], policy or ReadingPolicy(), ahead=1) as decoded:
        return next(decoded)


def within(seconds: float, work: Callable[[], object]) -> object:
    """Return the result of what must not hang."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert results, "it hangs"
    return results[0]


def test_a_file_is_read() -> None:
    assert read_file(Path(__file__)) == Path(__file__).read_bytes()


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    outcome = within(10, lambda: decode(tmp_path / "x.jpg"))
    assert isinstance(outcome, Decoded)
    assert outcome.reason == "not a regular file"
    assert outcome.key is None


def test_a_pipe_does_not_hang_the_check_of_a_backbone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")

    def check() -> str:
        with pytest.raises(UnreadableImage) as caught:
            check_backbone("efficientnet-lite0", tmp_path / "x.jpg")
        return str(caught.value)

    assert "not a regular file; expected a picture" in str(within(30, check))


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/tty"])
def test_a_device_does_not_hang(tmp_path: Path, target: str) -> None:
    (tmp_path / "x.jpg").symlink_to(target)
    outcome = within(10, lambda: decode(tmp_path / "x.jpg"))
    assert isinstance(outcome, Decoded)
    assert outcome.reason.startswith(("not a regular file", "cannot be read"))


def test_a_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").mkdir()
    assert decode(tmp_path / "x.jpg").reason in ("not a regular file", "cannot be read: Is a directory")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.symlink_to("nowhere.jpg"), "No such file"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
        (lambda path: path.with_name("y.jpg").symlink_to("x.jpg"), "No such file"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    make(tmp_path / "x.jpg")
    assert reason in decode(tmp_path / "x.jpg").reason


def test_a_path_that_is_too_long_is_said() -> None:
    assert "name too long" in decode(Path("/" + "/".join(["a" * 200] * 30) + ".jpg")).reason.lower()


@pytest.mark.parametrize("name", [b"\xff\xfe caf\xe9.jpg", "Ünïcödé 猫.jpg".encode(), b"new\nline.jpg", b"-rf.jpg"])
def test_any_name_is_read(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(CONTENT)
    outcome = decode(path)
    assert outcome.key == hash_bytes(CONTENT)
    assert outcome.pixels is not None


def test_a_file_larger_than_any_picture_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    with path.open("wb") as file:
        file.write(CONTENT)
        # Sparse, so that it takes no space.
        file.truncate(1 << 36)
    outcome = within(10, lambda: decode(path))
    assert isinstance(outcome, Decoded)
    assert outcome.reason.startswith("larger than any picture that --max-pixels allows (68,719,476,736 bytes")
    with pytest.raises(UnreadableImage):
        read_file(path)


def test_the_policy_reaches_the_decoder(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(CONTENT)
    assert "more than the 9 pixels" in decode(path, ReadingPolicy(max_pixels=9)).reason
    pixels = decode(path).pixels
    assert pixels is not None
    assert pixels[FRAME].shape == (8, 8, 3)
