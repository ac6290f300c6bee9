"""Several processes at one extraction: the features of one process, whoever is killed, slow or unfit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from demijohn.cache import FeatureSet, FeatureStore
from demijohn.models.backbones.backbones import BACKBONES
from demijohn.pipeline import InvalidRequest, extract_features, run
from demijohn.pipeline.errors import ClusterUnreachable, WorkersLost
from demijohn.pipeline.extraction import backends
from demijohn.pipeline.extraction import driver as module
from demijohn.pipeline.progress import Silent
from support.pictures import write_classes
from support.pools import (
    SWIFT,
    cluster,
    drive,
    environment,
    finish,
    local_workers,
    rows_so_far,
    stored,
    wait_for,
)
from support.recruits import RECRUIT
from support.s3 import S3

TINY: dict[str, Any] = {"backbone": "tiny", "weights": "random"}


class Listening(Silent):
    """Keeps what is said and counted."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def recruits(swift: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process and its workers use the swift engine."""
    monkeypatch.setitem(BACKBONES, "tiny", RECRUIT)
    monkeypatch.setenv("DEMIJOHN_TEST_WORKERS", "1")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 720 pictures, enough for several slices."""
    return write_classes(tmp_path_factory.mktemp("many") / "photos", per_class=240)


@pytest.fixture(scope="module")
def expected(many: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bytes, bytes]:
    """Return the rows of `many` that one process makes."""
    store = tmp_path_factory.mktemp("alone") / "store"
    finish(drive(many, *SWIFT, "--store", store))
    return stored(store)


@pytest.mark.slow
@pytest.mark.parametrize(
    "request_", [{"workers": 1}, {"workers": 2}, {"backend": "threading", "workers": 2}], ids=["1", "2", "threading"]
)
def test_workers_give_the_rows_of_one_process_and_say_what_they_did(
    recruits: None, many: Path, expected: dict[bytes, bytes], tmp_path: Path, request_: dict[str, Any]
) -> None:
    progress, store = Listening(), tmp_path / "store"
    done = extract_features(many, **TINY, **request_, store=store, progress=progress)
    assert stored(store) == expected
    assert (done.extracted, done.rows, done.engine) == (720, 720, "tensorflow")
    told = [text for text in progress.said if text.startswith("worker ")]
    assert sum(int(text.split(": ")[1].split(" ")[0]) for text in told) == 720
    assert all("images/s" in text for text in told)
    again = extract_features(many, **TINY, **request_, store=store)
    assert (again.cached, again.extracted, again.engine) == (720, 0, None)


def test_what_workers_skip_comes_back_with_reasons(recruits: None, photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    alone = extract_features(photos, **TINY, store=tmp_path / "alone")
    done = extract_features(photos, **TINY, store=tmp_path / "store", backend="threading", workers=2)
    assert done.skipped == alone.skipped
    assert [each.path for each in done.skipped] == ["red/bad.jpg"]
    kept = [FeatureStore(tmp_path / name).refusals() for name in ("alone", "store")]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_fetch_pictures_from_elsewhere_once(
    recruits: None, s3: S3, photos: Path, tmp_path: Path, backend: str
) -> None:
    extract_features(photos, **TINY, store=tmp_path / "here")
    (photos / "red" / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    url = s3.put_folder(photos, "photos")
    s3.forget()
    store = tmp_path / "store"
    done = extract_features(url, **TINY, store=store, backend=backend, workers=2)
    assert (done.extracted, done.rows, [each.path for each in done.skipped]) == (36, 36, ["red/bad.jpg"])
    assert stored(store) == stored(tmp_path / "here")
    assert len(s3.fetched()) == len(set(s3.fetched())) == 37
    s3.forget()
    again = extract_features(url, **TINY, store=store, backend=backend, workers=2)
    assert (again.cached, again.extracted, s3.fetched()) == (36, 0, [])


@pytest.mark.slow
def test_the_whole_job_by_workers(recruits: None, photos: Path, tmp_path: Path) -> None:
    store, progress = tmp_path / "store", Listening()
    request: dict[str, Any] = {"backbones": ("tiny",), "weights": "random", "store": store, "workers": 2}
    job = run(photos, heads=("centroid",), **request, progress=progress)
    assert any(text.startswith("worker ") for text in progress.said)
    assert job.extractions[0].extracted == 36
    assert job.report is not None
    assert [each.record["head"] for each in FeatureStore(store).runs()] == ["centroid"]


def test_views_and_several_layers_by_workers(recruits: None, photos: Path, tmp_path: Path) -> None:
    request: dict[str, Any] = {**TINY, "views": 3, "views_for": "all"}
    alone = extract_features(photos, **request, store=tmp_path / "alone")
    done = extract_features(photos, **request, store=tmp_path / "store", backend="threading", workers=2)
    assert (done.view_rows, done.view_rows_extracted) == (alone.view_rows, 72)
    sets = [FeatureStore(tmp_path / name).feature_sets() for name in ("alone", "store")]
    assert [each.folder.name for each in sets[0]] == [each.folder.name for each in sets[1]]
    for one, other in zip(*sets, strict=True):
        keys = sorted(one.keys())
        assert one.read(keys).tobytes() == other.read(keys).tobytes()


def test_a_file_that_changed_since_it_was_hashed_is_stored_under_its_own_key(
    recruits: None, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = module.WorkerPool.run

    def meddle(self: module.WorkerPool, *arguments: Any) -> None:
        (photos / "red" / "000.png").write_bytes((photos / "red" / "001.png").read_bytes() + b"more")
        (photos / "red" / "002.png").unlink(missing_ok=True)
        work(self, *arguments)

    monkeypatch.setattr(module.WorkerPool, "run", meddle)
    done = extract_features(photos, **TINY, store=tmp_path / "store", backend="threading", workers=2)
    assert (done.rows, done.extracted) == (35, 35)
    assert [each.path for each in done.skipped] == ["red/002.png"]


@pytest.mark.slow
def test_a_worker_with_other_numbers_writes_nothing(recruits: None, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract_features(photos, **TINY, store=store)
    before = stored(store)
    write_classes(photos, per_class=20)
    _, err = finish(drive(photos, *SWIFT, "--store", store, "--workers", "2", other=True), status=1)
    assert err.splitlines()[-1].startswith("error: this installation gives other features of tiny")
    assert stored(store) == before


def test_after_too_many_losses_it_ends(recruits: None, photos: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def lose(*_: Any) -> None:
        raise WorkersLost("a worker was killed")

    monkeypatch.setattr(module.WorkerPool, "_call", lose)
    progress = Listening()
    with pytest.raises(WorkersLost, match="lost 10 times, the last one so: a worker was killed"):
        extract_features(photos, **TINY, store=tmp_path / "store", workers=2, progress=progress)
    assert sum("planning again" in text for text in progress.said) == module.ROUNDS - 1


def test_a_store_that_workers_do_not_share_is_told(
    recruits: None, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FeatureSet, "commit", lambda *_: "elsewhere.h5")
    with pytest.raises(WorkersLost, match=r"have stored 36 rows, of which .* shows none"):
        extract_features(photos, **TINY, store=tmp_path / "store", workers=1)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"workers": 0}, "there cannot be 0 workers"),
        ({"workers": "some"}, "there cannot be 'some' workers"),
        ({"workers": 2, "cluster": "dask://127.0.0.1:1"}, "leave out --workers"),
        ({"cluster": "tcp://127.0.0.1:1"}, r"expected dask://HOST:PORT"),
        ({"cluster": "dask://here"}, r"expected dask://HOST:PORT"),
        ({"workers": "auto", "backend": "loky"}, "give a number"),
    ],
)
def test_what_does_not_go_together(swift: str, photos: Path, tmp_path: Path, asked: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidRequest, match=match):
        extract_features(photos, **TINY, **asked, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_nobody_at_the_address_of_a_cluster(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "CONNECT_SECONDS", 0.3)
    with pytest.raises(ClusterUnreachable, match=r"nobody answers at dask://127\.0\.0\.1:1 .*: .* dask scheduler"):
        extract_features(photos, **TINY, store=tmp_path / "store", cluster="dask://127.0.0.1:1")


pids = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes as Linux shows them")


@pids
@pytest.mark.slow
def test_a_local_worker_is_killed(many: Path, expected: dict[bytes, bytes], tmp_path: Path) -> None:
    store = tmp_path / "store"
    driver = drive(many, *SWIFT, "--store", store, "--workers", "2", delay=0.15)
    wait_for(lambda: rows_so_far(store))
    os.kill(local_workers(driver)[0], signal.SIGKILL)
    out, err = finish(driver)
    assert "a worker was killed" in err
    assert "720 images: 0 cached, 720 extracted" in out
    assert stored(store) == expected


@pids
@pytest.mark.slow
def test_the_driver_is_killed_and_started_again(many: Path, expected: dict[bytes, bytes], tmp_path: Path) -> None:
    store = tmp_path / "store"
    words = (many, *SWIFT, "--store", store, "--workers", "2")
    driver = drive(*words, delay=0.5)
    wait_for(lambda: rows_so_far(store))
    orphans = local_workers(driver)
    driver.kill()
    driver.communicate()
    assert 0 < rows_so_far(store) < 720
    out, _ = finish(drive(*words))
    assert stored(store) == expected
    assert int(out.split("images: ")[1].split(" cached")[0]) > 0
    # Nobody works on for the dead.
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_at_once_and_the_same_command_goes_on(
    many: Path, expected: dict[bytes, bytes], tmp_path: Path, number: signal.Signals
) -> None:
    store = tmp_path / "store"
    words = (many, *SWIFT, "--store", store, "--workers", "2")
    driver = drive(*words, delay=1.5)
    wait_for(lambda: rows_so_far(store))
    started = time.monotonic()
    driver.send_signal(number)
    _, err = finish(driver, status=130)
    assert time.monotonic() - started < 10
    assert "the same command continues" in err
    finish(drive(*words))
    assert stored(store) == expected


@pytest.mark.slow
def test_commands_of_dask_in_folders_of_their_own(many: Path, expected: dict[bytes, bytes], tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with cluster(tmp_path, environment(), environment()) as (address, _):
        words = (os.path.relpath(many, elsewhere), *SWIFT, "--store", "store", "--cluster", address)
        out, err = finish(drive(*words, cwd=elsewhere))
    assert "720 images: 0 cached, 720 extracted" in out
    assert err.count("\nworker tcp://") == 2
    assert stored(elsewhere / "store") == expected


LOCAL_CLUSTER = """
import sys
from distributed import Client, LocalCluster
from demijohn.pipeline import extract_features

with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
    done = extract_features(sys.argv[1], store=sys.argv[2], engine=sys.argv[3], backend="dask")
    assert done.extracted == done.rows, done
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_real_pictures_and_weights_by_two_processes_of_a_local_cluster(
    real_data: Path, tmp_path: Path, engine: str
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for folder in sorted((real_data / "caltech").iterdir())[:8]:
        (photos / folder.name).symlink_to(folder)
    alone = extract_features(photos, engine=engine, store=tmp_path / "alone")
    script = [sys.executable, "-c", LOCAL_CLUSTER, photos, tmp_path / "store", engine]
    subprocess.run(script, env=environment(), check=True, capture_output=True)
    assert alone.rows == 200
    assert stored(tmp_path / "store") == stored(tmp_path / "alone")
    by_two = extract_features(photos, engine=engine, store=tmp_path / "local", workers=2)
    assert by_two.extracted == 200
    assert stored(tmp_path / "local") == stored(tmp_path / "alone")


@pids
@pytest.mark.slow
@pytest.mark.parametrize("nanny", ["--nanny", "--no-nanny"])
def test_a_worker_of_dask_is_killed(many: Path, expected: dict[bytes, bytes], tmp_path: Path, nanny: str) -> None:
    import psutil

    store, slow = tmp_path / "store", environment(delay=0.15)
    with cluster(tmp_path, slow, slow, options=(nanny,)) as (address, workers):
        driver = drive(many, *SWIFT, "--store", store, "--cluster", address)
        wait_for(lambda: rows_so_far(store))
        # With a nanny, it is the child that works.
        victim = psutil.Process(workers[0].pid)
        if nanny == "--nanny":
            victim = max(victim.children(recursive=True), key=lambda child: child.memory_info().rss)
        victim.kill()
        out, _ = finish(driver)
    assert "720 images: 0 cached, 720 extracted" in out
    assert stored(store) == expected


@pytest.mark.slow
def test_a_worker_of_dask_with_another_library_is_left_out(
    many: Path, expected: dict[bytes, bytes], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    # One process begins it, so that it is clear whose numbers count.
    first = write_classes(tmp_path / "first", per_class=1)
    finish(drive(first, *SWIFT, "--store", store))
    with cluster(tmp_path, environment(), environment(other=True)) as (address, _):
        out, err = finish(drive(many, *SWIFT, "--store", store, "--cluster", address, "--json"))
    assert err.count("is left out: this installation gives other features of tiny") == 1
    assert json.loads(out)["rows"] == 720
    assert stored(store) == expected


@pytest.mark.slow
def test_a_slow_worker_does_not_hold_the_rest(many: Path, expected: dict[bytes, bytes], tmp_path: Path) -> None:
    store = tmp_path / "store"
    started = time.monotonic()
    # Alone, the slow one would take a minute and a half.
    with cluster(tmp_path, environment(), environment(delay=3, seconds=3)) as (address, _):
        _, err = finish(drive(many, *SWIFT, "--store", store, "--cluster", address))
    assert time.monotonic() - started < 60
    assert err.count("\nworker tcp://") == 2
    assert stored(store) == expected
