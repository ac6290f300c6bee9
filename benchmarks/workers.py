"""What do workers cost and bring: one through joblib against the direct path, one process against two, and the driver.

    python benchmarks/workers.py overhead | split | driver | all

overhead  whole extractions of 1,000 pictures, direct and by one worker through joblib (--workers 1), in turn, in one
          process; ratio of the medians
split     the same pictures by one process of two threads and by two processes of one thread (--workers 2), as whole
          commands in turn; pictures per second of the networks' part, of the whole, and memory per process
driver    what the driver does for 10,000 and 50,000 pictures, without any network: looking at unchanged
          files, planning, and dealing; seconds and memory

Pictures are those of benchmarks/extract.py; printed are medians over --repeats N (5).
"""

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from extract import make_pictures

PICTURES = 1000


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts: dict[str, Callable[[Any, Path], None]] = {
        "overhead": overhead,
        "split": split,
        "driver": driver,
    }
    parser.add_argument("what", nargs="?", choices=(*parts, "all"), default="all")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--deal", type=Path, nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.deal:
        deal(*asked.deal)
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}")
    for name, part in parts.items():
        if asked.what in (name, "all"):
            print(f"\n{name}\n", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                part(asked, Path(folder))


def overhead(asked: Any, folder: Path) -> None:
    """Print the direct path beside one worker through joblib."""
    from demijohn.pipeline import extract_features

    pictures, store = make_pictures(folder / "pictures", asked.pictures), folder / "store"
    extract_features(pictures, store=store)
    seconds: dict[str, list[float]] = {"direct": [], "one worker": []}
    processor: dict[str, list[float]] = {way: [] for way in seconds}
    for number in range(2 * asked.repeats):
        way = list(seconds)[(number + number // 2) % 2]
        shutil.rmtree(store / "features")
        started, before = time.perf_counter(), time.process_time()
        extract_features(pictures, store=store, workers=None if way == "direct" else 1)
        seconds[way].append(time.perf_counter() - started)
        processor[way].append(time.process_time() - before)
    medians = {way: statistics.median(found) for way, found in seconds.items()}
    busy = {way: statistics.median(found) for way, found in processor.items()}
    print("| way | seconds, whole | of processor | all |")
    print("| --- | --- | --- | --- |")
    for way, found in seconds.items():
        every = ", ".join(f"{each:.2f}" for each in sorted(found))
        print(f"| {way} | {medians[way]:.2f} | {busy[way]:.2f} | {every} |")
    whole, cpu = (times["one worker"] / times["direct"] for times in (medians, busy))
    print(f"\none worker takes {whole:.3f} of the direct path's time, {cpu:.3f} of its processor (medians)", flush=True)


def split(asked: Any, folder: Path) -> None:
    """Print one process of all threads beside as many processes of one thread."""
    pictures, store = make_pictures(folder / "pictures", asked.pictures), folder / "store"
    ways = {"1 process x 2 threads": [], "2 processes x 1 thread": ["--workers", "2"]}
    _command(pictures, store, [])
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
    for number in range(2 * asked.repeats):
        way = list(ways)[(number + number // 2) % 2]
        shutil.rmtree(store / "features")
        found[way].append(_command(pictures, store, ways[way]))
    print("| way | images/s | seconds, whole command | seconds of processor per 1,000 images |")
    print("| --- | --- | --- | --- |")
    rates = {}
    for way, runs in found.items():
        rates[way], whole, processor = (statistics.median(each) for each in zip(*runs, strict=True))
        print(f"| {way} | {rates[way]:.1f} | {whole:.1f} | {1000 * processor / asked.pictures:.1f} |")
    one, two = rates.values()
    print(f"\ntwo processes do {two / one:.3f} of the images/s of one (medians)", flush=True)


def _command(pictures: Path, store: Path, options: list[str]) -> tuple[float, float, float]:
    """Return images/s, wall time and seconds of processor of a command, its workers included."""
    code = "import sys; from demijohn.pipeline.cli import main; sys.argv[0] = 'demijohn'; main()"
    words = ["extract-features", pictures, "--store", store, "--quiet", "--json", *options]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], check=True, capture_output=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout)["images_per_second"], seconds, processor


def driver(_asked: Any, folder: Path) -> None:
    """Print what the driver needs by the number of pictures."""
    print("| pictures | first look: hash and plan | second look | dealing all | memory | per picture |")
    print("| --- | --- | --- | --- | --- | --- |")
    small = make_pictures(folder / "one", 1) / "class0" / "00000.jpg"
    content = small.read_bytes()
    least = 0
    for count in (10_000, 50_000):
        pictures = folder / f"{count}"
        old = time.time() - 60
        for number in range(count):
            path = pictures / f"class{number % 100:02}" / f"{number:07}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            # Only the end differs, and a few kilobytes are enough: nothing is decoded.
            path.write_bytes(content[:4096] + number.to_bytes(4))
            os.utime(path, (old, old))
        words = [sys.executable, __file__, "--deal", pictures, folder / f"store{count}"]
        looks = [
            list(map(float, subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()))
            for _ in range(2)
        ]
        # The first one loads the network for the digest of its weights.
        (first, _, _), (again, dealing, memory) = looks
        least = least or int(memory)
        more = f"{(memory - least) / (count - 10_000):,.0f} B" if count > 10_000 else "-"
        print(
            f"| {count:,} | {first:.1f} s | {again:.1f} s | {dealing:.1f} s | {memory / 1e6:,.0f} MB | {more} |",
            flush=True,
        )
        shutil.rmtree(pictures)


def deal(pictures: Path, store: Path) -> None:
    """Look at pictures, and deal them to workers that are not there; print seconds and the most memory in bytes."""
    import pickle

    from demijohn.pipeline.extraction.slicing import Slicer
    from demijohn.pipeline.extraction.survey import pictures_of, survey_images
    from demijohn.pipeline.extraction.workers import peak_bytes

    started = time.perf_counter()
    survey = survey_images(pictures, store=store)
    survey.store.index.remember(survey.hashed)
    survey.families[0].frozen.remember()
    look = time.perf_counter() - started
    started = time.perf_counter()
    slicer = Slicer(pictures_of(survey.table, [survey.families[0].first]), 16)
    for start, dealt in slicer.deal():
        pickle.dumps(tuple(dealt))
        slicer.take_back(start, len(dealt), done=len(dealt), seconds=len(dealt) / 100)
    dealing = time.perf_counter() - started
    print(look, dealing, peak_bytes())


if __name__ == "__main__":
    main()
