"""Which pictures are meant: files, folders, tables, lists; what is not there is told."""

import io
import os
from pathlib import Path

import pytest
from demijohn.pipeline.deployment.named_pictures import list_pictures
from demijohn.pipeline.errors import InvalidRequest, NoImages
from support.trees import make


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make(tmp_path, "a/1.jpg", "a/b/2.PNG", "a/notes.md", "a/.hidden.jpg", "3.jpg", "odd.name")


def test_files_and_folders_in_their_order_and_each_once(here: Path) -> None:
    found = list_pictures(["odd.name", "a", Path("3.jpg"), "a/1.jpg"])
    assert found.paths == ["odd.name", "a/1.jpg", "a/b/2.PNG", "3.jpg"]
    assert found.skipped == []


def test_the_store_is_not_walked_into(here: Path) -> None:
    make(here, "store/report/figures/x.png")
    assert list_pictures(["."], leave_out=here / "store").paths == ["./3.jpg", "./a/1.jpg", "./a/b/2.PNG"]


def test_tables_and_lists_are_relative_to_their_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "a" / "some.csv").write_text("label,path\ncat,b/2.PNG\n,1.jpg\n,gone.jpg\n")
    (here / "a" / "some.txt").write_text("1.jpg\r\n\n" + str(here / "3.jpg") + "\n")
    table = list_pictures(["a/some.csv"])
    assert table.paths == ["a/b/2.PNG", "a/1.jpg"]
    assert [(each.path, each.reason) for each in table.skipped] == [
        ("a/gone.jpg", "cannot be opened, No such file or directory")
    ]
    assert list_pictures(["a/some.txt"]).paths == ["a/1.jpg", str(here / "3.jpg")]
    monkeypatch.setattr("sys.stdin", io.StringIO("a/1.jpg\n3.jpg\n"))
    assert list_pictures(["-"]).paths == ["a/1.jpg", "3.jpg"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "name\nfoo\n", "no column path: expected the header path, found name"),
        ("x.csv", "path\n", "no pictures in x.csv"),
        ("x.csv", 'path,label\n"a,1.jpg,cat\n', "no CSV table"),
        ("x.csv", "path,label\n,cat\n", "line 2: expected the path of a picture, found an empty cell"),
        ("x.csv", "path\ngone.jpg\n", "none of the pictures that x.csv names can be opened, 1 in all"),
        ("x.txt", "\n \n", "a path a line, found none"),
        ("x.txt", "a\0b\n", "no list of paths"),
    ],
)
def test_what_is_no_list_is_told(here: Path, name: str, content: str, message: str) -> None:
    (here / name).write_text(content)
    with pytest.raises((NoImages, InvalidRequest), match=message):
        list_pictures([name])


def test_what_is_not_there_is_an_error_and_not_a_traceback(here: Path) -> None:
    (here / "empty").mkdir()
    os.symlink("nowhere", here / "link.jpg")
    os.mkfifo(here / "pipe.jpg")
    for sources, message in (
        (["gone.jpg"], "gone.jpg is not there"),
        (["link.jpg"], "a broken link"),
        (["pipe.jpg"], "pipe.jpg, not a regular file"),
        (["empty"], "no pictures in empty: expected files such as 1.jpg, found nothing$"),
        ([""], "an empty name"),
        ([], "no pictures are named"),
    ):
        with pytest.raises((NoImages, InvalidRequest), match=message):
            list_pictures(sources)
    found = list_pictures(["3.jpg", "pipe.jpg"])
    assert (found.paths, [each.reason for each in found.skipped]) == (["3.jpg"], ["not a regular file"])
