"""What the README shows is run: its commands, its Python, and its make targets."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from demijohn.pipeline import cli
from demijohn.pipeline.scoreboard import CAPTION, COLUMNS
from PIL import Image
from sklearn.datasets import load_digits

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with photos/cats and photos/dogs, which are ones and sevens here."""
    folder = tmp_path_factory.mktemp("readme")
    digits = load_digits()
    for digit, name in ((1, "cats"), (7, "dogs")):
        (folder / "photos" / name).mkdir(parents=True)
        for number, pixels in enumerate(digits.images[digits.target == digit][:30]):
            Image.fromarray((pixels * 15).astype("uint8")).save(folder / "photos" / name / f"{number}.jpg")
    return folder


def test_commands_and_python_run_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    ran = 0
    for language, text in BLOCKS:
        if language == "python":
            exec(compile(text, "README.md", "exec"), {})
            ran += 1
        elif language == "sh":
            for line in text.splitlines():
                words = shlex.split(line)
                if words[0] == "make":
                    subprocess.run(["make", "--dry-run", "--directory", ROOT, *words[1:]], check=True)
                else:
                    cli.demijohn.main(words[words[0] == "demijohn" :], standalone_mode=False)
                ran += 1
    assert ran >= 10


def test_the_report_shown_has_the_columns_of_the_report() -> None:
    shown = next(text for language, text in BLOCKS if language == "text")
    header = next(line for line in shown.splitlines() if " settings " in line)
    # The only backbone is told above.
    assert re.split(r"\s{2,}", header.strip()) == list(COLUMNS[1:])
    assert " ".join(CAPTION.split()) in " ".join(shown.split())


def test_make_lists_its_targets() -> None:
    listed = subprocess.run(["make", "--directory", ROOT], check=True, capture_output=True, text=True).stdout
    for target in ("dev", "test", "lint", "types", "check", "cover", "demo", "bench", "clean"):
        assert re.search(rf"^{target} ", listed, flags=re.MULTILINE), target
