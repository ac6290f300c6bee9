"""A run is complete or absent; an id answers one request."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from demijohn.cache import DamagedFile, NewerFormat, Run, StoreNotWritable
from demijohn.cache.files import machine_name
from demijohn.cache.part import keys_to_array
from demijohn.cache.runs import (
    Predictions,
    new_run,
    predictions_content,
    read_predictions,
    read_run,
    run_id,
    survey_runs,
    write_predictions,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rows import RUN, rows


def runs_in(folder: Path) -> list[Run]:
    return [run for _, run in survey_runs(folder) if isinstance(run, Run)]


def make(folder: Path, **extra: object) -> None:
    with new_run(folder) as temporary:
        (temporary / "run.json").write_text(json.dumps({**RUN, **extra}))


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
    assert [run.record["number"] for run in runs_in(tmp_path)] == [2]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_run_of_format_1_is_read_as_one_of_the_pictures_themselves(tmp_path: Path) -> None:
    later = ("inputs", "views", "request")
    old = {name: value for name, value in RUN.items() if name not in later} | {"format": 1, "backbone": "xception"}
    (tmp_path / "run.json").write_text(json.dumps(old))
    assert read_run(tmp_path).record == {
        **old,
        "inputs": "xception",
        "views": 1,
        "augment": "none",
        "tta": False,
        "selection_file": None,
        "refit": False,
        "folds": None,
        "temperature": None,
        "request": {"folds": None, "refit": False, "calibrated": False},
    }


def test_unfinished_runs_are_not_listed(tmp_path: Path) -> None:
    make(tmp_path / "b")
    make(tmp_path / "a")
    (tmp_path / "c.host.1.partial").mkdir()
    (tmp_path / "c.host.1.partial" / "run.json").write_text(json.dumps(RUN))
    (tmp_path / "empty").mkdir()
    assert [run.id for run in runs_in(tmp_path)] == ["a", "b"]
    assert runs_in(tmp_path / "none") == []


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


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "found nothing"),
        (json.dumps(RUN).encode()[:-9], "found what is none"),
        (b"\xff\xfe", "found what is none"),
        (b"[]", "found list"),
        (b"{}", "missing, or not what a run has: format, run,"),
        (json.dumps({**RUN, "format": "3"}).encode(), "a run has: format;"),
        (json.dumps({**RUN, "seed": None, "metrics": []}).encode(), "a run has: seed, metrics;"),
        (json.dumps({**RUN, "metrics": {"train": 3}}).encode(), "metrics.train, metrics.validation, metrics.test;"),
    ],
    ids=["empty", "cut", "no text", "no object", "no record", "format", "kinds", "metrics"],
)
def test_what_is_no_run_is_told_and_hides_no_other(content: bytes, found: str, tmp_path: Path) -> None:
    make(tmp_path / "b")
    bad = tmp_path / "a"
    bad.mkdir()
    (bad / "run.json").write_bytes(content)
    with pytest.raises(DamagedFile) as caught:
        read_run(bad)
    assert str(caught.value).startswith(f"{bad / 'run.json'} is damaged: ")
    assert found in str(caught.value)
    assert str(caught.value).endswith(f"; remove the run's folder {bad}, or train it again")
    [(folder, error), (_, run)] = survey_runs(tmp_path)
    assert (folder, type(error), run) == (bad, DamagedFile, read_run(tmp_path / "b"))


def test_a_run_of_a_later_format_is_told(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**RUN, "format": 99}))
    with pytest.raises(NewerFormat, match="has format 99, this demijohn reads up to 3: install a newer demijohn"):
        read_run(tmp_path)


def test_a_head_without_epochs_has_no_history(tmp_path: Path) -> None:
    run = Run("a", tmp_path, RUN)
    assert run.history == {}
    (tmp_path / "history.csv").write_text("epoch,loss\n1,0.5\n2,0.25\n")
    assert run.history == {"epoch": [1.0, 2.0], "loss": [0.5, 0.25]}


def test_a_run_replaces_the_older_one_whole(tmp_path: Path) -> None:
    with new_run(tmp_path / "a") as temporary:
        (temporary / "run.json").write_text(json.dumps(RUN))
        (temporary / "history.csv").write_text("epoch\n1\n")
    with new_run(tmp_path / "a") as temporary:
        assert list(temporary.iterdir()) == []
        assert (tmp_path / "a" / "history.csv").exists()
        (temporary / "run.json").write_text(json.dumps({**RUN, "new": True}))
    assert os.listdir(tmp_path / "a") == ["run.json"]
    assert read_run(tmp_path / "a").record["new"] is True


def test_a_run_is_not_seen_before_it_is_complete(tmp_path: Path) -> None:
    with new_run(tmp_path / "runs" / "a") as temporary:
        (temporary / "run.json").write_text(json.dumps(RUN))
        assert runs_in(tmp_path / "runs") == []
        assert not (tmp_path / "runs" / "a").exists()
    assert [run.id for run in runs_in(tmp_path / "runs")] == ["a"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_an_error_leaves_the_older_run_and_nothing_else(tmp_path: Path, kind: type[BaseException]) -> None:
    def fail() -> None:
        with new_run(tmp_path / "a") as temporary:
            (temporary / "run.json").write_text(json.dumps({**RUN, "number": 2}))
            raise kind

    with pytest.raises(kind):
        fail()
    assert os.listdir(tmp_path) == []
    make(tmp_path / "a", number=1)
    with pytest.raises(kind):
        fail()
    assert os.listdir(tmp_path) == ["a"]
    assert read_run(tmp_path / "a").record == {**RUN, "number": 1}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_refuses_leaves_the_older_run_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    make(tmp_path / "a", number=1)

    def refuse(_descriptor: int) -> None:
        raise OSError(code, "injected")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(StoreNotWritable, match=os.strerror(code)):
            make(tmp_path / "a", number=2)
    assert os.listdir(tmp_path) == ["a"]
    assert read_run(tmp_path / "a").record["number"] == 1


def test_everything_in_a_run_is_durable_before_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, durable = os.fsync, []

    def spy(descriptor: int) -> None:
        durable.append((os.fstat(descriptor).st_ino, (tmp_path / "a").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    with new_run(tmp_path / "a") as temporary:
        for name in ("run.json", "head.skops", "predictions.h5"):
            (temporary / name).write_text(name)
    for path in (tmp_path / "a").iterdir():
        assert (path.stat().st_ino, False) in durable
    assert durable[-1] == (tmp_path.stat().st_ino, True)


def test_what_a_killed_process_left_is_removed_by_the_next_run(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"a.{machine_name()}.{dead.pid}.partial"
    living = tmp_path / f"a.{machine_name()}.{os.getppid()}.partial"
    for folder in (left, living):
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(RUN))
    make(tmp_path / "b")
    assert sorted(os.listdir(tmp_path)) == sorted([living.name, "b"])
    assert [run.id for run in runs_in(tmp_path)] == ["b"]


def predictions(count: int, classes: int, are_probabilities: bool) -> Predictions:
    draw = np.random.default_rng(count)
    return Predictions(
        keys=keys_to_array(rows(range(count))[0]),
        labels=draw.integers(0, classes, count).astype(np.int32),
        splits=draw.integers(0, 3, count).astype(np.uint8),
        predicted=draw.integers(0, classes, count).astype(np.int32),
        scores=draw.normal(size=(count, classes)).astype(np.float32),
        are_probabilities=are_probabilities,
    )


@given(st.integers(0, 20), st.integers(1, 4), st.booleans())
@settings(deadline=None, max_examples=30)
def test_any_predictions_survive_and_any_reader_sees_them(count: int, classes: int, are_probabilities: bool) -> None:
    made = predictions(count, classes, are_probabilities)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.h5"
        write_predictions(path, made)
        found = read_predictions(path)
        for name in ("keys", "labels", "splits", "predicted", "scores"):
            assert np.array_equal(getattr(found, name), getattr(made, name))
            assert getattr(found, name).dtype == getattr(made, name).dtype
        assert found.are_probabilities is are_probabilities
        with h5py.File(path) as file:
            assert [each.tobytes() for each in file["keys"]] == rows(range(count))[0]
            assert np.array_equal(file["scores"][:], made.scores)


def test_a_run_is_chosen_by_rows_that_its_head_has_not_seen_and_never_by_the_test_split() -> None:
    made = replace(predictions(3, 3, True), splits=np.array([0, 1, 2], np.uint8))
    assert made.honest.tolist() == [False, True, False]
    assert replace(made, out_of_fold=True).honest.tolist() == [True, True, False]


def test_what_is_out_of_fold_is_said_and_belongs_to_the_content(tmp_path: Path) -> None:
    plain = predictions(9, 3, True)
    folded = replace(plain, out_of_fold=True)
    contents = []
    for name, made in (("plain", plain), ("folded", folded)):
        (tmp_path / name).mkdir()
        write_predictions(tmp_path / name / "predictions.h5", made)
        assert read_predictions(tmp_path / name / "predictions.h5").out_of_fold is made.out_of_fold
        contents.append(predictions_content(Run(name, tmp_path / name, RUN)))
    assert contents[0] != contents[1]
    # As it was before there were folds.
    with h5py.File(tmp_path / "plain" / "predictions.h5", "r+") as file:
        del file.attrs["out_of_fold"]
    assert not read_predictions(tmp_path / "plain" / "predictions.h5").out_of_fold
    with h5py.File(tmp_path / "folded" / "predictions.h5", "r+") as file:
        file.attrs["out_of_fold"] = False
    with pytest.raises(DamagedFile, match="not those that were written"):
        read_predictions(tmp_path / "folded" / "predictions.h5")


def test_torn_predictions_are_damage_at_any_length(tmp_path: Path) -> None:
    path = tmp_path / "predictions.h5"
    write_predictions(path, predictions(9, 3, True))
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 397), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFile, match=r"predictions\.h5 is damaged: .*--force"):
            read_predictions(path)


@pytest.mark.parametrize("name", ["keys", "labels", "splits", "predicted", "scores", "@are_probabilities"])
def test_predictions_that_lack_something_are_damage(tmp_path: Path, name: str) -> None:
    path = tmp_path / "predictions.h5"
    write_predictions(path, predictions(9, 3, True))
    with h5py.File(path, "a") as file:
        if name.startswith("@"):
            del file.attrs[name[1:]]
        else:
            del file[name]
    with pytest.raises(DamagedFile, match="--force"):
        read_predictions(path)


@pytest.mark.parametrize("name", ["keys", "labels", "splits", "predicted", "scores"])
def test_no_bit_of_the_predictions_can_flip_unseen(tmp_path: Path, name: str) -> None:
    path = tmp_path / "p.h5"
    write_predictions(path, predictions(9, 3, True))
    with h5py.File(path) as file:
        at = file[name].id.get_offset()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match="not those that were written; train the run again with --force"):
        read_predictions(path)


def test_predictions_that_are_gone_are_told(tmp_path: Path) -> None:
    make(tmp_path / "a")
    with pytest.raises((DamagedFile, FileNotFoundError), match=r"predictions\.h5"):
        _ = read_run(tmp_path / "a").predictions


inputs = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


def backwards(value: Any) -> Any:
    """Return the same value with every dictionary in the other order."""
    if isinstance(value, dict):
        return {key: backwards(each) for key, each in reversed(value.items())}
    return [backwards(each) for each in value] if isinstance(value, list) else value


@given(inputs, inputs)
@settings(deadline=None)
def test_an_id_is_the_same_for_the_same_inputs_in_any_order(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert run_id("svm", "xception", one) == run_id("svm", "xception", backwards(one))
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (run_id("svm", "xception", one) == run_id("svm", "xception", other)) == same


def test_an_id_never_changes() -> None:
    # Another digest would make every store train again what it has trained.
    chosen = {"hidden": [256, 128], "rate": 0.5, "name": "\u00fc", "none": None}
    assert run_id("dense", "xception", {"seed": 0, "settings": chosen}) == "dense-xception-aa0642a1b3"
