"""Which layout of a part serves best: append, whole read, random rows, one class; against .npy as the limit.

    python benchmarks/layout.py [--rows 32768] [--width 2048] [--repeats 5]

Every layout is written and read in turn, several times, the best of three tries each; medians, warm page cache. `ours`
is what demijohn writes: contiguous, a checksum per 128 KiB, every row checked. A layout without checksums
reads whatever the disk gives.
"""

import argparse
import functools
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from demijohn.cache.part import open_part, read_rows, write_part
from numpy.typing import NDArray

PART = 512
Rows = NDArray[np.float32]


def hdf5(**options: Any) -> tuple[Callable[[Path, Rows], None], Callable[[Path, NDArray[np.intp]], Rows]]:
    """Return writer and reader of an HDF5 data set with some creation options."""

    def write(path: Path, rows: Rows) -> None:
        chosen = {**options, "chunks": (min(len(rows), options["chunks"][0]), rows.shape[1])} if options else {}
        with h5py.File(path, "w", libver="v110") as file:
            file.create_dataset("features", data=rows, **chosen)
        sync(path)

    def read(path: Path, numbers: NDArray[np.intp]) -> Rows:
        with h5py.File(path) as file:
            data = file["features"]
            if len(numbers) == len(data):
                return np.asarray(data[:])
            # h5py's own selection of single rows is far slower.
            return np.concatenate([data[first : last + 1] for first, last in runs(numbers)])

    return write, read


def write_npy(path: Path, rows: Rows) -> None:
    """Write a .npy file."""
    with path.open("wb") as file:
        np.save(file, rows)
    sync(path)


def read_npy(path: Path, numbers: NDArray[np.intp]) -> Rows:
    """Read a .npy file whole, or some rows of it memory-mapped."""
    mapped = np.load(path, mmap_mode="r")
    return np.load(path) if len(numbers) == len(mapped) else np.asarray(mapped[numbers])


def write_ours(path: Path, rows: Rows) -> None:
    """Write a part."""
    keys = np.arange(len(rows)).astype(">u8").view("S8").astype("S32")
    os.replace(write_part(path.parent, keys, rows, recipe="x"), path)


def read_ours(path: Path, numbers: NDArray[np.intp]) -> Rows:
    """Read rows of a part."""
    part = open_part(path, "x")
    out = np.empty((len(numbers), part.width), np.float32)
    for where, block in read_rows(part, numbers):
        out[where] = block
    return out


LAYOUTS = {
    ".npy, memory-mapped (limit)": (write_npy, read_npy),
    "ours: contiguous, XXH3 per 128 KiB": (write_ours, read_ours),
    "contiguous, no checksum": hdf5(),
    "chunks of 32 rows": hdf5(chunks=(32,)),
    "chunks of 32 rows, Fletcher32": hdf5(chunks=(32,), fletcher32=True),
    "chunks of 128 rows, Fletcher32": hdf5(chunks=(128,), fletcher32=True),
    "chunks of 32 rows, LZF, Fletcher32": hdf5(chunks=(32,), fletcher32=True, compression="lzf"),
    "chunks of 32 rows, gzip 1, shuffle": hdf5(chunks=(32,), compression=1, shuffle=True),
}


def main() -> None:
    """Measure, and print a table in Markdown."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=32_768)
    arguments.add_argument("--width", type=int, default=2048)
    arguments.add_argument("--repeats", type=int, default=5)
    given = arguments.parse_args()
    random = np.random.default_rng(0)
    # As bottleneck features are: half of them zero.
    rows = np.maximum(random.standard_normal((given.rows, given.width), dtype=np.float32), 0)
    some = np.sort(random.choice(given.rows, 1000, replace=False))
    one_class = np.sort(random.choice(given.rows, given.rows // 10, replace=False))
    questions = {"whole": np.arange(given.rows), "1,000 random rows": some, "one class of ten": one_class}
    folder = Path(tempfile.mkdtemp(prefix="demijohn-layout-"))
    times: dict[str, dict[str, list[float]]] = {name: {} for name in LAYOUTS}
    sizes = {}
    try:
        for _ in range(given.repeats):
            for name, (write, read) in LAYOUTS.items():
                noted = times[name]
                path = folder / "part.h5"
                append = timed(functools.partial(append_parts, write, folder / "small", rows[:PART]))
                noted.setdefault("append 8 x 512 rows", []).append(append)
                write(path, rows)
                sizes[name] = path.stat().st_size
                for question, numbers in questions.items():
                    ask = functools.partial(read, path, numbers)
                    noted.setdefault(question, []).append(min(timed(ask) for _ in range(3)))
                assert (read(path, some) == rows[some]).all()
    finally:
        shutil.rmtree(folder)
    print(f"{given.rows:,} rows of {given.width:,} float32 ({rows.nbytes / 1e6:.0f} MB), {platform.platform()}, ")
    print(f"{os.cpu_count()} cores; ms, medians of {given.repeats}; in brackets the ratio of the limit's time to it\n")
    columns = list(next(iter(times.values())))
    print("| layout | " + " | ".join(columns) + " | MB |\n|" + " --- |" * (len(columns) + 2))
    limit = {column: statistics.median(values) for column, values in next(iter(times.values())).items()}
    for name, noted in times.items():
        cells = []
        for column in columns:
            seconds = statistics.median(noted[column])
            cells.append(f"{1000 * seconds:,.1f} ({limit[column] / seconds:.2f})")
        print(f"| {name} | " + " | ".join(cells) + f" | {sizes[name] / 1e6:.0f} |")


def append_parts(write: Callable[[Path, Rows], None], path: Path, rows: Rows) -> None:
    """Write a few parts of the size of a commit."""
    for _ in range(8):
        write(path, rows)


def runs(numbers: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return first and last of each run of neighbours."""
    breaks = np.flatnonzero(np.diff(numbers) != 1)
    firsts, lasts = numbers[np.r_[0, breaks + 1]], numbers[np.r_[breaks, len(numbers) - 1]]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def sync(path: Path) -> None:
    """Make a file durable."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
