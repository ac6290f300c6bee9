"""Sizes as people write them, and what the machine has."""

from pathlib import Path

import pytest
from demijohn.pipeline import memory
from demijohn.pipeline.memory import machine_memory, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4G", 4 * 10**9),
        ("500M", 5 * 10**8),
        ("1.5gb", 15 * 10**8),
        (" 2 T ", 2 * 10**12),
        ("64k", 64_000),
        ("123456", 123_456),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "0", "0.2", "4 gallons", "1e9", "inf", "nan", "4,5G", "4GG"])
def test_what_is_no_size(text: str) -> None:
    assert parse_size(text) is None


def test_a_container_has_less_than_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (None, "max\n"):
        if content:
            (tmp_path / "limit").write_text(content)
        monkeypatch.setattr(memory, "_LIMIT", tmp_path / "limit")
        assert 2**28 < machine_memory() < 2**50
    (tmp_path / "limit").write_text("1000000\n")
    assert machine_memory() == 1_000_000
    monkeypatch.delattr("os.sysconf")
    (tmp_path / "limit").unlink()
    assert machine_memory() == 8 << 30
