"""A data set's table survives any names, and its digest depends on what is learned from."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from demijohn.cache import DamagedFile, Dataset, NewerFormat, Origin, Row, Skipped
from demijohn.cache.table import read_dataset, read_origin, write_dataset
from hypothesis import given
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


@pytest.mark.parametrize("text", ["", "path,key\n", "path,key,label,split,group\na,zz,b,train,\n"])
def test_a_damaged_table_says_how_to_get_it_back(tmp_path: Path, text: str) -> None:
    write_dataset(tmp_path, DATASET)
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(DamagedFile, match="run extract-features /photos --dataset d"):
        read_dataset(tmp_path, "d")
    assert read_origin(tmp_path, "d").seed == 3


def test_a_newer_format_is_told(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text('{"format": 99}')
    with pytest.raises(NewerFormat, match="install a newer demijohn"):
        read_dataset(tmp_path, "d")
    (tmp_path / "d.json").write_text("{}")
    with pytest.raises(DamagedFile, match="expected root and seed"):
        read_origin(tmp_path, "d")
