"""What docs/export.md shows is run, and the fields that it names are those that are written."""

import json
import re
from pathlib import Path

import pytest
from support.pages import PAGES, blocks_of, run_page, write_photos


@pytest.mark.slow
def test_commands_and_python_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(tmp_path)
    said = run_page("docs/export.md", tmp_path, monkeypatch)
    assert len(re.findall(r"\.jpg: (?:cats|dogs) [01]\.\d{4}$", said, flags=re.MULTILINE)) == 3
    shown = next(block.text for block in blocks_of("docs/export.md") if block.language == "text").splitlines()
    listed = {line.split()[0].rstrip("/") for line in shown[1:]}
    assert listed == {path.name for path in (tmp_path / "everything").iterdir()} - {"__pycache__"}
    record = json.loads((tmp_path / "flowers" / "export.json").read_text())
    page = PAGES["docs/export.md"].read_text()
    for fields in (record, record["checked_on"], record["artefacts"][0]):
        for name in fields:
            assert f"`{name}`" in page, name
