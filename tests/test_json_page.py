"""The fields that docs/json.md names are those that the commands print: no more, no fewer."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from demijohn.pipeline import cli
from support.pages import PAGES
from support.pictures import write_classes

PAGE = PAGES["docs/json.md"].read_text()
SECTIONS = {
    name: text
    for heading, _, text in (section.partition("\n") for section in PAGE.split("\n## ")[1:])
    for name in re.findall(r"`([^`]+)`", heading)
}
TINY = ("--backbone", "tiny", "--weights", "random")
COMMANDS = {
    "extract-features": (("extract-features", "photos", *TINY), ("extract-features", *TINY, "--engine", "tensorflow")),
    "extract-features --plan": (("extract-features", *TINY, "--plan"),),
    "extract-features --explain": (("extract-features", *TINY, "--resize", "pad", "--explain"),),
    "run": (("run", *TINY, "--heads", "centroid"),),
    "backbones": (("backbones", "--max-mb", "20"),),
    "heads": (("heads",),),
    "cache list": (("cache", "list"),),
    "cache verify": (("cache", "verify", "--recompute", "2"),),
    "cache push": (("cache", "push", "file://{here}/shared"),),
    "cache pull": (("cache", "pull", "file://{here}/shared"),),
    "cache export": (("cache", "export", "--to", "features.npz"),),
    "cache compact": (("cache", "compact"),),
    "cache prune": (("cache", "prune"),),
    "cache remove": (("cache", "remove", "--backbone", "tiny", "--yes"),),
}
"""By section, in an order in which they can be run: each with what makes it print all of its fields."""
INSIDE = {"skipped", "breakdown", "others", "backbones", "heads", "feature_sets", "recomputed", "damaged", "refused"}
"""Fields whose own fields stand in the same row. Those of `run` stand in other sections."""


def fields_of(value: Any) -> Iterator[str]:
    """Yield the fields of an answer, and of what it holds where the page tells them."""
    for each in value if isinstance(value, list) else [value]:
        for name, inner in each.items() if isinstance(each, dict) else ():
            yield name
            if name in INSIDE:
                yield from fields_of(inner)


def test_every_section_is_compared() -> None:
    assert set(SECTIONS) == set(COMMANDS)


def test_fields_are_those_that_are_printed(
    swift: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "photos")
    (tmp_path / "photos" / "red" / "bad.png").write_bytes(b"nothing")
    for section, lines in COMMANDS.items():
        found: set[str] = set()
        for line in lines:
            words = [word.format(here=tmp_path) for word in line]
            cli.demijohn.main([*words, "--json"], standalone_mode=False)
            answer = json.loads(capsys.readouterr().out)
            found |= set(answer) if section == "run" else set(fields_of(answer))
        rows = re.findall(r"^\| (`.+?) \| (.+) \|$", SECTIONS[section], flags=re.MULTILINE)
        first = {name for names, _ in rows for name in re.findall(r"`(\w+)`", names)}
        named = first | {name for _, told in rows for name in re.findall(r"`(\w+)`", told)}
        assert found <= named, f"docs/json.md does not name {found - named} of {section}"
        assert first <= found, f"{section} does not print {first - found}"
