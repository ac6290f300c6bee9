"""Rows on disk: read as they were written, with little in memory, and a head that learns from them is the same head."""

import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models import UnsuitableRows
from demijohn.models.heads.estimator import score_rows
from demijohn.models.heads.heads import HEADS
from demijohn.models.solvers.path import fit_path
from demijohn.models.solvers.streaming import StreamedRows, cut, join, pieces_of
from demijohn.models.solvers.weighting import Weighting
from hypothesis import given
from hypothesis import strategies as st
from support.cases import quick

N, D = 400, 30
MEMORY = 64 * 4 * D * 7
"""A piece has seven rows."""
STREAMING = ["logistic", "svm", "ridge", "lda", "centroid", "dense"]
SETTINGS: dict[str, dict[str, Any]] = {"dense": {"epochs": 6, "hidden": (), "dropout": 0.0, "learning_rate": 0.05}}


def stream(X: Any, folder: Path, memory: int = MEMORY) -> StreamedRows:
    streamed = StreamedRows(X.shape, folder=folder, memory=memory)
    order = np.random.default_rng(0).permutation(len(X))
    for start in range(0, len(X), 64):
        streamed[order[start : start + 64]] = X[order[start : start + 64]]
    return streamed


def make(classes: int, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, N)
    X = random.normal(size=(classes, D))[y] * 0.4 + random.normal(size=(N, D)) * np.linspace(0.5, 3, D) + 1
    return X.astype(np.float32), y


# The matrix.


@given(st.integers(0, N), st.integers(0, N), st.lists(st.integers(0, N - 1), max_size=50), st.integers(1, 10**6))
def test_it_is_the_matrix_that_was_written(
    tmp_path_factory: pytest.TempPathFactory, start: int, stop: int, places: list[int], memory: int
) -> None:
    X, _ = make(2)
    streamed = stream(X, tmp_path_factory.getbasetemp(), memory)
    assert (streamed.shape, len(streamed), streamed.size) == (X.shape, len(X), X.size)
    np.testing.assert_array_equal(streamed[start:stop], X[start:stop])
    chosen = np.array(places, dtype=np.intp)
    np.testing.assert_array_equal(streamed[chosen], X[chosen])
    part, same = streamed.part(slice(start, stop)), X[start:stop]
    for rows in (slice(None), slice(3, 9), np.arange(len(same))[::3]):
        found = np.full_like(same[rows], np.nan)
        for where, some in pieces_of(part, rows):
            assert some.nbytes <= max(memory // 64, 4 * D)
            found[where] = some
        np.testing.assert_array_equal(found, same[rows])


def test_columns_are_written_side_by_side(tmp_path: Path) -> None:
    X, _ = make(2)
    streamed = StreamedRows((N, D), folder=tmp_path, memory=MEMORY)
    for left, right in ((0, 11), (11, D)):
        cut(streamed, slice(None), slice(left, right))[np.arange(N)] = X[:, left:right]
    np.testing.assert_array_equal(streamed[:], X)


def test_only_neighbours_are_joined(tmp_path: Path) -> None:
    X, _ = make(2)
    streamed = stream(X, tmp_path)
    first, second, third = (streamed.part(slice(*each)) for each in ((10, 50), (50, 90), (90, N)))
    np.testing.assert_array_equal(join(first, second)[:], X[10:90])
    np.testing.assert_array_equal(join(join(first, second), third).part(slice(75, 85))[:], X[85:95])
    for one, other in ((first, third), (second, first), (first, stream(X, tmp_path).part(slice(50, 90)))):
        with pytest.raises(ValueError, match="side by side"):
            join(one, other)


def test_the_file_has_no_name_and_its_room_comes_back(tmp_path: Path) -> None:
    streamed = StreamedRows((1000, 1000), folder=tmp_path, memory=10**6)
    assert not os.listdir(tmp_path)
    part = streamed.part(slice(0, 10))
    del streamed
    part[:] = np.ones((10, 1000), np.float32)
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(tmp_path) in maps.read_text()
        del part
        assert str(tmp_path) not in maps.read_text()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        StreamedRows((10, 10), folder=tmp_path / "none", memory=1)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="pages are counted on Linux")
def test_pages_are_given_back(tmp_path: Path) -> None:
    streamed = StreamedRows((20_000, 512), folder=tmp_path, memory=64 * 2**20)  # 41 MB, pieces of 1 MB
    block = np.ones((1000, 512), np.float32)
    for start in range(0, len(streamed), 1000):
        streamed[start : start + 1000] = block
    order = np.random.default_rng(0).permutation(len(streamed))

    def resident() -> int:
        """Return bytes of the file that are resident."""
        lines = Path("/proc/self/smaps").read_text().splitlines()
        at = next(number for number, line in enumerate(lines) if str(tmp_path) in line)
        return next(1024 * int(line.split()[1]) for line in lines[at:] if line.startswith("Rss:"))

    assert resident() < 5 * 2**20
    for _, _ in streamed.pieces(slice(None)):
        assert resident() < 5 * 2**20
    assert streamed[order[:4000]].shape == (4000, 512)
    assert resident() < 5 * 2**20
    for start in range(0, len(streamed), 700):
        assert streamed[start : start + 700].shape[1] == 512
    assert resident() < 5 * 2**20


# Heads.


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        *((name, 4) for name in STREAMING[:-1]),
        *quick(0, [(name, 2) for name in STREAMING]),
    ],
)
def test_a_head_is_the_same(tmp_path: Path, name: str, classes: int) -> None:
    X, y = make(classes)
    trained = 300
    record = HEADS[name]
    settings = record.complete(SETTINGS.get(name, {}))
    assert record.streams(settings)
    one = record.make(settings, seed=0).fit(X[:trained], y[:trained], validation=(X[trained:], y[trained:]))
    streamed = stream(X, tmp_path)
    training, held = cut(streamed, slice(0, trained)), cut(streamed, slice(trained, None))
    other = record.make(settings, seed=0).fit(training, y[:trained], validation=(held, y[trained:]))
    scores = score_rows(one, X[trained:])
    difference = np.abs(scores - score_rows(other, held))
    assert one.chosen_ == other.chosen_
    assert difference.max() < 2e-3 * np.abs(scores).max()


@pytest.mark.parametrize("name", quick(1, ["ridge", "logistic", "lda", "svm"]))
def test_folds_are_the_same(tmp_path: Path, name: str) -> None:
    X, y = make(3)
    folds, judged = np.arange(N) % 4, np.arange(N) % 3 > 0
    heads: list[Any] = [HEADS[name].make(HEADS[name].settings, seed=0) for _ in range(2)]
    one, other = (
        head.fit(each, y, folds=folds, judged=judged)
        for head, each in zip(heads, (X, stream(X, tmp_path)), strict=True)
    )
    assert one.chosen_ == other.chosen_
    scores, same = (head.held_out_scores_[judged] for head in (one, other))
    np.testing.assert_allclose(scores, same, atol=2e-3 * np.abs(scores).max())


@pytest.mark.parametrize(
    "name", ["logistic", "svm", "ridge", "lda", "centroid", pytest.param("dense", marks=pytest.mark.slow)]
)
def test_rows_that_do_not_count_might_as_well_not_be_there(tmp_path: Path, name: str) -> None:
    X, y = make(3)
    counts = (np.arange(N) % 5 > 0).astype(float)
    y[counts == 0] = 7
    fixed = {"logistic": {"c": 0.01}, "svm": {"c": 0.01}, "ridge": {"alpha": 10.0}, "lda": {"shrinkage": 0.1}}
    settings = HEADS[name].complete({**SETTINGS, **fixed}.get(name, {}))
    head, same = (HEADS[name].make(settings, seed=0) for _ in range(2))
    head.fit(stream(X, tmp_path), y, sample_weight=counts)
    same.fit(X, y, sample_weight=counts)
    assert head.classes_.tolist() == same.classes_.tolist() == [0, 1, 2]
    assert (head.predict(X) == same.predict(X)).mean() > 0.99


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
def test_the_optimum_is_the_same(tmp_path: Path, loss: Any) -> None:
    X, y = make(3)
    weighting = Weighting(np.ones(N), X.mean(axis=0), X.std(axis=0))
    options: dict[str, Any] = {"strengths": [1e-3, 1e-1], "weightings": [weighting], "loss": loss, "tolerance": 1e-6}
    one, other = fit_path(X, y, **options), fit_path(stream(X, tmp_path), y, **options)
    np.testing.assert_allclose(one.objective, other.objective, rtol=1e-5)
    assert one.coefficients is not None
    assert other.coefficients is not None
    np.testing.assert_allclose(one.coefficients, other.coefficients, atol=2e-3 * np.abs(one.coefficients).max())


def test_memory_bounds_the_problems_in_flight(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    n = 20_000
    X, y = random.normal(size=(n, 4)).astype(np.float32), random.integers(0, 10, n)
    weighting = Weighting(np.ones(n), X.mean(axis=0), X.std(axis=0))
    peaks = []
    for memory in (4 * 10**7, 4 * 10**9):
        streamed = stream(X, tmp_path, memory)
        tracemalloc.start()
        fit_path(streamed, y, strengths=np.logspace(-3, 0, 8), weightings=[weighting])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 0.5 * 4 * 10**7
    assert peaks[0] < 0.5 * peaks[1]


@pytest.mark.parametrize("name", STREAMING)
def test_broken_rows_are_refused(tmp_path: Path, name: str) -> None:
    X, y = make(2)
    X[17, 3] = np.inf
    with pytest.raises(UnsuitableRows, match="infinite or no number"):
        HEADS[name].make(HEADS[name].settings, seed=0).fit(stream(X, tmp_path), y)
    with pytest.raises(UnsuitableRows, match="inconsistent numbers"):
        HEADS[name].make(HEADS[name].settings, seed=0).fit(stream(X[20:], tmp_path), y)


def test_what_does_not_stream_says_so() -> None:
    for name, record in HEADS.items():
        assert record.streams(record.settings) == (name in STREAMING), name
    assert not HEADS["svm"].streams({**HEADS["svm"].settings, "kernel": "rbf"})
