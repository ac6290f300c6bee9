"""A CSV table as it is meant, and every mistake in it told with its line."""

import os
import re
from pathlib import Path

import pytest
from demijohn.pipeline.datasets.labelling import AS_USUAL, Labelling
from demijohn.pipeline.datasets.labels import Found
from demijohn.pipeline.datasets.tables import PictureTable, is_table, read_table
from demijohn.pipeline.errors import InvalidRequest, NoImages
from support.trees import make


def read(folder: Path, text: str | bytes, labelling: Labelling = AS_USUAL) -> PictureTable:
    make(folder, "a/1.jpg", "a/2.jpg", "b/3.JPG", "4")
    path = folder / "labels.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(path, labelling)


def test_all_columns_in_any_order_sorted_by_path(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "group,label,split,path\np1,cat,train,b/3.JPG\np2,dog,TEST,./a/2.jpg\n,,val,a/1.jpg\np1,cat, valid ,4\n",
    )
    assert table.files == (
        Found("4", "cat", "validation", "p1"),
        Found("a/1.jpg", "", "validation", ""),
        Found("a/2.jpg", "dog", "test", "p2"),
        Found("b/3.JPG", "cat", "train", "p1"),
    )
    assert (table.skipped, table.notes) == ((), ())


def test_as_spreadsheets_write_it(tmp_path: Path) -> None:
    table = read(tmp_path, b'\xef\xbb\xbfpath,label\r\n"a/1.jpg","a ""big"", cat"\r\n\r\na/2.jpg,dog\r\n,\r\n')
    assert [(found.path, found.label) for found in table.files] == [("a/1.jpg", 'a "big", cat'), ("a/2.jpg", "dog")]


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    make(tmp_path, os.fsdecode(b"caf\xe9.jpg"))
    table = read(tmp_path, b"path,label\ncaf\xe9.jpg,\xe9t\xe9\n")
    assert [(os.fsencode(found.path), os.fsencode(found.label)) for found in table.files] == [
        (b"caf\xe9.jpg", b"\xe9t\xe9")
    ]


def test_paths_are_relative_to_the_table_and_may_lead_elsewhere(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere/5.jpg")
    table = read(tmp_path / "in", f"path,label\n../elsewhere/5.jpg,a\n{tmp_path}/in/a/1.jpg,b\n")
    assert [found.path for found in table.files] == ["../elsewhere/5.jpg", f"{tmp_path}/in/a/1.jpg"]


def test_a_step_back_out_of_a_link_leads_where_the_system_says(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere/inner/6.jpg", "elsewhere/5.jpg")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere" / "inner", target_is_directory=True)
    assert [found.path for found in read(tmp_path / "in", "path,label\nlink/../5.jpg,a\n").files] == ["link/../5.jpg"]


def test_missing_and_odd_files_are_listed_with_their_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    table = read(tmp_path, "path,label\na/1.jpg,cat\ngone.jpg,cat\na,dog\npipe.jpg,dog\n" + "x" * 300 + ",dog\n")
    assert [found.path for found in table.files] == ["a/1.jpg"]
    assert {each.path[:8]: each.reason for each in table.skipped} == {
        "gone.jpg": "cannot be opened, No such file or directory: named in labels.csv, line 3",
        "a": "not a regular file: named in labels.csv, line 4",
        "pipe.jpg": "not a regular file: named in labels.csv, line 5",
        "x" * 8: "cannot be opened, File name too long: named in labels.csv, line 6",
    }


def test_columns_that_are_not_used_and_repeated_lines_are_said(tmp_path: Path) -> None:
    table = read(tmp_path, "path,label,age,sex\na/1.jpg,cat,3,f\na/1.jpg,cat,3,f\n")
    assert table.notes == (
        "columns of labels.csv that are not used: age, sex",
        "lines of labels.csv that say the same as an earlier one: 1",
    )
    assert len(table.files) == 1


@pytest.mark.parametrize(
    ("labelling", "groups", "unused"),
    [
        (AS_USUAL, ["g", "g"], "patient"),
        (Labelling(group="patient"), ["7", "8"], "group"),
        (Labelling(group_pattern=r"/(\d)"), ["1", "2"], "patient"),
    ],
)
def test_the_group_is_one_column_or_the_path(
    tmp_path: Path, labelling: Labelling, groups: list[str], unused: str
) -> None:
    table = read(tmp_path, "path,label,patient,group\na/1.jpg,cat,7,g\na/2.jpg,cat,8,g\n", labelling)
    assert [found.group for found in table.files] == groups
    assert unused in table.notes[0]


def test_labels_from_the_names_with_or_without_a_column(tmp_path: Path) -> None:
    labelling = Labelling(label_pattern=r"(\d)")
    assert [found.label for found in read(tmp_path, "path\na/1.jpg\n", labelling).files] == ["1"]
    table = read(tmp_path, "path,label\na/1.jpg,cat\n", labelling)
    assert [found.label for found in table.files] == ["1"]
    assert table.notes == ("columns of labels.csv that are not used: label",)


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("", InvalidRequest, "has no column path: expected the header path,label"),
        ("file,class\na/1.jpg,cat\n", InvalidRequest, "found file,class"),
        ("path;label\na/1.jpg;cat\n", InvalidRequest, "found path;label"),
        ("path,class\na/1.jpg,cat\n", InvalidRequest, "has no column label"),
        ("path,label,label\na/1.jpg,a,b\n", InvalidRequest, "expected one of each: label"),
        ("path,label\n", NoImages, "expected a line such as cats/1.jpg,cat under the header"),
        (
            "path,label\na/1.jpg,a,b\n",
            InvalidRequest,
            "line 2: expected 2 fields as in the header (path,label), found 3",
        ),
        ("path,label\na/1.jpg\n", InvalidRequest, "line 2: expected 2 fields"),
        ('path,label\na/1.jpg,"cat\n', InvalidRequest, "is no CSV table at line"),
        ("path,label\n,cat\n", InvalidRequest, "line 2: expected the path of a picture, found an empty cell"),
        (
            "path,label,split\na/1.jpg,cat,dev\n",
            InvalidRequest,
            "line 2: expected a split of train, val, valid, validation, test or nothing, found dev",
        ),
        ("path,label\na/1.jpg,cat\n./a/1.jpg,dog\n", InvalidRequest, "names a/1.jpg in line 2 and again in line 3"),
        ("path,label\nx/1.jpg,cat\ny/1.jpg,dog\n", NoImages, "none of the 2 pictures that"),
        (b"\x89PNG\r\n\0\0" + bytes(range(256)), InvalidRequest, "no column path"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str | bytes, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=re.escape(told)):
        read(tmp_path, text)


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="has no column film for --group: expected one of path,label"):
        read(tmp_path, "path,label\na/1.jpg,cat\n", Labelling(group="film"))


def test_what_is_a_table(tmp_path: Path) -> None:
    make(tmp_path, "labels.CSV", "folder.csv/1.jpg")
    assert is_table(tmp_path / "labels.CSV")
    assert is_table(tmp_path / "not-there.csv")
    assert not is_table(tmp_path / "folder.csv")
    with pytest.raises(NoImages, match="is not there"):
        read_table(tmp_path / "not-there.csv", AS_USUAL)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(NoImages, match="no regular file"):
        read_table(tmp_path / "pipe.csv", AS_USUAL)
