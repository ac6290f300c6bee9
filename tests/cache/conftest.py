"""What the tests of the cache share: a recipe, an empty feature set, and a process that adds rows to it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from demijohn.cache import FeatureSet, Recipe

ADDING = Path(__file__).with_name("adding.py")
Adding = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def recipe() -> Recipe:
    """Return a recipe; what it says matters to nothing but its digest."""
    return Recipe(
        backbone="xception",
        weights="ab" * 32,
        input_size=(299, 224),
        decoder="pillow",
        colour="rgb8-alpha-on-white",
        orientation="exif",
        resize="squash-bilinear",
        preprocessing="(rgb - 127.5) / 127.5",
        layer="last",
        pooling="avg",
        precision="float32",
        view=0,
    )


@pytest.fixture
def features(tmp_path: Path, recipe: Recipe) -> FeatureSet:
    """Return a feature set that has no row and no folder yet."""
    return FeatureSet(tmp_path / "store" / "features" / recipe.folder, recipe)


@pytest.fixture
def adding(features: FeatureSet) -> Iterator[Adding]:
    """Give a function that starts `adding.py` on the feature set; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        features.begin({})
        command = [sys.executable, str(ADDING), str(features.folder), *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()
