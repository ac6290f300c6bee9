"""What docs/predict.md shows is run, and the fields that it names are those that are written."""

import json
import re
import shlex
from pathlib import Path

import pytest
from demijohn.pipeline import cli
from PIL import Image
from sklearn.datasets import load_digits

PAGE = (Path(__file__).parents[1] / "docs" / "predict.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def write_digits(folder: Path, digit: int, numbers: range) -> None:
    """Write some pictures of a digit."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    for number, pixels in zip(numbers, digits.images[digits.target == digit][numbers.start :], strict=False):
        Image.fromarray((pixels * 15).astype("uint8")).save(folder / f"{number}.jpg")


@pytest.mark.slow
def test_commands_and_python_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for digit, name in ((1, "cats"), (7, "dogs")):
        write_digits(tmp_path / "photos" / name, digit, range(100, 130))
    write_digits(tmp_path / "new", 1, range(4))
    for language, text in BLOCKS:
        if language == "python":
            exec(compile(text, "predict.md", "exec"), {})
            continue
        for line in text.splitlines():
            cli.demijohn.main(shlex.split(line)[1:], standalone_mode=False)
    assert "new/1.jpg,cats," in capsys.readouterr().out
    cli.demijohn.main(["predict", "new", "--precision", "0.5", "--out", "x.jsonl", "--json"], standalone_mode=False)
    summary = json.loads(capsys.readouterr().out)
    written = json.loads(Path("x.jsonl").read_text().splitlines()[0])
    for fields in (summary, summary["threshold"], written, written["top"][0]):
        for name in fields:
            assert f"`{name}`" in PAGE, name
