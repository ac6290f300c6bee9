"""A run is complete or absent; an id answers one request."""

import json
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache import DamagedFile, NewerFormat, Run, run_id
from demijohn.cache.part import keys_to_array
from demijohn.cache.runs import Predictions, list_runs, new_run, read_predictions, read_run, write_predictions
from support.rows import rows

RECORD = {"format": 1, "metrics": {}}


def make(folder: Path, **extra: object) -> None:
    with new_run(folder) as temporary:
        (temporary / "run.json").write_text(json.dumps({**RECORD, **extra}))


def test_a_run_that_fails_leaves_nothing_and_an_older_one_as_it_was(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        with new_run(folder) as temporary:
            (temporary / "run.json").write_text("{}")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    make(tmp_path / "a", number=1)
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "a")
    assert read_run(tmp_path / "a").record["number"] == 1
    make(tmp_path / "a", number=2)
    assert [run.record["number"] for run in list_runs(tmp_path)] == [2]
    assert len(list(tmp_path.iterdir())) == 1


def test_unfinished_runs_are_not_listed(tmp_path: Path) -> None:
    make(tmp_path / "b")
    make(tmp_path / "a")
    (tmp_path / "c.host.1.partial").mkdir()
    (tmp_path / "c.host.1.partial" / "run.json").write_text(json.dumps(RECORD))
    (tmp_path / "empty").mkdir()
    assert [run.id for run in list_runs(tmp_path)] == ["a", "b"]
    assert list_runs(tmp_path / "none") == []


def test_predictions_round_trip(tmp_path: Path) -> None:
    predictions = Predictions(
        keys=keys_to_array(rows(range(9))[0]),
        labels=np.arange(9, dtype=np.int32) % 3,
        splits=np.arange(9, dtype=np.uint8) // 3,
        predicted=np.zeros(9, np.int32),
        scores=np.random.default_rng(0).random((9, 3)).astype(np.float32),
        are_probabilities=True,
    )
    write_predictions(tmp_path / "p.h5", predictions)
    found = read_predictions(tmp_path / "p.h5")
    for name in Predictions.__slots__:
        assert np.array_equal(getattr(found, name), getattr(predictions, name)), name
    (tmp_path / "p.h5").write_bytes(b"x")
    with pytest.raises(DamagedFile, match="--force"):
        read_predictions(tmp_path / "p.h5")


def test_an_id_depends_on_every_input_and_not_on_their_order() -> None:
    one = run_id("svm", "xception", {"c": 1.0, "seed": 0})
    assert one.startswith("svm-xception-")
    assert one == run_id("svm", "xception", {"seed": 0, "c": 1.0})
    assert one != run_id("svm", "xception", {"seed": 1, "c": 1.0})


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DamagedFile, match="expected format and metrics"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({**RECORD, "format": 99}))
    with pytest.raises(NewerFormat):
        read_run(tmp_path)


def test_a_head_without_epochs_has_no_history(tmp_path: Path) -> None:
    run = Run("a", tmp_path, RECORD)
    assert run.history == {}
    (tmp_path / "history.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")
    assert run.history == {"epoch": [1.0, 2.0], "loss": [0.5, 0.25]}
