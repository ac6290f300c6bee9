"""What docs/predict.md shows is run, and the fields that it names are those that are written."""

import json
from pathlib import Path

import pytest
from demijohn.pipeline import cli
from support.pages import PAGES, run_page, write_photos


@pytest.mark.slow
def test_commands_and_python_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(tmp_path)
    run_page("docs/predict.md", tmp_path, monkeypatch)
    assert "new/1.jpg,cats," in capsys.readouterr().out
    cli.demijohn.main(["predict", "new", "--precision", "0.5", "--out", "x.jsonl", "--json"], standalone_mode=False)
    summary = json.loads(capsys.readouterr().out)
    written = json.loads(Path("x.jsonl").read_text().splitlines()[0])
    page = PAGES["docs/predict.md"].read_text()
    for fields in (summary, summary["threshold"], written, written["top"][0]):
        for name in fields:
            assert f"`{name}`" in page, name
