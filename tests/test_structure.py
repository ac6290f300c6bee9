"""The shape of the house: arrows between folders, declared packages, public names."""

import ast
import configparser
import importlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("cache", "models", "pipeline")
ALLOWED = {"cache": {"cache"}, "models": {"models"}, "pipeline": {"cache", "models", "pipeline"}}
FORBIDDEN = {
    "cache": {"keras", "tensorflow", "sklearn", "skops", "PIL", "matplotlib", "click", "rich"},
    "models": {"h5py", "PIL", "matplotlib", "click", "rich", "sqlite3"},
    "pipeline": {"h5py", "sklearn", "skops", "keras", "tensorflow", "sqlite3"},
}
EXCEPTIONS = {("weights_files", "h5py"), ("transformer", "sklearn")}
"""Published weights are HDF5 files, and what is offered to scikit-learn's pipelines is one of its transformers."""
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def dotted(path: Path) -> str:
    """Return the name of a module below demijohn; that of a folder for its __init__."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {dotted(path): path for path in MODULES}


@cache
def parse(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[bool, str]]:
    """Yield (True, module) for imports inside the package and (False, name) for others."""
    package = path.parent.relative_to(ROOT).parts
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from ((False, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield False, str(node.module).split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            source = ".".join((*package[: len(package) - node.level + 1], *([node.module] if node.module else [])))
            for alias in node.names:
                yield True, f"{source}.{alias.name}" if f"{source}.{alias.name}" in NAMES else source


def test_arrows_and_what_a_folder_may_know() -> None:
    for name, path in NAMES.items():
        folder = name.split(".", maxsplit=1)[0]
        for inside, module in imports(path):
            if inside:
                assert module in NAMES, f"{name} imports {module}"
                assert module.split(".")[0] in ALLOWED[folder], f"{name} imports {module}"
            else:
                known = module not in FORBIDDEN[folder] or (name.rsplit(".", maxsplit=1)[-1], module) in EXCEPTIONS
                assert known, f"{name} imports {module}"


def assert_no_circles(arrows: Mapping[str, set[str]]) -> None:
    done: set[str] = set()

    def visit(node: str, above: tuple[str, ...]) -> None:
        assert node not in above, f"a circle: {' -> '.join((*above, node))}"
        if node not in done:
            for target in sorted(arrows.get(node, ())):
                visit(target, (*above, node))
            done.add(node)

    for node in arrows:
        visit(node, ())


def test_there_are_no_import_circles() -> None:
    assert_no_circles(
        {
            name: {module for inside, module in imports(path) if inside and module != name}
            for name, path in NAMES.items()
            if path.stem != "__init__"
        }
    )


def test_there_are_no_circles_of_rooms() -> None:
    """A room is a folder within one of the three; what lies in none is the ground below them, or puts them together."""
    rooms: dict[str, set[str]] = {}
    for name, path in NAMES.items():
        room = name.rpartition(".")[0]
        if "." in room:
            others = {module.rpartition(".")[0] for inside, module in imports(path) if inside}
            rooms.setdefault(room, set()).update(other for other in others - {room} if "." in other)
    assert len(rooms) > 10
    assert_no_circles(rooms)


def test_the_declared_packages_are_the_folders() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    declared = set(config["options"]["packages"].split())
    found = {
        f"demijohn.{'.'.join(path.parent.relative_to(ROOT).parts)}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert declared == found >= {f"demijohn.{folder}" for folder in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS)
def test_public_names_are_sorted_and_there(folder: str) -> None:
    package = importlib.import_module(f"demijohn.{folder}")
    names = package.__all__
    assert len(set(names)) == len(names)
    constants = sorted(name for name in names if name.isupper())
    classes = sorted(name for name in names if name[0].isupper() and not name.isupper())
    functions = sorted(name for name in names if name[0].islower())
    assert names == [*constants, *classes, *functions]
    for name in names:
        assert getattr(package, name).__doc__ or name.isupper() or name == "Key"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_error_opens_in_the_tree_and_is_a_builtin_kind(folder: str) -> None:
    errors = importlib.import_module(f"demijohn.{folder}.errors")
    classes = [each for each in vars(errors).values() if isinstance(each, type) and each.__module__ == errors.__name__]
    base = next(each for each in classes if each.__bases__ == (Exception,))
    for each in classes:
        assert each.__name__ in errors.__doc__
        if each is not base:
            assert each.__bases__[0] is base
            kind = each.__bases__[1]
            assert kind.__module__ == "builtins"
            assert f"{each.__name__} ({kind.__name__})" in errors.__doc__


def test_files_are_of_one_sitting() -> None:
    for name, path in NAMES.items():
        assert len(path.read_text().splitlines()) <= 400, name
        assert ast.get_docstring(parse(path)), name
