"""Which run is meant: by its id, by its beginning, or the best that is still of the data set as it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from demijohn.cache import DamagedFile, FeatureStore, Run, UnknownDataset, UnknownRun
from demijohn.pipeline import extract_features, train_head
from demijohn.pipeline.progress import SILENT
from demijohn.pipeline.runs.choosing import choose_run, rank_runs
from support.pictures import encode, picture


class Listener:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def say(self, text: str) -> None:
        """Keep it."""
        self.told.append(text)

    warn = say


def choose(store: Path, name: str, progress: Any = SILENT, **arguments: Any) -> str:
    return choose_run(FeatureStore(store), name, progress=progress, **arguments).id


@pytest.fixture
def store(swift: str, photos: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    extract_features(photos, backbone=swift, weights="random", store=folder)
    return folder


def judge(store: Path, run: str, accuracy: float) -> None:
    """Write another validation accuracy into a run."""
    file = store / "runs" / run / "run.json"
    record = json.loads(file.read_text())
    record["metrics"]["validation"]["accuracy"] = accuracy
    file.write_text(json.dumps(record))


def test_by_id_by_beginning_and_the_best_by_validation(store: Path) -> None:
    logistic, svm = (train_head(head, store=store).id for head in ("logistic", "svm"))
    for run, other in ((logistic, svm), (svm, logistic)):
        judge(store, run, 0.9)
        judge(store, other, 0.8)
        assert choose(store, "best") == run
        assert choose(store, run) == run
        assert choose(store, run[:-3]) == run
    assert choose(store, "s") == svm


def test_of_equals_the_surer_comes_first_whatever_it_is_called() -> None:
    def run(name: str, accuracy: float, macro_f1: float, loss: float | None) -> Run:
        validation = {"images": 10, "accuracy": accuracy, "macro_f1": macro_f1, "log_loss": loss}
        record = {"metrics": {"validation": validation}, "seed": 0, "head": name, "settings": {}}
        return Run(name, Path(name), record)

    runs = [
        run("a", 0.9, 0.9, None),
        run("b", 0.9, 0.9, 0.2),
        run("c", 0.9, 0.9, 0.1),
        run("d", 0.9, 0.95, 0.5),
        run("e", 0.95, 0.5, None),
        run("f", 0.9, 0.9, None),
    ]
    expected = ["e", "d", "c", "b", "a", "f"]
    assert [each.id for each in rank_runs(runs)] == [each.id for each in rank_runs(reversed(runs))] == expected


def test_what_is_not_there_is_told_with_what_is(store: Path, photos: Path, swift: str) -> None:
    with pytest.raises(UnknownRun, match=r"holds no run of the data set photos yet: run train-head --store .* first"):
        choose(store, "best")
    with pytest.raises(UnknownRun, match="holds no run yet"):
        choose(store, "logistic")
    with pytest.raises(UnknownDataset, match="no data set yet"):
        choose(store / "other", "best")
    runs = [train_head("logistic", store=store, seed=seed).id for seed in (0, 1)]
    with pytest.raises(UnknownRun, match=f"2 runs begin with logistic: {', '.join(sorted(runs))}; name one"):
        choose(store, "logistic")
    with pytest.raises(UnknownRun, match=f"did you mean {runs[0]}?"):
        choose(store, f"{runs[0]}9")
    for odd in ("xyz", "", "../runs", f"../runs/{runs[0]}"):
        with pytest.raises(UnknownRun, match=r"expected best, or one of logistic|did you mean"):
            choose(store, odd)
    extract_features(photos, backbone=swift, weights="random", store=store, dataset="again")
    with pytest.raises(UnknownDataset, match="choose one with --dataset"):
        choose(store, "best")
    assert choose(store, "best", dataset="photos") in runs


def test_a_damaged_run_is_never_the_best_and_says_so_where_it_is_named(store: Path) -> None:
    good, bad = (train_head("logistic", store=store, seed=seed).id for seed in (0, 1))
    judge(store, bad, 1.0)
    file = store / "runs" / bad / "run.json"
    file.write_text(file.read_text()[:-9])
    listener = Listener()
    assert choose(store, "best", listener) == good
    assert f"left out: {file} is damaged" in listener.told[0]
    for name in (bad, bad[:-1]):
        with pytest.raises(DamagedFile, match=f"remove the run's folder {file.parent}, or train it again"):
            choose(store, name)
    assert train_head("logistic", store=store, seed=1, progress=listener).id == bad
    assert "is damaged" in listener.told[-2]
    assert listener.told[-2].endswith("it is trained again")
    assert choose(store, bad) == bad


def test_an_outdated_run_is_never_the_best_and_says_so_where_it_is_named(store: Path, photos: Path, swift: str) -> None:
    old = train_head("logistic", store=store).id
    (photos / "red" / "new.png").write_bytes(encode(picture(500)))
    extract_features(photos, backbone=swift, weights="random", store=store)
    with pytest.raises(UnknownRun, match=r"all 1 runs of the data set photos are of an earlier state.*train-head"):
        choose(store, "best")
    listener = Listener()
    assert choose(store, old, listener) == old
    [told] = listener.told
    assert f"{old} is of an earlier state of the data set photos" in told
    assert "again: train-head --head logistic" in told
    new = train_head("svm", store=store).id
    judge(store, old, 1.0)
    judge(store, new, 0.1)
    assert choose(store, "best", listener) == new
    assert listener.told[-1] == f"the best of 1 by validation: {new}"
