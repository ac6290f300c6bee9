"""The shape of the house: arrows between folders, declared packages, public names."""

import ast
import configparser
import importlib
from collections.abc import Iterator
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
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (folder, module) for imports inside the package and ("", name) for others."""
    here = path.parent.name
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (("", alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield "", str(node.module).split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            words = (node.module or "").split(".") if node.module else []
            if node.level == 1:
                names = words or [alias.name for alias in node.names]
                yield from ((here, name) for name in names[:1] or [])
            else:
                yield words[0], words[1] if len(words) > 1 else "__init__"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_arrows_and_what_a_folder_may_know(path: Path) -> None:
    folder = path.parent.name
    for target, module in imports(path):
        if target:
            assert target in ALLOWED[folder], f"{path} imports {target}.{module}"
        else:
            known = module not in FORBIDDEN[folder] or (path.stem, module) in EXCEPTIONS
            assert known, f"{path} imports {module}"


def test_there_are_no_import_circles() -> None:
    arrows = {
        (path.parent.name, path.stem): {
            target for target in imports(path) if target[0] and target != (path.parent.name, path.stem)
        }
        for path in MODULES
        if path.stem != "__init__"
    }
    done: set[tuple[str, str]] = set()

    def visit(node: tuple[str, str], above: tuple[tuple[str, str], ...]) -> None:
        assert node not in above, f"a circle: {[*above, node]}"
        if node not in done:
            for target in arrows.get(node, ()):
                visit(target, (*above, node))
            done.add(node)

    for node in arrows:
        visit(node, ())


def test_the_declared_packages_are_the_folders() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    declared = set(config["options"]["packages"].split())
    found = {
        f"demijohn.{'.'.join(path.parent.relative_to(ROOT).parts)}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert declared == found == {f"demijohn.{folder}" for folder in FOLDERS}


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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_files_are_of_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    assert ast.get_docstring(ast.parse(path.read_text()))
