"""The walk: a fixed order, links followed once, and nothing that a file system holds stops it."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from demijohn.pipeline.pictures.folders import walk_folder
from support.trees import make


def paths(root: Path) -> list[str]:
    return walk_folder(root).paths


def test_odd_entries_are_skipped_with_their_reason(tmp_path: Path) -> None:
    make(tmp_path, "cats/1.jpg")
    (tmp_path / "cats/gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "cats/circle").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "cats/pipe.jpg")
    (tmp_path / "cats/folder.jpg").mkdir()
    walk = walk_folder(tmp_path)
    assert walk.paths == ["cats/1.jpg"]
    assert {each.path: each.reason for each in walk.skipped} == {
        "cats/circle": "a link that leads back to a folder above it",
        "cats/gone.jpg": "a broken link",
        "cats/pipe.jpg": "not a regular file",
    }


def test_the_store_inside_the_folder_is_no_class(tmp_path: Path) -> None:
    root = make(tmp_path, "cats/1.jpg", "bottlenecks/report/figures/confusion.png")
    assert walk_folder(root, leave_out=root / "bottlenecks").paths == ["cats/1.jpg"]


def test_a_link_to_itself_is_skipped(tmp_path: Path) -> None:
    make(tmp_path, "cats/1.jpg")
    (tmp_path / "cats" / "loop.jpg").symlink_to("loop.jpg")
    assert [each.path for each in walk_folder(tmp_path).skipped] == ["cats/loop.jpg"]


def test_the_store_is_left_out_by_whatever_name_it_is_reached(tmp_path: Path) -> None:
    root = make(tmp_path / "photos", "cats/1.jpg")
    make(tmp_path / "store", "report/2.png")
    (root / "link").symlink_to(tmp_path / "store", target_is_directory=True)
    assert walk_folder(root, leave_out=tmp_path / "store").paths == ["cats/1.jpg"]


def test_a_link_to_a_folder_elsewhere_is_followed(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", "1.jpg")
    root = make(tmp_path / "photos", "cats/2.jpg")
    (root / "dogs").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert paths(root) == ["cats/2.jpg", "dogs/1.jpg"]


def test_folders_that_all_link_to_each_other_are_walked_once(tmp_path: Path) -> None:
    names = [f"f{number:02}" for number in range(30)]
    for name in names:
        make(tmp_path, f"{name}/1.jpg")
    for name in names:
        for other in names:
            (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other, target_is_directory=True)
    walk = walk_folder(tmp_path)
    assert set(walk.paths) >= {f"{name}/1.jpg" for name in names}
    assert len(walk.paths) <= 2 * len(names)
    assert {each.reason for each in walk.skipped} == {
        "a link that leads back to a folder above it",
        "a folder that another link has led to before",
    }


@pytest.fixture
def dig(tmp_path: Path) -> Iterator[Callable[[str, int], None]]:
    """Return a function that writes 1.jpg so many folders of one name below the test's own, and clean up."""

    def down(name: str, depth: int) -> None:
        # Relative steps reach deeper than a whole path can.
        here = os.open(tmp_path, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir(name, dir_fd=here)
            inner = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(os.open("1.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)

    yield down
    # pytest removes old folders by recursion, which is not deep enough.
    subprocess.run(["rm", "-rf", tmp_path], check=True)


def test_folders_nested_deeper_than_the_stack_of_python(tmp_path: Path, dig: Callable[[str, int], None]) -> None:
    dig("d", 1200)
    assert paths(tmp_path) == ["d/" * 1200 + "1.jpg"]


def test_paths_too_long_to_open_are_listed_with_the_reason(tmp_path: Path, dig: Callable[[str, int], None]) -> None:
    make(tmp_path, "cats/1.jpg")
    dig("x" * 200, 30)
    walk = walk_folder(tmp_path)
    assert walk.paths == ["cats/1.jpg"]
    assert [each.reason for each in walk.skipped] == ["folder cannot be opened: File name too long"]


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\xfe", "猫🐈".encode(), b"a\nb", b"a\rb", b" ", b"-x", b"'\"$;"])
def test_names_in_any_encoding(tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / os.fsdecode(name)
    make(folder, os.fsdecode(name + b".JPG"))
    [found] = walk_folder(tmp_path).paths
    assert os.fsencode(str(found)) == name + b"/" + name + b".JPG"
    assert (tmp_path / found).is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may open everything")
def test_a_folder_that_may_not_be_opened_is_listed(tmp_path: Path) -> None:
    make(tmp_path, "cats/1.jpg", "secret/2.jpg")
    (tmp_path / "secret").chmod(0)
    walk = walk_folder(tmp_path)
    (tmp_path / "secret").chmod(0o700)
    assert [(each.path, each.reason) for each in walk.skipped] == [
        ("secret", "folder cannot be opened: Permission denied")
    ]
