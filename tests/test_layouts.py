"""What docs/layouts.md shows is run: every tree is made, every command typed, every table and note compared."""

import csv
import io
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from demijohn.cache import FeatureStore
from demijohn.pipeline import cli
from support.pages import Block, blocks_of
from support.pictures import encode, picture

KINDS = {".jpg": "JPEG", ".png": "PNG"}


def examples() -> Iterator[tuple[str, list[Block]]]:
    """Yield every example: a tree and the blocks up to the next tree."""
    found: list[list[Block]] = []
    for block in blocks_of("docs/layouts.md"):
        if block.language == "text" and block.text.split("\n")[0].endswith("/"):
            found.append([])
        found[-1].append(block)
    for number, blocks in enumerate(found):
        yield f"{number}", blocks


EXAMPLES = dict(examples())


def paths_of(tree: str) -> Iterator[str]:
    """Yield the files of a drawn tree."""
    above: list[str] = []
    for line in tree.splitlines():
        name = line.lstrip("│├└─ ")
        depth = (len(line) - len(name)) // 4
        above[depth:] = [name.rstrip("/")]
        if not name.endswith("/"):
            yield "/".join(above)


def test_every_command_has_its_example() -> None:
    options = " ".join(block.text for blocks in EXAMPLES.values() for block in blocks if block.language == "sh")
    for option in ("label-level", "label-pattern", "split", "group", "group-pattern", "limit", "dataset"):
        assert f"--{option} " in options, option


@pytest.mark.slow
@pytest.mark.parametrize("number", EXAMPLES)
def test_example(
    number: str, swift: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tree, *blocks = EXAMPLES[number]
    for seed, path in enumerate(paths_of(tree.text)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if kind := KINDS.get(Path(path).suffix.lower()):
            Path(path).write_bytes(encode(picture(seed), kind))
    compared = 0
    told = ""
    for block in blocks:
        if block.name:
            Path(block.name).write_text(block.text)
        elif block.language == "sh":
            for line in block.text.splitlines():
                words = shlex.split(line)
                extra = ["--heads", "logistic"] if "run" in words else []
                words = [*words[words[0] == "demijohn" :], "--backbone", swift, "--weights", "random", *extra]
                cli.demijohn.main(words, standalone_mode=False)
            told = capsys.readouterr().err
        elif block.language == "csv":
            shown = list(csv.DictReader(io.StringIO(block.text)))
            rows = [{column: getattr(row, column) for column in shown[0]} for row in FeatureStore().find_dataset().rows]
            # A table that shows a few lines shows them right; others show all.
            assert shown == (rows if len(shown) > 1 else [row for row in rows if row in shown])
            compared += 1
        else:
            for line in block.text.splitlines():
                assert line in told.splitlines()
                compared += 1
    assert compared
