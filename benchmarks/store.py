"""A million rows through the store: write, verify, compact, read whole, open and plan.

    python benchmarks/store.py [--rows 1000000] [--width 2048] [--folder DIR]

Synthetic float32 rows. Each step is told in seconds and as a ratio to raw sequential writing or
reading of the same bytes through plain files in the same run, at the same state of the page cache:
`cold` after the files were dropped from it, `warm` right after a read. Raw reading is that of the very
files that hold the rows, as bytes; that of one large plain file stands beside it. Three times the rows' size is
needed on disk, since superseded parts stay; everything is deleted afterwards.
"""

import argparse
import hashlib
import os
import platform
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from demijohn.cache import FeatureSet, FeatureStore, Key, Recipe
from demijohn.cache.merging import merge_parts
from demijohn.cache.part import Part
from demijohn.cache.plan import plan_extraction
from demijohn.cache.probe import Probe
from demijohn.cache.verification import verify_features
from numpy.typing import NDArray

BATCH = 512
BLOCK = 4 << 20


def main() -> None:
    """Measure, and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--width", type=int, default=2048)
    arguments.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    given = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="demijohn-store-", dir=given.folder))
    try:
        measure(folder, given.rows, given.width)
    finally:
        shutil.rmtree(folder)


def measure(folder: Path, count: int, width: int) -> None:
    """Do every step once, raw and stored in turn."""
    size = 4 * count * width
    print(f"{count:,} rows of {width:,} float32, {size / 1e9:.2f} GB; {platform.machine()}, ", end="")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}")
    print(f"{'step':38}{'seconds':>9}{'GB/s':>8}{'of raw':>9}")
    block = np.random.default_rng(0).standard_normal((BATCH, width), dtype=np.float32)
    keys = [hashlib.sha256(number.to_bytes(8)).digest() for number in range(count)]
    raw = folder / "raw"
    raw_write = told("raw sequential write, fsync", size, None, lambda: write_raw(raw, block, count))
    features = begin(folder / "store")
    written = told("write, a part per 512 rows", size, raw_write, lambda: write(features, keys, block))
    drop(features.part_paths())
    told("open and plan, parts not merged", 0, None, lambda: plan(features, keys))
    told("verify", size, None, lambda: verify(features, count))
    merged = told("compact", size, raw_write, lambda: merge_parts(features))
    print(f"{'':38}compact is {merged / (raw_write + raw_read(raw)):.2f} of raw reading and writing once")
    for path in set(features.part_paths()) - {part.path for part in features.parts()}:
        path.unlink()
    print(f"peak memory so far {peak():.2f} GB")
    told("open and plan, against all keys", 0, None, lambda: plan(features, keys))
    wanted = sorted(keys)
    # Nothing is to be written any more while reading is measured.
    os.sync()
    cold, warm = [], []
    parts = features.parts()
    for _ in range(3):
        drop([raw])
        told("one plain file read whole, cold", size, None, lambda: read_raw([raw], size))
        drop(features.part_paths())
        one = told("the parts' files read plainly, cold", size, None, lambda: read_raw(paths_of(parts), size))
        drop(features.part_paths())
        cold.append(one / told("whole read by key, checked, cold", size, one, lambda: features.read(wanted)))
    small = parts[:32]
    some = np.concatenate([part.keys for part in small])
    for _ in range(7):
        one = timed(lambda: read_raw(paths_of(small), 4 * width * len(some)))
        warm.append(one / timed(lambda: features.gather(small, some)))
    print(f"whole read, cold: {statistics.median(cold):.2f} of raw (median of {len(cold)})")
    print(f"warm, {len(some):,} rows: {statistics.median(warm):.2f} of raw (median of {len(warm)})")
    print(
        f"written at {raw_write / written:.2f} of raw; peak memory {peak():.2f} GB, {size / 1e9:.2f} of it the result"
    )


def begin(folder: Path) -> FeatureSet:
    """Return a new feature set."""
    recipe = Recipe("synthetic", "none", (1, 1), "none", "none", "none", "none", "none", "last", "avg", "float32")
    features = FeatureStore(folder).feature_set(recipe)
    features.begin({"batch_size": 32}, Probe({}))
    return features


def write(features: FeatureSet, keys: list[Key], block: NDArray[np.float32]) -> None:
    """Commit everything as an extraction does, without its merge at the end."""
    for start in range(0, len(keys), BATCH):
        chosen = keys[start : start + BATCH]
        features.commit(chosen, block[: len(chosen)])


def plan(features: FeatureSet, keys: list[Key]) -> None:
    """Open all parts and plan against all keys."""
    assert not plan_extraction(keys, features.keys()).missing


def verify(features: FeatureSet, count: int) -> None:
    """Read and check every row."""
    found = verify_features(features.folder)
    assert (found.rows, found.damaged) == (count, ())


def write_raw(path: Path, block: NDArray[np.float32], count: int) -> None:
    """Write the same bytes into one plain file."""
    with path.open("wb", buffering=0) as file:
        for start in range(0, count, BATCH):
            file.write(block[: count - start].data)
        os.fsync(file.fileno())


def paths_of(parts: Sequence[Part]) -> list[Path]:
    """Return the files of some parts."""
    return [part.path for part in parts]


def read_raw(paths: list[Path], size: int) -> None:
    """Read plain files one after another into an array of so many bytes; what is beyond it is left."""
    view = np.empty(size, np.uint8).data
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while view and (count := file.readinto(view[:BLOCK])):
                view = view[count:]


def raw_read(path: Path) -> float:
    """Return the seconds of reading a plain file, block by block."""
    buffer = bytearray(BLOCK)

    def read() -> None:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    drop([path])
    return timed(read)


def drop(paths: list[Path]) -> None:
    """Drop files from the page cache."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def told(name: str, size: int, raw: float | None, action: Callable[[], object]) -> float:
    """Do something, print how long it took, and return that."""
    seconds = timed(action)
    rate = f"{size / seconds / 1e9:8.2f}" if size else " " * 8
    ratio = f"{raw / seconds:9.2f}" if raw else ""
    print(f"{name:38}{seconds:9.2f}{rate}{ratio}", flush=True)
    return seconds


def peak() -> float:
    """Return the greatest memory that this process had, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)


if __name__ == "__main__":
    main()
