"""Refusals are appended whole; a torn line costs one more try and nothing else."""

import multiprocessing
from pathlib import Path

from demijohn.cache import Refusal
from demijohn.cache.refusals import append_refusals, read_refusals
from hypothesis import given
from hypothesis import strategies as st

words = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=30)
refusals = st.builds(Refusal, st.binary(min_size=32, max_size=32), words, words.map(str.strip), st.just("pillow 1"))


@given(st.lists(refusals, max_size=5), st.lists(refusals, max_size=5))
def test_round_trip(tmp_path_factory: object, first: list[Refusal], second: list[Refusal]) -> None:
    path = tmp_path_factory.mktemp("refusals") / "refusals.csv"  # type: ignore[attr-defined]
    append_refusals(path, first)
    append_refusals(path, second)
    found = read_refusals(path)
    assert [(each.key, each.policy) for each in found] == [(each.key, each.policy) for each in first + second]
    # A reason is one line, whatever the decoder said.
    assert [each.reason for each in found] == [" ".join(each.reason.split()) for each in first + second]


def test_a_torn_line_and_foreign_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "refusals.csv"
    append_refusals(path, [Refusal(b"a" * 32, "one", "p", "d"), Refusal(b"b" * 32, "two", "p", "d")])
    whole = path.read_bytes()
    assert whole.startswith(b"key,reason,policy,decoder\n")
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert {each.key for each in read_refusals(path)} <= {b"a" * 32, b"b" * 32}
    path.write_bytes(whole + b"zz,bad key,p,d\n\xff\xfe\n")
    assert [each.reason for each in read_refusals(path)] == ["one", "two"]
    assert read_refusals(tmp_path / "none.csv") == []


def _append(path: Path, letter: bytes) -> None:
    for _ in range(50):
        append_refusals(path, [Refusal(letter * 32, "reason " * 20, "p", "d")])


def test_processes_do_not_tear_each_others_lines(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append, args=(tmp_path / "r.csv", letter)) for letter in (b"a", b"b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len(read_refusals(tmp_path / "r.csv")) == 100
