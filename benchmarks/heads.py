"""How fast are the linear heads with all their strengths and folds, and how does the cost grow?

    python benchmarks/heads.py logistic [--cell 3000x2048x10 ...] [--limit SECONDS] [--repeats N]
    python benchmarks/heads.py ridge    [--cell 3000x2048x10 ...]
    python benchmarks/heads.py growth   [--plot FILE]

logistic  45 values of C in 5 folds, and a fit of all rows with the best by log loss, against
          scikit-learn's LogisticRegressionCV on the same grid, folds and scaled rows, in 32 bits, on
          as many processes as there are cores. Printed twice: the whole path, and the path left when
          the loss has clearly turned. A rival that takes longer than --limit is stopped: then its
          time, and the ratio, are lower bounds.
ridge     45 penalties judged by leaving one row out, against RidgeClassifierCV, and in 5 folds with a
          fit of all rows, against GridSearchCV of RidgeClassifier; and the least time that this
          machine's rates allow for it (roofline.py)
growth    seconds by rows, features and classes

Features are made up to look like those of a network: ReLU of a low-rank mixture of classes plus
noise, half of them zero, of uneven size. --features FILE.npz takes real ones, arrays X and y in it;
with --store STORE cells are the names of data sets in it. All sides run in turn, each in a process of
its own; printed are medians and ratios of medians.

For cells in which LogisticRegressionCV takes hours, --strengths N gives both sides a grid of N values
over the same range, and --rival-folds N has it go through N folds only: the time of these, times 5 / N,
and of its last fit is printed with a ~, and both sides choose by the loss on these N. With as many
folds as cores none of its processes waits for another, as some do with five on two.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from typing import Any

import numpy as np
from demijohn.cache import FeatureStore
from roofline import Rates, bound_ridge
from sides import FOLDS, SIDES, make_features, weigh_folds

CELLS = [f"{n}x2048x{classes}" for n in (3000, 10_000) for classes in (2, 10, 100)]
PASSED_ON = ("tol", "strengths", "rival_folds", "features", "store")
"""Options that each side is given, too."""


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("logistic", "ridge", "growth"))
    parser.add_argument("--cell", nargs="*", help="rows x features x classes, or names of data sets")
    parser.add_argument("--features", help="an .npz file with X and y, in the place of made-up ones")
    parser.add_argument("--store", help="a store of demijohn's whose data sets are the cells")
    parser.add_argument("--strengths", type=int, default=45)
    parser.add_argument("--rival-folds", type=int, default=FOLDS, help="so many of five, and its time scaled")
    parser.add_argument("--limit", type=float, default=1800, help="seconds that a rival may take")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tol", type=float, default=1e-8, help="the rival's tolerance")
    parser.add_argument("--plot", help="where to draw growth")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.cell is None:
        asked.cell = FeatureStore(asked.store).dataset_names() if asked.store else CELLS
    if asked.side:
        print(json.dumps(SIDES[asked.side](asked)))
    elif asked.what is None:
        print(__doc__)
    else:
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.platform()}\n")
        {"logistic": logistic, "ridge": ridge, "growth": growth}[asked.what](asked)


def run_in_turn(asked: Any, cell: str, sides: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """Return what each side found, repeat by repeat; one stopped at the limit has found nothing but that."""
    found = defaultdict(list)
    stopped = set()
    for _ in range(asked.repeats):
        for side in sides:
            if side in stopped:
                continue
            command = [sys.executable, __file__, asked.what, "--side", side, "--cell", cell]
            for name in PASSED_ON:
                if (value := getattr(asked, name)) is not None:
                    command += [f"--{name.replace('_', '-')}", str(value)]
            try:
                done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=asked.limit)
                found[side].append(json.loads(done.stdout))
            except subprocess.TimeoutExpired:
                stopped.add(side)
                found[side].append({"seconds": asked.limit, "stopped": True})
    return found


def _seconds(runs: list[dict[str, Any]]) -> float:
    return statistics.median(run["seconds"] for run in runs)


def _ratio(ours: Any, theirs: Any) -> str:
    sign = ">= " if theirs[0].get("stopped") else ""
    return f"{sign}{_seconds(theirs) / _seconds(ours):.1f}"


def logistic(asked: Any) -> None:
    """Print a line per cell."""
    print("| cell | scikit-learn s | whole path s | ratio | left early s | ratio | objective of the refit | accuracy |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    notes = []
    for cell in asked.cell:
        found = run_in_turn(asked, cell, ("ours", "ours, left", "scikit-learn", "product"))
        whole, left, theirs = (found[side][0] for side in ("ours", "ours, left", "scikit-learn"))
        excess, accuracies = "-", f"{100 * whole['accuracy']:.2f}"
        if not theirs.get("stopped"):
            excess = f"{whole['refit'] / theirs['refit'] - 1:+.1e}"
            excess += "" if whole["best"] == theirs["best"] else " (another C)"
            accuracies += f", {100 * theirs['accuracy']:.2f}"
        sides = ("scikit-learn", "ours", "ours, left")
        rival, whole_seconds, left_seconds = (f"{_seconds(found[side]):.1f}" for side in sides)
        print(
            f"| {cell} | {'~' if theirs.get('scaled') else ''}{rival} "
            f"| {whole_seconds} | {_ratio(found['ours'], found['scikit-learn'])} "
            f"| {left_seconds} | {_ratio(found['ours, left'], found['scikit-learn'])} | {excess} | {accuracies} |",
            flush=True,
        )
        notes.append(
            f"{cell}: {asked.strengths} strengths; best C {whole['best']:.1e}, left early {left['best']:.1e}; "
            f"log loss {whole['loss']:.4f}, theirs {theirs.get('loss', np.nan):.4f}; "
            f"converged: {whole['converged']}; " + _tell_products(whole, _seconds(found["ours"]), found["product"])
        )
    print("\n" + "\n".join(notes))


def _tell_products(run: dict[str, Any], seconds: float, product: list[dict[str, Any]]) -> str:
    n, d, classes = run["shape"]
    work = 4 * n * d * (1 if classes == 2 else classes) * run["products"] / 1e9
    rate = statistics.median(each["rate"] for each in product)
    return (
        f"{work:.0f} * 10^9 operations in products, {rate:.0f} * 10^9 a second alone: {work / rate / seconds:.0%} of it"
    )


def ridge(asked: Any) -> None:
    """Print a line per cell."""
    print("| cell | RidgeClassifierCV s | leave-one-out s | ratio | GridSearchCV s | folds s | ratio | same penalty |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    pairs, notes = (("leave-one-out", "RidgeClassifierCV"), ("folds", "GridSearchCV")), []
    for cell in asked.cell:
        found = run_in_turn(asked, cell, (*(side for pair in pairs for side in pair), "rates"))
        line, same = [cell], []
        for ours, theirs in pairs:
            seconds = [f"{_seconds(found[side]):.1f}" for side in (theirs, ours)]
            line += [*seconds, _ratio(found[ours], found[theirs])]
            stopped = found[theirs][0].get("stopped")
            same.append("-" if stopped else str(found[ours][0]["best"] == found[theirs][0]["best"]))
        print(f"| {' | '.join([*line, ', '.join(same)])} |", flush=True)
        rates = Rates(*(statistics.median(run[name] for run in found["rates"]) for name in Rates.__annotations__))
        notes += [f"{cell}:", *_tell_bounds(asked, found["folds"], found["GridSearchCV"], rates)]
    print("\n" + "\n".join(notes))


def _tell_bounds(asked: Any, ours: list[dict[str, Any]], theirs: list[dict[str, Any]], rates: Rates) -> list[str]:
    from demijohn.models.solvers.band import WIDTH

    lines, (n, d) = [], ours[0]["shape"]
    if not theirs[0].get("stopped"):
        apart = np.abs(np.subtract(ours[0]["accuracy"], theirs[0]["accuracy"])).max()
        lines.append(f"accuracy of folds and GridSearchCV at most {100 * apart:.2f} points apart, at any penalty")
    lines.append(
        f"the machine: {rates.doubles / 1e9:.0f} * 10^9 operations a second in 64 bits, "
        f"{rates.singles / 1e9:.0f} in 32; {rates.copied / 1e9:.1f} GB/s"
    )
    bounds = bound_ridge(n, d, strengths=asked.strengths, folds=FOLDS, band=WIDTH) if n * (1 - 1 / FOLDS) > d else {}
    for way, (operations, moved) in bounds.items():
        least = max(operations / rates.doubles, moved / rates.copied)
        lines.append(
            f"{way}: {operations / 1e9:.0f} * 10^9 operations, {moved / 1e9:.1f} GB: {least:.2f} s or more, "
            f"{_seconds(theirs) / least:.0f} times as fast as GridSearchCV at the most"
        )
    if bounds:
        lines.append(f"folds took {_seconds(ours):.2f} s: {least / _seconds(ours):.0%} of what the last allows")
    return lines


def growth(asked: Any) -> None:
    """Print seconds of one path of 9 strengths on one split, by size."""
    from demijohn.models.solvers.path import fit_path

    sweeps = {
        "rows": [(n, 1024, 10) for n in (1000, 3000, 10_000, 30_000, 100_000)],
        "features": [(3000, d, 10) for d in (256, 512, 1024, 2048, 4096)],
        "classes": [(3000, 1024, classes) for classes in (2, 10, 30, 100, 300, 1000)],
    }
    curves = {}
    print("| varied | rows | features | classes | seconds | products |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, sizes in sweeps.items():
        curves[name] = []
        for size in sizes:
            X, codes = make_features(*size)
            fold = np.random.default_rng(1).permutation(len(X)) % FOLDS
            weightings, seconds = weigh_folds(X, fold, count=1), []
            while len(seconds) < asked.repeats and sum(seconds) < 60:
                start = time.perf_counter()
                path = fit_path(X, codes, strengths=np.logspace(-6, 0, 9), weightings=weightings, leave="loss")
                seconds.append(time.perf_counter() - start)
            curves[name].append((size[list(sweeps).index(name)], statistics.median(seconds)))
            cells = (name, *size, f"{statistics.median(seconds):.2f}", path.iterations.sum())
            print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)
    if asked.plot:
        draw(curves, asked.plot)


def draw(curves: dict[str, list[tuple[int, float]]], path: str) -> None:
    """Draw seconds by what was varied."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(12, 4), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (name, curve) in zip(panels, curves.items(), strict=True):
        sizes, seconds = zip(*curve, strict=True)
        axes.loglog(sizes, seconds, marker="o")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(name)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("seconds")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
