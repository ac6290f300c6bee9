"""What docs/export.md shows is run, and the fields that it names are those that are written."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from demijohn.pipeline import cli
from PIL import Image
from sklearn.datasets import load_digits

PAGE = (Path(__file__).parents[1] / "docs" / "export.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_commands_and_python_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = load_digits()
    for digit, name in ((1, "cats"), (7, "dogs")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number, pixels in enumerate(digits.images[digits.target == digit][:30], start=100):
            Image.fromarray((pixels * 15).astype("uint8")).save(tmp_path / "photos" / name / f"{number}.jpg")
    said = ""
    for language, text in BLOCKS:
        monkeypatch.chdir(tmp_path)
        if language == "python":
            with monkeypatch.context() as patch:
                patch.setattr(sys, "path", list(sys.path))
                exec(compile(text, "export.md", "exec"), {})
        for line in text.splitlines() if language == "sh" else ():
            match shlex.split(line):
                case ["cd", folder]:
                    monkeypatch.chdir(folder)
                case ["python", *words]:
                    said += subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True).stdout
                case [_, *words]:
                    cli.demijohn.main(words, standalone_mode=False)
    assert len(re.findall(r"\.jpg: (?:cats|dogs) [01]\.\d{4}$", said, flags=re.MULTILINE)) == 3
    shown = next(text for language, text in BLOCKS if language == "text").splitlines()
    listed = {line.split()[0].rstrip("/") for line in shown[1:]}
    assert listed == {path.name for path in (tmp_path / "everything").iterdir()} - {"__pycache__"}
    record = json.loads((tmp_path / "flowers" / "export.json").read_text())
    for fields in (record, record["checked_on"], record["artefacts"][0]):
        for name in fields:
            assert f"`{name}`" in PAGE, name
