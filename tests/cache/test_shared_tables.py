"""Refusals go as files that are named by what is in them; each once."""

from pathlib import Path

from demijohn.cache import Refusal
from demijohn.cache.refusals import append_refusals, read_refusals
from demijohn.cache.shared import SharedCache
from demijohn.cache.shared_tables import pull_refusals, push_refusals


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
