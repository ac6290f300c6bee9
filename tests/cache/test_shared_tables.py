"""Refusals go as files that are named by what is in them, each once; tables of data sets as they are."""

from pathlib import Path

from demijohn.cache import Dataset, Origin, Refusal, Row
from demijohn.cache.refusals import append_refusals, read_refusals
from demijohn.cache.shared import SharedCache
from demijohn.cache.shared_tables import list_datasets, pull_dataset, pull_refusals, push_dataset, push_refusals
from demijohn.cache.table import read_dataset, write_dataset


def refusal(number: int) -> Refusal:
    return Refusal(bytes([number]) * 32, 'truncated, "or so"', "policy", "decoder")


def test_only_what_the_other_side_lacks_goes(tmp_path: Path) -> None:
    shared = SharedCache(f"file://{tmp_path}/cache")
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    assert push_refusals(mine, shared) == pull_refusals(mine, shared) == 0
    assert not mine.exists()
    append_refusals(mine / "refusals.csv", [refusal(1), refusal(2), refusal(1)])
    append_refusals(theirs / "refusals.csv", [refusal(2), refusal(3)])
    assert push_refusals(mine, shared) == 2
    assert push_refusals(theirs, shared) == 1
    assert push_refusals(mine, shared) == 0
    assert len(shared.list("refusals")) == 2
    assert (pull_refusals(mine, shared), pull_refusals(theirs, shared)) == (1, 1)
    assert pull_refusals(mine, shared) == 0
    assert set(read_refusals(mine / "refusals.csv")) == set(read_refusals(theirs / "refusals.csv"))


def test_a_torn_file_of_refusals_loses_its_torn_line_only(tmp_path: Path) -> None:
    shared = SharedCache(f"file://{tmp_path}/cache")
    append_refusals(tmp_path / "mine" / "refusals.csv", [refusal(1), refusal(2)])
    push_refusals(tmp_path / "mine", shared)
    (path,) = (tmp_path / "cache" / "refusals").iterdir()
    path.write_bytes(path.read_bytes()[:-30])
    assert pull_refusals(tmp_path / "theirs", shared) == 1


def test_a_table_goes_where_there_is_none_and_replaces_another_only_when_asked(tmp_path: Path) -> None:
    shared = SharedCache(f"file://{tmp_path}/cache")
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"

    def write(store: Path, label: str) -> bytes:
        row = Row("a/1.jpg", b"k" * 32, label, "train")
        write_dataset(store / "datasets", Dataset("d", Origin(Path("/photos"), 3), "class folders", (row,)))
        return (store / "datasets" / "d.csv").read_bytes()

    ours = write(mine, "a")
    assert list_datasets(shared) == []
    assert push_dataset(mine, "d", shared, replace=False) == "moved"
    assert push_dataset(mine, "d", shared, replace=False) == push_dataset(mine, "d", shared, replace=True) == "same"
    assert list_datasets(shared) == ["d"]
    assert pull_dataset(theirs, "d", shared, replace=False) == "moved"
    assert read_dataset(theirs / "datasets", "d") == read_dataset(mine / "datasets", "d")
    other = write(theirs, "b")
    assert (
        pull_dataset(theirs, "d", shared, replace=False) == push_dataset(theirs, "d", shared, replace=False) == "kept"
    )
    assert (theirs / "datasets" / "d.csv").read_bytes() == other
    assert shared.read("datasets/d.csv") == ours
    assert push_dataset(theirs, "d", shared, replace=True) == "moved"
    assert shared.read("datasets/d.csv") == other
    assert pull_dataset(mine, "d", shared, replace=True) == "moved"
    assert (mine / "datasets" / "d.csv").read_bytes() == other
