"""Training with little memory: the same runs, and clear words where it cannot be."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner
from demijohn.cache import FeatureStore, StoreNotWritable
from demijohn.cache.runs import Run, read_predictions
from demijohn.models.heads import linear
from demijohn.models.heads.heads import HEADS
from demijohn.pipeline import InvalidRequest, TooManyFeatures, cli, extract_features, train_head, train_heads
from demijohn.pipeline.training import gathering, training
from demijohn.pipeline.training.gathering import fits
from support.cases import quick
from support.trials import make_store

LITTLE = 12_000
"""Bytes; half of it are fewer than 160 rows of 12 numbers."""
QUICK: dict[str, dict[str, Any]] = {"dense": {"epochs": 2, "hidden": ()}, "logistic": {"c": 0.1}}


class Told(NamedTuple):
    said: list[str]

    def say(self, text: str) -> None:
        self.said.append(text)

    warn = say


@pytest.fixture(autouse=True)
def modest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let little memory do for what is kept of each row, so that small matrices are streamed."""
    monkeypatch.setattr(gathering, "KEPT", 1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with three classes that overlap, and two backbones."""
    folder = tmp_path_factory.mktemp("gathering") / "store"
    make_store(folder, apart=2.0, backbones=("xception", "mobilenet"))
    return folder


def train(store: Path, head: str, **options: Any) -> Run:
    return train_head(
        head, **{"store": store, "backbone": "xception", "settings": QUICK.get(head), "force": True, **options}
    )


def assert_same(one: Run, other: Run) -> None:
    first, second = (read_predictions(each.folder / "predictions.h5") for each in (one, other))
    np.testing.assert_array_equal(first.keys, second.keys)
    np.testing.assert_array_equal(first.splits, second.splits)
    np.testing.assert_allclose(first.scores, second.scores, atol=2e-3 * np.abs(first.scores).max())


@pytest.mark.parametrize(
    ("head", "folds"),
    [
        *quick(2, ((head, 3) for head in ("logistic", "ridge", "svm", "lda", "centroid"))),
        *(
            pytest.param(head, None, marks=pytest.mark.slow)
            for head in ("logistic", "svm", "ridge", "lda", "centroid", "dense")
        ),
    ],
)
def test_a_run_is_the_same(store: Path, tmp_path: Path, head: str, folds: int | None) -> None:
    told = Told([])
    ample = train(store, head, folds=folds, results=tmp_path / "ample")
    little = train(store, head, folds=folds, results=tmp_path / "little", memory=LITTLE, progress=told)
    assert "160 rows of 12 features take 8 kB, more than half of the 12 kB" in told.said[0]
    assert os.listdir(tmp_path / "little") == ["runs"]
    assert little.record["run"] == ample.record["run"]
    assert_same(ample, little)


def test_backbones_stand_side_by_side(store: Path, tmp_path: Path) -> None:
    runs = [
        train(store, "ridge", backbone="xception+mobilenet", results=tmp_path / str(memory), memory=memory)
        for memory in (10**9, LITTLE)
    ]
    assert_same(*runs)


def test_views_are_streamed_too(swift: str, photos: Path, tmp_path: Path) -> None:
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store", views=3, views_for="all")
    runs = [
        train(tmp_path / "store", "lda", backbone=None, results=tmp_path / str(memory), memory=memory, tta=True)
        for memory in (10**9, 2000)
    ]
    assert runs[0].record["views"] == 3
    assert_same(*runs)


def test_it_is_chosen_by_what_the_features_take() -> None:
    assert fits((1000, 1000), 8_000_000)
    assert not fits((1000, 1000), 7_999_999)


def streamed_files() -> Iterator[str]:
    """Yield files without a name that this process has mapped."""
    gc.collect()
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "(deleted)" in line and "little" in line:
            yield line


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="maps are listed on Linux")
@pytest.mark.parametrize("head", ["logistic", "dense"])
def test_the_file_is_gone(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str) -> None:
    train(store, head, results=tmp_path / "little", memory=LITTLE)
    assert list(streamed_files()) == []

    def fail(*_: Any, **__: Any) -> None:
        assert list(streamed_files())
        assert os.listdir(tmp_path / "little") == ["runs"]
        raise RuntimeError("no luck")

    monkeypatch.setattr(linear, "fit_path", fail)
    if head == "logistic":
        with pytest.raises(RuntimeError, match="no luck"):
            train(store, head, results=tmp_path / "little", memory=LITTLE)
        assert list(streamed_files()) == []


@pytest.mark.parametrize(("head", "settings"), [("knn", {}), ("svm", {"kernel": "rbf"})])
def test_heads_that_cannot_stream_refuse(store: Path, tmp_path: Path, head: str, settings: dict[str, Any]) -> None:
    with pytest.raises(
        TooManyFeatures, match=rf"{head} needs all features in memory: 160 rows .* give --memory 1M, or"
    ):
        train(store, head, settings=settings, results=tmp_path, memory=LITTLE)
    train(store, head, settings=settings, results=tmp_path, memory=1_000_000)


def test_all_heads_are_those_that_there_is_memory_for(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {name: HEADS[name] for name in ("ridge", "knn", "centroid")}
    monkeypatch.setattr(training, "HEADS", quick)
    told = Told([])
    asked: dict[str, Any] = {
        "store": store,
        "backbone": "xception",
        "results": tmp_path,
        "memory": LITTLE,
        "progress": told,
    }
    runs = train_heads(["all"], seeds=2, **asked)
    assert [run.record["head"] for run in runs] == ["ridge", "ridge", "centroid", "centroid"]
    assert sum(line.startswith("left out: knn needs all features in memory") for line in told.said) == 1
    with pytest.raises(TooManyFeatures):
        train_heads(["ridge", "knn"], **asked)
    monkeypatch.setattr(training, "HEADS", {"knn": HEADS["knn"]})
    with pytest.raises(TooManyFeatures):
        train_heads(["all"], **asked)


def test_what_is_kept_of_each_row_must_fit(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "KEPT", 64)
    with pytest.raises(TooManyFeatures, match="logistic keeps 31 kB of 160 rows and 3 classes even where"):
        train(store, "logistic", results=tmp_path, memory=LITTLE)


def test_a_full_disk_is_told_before_anything_is_written(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage())
    with pytest.raises(InvalidRequest, match=r"has no room .* expected 268.4 MB, found 1 kB free; name another folder"):
        train(store, "logistic", results=tmp_path / "full", memory=LITTLE)
    assert os.listdir(tmp_path / "full") == []
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreNotWritable, match="is a file, expected a folder"):
        train(store, "logistic", results=tmp_path / "file", memory=LITTLE)


def test_the_disk_may_fill_all_the_same(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", fail, raising=False)
    with pytest.raises(InvalidRequest, match="found No space left on device"):
        train(store, "logistic", results=tmp_path, memory=LITTLE)
    assert os.listdir(tmp_path) == []


def test_the_command_takes_a_size(store: Path, tmp_path: Path) -> None:
    arguments = ["--head", "ridge", "--store", str(store), "--results", str(tmp_path), "--backbone", "xception"]
    found = CliRunner().invoke(cli.train_head_command, [*arguments, "--memory", "12k"])
    assert found.exit_code == 0, found.output
    assert "they are streamed from a file in" in " ".join(found.stderr.split())
    assert len(FeatureStore(store, tmp_path).runs()) == 1
    refused = CliRunner().invoke(cli.train_head_command, [*arguments, "--memory", "much"])
    assert refused.exit_code == 2
    assert "expected a size such as 4G or 500M, found much" in " ".join(refused.stderr.split())
