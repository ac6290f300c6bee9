"""What is built is whole, says what it is, and works where it is installed, without the checkout.

Nothing is fetched, but where DEMIJOHN_PYTHONS names Pythons: there it is installed with all that it needs.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
from support.pages import ROOT, write_photos

pytestmark = pytest.mark.slow
CONFIG = ConfigParser()
CONFIG.read(ROOT / "setup.cfg")
VERSION = CONFIG["metadata"]["version"]
EXTRAS = list(CONFIG["options.extras_require"])
MADE = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "bottlenecks", "build", "digits", "dist")
PYTHONS = os.environ.get("DEMIJOHN_PYTHONS", "").split()
fetching = pytest.mark.skipif(not PYTHONS, reason="needs an index and minutes: make package")


def run(*words: str | Path, folder: Path) -> str:
    """Run a program outside the checkout, with a home of its own; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**environment, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout without anything that was made in it."""
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("checkout") / "demijohn", ignore=MADE)


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, checkout, folder=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """Return the wheel."""
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fresh environment with the wheel; what it needs is seen in the environment of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", folder / "venv", folder=folder)
    run(folder / "venv/bin/pip", "install", "--no-deps", "--no-index", wheel, folder=folder)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    # Lines of paths alone, so that no editable installation of this checkout comes with them.
    (packages / "beside.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    return folder


def test_the_wheel_is_the_three_folders(wheel: Path, checkout: Path) -> None:
    """All modules and all their data, and nothing else."""
    folders = ("cache", "models", "pipeline")
    there = [path for folder in folders for path in (checkout / folder).rglob("*") if path.is_file()]
    expected = {f"demijohn/{path.relative_to(checkout).as_posix()}" for path in there}
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == expected
    assert {f"demijohn/{folder}/py.typed" for folder in folders} <= found


def test_the_sdist_is_the_checkout(built: Path, checkout: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {path.relative_to(checkout).as_posix() for path in checkout.rglob("*") if path.is_file()}
    assert {name for name in expected if "egg-info" not in name} <= names


def test_it_says_what_it_is(built: Path) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(built.iterdir()), folder=built)
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert headings[0] in ("Unreleased", VERSION)


def test_it_works_where_it_is_installed(installed: Path) -> None:
    commands = installed / "venv/bin"
    where = run(commands / "python", "-c", "import demijohn.pipeline as it; print(it.__file__)", folder=installed)
    assert where.startswith(str(installed))
    for command in ("extract-features", "train-head", "report-heads"):
        assert run(commands / command, "--help", folder=installed).startswith("Usage: ")
    check_the_whole_job(commands, installed)


def test_type_information_ships(installed: Path) -> None:
    """A checker sees the types of the installation, in a project that knows nothing of the checkout."""
    (installed / "mine.py").write_text(
        "from demijohn.pipeline import extract_features\nreveal_type(extract_features('photos').rows)\n"
    )
    checker = (sys.executable, "-m", "mypy", "--python-executable", installed / "venv/bin/python")
    assert 'Revealed type is "int"' in run(*checker, "mine.py", folder=installed).replace("builtins.", "")


@fetching
@pytest.mark.parametrize("extra", EXTRAS)
def test_every_extra_resolves(extra: str, wheel: Path, installed: Path) -> None:
    run(installed / "venv/bin/pip", "install", "--dry-run", "--ignore-installed", f"{wheel}[{extra}]", folder=installed)


@fetching
@pytest.mark.parametrize("python", PYTHONS)
def test_it_installs_on(python: str, wheel: Path, tmp_path: Path) -> None:
    """With everything that it needs, from an index."""
    run(python, "-m", "venv", "venv", folder=tmp_path)
    run(tmp_path / "venv/bin/pip", "install", wheel, folder=tmp_path)
    check_the_whole_job(tmp_path / "venv/bin", tmp_path)


def check_the_whole_job(commands: Path, folder: Path) -> None:
    """See to it that an installation extracts, trains and reports."""
    assert run(commands / "demijohn", "--version", folder=folder) == f"demijohn, version {VERSION}\n"
    write_photos(folder)
    told = json.loads(run(commands / "demijohn", "run", "photos", "--heads", "logistic,dense", "--json", folder=folder))
    assert told["feature_sets"][0]["rows"] == 60
    assert {run["head"] for run in told["report"]["runs"]} == {"logistic", "dense"}
    assert (folder / "bottlenecks/report/photos/index.html").exists()
