"""Refusals are appended whole; a torn line costs one more try and nothing else."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from demijohn.cache import Refusal, StoreNotWritable
from demijohn.cache.refusals import append_refusals, read_refusals
from hypothesis import given
from hypothesis import strategies as st

words = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=30)
refusals = st.builds(
    Refusal,
    st.binary(min_size=32, max_size=32),
    words,
    words.map(lambda text: " ".join(text.split())),
    st.just("pillow 1"),
)
REFUSAL = Refusal(b"a" * 32, "cannot be read, 'alas'", "policy", "decoder 1")


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


APPEND = """
import sys
from pathlib import Path
from demijohn.cache import Refusal
from demijohn.cache.refusals import append_refusals
for number in range(100):
    reason = f"{number} reason, of some length " * 20
    append_refusals(Path(sys.argv[1]), [Refusal(bytes([int(sys.argv[2])]) * 32, reason, "p", "d")] * 2)
"""


def test_processes_do_not_tear_each_others_lines(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    workers = [subprocess.Popen([sys.executable, "-c", APPEND, str(path), str(number)]) for number in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    found = read_refusals(path)
    assert len(found) == 800
    for number in range(4):
        own = [each.reason for each in found if each.key == bytes([number]) * 32]
        assert [int(reason.split()[0]) for reason in own] == sorted([*range(100)] * 2)


def test_nothing_refused_creates_nothing(tmp_path: Path) -> None:
    append_refusals(tmp_path / "store" / "refusals.csv", [])
    assert not list(tmp_path.iterdir())
    append_refusals(tmp_path / "store" / "refusals.csv", [REFUSAL])
    assert read_refusals(tmp_path / "store" / "refusals.csv") == [REFUSAL]


@pytest.mark.parametrize("name", ["open", "write"])
def test_a_full_disk_is_told_and_what_was_there_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / "refusals.csv"
    append_refusals(path, [REFUSAL])

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "injected")

    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises(StoreNotWritable, match=r"refusals\.csv: No space left"):
            append_refusals(path, [REFUSAL])
    assert read_refusals(path) == [REFUSAL]


def test_lines_appear_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One call of write per append: with O_APPEND the system does not mix it with another one's.
    write, written = os.write, []

    def spy(descriptor: int, content: bytes) -> int:
        written.append(content)
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", spy)
    append_refusals(tmp_path / "r.csv", [REFUSAL] * 500)
    assert len(written) == 1
    assert written[0].endswith(b"\n")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"zz,r,p,d",
        b"ab,r,p,d",
        b"a" * 64,
        b"a" * 64 + b",r,p",
        b"a" * 64 + b",r,p,d,e",
        b"a" * 66 + b",r,p,d",
        b"\xff\xfe",
        bytes(64),
    ],
)
def test_a_damaged_line_is_left_out_and_the_others_are_not(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "refusals.csv"
    append_refusals(path, [REFUSAL])
    with path.open("ab") as file:
        file.write(line + b"\n")
    append_refusals(path, [replace(REFUSAL, key=b"b" * 32)])
    assert [each.key for each in read_refusals(path)] == [b"a" * 32, b"b" * 32]


def test_a_line_torn_within_quotes_costs_itself_and_the_next_at_most(tmp_path: Path) -> None:
    path = tmp_path / "refusals.csv"
    path.write_text(f'{"61" * 32},"torn, rea\n')
    append_refusals(path, [Refusal(letter * 32, "a, reason", "p", "d") for letter in (b"b", b"c")])
    assert [each.key for each in read_refusals(path)] == [b"b" * 32, b"c" * 32]
