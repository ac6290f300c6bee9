"""Is a head that streams its features as good as one that holds them, in less memory, and how much slower is it?

    python benchmarks/streaming.py [FOLDER] [--rows 200000] [--memory 1500M] [--heads logistic,svm,...]

Features of 1,280 numbers are made up as in `heads.py`, of ten classes; 80 % of the rows are for training, 10 %
each for validation and test. Each side is `train_head` in a process of its own: once with more memory than it
can need, once with --memory, under which it streams. Printed is VmHWM, the most that was ever resident: pages
of the mapped file count in it, clean or not. What the interpreter and its libraries take is in it, too:
TensorFlow's alone are about 0.9 GB.
FOLDER keeps the store for the next time.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from demijohn.cache import Dataset, FeatureStore, Origin, Recipe, Row
from demijohn.cache.probe import Probe
from demijohn.pipeline.memory import parse_size
from heads import make_features

WIDTH, CLASSES, PARTS = 1280, 10, 20
HEADS: dict[str, dict[str, Any]] = {
    "logistic": {},
    "svm": {},
    "ridge": {},
    "lda": {},
    "centroid": {},
    "dense": {"epochs": 10},
}
PLENTY = "1T"


def make(folder: Path, rows: int) -> None:
    """Write a store with one data set and its features, in parts whose keys are mixed."""
    X, codes = make_features(rows, WIDTH, CLASSES)
    splits = np.array(["train"] * 8 + ["validation", "test"])[np.arange(rows) % 10]
    keys = [hashlib.sha256(str(number).encode()).digest() for number in range(rows)]
    table = [
        Row(f"{code}/{number}.jpg", key, f"class {code}", split, "")
        for number, (key, code, split) in enumerate(zip(keys, codes.tolist(), splits.tolist(), strict=True))
    ]
    store = FeatureStore(folder)
    store.save_dataset(Dataset("made", Origin(folder.resolve(), 0), "made up", tuple(table)))
    recipe = Recipe("synthetic", "none", (1, 1), "none", "none", "none", "none", "none", "last", "avg", "float32")
    features = store.feature_set(recipe)
    features.begin({"batch_size": 32}, Probe({}))
    for chosen in np.array_split(np.random.default_rng(0).permutation(rows), PARTS):
        features.commit([keys[number] for number in chosen], X[chosen])


def train(folder: Path, head: str, memory: str) -> dict[str, Any]:
    """Train one head in this process, and return what is compared."""
    from demijohn.pipeline import train_head

    started = time.perf_counter()
    run = train_head(head, store=folder, settings=HEADS[head], memory=parse_size(memory), force=True)
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text().splitlines()
    return {
        "seconds": seconds,
        "accuracy": run.record["metrics"]["test"]["accuracy"],
        "log_loss": run.record["metrics"]["test"]["log_loss"],
        "chosen": {name: value for name, value in run.record["found"].items() if name in ("c", "alpha", "shrinkage")},
        "resident": next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM:")),
    }


def ask(folder: Path, head: str, memory: str) -> dict[str, Any]:
    """Return what a process of its own found."""
    command = [sys.executable, __file__, str(folder), "--side", head, "--memory", memory]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    """Print a line per head."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--memory", default="1500M")
    parser.add_argument("--heads", default=",".join(HEADS))
    parser.add_argument("--side", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(train(Path(asked.folder), asked.side, asked.memory)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(asked.folder or temporary) / "store"
        if not folder.is_dir():
            make(folder, asked.rows)
        print(f"{4e-9 * asked.rows * WIDTH:.2f} GB of features; streamed with --memory {asked.memory}\n")
        print("| head | in memory s | GB | test accuracy | streamed s | GB | test accuracy | difference | chosen |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        for head in asked.heads.split(","):
            held, streamed = (ask(folder, head, memory) for memory in (PLENTY, asked.memory))
            cells = [
                f"{each['seconds']:.0f} | {each['resident'] / 1e9:.2f} | {each['accuracy']:.2%}"
                for each in (held, streamed)
            ]
            points = 100 * (streamed["accuracy"] - held["accuracy"])
            chosen = ", ".join(
                f"{name} {value:g} and {streamed['chosen'][name]:g}" for name, value in held["chosen"].items()
            )
            print(f"| {head} | {cells[0]} | {cells[1]} | {points:+.2f} | {chosen} |", flush=True)


if __name__ == "__main__":
    main()
