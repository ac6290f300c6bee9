"""How long a report takes: of many runs for the first time, again, and after one more run.

    python benchmarks/report.py [FOLDER]

50 runs of ten heads on five feature sets of 1,280 numbers, 20,000 training, 5,000 validation and 10,000 test
pictures of ten classes, whose files are there. Features and predictions are made up; everything else is what
`report-heads` does, in a process of its own, imports included. FOLDER keeps the store, 1.2 GB, for the next time.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from demijohn.cache import FeatureStore
from support.trials import add_run, find_ground, make_store, predict

BACKBONES = ("xception", "mobilenet", "resnet50", "densenet121", "vgg16")
IMAGES = (20_000, 5_000, 10_000)
RUNS = 50
WIDTH = 1280


def make(folder: Path) -> FeatureStore:
    """Return the store with all runs but one."""
    print("making features and runs", flush=True)
    store = make_store(folder, classes=10, images=IMAGES, width=WIDTH, apart=4.0, backbones=BACKBONES, pictures=True)
    for number in range(RUNS - 1):
        add(store, number)
    return store


def add(store: FeatureStore, number: int) -> None:
    """Add one run."""
    ground = find_ground(store, BACKBONES[number % len(BACKBONES)])
    accuracy = 0.85 + 0.1 * np.random.default_rng(number).random()
    c = 0.01 * (1 + number // len(BACKBONES))
    add_run(store, f"run{number:02d}", predict(ground, accuracy, seed=number), ground, head="svm", settings={"c": c})


def report(store: FeatureStore, what: str) -> None:
    """Time one report."""
    started = time.perf_counter()
    code = "from demijohn.pipeline import cli; cli.main_report_heads()"
    command = [sys.executable, "-c", code, "--store", str(store.folder), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    print(f"| {what} | {time.perf_counter() - started:.1f} |", flush=True)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary) / "store"
        store = FeatureStore(folder) if folder.is_dir() else make(folder)
        last = RUNS - 1
        for path in (store.report_folder("made"), store.run_folder(f"run{last:02d}")):
            shutil.rmtree(path, ignore_errors=True)
        print(f"| {last} runs, {IMAGES[2]:,} test pictures each | seconds |\n|---|---|")
        report(store, "the first time: controls, twins and learning curve, too")
        report(store, "again")
        add(store, last)
        report(store, "after one more run")
        for path in (store.report_folder("made") / "kept").glob("run-*"):
            path.unlink()
        report(store, f"all {RUNS} runs, where controls, twins and curve are kept")


if __name__ == "__main__":
    main()
