"""Whatever the pages show is run: commands and Python, block by block, on pictures that are made for it.

Pages whose answers are looked at, too, have tests of their own beside this one.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demijohn.models import BACKBONES, Backbone, LocatedWeights, locate_weights
from demijohn.models.backend import import_keras
from demijohn.pipeline import cli
from demijohn.pipeline.extraction import frozen
from PIL import Image
from support.pages import PAGES, ROOT, blocks_of, run_page, write_photos
from support.s3 import S3
from support.standin import TINY
from support.swift import use_swift_engine

Patch = pytest.MonkeyPatch
ELSEWHERE = {
    "README.md": "test_readme.py",
    "docs/export.md": "test_export_page.py",
    "docs/layouts.md": "test_layouts.py",
    "docs/predict.md": "test_predict_page.py",
}
"""Pages that other tests run."""


def stand_in(patch: Patch, *names: str) -> None:
    """Let the stand-in backbone answer to some names, with random weights."""
    for name in names:
        patch.setitem(BACKBONES, name, replace(TINY, name=name))

    def locate(backbone: Backbone, request: str = "imagenet") -> LocatedWeights:
        return locate_weights(backbone, "random" if backbone.name in names else request)

    patch.setattr(frozen, "locate_weights", locate)


def stand_in_swiftly(patch: Patch) -> None:
    """Let an engine of plain NumPy do the work of every backbone that the pages name."""
    use_swift_engine(patch)
    stand_in(patch, "efficientnet-lite0", "mobilenet-v2", "xception")


def prepare_features(folder: Path, patch: Patch) -> None:
    """Extract the pictures."""
    write_photos(folder)
    stand_in_swiftly(patch)
    patch.chdir(folder)
    cli.demijohn.main(["extract-features", "photos"], standalone_mode=False)


def prepare_runs(folder: Path, patch: Patch) -> None:
    """Train heads on pictures without a flaw: nothing but a brighter half tells the classes, and no two are alike."""
    random = np.random.default_rng(0)
    step = np.repeat([20, -20], 12)[:, np.newaxis]
    for name, half in (("cats", step), ("dogs", -step)):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(90):
            pixels = 128 + half + random.integers(-100, 101, (24, 24))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "photos" / name / f"{number}.png")
    stand_in_swiftly(patch)
    patch.chdir(folder)
    cli.demijohn.main(["run", "photos", "--heads", "logistic,ridge"], standalone_mode=False)


def prepare_own_model(folder: Path, patch: Patch) -> None:
    """Put a model of one's own beside the pictures; the backbones that are named are the stand-in."""
    write_photos(folder)
    stand_in(patch, "efficientnet-lite0", "mobilenet-v2")
    keras = import_keras()
    image = keras.Input((12, 12, 3))
    (folder / "models").mkdir()
    keras.Model(image, keras.layers.Conv2D(5, 3)(image)).save(folder / "models" / "flowers.keras")


def prepare_small_network(folder: Path, patch: Patch) -> None:
    """Let the real network with its real weights see 32 pixels instead of 224: fifty times as fast."""
    write_photos(folder)
    patch.setitem(BACKBONES, "efficientnet-lite0", replace(BACKBONES["efficientnet-lite0"], input_size=(32, 32)))


SCENES: dict[str, Callable[[Path, Patch], None]] = {
    "docs/audit.md": prepare_features,
    "docs/backbones.md": prepare_own_model,
    "docs/cats-vs-dogs.md": prepare_small_network,
    "docs/heads.md": prepare_features,
    "docs/report.md": prepare_runs,
    "docs/scale.md": prepare_features,
}
SLOW = {"docs/audit.md", "docs/backbones.md", "docs/cats-vs-dogs.md", "docs/heads.md", "docs/report.md"}


def test_every_page_that_shows_something_is_run() -> None:
    shown = {page for page in PAGES if any(block.is_run for block in blocks_of(page))}
    assert shown == {*SCENES, *ELSEWHERE, "docs/remote.md"}


def described() -> re.Pattern[str]:
    """Return what fits the files that docs/format.md says a store has: names in <> stand for any."""
    above: list[str] = []
    found = []
    for line in next(block.text for block in blocks_of("docs/format.md")).splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].rstrip("/").split(", ")
        above[(len(line) - len(line.lstrip())) // 4 :] = [names[0]]
        found += ["/".join([*above[:-1], name]) for name in names]
    return re.compile("|".join(re.sub(r"<[^>]+>", "[^/]+", name.replace(".", r"\.")) for name in found))


def check_store(store: Path) -> None:
    """See to it that docs/format.md knows every file of a store, and names every field of recipe.json and run.json."""
    known = described()
    for path in store.rglob("*"):
        name = path.relative_to(store).as_posix()
        assert path.is_dir() or known.fullmatch(name), f"docs/format.md does not know {name}"
    page = PAGES["docs/format.md"].read_text()
    for record in (*store.glob("features/*/recipe.json"), *store.glob("runs/*/run.json")):
        for name in json.loads(record.read_text()):
            assert f"`{name}`" in page, f"docs/format.md does not name {name} of {record.name}"


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] if page in SLOW else []) for page in SCENES]
)
def test_page(page: str, tmp_path: Path, monkeypatch: Patch) -> None:
    SCENES[page](tmp_path, monkeypatch)
    run_page(page, tmp_path, monkeypatch)
    check_store(tmp_path / "bottlenecks")


@pytest.mark.slow
def test_the_notebook(tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]) -> None:
    """Cell by cell, as a person runs it: a cell sees what those before it have bound."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in (ROOT / "docs" / "notebook.py").read_text().split("# %%"):
        if not cell.startswith(" [markdown]"):
            exec(compile(cell, "notebook.py", "exec"), names)
    assert "best by validation" in capsys.readouterr().out
    assert (tmp_path / "comparison.png").exists()
    assert (tmp_path / "predictions.png").exists()


@pytest.mark.slow
def test_pictures_and_a_cache_by_url(s3_server: S3, tmp_path: Path, monkeypatch: Patch) -> None:
    """On a server of this machine, whose bucket is called as on the page."""
    write_photos(tmp_path)
    stand_in_swiftly(monkeypatch)
    s3_server.client.create_bucket(Bucket="bucket")
    for name in ("photos", "new"):
        s3_server.put_folder(tmp_path / name, name, "bucket")
    s3_server.put("one.jpg", (tmp_path / "new" / "1.jpg").read_bytes(), "bucket")
    pictures = [(name, number) for name in ("cats", "dogs") for number in range(100, 110)]
    rows = "".join(f"s3://bucket/photos/{name}/{number}.jpg,{name}\n" for name, number in pictures)
    s3_server.put("lists/labels.csv", f"path,label\n{rows}".encode(), "bucket")
    (tmp_path / "mixed.csv").write_text(f"path,label\n{rows}photos/cats/120.jpg,cats\n")
    run_page("docs/remote.md", tmp_path, monkeypatch)
