"""Kill extractions at random instants and count what is lost: `python killing.py FOLDER ROUNDS [SEED]`.

In each round a forked process extracts 240 pictures into a new store and is killed soon or at once after a random
commit, the next one at a random instant of what the whole takes, and a third one may finish. Each sets the alarm
that kills it itself (SIGALRM without a handler ends a process as SIGKILL does), so that on a busy machine the kill
does not come late. After every kill, each row that had been committed must be there, and each row that is there
must be that of the uninterrupted run. Prints the summary as JSON.
"""

import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import h5py
from demijohn.cache import FeatureSet, FeatureStore
from demijohn.cache import writer as writing
from demijohn.cache.merging import merge_parts
from demijohn.cache.part import Key
from demijohn.cache.verification import verify_features
from demijohn.pipeline import extract_features
from support.pictures import write_classes
from support.swift import use_swift_engine

PICTURES = 240
ROWS_PER_COMMIT = 32
"""As many as a batch."""


def extract(photos: Path, store: Path) -> None:
    """Extract everything."""
    extract_features(photos, backbone="tiny", weights="random", store=store)


def extract_and_tell(photos: Path, store: Path, pipe: int, *, seconds: float, commits: int) -> None:
    """Extract, tell the keys of every commit when it is done, and die some seconds after so many commits."""
    commit = FeatureSet.commit
    done = itertools.count(1)

    def telling(self: FeatureSet, keys: Any, rows: Any) -> str:
        name = commit(self, keys, rows)
        os.write(pipe, b"".join(keys))
        if next(done) == commits:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        return name

    FeatureSet.commit = telling  # type: ignore[method-assign]
    if not commits:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    extract(photos, store)


def forked(work: Callable[[int], None]) -> tuple[bytes, bool]:
    """Do some work in a forked process; return what it told, and whether it was killed before its end."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(read)
            work(write)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    told = b""
    while chunk := os.read(read, 1 << 16):
        told += chunk
    os.close(read)
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
    if not killed and os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError("an extraction failed")
    return told, killed


def rows_of(store: Path) -> dict[Key, bytes]:
    """Return every row that the store has, read by its own reader; and check that all parts are sound."""
    sets = FeatureStore(store).feature_sets()
    if not sets:
        return {}
    (features,) = sets
    found = verify_features(features.folder)
    if found.damaged:
        raise RuntimeError(f"damaged: {found.damaged}")
    keys = sorted(features.keys())
    return dict(zip(keys, (row.tobytes() for row in features.read(keys)), strict=True))


def visible(store: Path) -> dict[Key, bytes]:
    """Return what features.h5 shows to any HDF5 reader."""
    (features,) = FeatureStore(store).feature_sets()
    with h5py.File(features.path) as file:
        pairs = zip(file["keys"][:], file["features"][:], strict=True)
        return {key.tobytes(): row.tobytes() for key, row in pairs}


def main() -> None:
    """Do the rounds."""
    folder, rounds, seed = Path(sys.argv[1]), int(sys.argv[2]), int((sys.argv[3:] or ["0"])[0])
    use_swift_engine()
    writing.COMMIT_ROWS = ROWS_PER_COMMIT
    chance = random.Random(seed)
    photos = write_classes(folder / "photos", per_class=PICTURES // 3)
    whole: dict[Key, bytes] = {}
    times = []
    for number in range(3):
        started = time.monotonic()
        forked(lambda _pipe, store=folder / f"whole{number}": extract(photos, store))  # type: ignore[misc]
        times.append(time.monotonic() - started)
        whole = rows_of(folder / f"whole{number}")
    summary = {"rounds": 0, "kills": 0, "rows_checked": 0, "rows_lost_after_commit": 0, "rows_wrong": 0}
    partly = 0
    store = folder / "store"
    for number in range(rounds):
        committed: set[Key] = set()
        shutil.rmtree(store, ignore_errors=True)
        for commits in (chance.randrange(1, PICTURES // ROWS_PER_COMMIT), 0):
            # Every other time at once after the commit, so that the store is surely partly filled.
            spread = min(times) * 1.1 if not commits else 0.01 * (number % 2)
            seconds = 1e-6 + chance.random() * spread
            alarm = {"seconds": seconds, "commits": commits}
            told, killed = forked(lambda pipe, alarm=alarm: extract_and_tell(photos, store, pipe, **alarm))  # type: ignore[misc]
            committed |= {told[start : start + 32] for start in range(0, len(told) // 32 * 32, 32)}
            found = rows_of(store)
            summary["kills"] += killed
            summary["rows_checked"] += len(found)
            summary["rows_lost_after_commit"] += len(committed - set(found))
            summary["rows_wrong"] += sum(whole.get(key) != row for key, row in found.items())
            partly += 0 < len(found) < PICTURES
        forked(lambda _pipe: extract(photos, store))
        complete = rows_of(store) == visible(store) == whole
        summary["rows_wrong"] += 0 if complete else PICTURES
        summary["rounds"] += 1
    # Who is killed while merging, with all rows stored, leaves a file to the next merge.
    (features,) = FeatureStore(store).feature_sets()
    merge_parts(features)
    if list(store.rglob("parts/*.partial")):
        raise RuntimeError("leftovers of the dead are still there")
    print(json.dumps({**summary, "stores_found_partly_filled": partly}))


if __name__ == "__main__":
    main()
