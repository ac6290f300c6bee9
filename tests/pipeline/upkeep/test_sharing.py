"""One store, several processes, other file systems, and folders that may not be written."""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from demijohn.cache import FeatureStore
from demijohn.cache.verification import verify_features
from support.pictures import encode, picture, write_classes
from support.powers import obey_permissions
from support.reports import report_in
from support.swift import start

TINY = ("--backbone", "tiny", "--weights", "random")


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a process that must succeed; return its answer."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def overlapping(folder: Path, count: int) -> list[Path]:
    """Return folders of 60 pictures each, of which every neighbour has 30."""
    folders = []
    for number in range(count):
        for label in ("red", "blue"):
            target = folder / f"set{number}" / label
            target.mkdir(parents=True)
            for index in range(15 * number, 15 * number + 30):
                colour = (200, 60, 60) if label == "red" else (60, 60, 200)
                (target / f"{index}.png").write_bytes(encode(picture(index, colour=colour)))
        folders.append(folder / f"set{number}")
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_extractors_at_once_with_a_reader_and_a_trainer(tmp_path: Path, count: int) -> None:
    folders, store = overlapping(tmp_path, count), tmp_path / "store"
    finish(start("extract-features", folders[0], *TINY, "--store", tmp_path / "alone"))
    for folder in folders[1:]:
        finish(start("extract-features", folder, *TINY, "--store", tmp_path / "alone"))
    alone = FeatureStore(tmp_path / "alone").find_feature_set()
    keys = sorted(alone.keys())
    expected = dict(zip(keys, (row.tobytes() for row in alone.read(keys)), strict=True))

    finish(start("extract-features", folders[0], *TINY, "--store", store))
    working = [start("extract-features", folder, *TINY, "--store", store, delay=0.3) for folder in folders]
    trainer = start("train-head", "--head", "logistic", "--dataset", "set0", "--store", store, "--json")
    features = FeatureStore(store).find_feature_set()
    seen: set[bytes] = set()
    while any(process.poll() is None for process in working):
        now = features.keys()
        assert seen <= now
        some = sorted(now)
        assert [row.tobytes() for row in features.read(some)] == [expected[key] for key in some]
        seen = now
    for process in working:
        finish(process)
    assert json.loads(finish(trainer))["metrics"]["train"]["images"] > 0
    found = verify_features(features.folder)
    assert (found.rows, found.damaged) == (len(expected), ())
    last = sorted(features.keys())
    assert {key: row.tobytes() for key, row in zip(last, features.read(last), strict=True)} == expected
    exported = tmp_path / "x.npz"
    finish(start("cache", "export", "--to", exported, "--dataset", "set1", "--store", store))
    assert exported.exists()


@pytest.fixture
def read_only(tmp_path: Path) -> Path:
    """Return a store of 36 pictures in `tmp_path/photos` that may not be written."""
    write_classes(tmp_path / "photos")
    store = tmp_path / "store"
    finish(start("extract-features", tmp_path / "photos", *TINY, "--store", store))
    for path in [store, *store.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return store


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_read_only_store_is_read_and_trained_on_and_says_why_it_is_not_written(
    read_only: Path, tmp_path: Path
) -> None:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        process = start(*arguments, "--store", read_only, preexec_fn=obey_permissions)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    before = sorted(read_only.rglob("*"))
    again = run("extract-features", tmp_path / "photos", *TINY)
    assert (again.returncode, "36 cached, 0 extracted" in again.stdout) == (0, True), again.stderr
    assert run("cache", "list").returncode == 0
    assert run("cache", "verify").returncode == 0
    refused = run("train-head", "--head", "logistic")
    assert refused.returncode == 1
    assert "cannot write" in refused.stderr
    assert "Permission denied" in refused.stderr
    assert "--results" in refused.stderr
    results = ("--results", tmp_path / "mine")
    trained = run("train-head", "--head", "logistic", *results)
    assert trained.returncode == 0, trained.stderr
    assert run("report-heads", *results).returncode == 0
    assert (report_in(tmp_path / "mine") / "report.md").exists()
    (tmp_path / "photos" / "red" / "new.png").write_bytes(encode(picture(77)))
    predicted = run("predict", tmp_path / "photos", *results)
    assert predicted.returncode == 0, predicted.stderr
    assert len(predicted.stdout.splitlines()) == 1 + 37
    added = run("extract-features", tmp_path / "photos", *TINY)
    assert added.returncode == 1
    assert "Permission denied" in added.stderr
    assert "Traceback" not in added.stderr
    assert sorted(read_only.rglob("*")) == before


def no_file_over(count: int) -> Callable[[], None]:
    """Return what lets a process write no file of more bytes: a disk that is full in the middle of a file."""

    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (count, resource.RLIM_INFINITY))

    return limit


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="has no limit for the size of files")
@pytest.mark.parametrize("count", [0, 300, 2000])
def test_a_full_disk_is_told_in_a_line_and_the_same_command_goes_on(tmp_path: Path, count: int) -> None:
    photos = write_classes(tmp_path / "photos")
    words = ("extract-features", photos, *TINY, "--store", tmp_path / "store")
    process = start(*words, preexec_fn=no_file_over(count))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert out == ""
    assert err.splitlines()[-1].startswith("error: cannot write ")
    assert "File too large" in err
    assert "Traceback" not in err
    assert not list((tmp_path / "store").rglob("*.partial"))
    assert "36 images: 0 cached, 36 extracted" in finish(start(*words))
    assert verify_features(FeatureStore(tmp_path / "store").find_feature_set().folder).rows == 36


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="has no limit for the size of files")
@pytest.mark.parametrize("name", ["all.h5", "all.npz"])
def test_an_export_that_finds_no_room_leaves_nothing_and_what_was_there(tmp_path: Path, name: str) -> None:
    finish(start("extract-features", write_classes(tmp_path / "photos"), *TINY, "--store", tmp_path / "store"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    words = ("cache", "export", "--to", tmp_path / "out" / name, "--store", tmp_path / "store")
    for count in (0, 700, 1500, 3000):
        process = start(*words, preexec_fn=no_file_over(count))
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1, err
        assert "File too large" in err
        assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
        assert (tmp_path / "out" / name).read_text() == "mine"
    finish(start(*words))


@pytest.mark.slow
@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no second file system is known here")
def test_a_store_on_another_file_system_than_the_temporary_folder(tmp_path: Path) -> None:
    write_classes(tmp_path / "photos")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        store = Path(folder) / "store"
        assert Path(folder).stat().st_dev != tmp_path.stat().st_dev
        finish(start("extract-features", tmp_path / "photos", *TINY, "--store", store))
        finish(start("train-head", "--head", "logistic", "--store", store))
        finish(start("cache", "compact", "--store", store))
        assert len(FeatureStore(store).find_feature_set().keys()) == 36
