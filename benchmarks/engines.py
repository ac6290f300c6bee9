"""Which engine is faster on a processor, and in which batches? Writes the table that demijohn ships.

    python benchmarks/engines.py --all [OUTPUT]
    python benchmarks/engines.py BACKBONE ...

Measures pictures per second of the forward pass, on pixels in memory, for TensorFlow in batches of 12
and 24 and OpenVINO in batches of 1 and 8, in turn, with random weights, and prints medians of three
repeats. With --all, of one backbone of every kind, the rates in the engines' own batches are written to
OUTPUT as well (by default to models/engines/engine_rates.json, from which extraction chooses).
"""

import json
import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from demijohn.models import BACKBONES, load_extractor, locate_weights
from demijohn.models.engines.engines import ENGINES, make_engine

SIZES = {"tensorflow": (12, 24), "openvino": (1, 8)}
OF_EVERY_KIND = (
    "efficientnet-lite0",
    "mobilenet",
    "mobilenet-v2",
    "mobilenet-v3-small",
    "xception",
    "resnet50",
    "resnet50-v2",
    "vgg16",
    "inception-v3",
    "densenet121",
    "nasnet-mobile",
    "efficientnet-b0",
    "efficientnet-v2-b0",
    "convnext-tiny",
)
SECONDS = 1.0
"""Of each measurement, at least."""
REPEATS = 3


def main() -> None:
    """Measure and print; write with --all."""
    if len(sys.argv) < 2:
        print(__doc__)
        return
    whole = sys.argv[1] == "--all"
    names = OF_EVERY_KIND if whole else sys.argv[1:]
    print(machine())
    rates = {}
    for name in names:
        found = measure(name)
        print(name, json.dumps(found), flush=True)
        rates[name] = {engine: sizes[str(ENGINES[engine].batch_of(name))] for engine, sizes in found.items()}
    if whole:
        output = Path(sys.argv[2] if len(sys.argv) > 2 else "models/engines/engine_rates.json")
        output.write_text(json.dumps({"machine": machine(), "rates": rates}, indent=1) + "\n")


def measure(name: str) -> dict[str, dict[str, float]]:
    """Return pictures per second by engine and batch size."""
    record = BACKBONES[name]
    network, _ = load_extractor(record, locate_weights(record, "random"))
    engines = [
        make_engine(record, network, engine=engine, batch_size=size)
        for engine, sizes in SIZES.items()
        for size in sizes
    ]
    found: dict[Any, list[float]] = defaultdict(list)
    for _ in range(REPEATS):
        for engine in engines:
            found[engine].append(rate(engine))
    rates: dict[str, dict[str, float]] = defaultdict(dict)
    for engine, values in found.items():
        rates[engine.name][str(engine.batch_size)] = round(statistics.median(values), 1)
    return dict(rates)


def rate(engine: Any) -> float:
    """Return pictures per second of an engine, on pixels in memory."""
    pixels = np.random.default_rng(0).integers(0, 256, (engine.batch_size, *engine.input_size, 3), dtype=np.uint8)
    engine.extract(pixels)
    done, started = 0, time.perf_counter()
    with ThreadPoolExecutor(engine.streams) as threads:
        while (seconds := time.perf_counter() - started) < SECONDS:
            list(threads.map(engine.extract, [pixels] * engine.streams))
            done += engine.streams * engine.batch_size
    return done / seconds


def machine() -> str:
    """Return processor, cores and system in words."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    widest = "with AVX-512" if any("avx512" in line for line in lines) else "with AVX2"
    return f"{names[0]} {widest}" if names else platform.machine()


if __name__ == "__main__":
    main()
