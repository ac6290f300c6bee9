"""What the README shows is run: its commands, its Python, and its make targets; its report has today's columns."""

import re
import subprocess
from pathlib import Path

import pytest
from demijohn.pipeline.reporting.scoreboard import CAPTION, COLUMNS
from support.pages import ROOT, blocks_of, run_page, write_photos


@pytest.mark.slow
def test_commands_and_python_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(tmp_path, range(30))
    run_page("README.md", tmp_path, monkeypatch)


def test_the_report_shown_has_the_columns_of_the_report() -> None:
    shown = next(block.text for block in blocks_of("README.md") if block.language == "text")
    header = next(line for line in shown.splitlines() if " settings " in line)
    # The only backbone is told above.
    assert re.split(r"\s{2,}", header.strip()) == list(COLUMNS[1:])
    assert " ".join(CAPTION.split()) in " ".join(shown.split())


def test_make_lists_its_targets() -> None:
    listed = subprocess.run(["make", "--directory", ROOT], check=True, capture_output=True, text=True).stdout
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert targets
    for target in set(targets[1].split()) - {"help"}:
        assert re.search(rf"^{target} ", listed, flags=re.MULTILINE), target
