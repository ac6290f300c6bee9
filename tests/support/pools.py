"""Drivers, local workers and Dask clusters in processes of their own, and what they have stored."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
from demijohn.cache import FeatureStore
from demijohn.cache.verification import verify_features

TESTS = Path(__file__).parents[1]
RECRUITS = Path(__file__).with_name("recruits.py")
SWIFT = ("--backbone", "tiny", "--weights", "random")


def environment(*, delay: float = 0, other: bool = False, seconds: float = 0) -> dict[str, str]:
    """Return the environment of drivers and workers with the swift engine."""
    added = {
        "DEMIJOHN_TEST_WORKERS": "1",
        "DEMIJOHN_TEST_DELAY": str(delay),
        "DEMIJOHN_TEST_OTHER": "1" if other else "",
        "DEMIJOHN_TEST_SLICE": str(seconds or ""),
        "PYTHONPATH": str(TESTS),
    }
    return {**os.environ, **added}


def drive(*arguments: str | Path, delay: float = 0, other: bool = False, **options: Any) -> subprocess.Popen[str]:
    """Start an extraction with the swift engine in a process of its own; stdout and stderr are text."""
    return subprocess.Popen(
        [sys.executable, str(RECRUITS), "extract-features", *map(str, arguments)],
        env=environment(delay=delay, other=other),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process: subprocess.Popen[str], *, status: int = 0) -> tuple[str, str]:
    """Wait for a process that must end so; return what it said on stdout and stderr."""
    out, err = process.communicate(timeout=180)
    assert process.returncode == status, err
    return out, err


def stored(store: Path) -> dict[bytes, bytes]:
    """Return the rows of the only feature set; each is there once, and all parts are sound."""
    (features,) = FeatureStore(store).feature_sets()
    assert not verify_features(features.folder).damaged
    with h5py.File(features.path) as file:
        keys, rows = [key.tobytes() for key in file["keys"][:]], [row.tobytes() for row in file["features"][:]]
    assert len(set(keys)) == len(keys)
    there = sorted(features.keys())
    found = dict(zip(keys, rows, strict=True))
    assert found == dict(zip(there, (row.tobytes() for row in features.read(there)), strict=True))
    return found


def wait_for(condition: Callable[[], Any], *, seconds: float = 60) -> Any:
    """Return what a condition gives as soon as it is true."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.02)
    return found


def rows_so_far(store: Path) -> int:
    """Return how many rows are stored at this moment."""
    return sum(len(features.keys()) for features in FeatureStore(store).feature_sets())


def local_workers(driver: subprocess.Popen[str]) -> list[int]:
    """Return the processes that work for a driver on this machine."""
    import psutil

    children = psutil.Process(driver.pid).children(recursive=True)
    return [child.pid for child in children if any("popen_loky" in word for word in child.cmdline())]


@contextmanager
def cluster(folder: Path, *workers: dict[str, str], options: tuple[str, ...] = ()) -> Iterator[tuple[str, list[Any]]]:
    """Give the address of a scheduler and the processes of its workers, each in a folder of its own on loopback.

    Parameters
    ----------
    folder : Path
    workers : dicts
        The environment of each.
    options : tuple of str
        Of `dask worker`.
    """
    addresses = folder / "scheduler.json"
    with ExitStack() as stack:
        options = ("--scheduler-file", str(addresses), *options)
        stack.enter_context(_dask("scheduler", "--port", "0", "--no-dashboard", *options[:2], env=environment()))
        wait_for(addresses.exists)
        started = []
        for number, env in enumerate(workers):
            home = folder / f"worker{number}"
            home.mkdir()
            words = ("worker", "--nthreads", "1", "--no-dashboard", "--local-directory", str(home), *options)
            started.append(stack.enter_context(_dask(*words, env=env, cwd=home)))
        address = wait_for(lambda: json.loads(addresses.read_text() or "{}").get("address"))
        yield address.replace("tcp://", "dask://"), started


@contextmanager
def _dask(*words: str, env: dict[str, str], cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words], env=env, cwd=cwd, stdout=nowhere, stderr=nowhere
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
