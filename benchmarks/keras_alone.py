"""Importing Keras as a command does, without what it can do without, against importing it whole.

Each in a process of its own, in turn; medians of --repeats N (5), and their ratio.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys

IMPORT = """
import resource, sys, time
started = time.perf_counter()
from demijohn.models.backend import import_keras
from demijohn.pipeline.commands.small_keras import keep_keras_small
if sys.argv[1] == "alone":
    keep_keras_small()
import_keras()
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    found: dict[str, list[tuple[float, float]]] = {"whole": [], "alone": []}
    for _ in range(repeats):
        for way, results in found.items():
            words = [sys.executable, "-c", IMPORT, way]
            seconds, peak = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
            results.append((float(seconds), float(peak)))
    print(f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}")
    print()
    print("| Keras | seconds to import | peak memory |")
    print("| --- | --- | --- |")
    medians = {way: [statistics.median(each) for each in zip(*results, strict=True)] for way, results in found.items()}
    for way, (seconds, peak) in medians.items():
        print(f"| {way} | {seconds:.2f} | {peak / 1e9:.2f} GB |")
    print(f"\nwhole / alone: {medians['whole'][0] / medians['alone'][0]:.2f} times the seconds")


if __name__ == "__main__":
    main()
