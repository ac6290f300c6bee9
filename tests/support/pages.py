"""The documentation as data: its pages, their code blocks, and a shell that runs what they show."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from demijohn.cache.errors import CacheError
from demijohn.models.errors import ModelError
from demijohn.pipeline import cli
from demijohn.pipeline.errors import PipelineError
from PIL import Image
from sklearn.datasets import load_digits

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md")))
}
COMMANDS = ("demijohn", "extract-features", "train-head", "report-heads")
NOT_RUN = {
    "extract-features photos/ --cluster dask://": "needs machines; test_driver.py has a cluster",
    "extract-features photos --backbone hub:": "a preset is downloaded; test_hub.py makes small ones",
    "import keras_hub": "a preset is downloaded; test_hub.py makes small ones",
    "python -m venv torch": "needs PyTorch in an environment of its own",
}
"""What the pages show and no test runs, by how the line or the block begins, and why. Their options are checked."""
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    language: str
    name: str
    """What stands behind the language: the file that the block is; may be empty."""
    text: str

    @property
    def is_run(self) -> bool:
        """Whether it is something to be run; else it is output, a file or a drawing."""
        return self.language in ("sh", "console", "python")


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of a page in their order."""
    return [Block(*found) for found in _BLOCK.findall(PAGES[page].read_text())]


def prose_of(page: str) -> str:
    """Return a page without its blocks."""
    return _BLOCK.sub("", PAGES[page].read_text())


def reason_not_to_run(text: str) -> str | None:
    """Return why a line or a block is not run, or None."""
    return next((reason for start, reason in NOT_RUN.items() if text.startswith(start)), None)


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that a line is for, and what it is given.

    A word that is no command is an error of the page.
    """
    command: click.Command = cli.demijohn
    rest = words[words[0] == "demijohn" :]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"there is no command {shlex.join(words)}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def every_command(command: click.Command = cli.demijohn) -> Iterator[click.Command]:
    """Yield a command and all below it."""
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from every_command(each)


def write_digits(folder: Path, digit: int, numbers: range) -> None:
    """Write some pictures of a digit as NUMBER.jpg."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    for number, pixels in zip(numbers, digits.images[digits.target == digit][numbers.start :], strict=False):
        Image.fromarray((pixels * 15).astype("uint8")).save(folder / f"{number}.jpg")


def write_photos(folder: Path, numbers: range = range(100, 130)) -> None:
    """Write photos/cats and photos/dogs, which are ones and sevens here, and some in new/."""
    write_digits(folder / "photos" / "cats", 1, numbers)
    write_digits(folder / "photos" / "dogs", 7, numbers)
    write_digits(folder / "new", 1, range(4))


def _run_line(line: str, patch: pytest.MonkeyPatch) -> str:
    """Run one line of a shell; return what a program of its own printed."""
    match shlex.split(line):
        case ["cd", folder]:
            patch.chdir(folder)
        case ["export", setting]:
            # Read, not used: the tests have servers of their own.
            assert re.fullmatch(r"[A-Z_]+=\S+", setting), line
        case ["pip", "install", requirement]:
            # Nothing is downloaded; what is asked for must be there.
            config = ConfigParser()
            config.read(ROOT / "setup.cfg")
            extras = requirement.removeprefix("demijohn[").removesuffix("]").split(",")
            assert set(extras) <= set(config["options.extras_require"]), line
        case ["make", *words]:
            subprocess.run(["make", "--dry-run", "--directory", ROOT, *words], check=True, capture_output=True)
        case ["python", *words]:
            found = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)
            return found.stdout
        case words:
            assert words[0] in COMMANDS, f"what is {line}?"
            try:
                cli.demijohn.main(words[words[0] == "demijohn" :], standalone_mode=False)
            except (CacheError, ModelError, PipelineError, click.ClickException) as error:
                raise AssertionError(f"{line}: {error}") from error
    return ""


def run_page(page: str, folder: Path, patch: pytest.MonkeyPatch) -> str:
    """Run all that a page shows, in its order, each block from `folder`; return what its own programs printed."""
    said = ""
    for block in blocks_of(page):
        patch.chdir(folder)
        if not block.is_run or reason_not_to_run(block.text):
            continue
        if block.language == "python":
            with patch.context() as inner:
                inner.setattr(sys, "path", list(sys.path))
                exec(compile(block.text, page, "exec"), {"__name__": "__main__"})
            continue
        for line in block.text.splitlines():
            if not reason_not_to_run(line):
                said += _run_line(line, patch)
    os.chdir(folder)
    return said
