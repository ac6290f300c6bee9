"""A data set's table survives any names, and its digest depends on what is learned from."""

import csv
import errno
import io
import json
import os
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from demijohn.cache import DamagedFile, Dataset, NewerFormat, Origin, Row, Skipped, StoreNotWritable
from demijohn.cache.places import is_url
from demijohn.cache.table import read_dataset, read_origin, write_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

names = st.text(max_size=12) | st.binary(max_size=6).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
names = names.filter(lambda name: "\0" not in name and not any("\ud800" <= letter <= "\udc7f" for letter in name))
rows = st.builds(
    Row, names, st.binary(min_size=32, max_size=32), names, st.sampled_from(["train", "validation", "test", ""]), names
)
ROW = Row("a/1.jpg", b"k" * 32, "a", "train")
DATASET = Dataset("d", Origin(Path("/photos"), 3), "class folders", (ROW,), ("a note",), (Skipped("x", "gone"),))


@given(st.lists(rows, max_size=6))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, table: list[Row]) -> None:
    folder = tmp_path_factory.mktemp("datasets")
    dataset = replace(DATASET, rows=tuple(table))
    write_dataset(folder, dataset)
    assert read_dataset(folder, "d") == dataset
    assert read_origin(folder, "d") == dataset.origin


@given(st.lists(rows, min_size=1, max_size=6))
def test_paths_and_order_do_not_count_and_the_rest_does(table: list[Row]) -> None:
    dataset = replace(DATASET, rows=tuple(table))
    shuffled = [replace(row, path="elsewhere/" + row.path) for row in table]
    random.Random(0).shuffle(shuffled)
    assert replace(dataset, rows=tuple(shuffled)).digest == dataset.digest
    for changed in ({"label": table[0].label + "x"}, {"group": table[0].group + "x"}):
        others = [replace(row, **changed) if row == table[0] else row for row in table]  # type: ignore[arg-type]
        assert replace(dataset, rows=tuple(others)).digest != dataset.digest
    assert replace(DATASET, rows=(replace(ROW, split="test"),)).digest != DATASET.digest
    assert replace(DATASET, rows=(replace(ROW, key=b"l" * 32),)).digest != DATASET.digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path,key\n",
        "path,key,label,split,group,note\n",
        "path,key,split,label,group\n",
        "path,key,label,split,group\na,zz,b,train,\n",
        f"path,key,label,split,group\na,{'00' * 31},b,train,\n",
        f"path,key,label,split,group\na,{'00' * 32},b,exam,\n",
    ],
)
def test_a_damaged_table_says_how_to_get_it_back(tmp_path: Path, text: str) -> None:
    write_dataset(tmp_path, DATASET)
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(DamagedFile, match=f"run extract-features /photos --dataset d --store {tmp_path.parent}"):
        read_dataset(tmp_path, "d")
    assert read_origin(tmp_path, "d").seed == 3


def test_a_newer_format_is_told(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text('{"format": 99}')
    with pytest.raises(NewerFormat, match="install a newer demijohn"):
        read_dataset(tmp_path, "d")
    (tmp_path / "d.json").write_text("{}")
    with pytest.raises(DamagedFile, match="expected root and seed"):
        read_origin(tmp_path, "d")


@given(st.lists(rows, max_size=6))
@settings(deadline=None)
def test_other_readers_see_a_line_per_file(table: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), replace(DATASET, rows=tuple(table)))
        text = (Path(folder) / "d.csv").read_bytes().decode("utf-8", "surrogateescape")
        lines = list(csv.reader(io.StringIO(text, newline="")))
        assert lines[0] == ["path", "key", "label", "split", "group"]
        assert lines[1:] == [[row.path, row.key.hex(), row.label, row.split, row.group] for row in table]
        about = json.loads((Path(folder) / "d.json").read_text("ascii"))
        assert (about["root"], about["seed"]) == ("/photos", 3)
        assert about["format"] == (3 if any(is_url(row.path) for row in table) else 1)


def test_settings_of_labels_and_the_table_are_kept_and_a_reader_that_would_lose_them_is_warned(tmp_path: Path) -> None:
    for origin in (
        Origin(Path("/photos"), 3, "labels.csv"),
        Origin(Path("/photos"), 3, labelling={"shares": [80, 10, 10], "label_pattern": "^(é+)"}),
    ):
        write_dataset(tmp_path, replace(DATASET, origin=origin))
        assert read_origin(tmp_path, "d") == origin
        assert read_dataset(tmp_path, "d").origin == origin
        assert json.loads((tmp_path / "d.json").read_text())["format"] == 2
    write_dataset(tmp_path, DATASET)
    assert set(json.loads((tmp_path / "d.json").read_text())) == {
        "format",
        "root",
        "seed",
        "layout",
        "notes",
        "skipped",
    }
    (tmp_path / "d.json").write_text('{"root": "/photos", "seed": 3, "labelling": 5}')
    with pytest.raises(DamagedFile, match="remove it"):
        read_origin(tmp_path, "d")


def test_the_digest_never_changes() -> None:
    # Another digest would make every run outdated.
    assert DATASET.digest == "f4d9c73d9c418c3d51d48e1a83e7f5b206ffd65991bef41d6832600557f365b8"


@given(st.lists(rows, max_size=6), st.lists(rows, max_size=6))
@settings(deadline=None)
def test_two_tables_share_a_digest_only_if_they_say_the_same(one: list[Row], other: list[Row]) -> None:
    said = [{(row.key, row.label, row.split, row.group) for row in table} for table in (one, other)]
    digests = [replace(DATASET, rows=tuple(table)).digest for table in (one, other)]
    assert (digests[0] == digests[1]) == (said[0] == said[1])


def test_root_notes_and_name_are_not_in_the_digest() -> None:
    other = Dataset("other", Origin(Path("/elsewhere"), 9), "split folders", DATASET.rows)
    assert other.digest == DATASET.digest


def test_classes_are_sorted_and_without_the_unlabelled() -> None:
    table = [replace(ROW, label=label) for label in ("b", "", "a", "b")]
    assert replace(DATASET, rows=tuple(table)).classes == ("a", "b")


@pytest.mark.parametrize("column", ["path", "key", "label", "split", "group"])
def test_a_table_without_a_column_is_damage(tmp_path: Path, column: str) -> None:
    write_dataset(tmp_path, DATASET)
    path = tmp_path / "d.csv"
    path.write_text(path.read_text().replace(column, "other", 1))
    with pytest.raises(DamagedFile, match=r"d\.csv is damaged: expected the columns"):
        read_dataset(tmp_path, "d")


@pytest.mark.parametrize(
    "line",
    [
        "a,,l,train,",
        f"a,{'6b' * 31},l,train,",
        f"a,{'6b' * 33},l,train,",
        f"a,{'zz' * 32},l,train,",
        f"a,{'6b' * 32},l,other,",
        f"a,{'6b' * 32},l",
        f"a,{'6b' * 32}",
        "a",
        "\0" * 40,
    ],
)
def test_a_damaged_line_is_damage_of_the_table(tmp_path: Path, line: str) -> None:
    write_dataset(tmp_path, DATASET)
    with (tmp_path / "d.csv").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(DamagedFile, match=r"d\.csv is damaged"):
        read_dataset(tmp_path, "d")


def test_a_table_cut_within_its_last_line_is_damage(tmp_path: Path) -> None:
    write_dataset(tmp_path, replace(DATASET, rows=(ROW, replace(ROW, path="b/2.jpg"))))
    whole = (tmp_path / "d.csv").read_bytes()
    start = whole.index(b"b/2.jpg")
    for length in range(start + 1, whole.rindex(b",train") + 1):
        (tmp_path / "d.csv").write_bytes(whole[:length])
        with pytest.raises(DamagedFile):
            read_dataset(tmp_path, "d")


@pytest.mark.parametrize("name", ["d.csv", "d.json"])
def test_a_table_of_which_a_file_is_missing_or_no_text(tmp_path: Path, name: str) -> None:
    write_dataset(tmp_path, DATASET)
    (tmp_path / name).write_bytes(b"\x89PNG\r\n" + bytes(range(256)))
    with pytest.raises(DamagedFile, match="is damaged"):
        read_dataset(tmp_path, "d")


def test_a_full_disk_leaves_the_table_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path, DATASET)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "injected")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreNotWritable, match=r"d\.csv: No space left"):
            write_dataset(tmp_path, replace(DATASET, rows=(), layout="other"))
    assert read_dataset(tmp_path, "d") == DATASET
    assert sorted(os.listdir(tmp_path)) == ["d.csv", "d.json"]


def test_what_did_not_change_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path, DATASET)

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EROFS, "injected")

    monkeypatch.setattr(os, "replace", refuse)
    write_dataset(tmp_path, DATASET)
