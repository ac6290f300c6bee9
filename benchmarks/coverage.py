"""How often the 95 % intervals hold the truth, beside the percentile bootstrap; and how often the tests are wrong.

    python benchmarks/coverage.py [DRAWS]

Prints the tables of docs/intervals.md. With the 4,000 draws that stand there it takes some minutes; the
standard deviation of luck is then 0.3 points.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.coverage import EXACT, LOSSES, SHARES, coverage, exact_coverage, false_alarms, worlds, wrong_families

NAMES = (*SHARES, *LOSSES, "difference", "optimism", "mean accuracy")


def percentile_coverage(accuracy: float, count: int) -> float:
    """Return how often the percentile bootstrap of an accuracy holds it, without the luck of drawing."""
    hits: NDArray[np.int64] = np.arange(count + 1)
    low, high = (binom.ppf(end, count, hits / count) / count for end in (0.025, 0.975))
    return float(binom.pmf(hits, count, accuracy)[(low <= accuracy) & (accuracy <= high)].sum())


def main() -> None:
    """Print the tables."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    print("| accuracy | pictures | held, exactly | percentile bootstrap |\n|---|---|---|---|")
    for accuracy, count in EXACT:
        ours, rival = exact_coverage(accuracy, count), percentile_coverage(accuracy, count)
        print(f"| {accuracy} | {count:,} | {100 * ours:.1f} | {100 * rival:.1f} |")
    print(f"\n| {draws:,} draws of | held, % |\n|---|---|")
    for world in worlds():
        held = coverage(world, draws)
        cells = ", ".join(f"{name.replace('_', ' ')} {100 * held[name]:.1f}" for name in NAMES if name in held)
        print(f"| {world.name} | {cells} |", flush=True)
    print("\n| no difference, and one is claimed | % |\n|---|---|")
    for share, size in ((0.04, 1), (0.1, 1), (0.3, 1), (0.1, 4)):
        copies = f", in {size} copies" if size > 1 else ""
        told = f"McNemar: 200 pictures{copies}, one of two right on {share:.0%}"
        print(f"| {told} | {100 * false_alarms(draws, 200, share, size=size):.1f} |", flush=True)
    for accuracies in ([0.9] * 5, [0.9, 0.9, 0.9, 0.75], [0.95] * 3 + [0.8] * 3):
        told = f"all pairs of runs with {', '.join(map(str, accuracies))}; 250 pictures"
        print(f"| {told} | {100 * wrong_families(draws // 4, accuracies, 250):.1f} |", flush=True)


if __name__ == "__main__":
    main()
