"""docs/api.md and `__all__` of the three packages are one thing, in the words of the docstrings."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
PACKAGES = ("demijohn.pipeline", "demijohn.cache", "demijohn.models")
CONSTANTS = {"BACKBONES", "HEADS", "SPLITS", "Key"}
"""They have no docstring of their own."""


def documented(package: str) -> dict[str, str]:
    """Return the names that the page tells of a package, with their line."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1 + PACKAGES.index(package)]
    assert section.startswith(f"{package}\n")
    lines = re.findall(r"^- `(\w+)`(?: \(\w+\))?: (.+)$", section, flags=re.MULTILINE)
    assert len(dict(lines)) == len(lines), "each name once"
    return dict(lines)


def first_line(thing: Any) -> str:
    """Return what a docstring says first."""
    return str(thing.__doc__).strip().splitlines()[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_can_be_imported_is_what_is_documented(package: str) -> None:
    module, told = importlib.import_module(package), documented(package)
    assert set(told) == set(module.__all__)
    for name, line in told.items():
        assert name in CONSTANTS or line == first_line(getattr(module, name)), name


@pytest.mark.parametrize("package", PACKAGES)
def test_every_error_can_be_imported_and_is_told_with_its_builtin_kind(package: str) -> None:
    errors = importlib.import_module(f"{package}.errors")
    for name, each in vars(errors).items():
        if isinstance(each, type):
            kinds = [f" ({kind.__name__})" for kind in each.__bases__[1:]]
            assert f"- `{name}`{''.join(kinds)}: " in PAGE
