"""Tables in terminals of any width: no interval is broken, and what is left out is told."""

import re
import sys

import pytest
from demijohn.pipeline.commands.terminal import print_table

COLUMNS = ("head", "settings", "test", "ms", "MB")
ROWS = [("logistic", "c=0.5 balanced", "95.9 [92.8, 97.7]", "5.2", "19.2"), ("svm", "c=1", "9.7 [6.7, 13.9]", "5", "9")]


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int | None) -> str:
    """Return the table in a terminal of some width, or in a pipe."""
    if width is not None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(width))
    print_table(
        COLUMNS, ROWS, numbers=("ms", "MB"), whole=("test",), spare=("ms", "MB"), apart=[("knn", "", "-", "", "")]
    )
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


@pytest.mark.parametrize("width", [None, 100, 56, 50, 45, 40])
def test_a_cell_is_whole_or_its_column_is_left_out_and_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int | None
) -> None:
    text = printed(capsys, monkeypatch, width)
    assert all(len(line) <= (width or 1000) for line in text.splitlines())
    assert "95.9 [92.8, 97.7]" in text
    told = " ".join(text.split()).partition("too narrow:")[2]
    for name, cell in (("ms", "5.2"), ("MB", "19.2")):
        assert (cell in text) != (name in told)


def test_the_last_spare_column_goes_first(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "too narrow: MB.\n" in printed(capsys, monkeypatch, 45).replace(" \n", " ")


def test_nothing_is_left_out_of_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(capsys, monkeypatch, None)
    assert "left out" not in text.lower()
    assert "c=0.5 balanced" in text
