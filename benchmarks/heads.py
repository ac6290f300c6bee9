"""How fast are the linear heads with all their strengths and folds, and how does the cost grow?

    python benchmarks/heads.py logistic [--cell 3000x2048x10 ...] [--limit SECONDS] [--repeats N]
    python benchmarks/heads.py ridge    [--cell 3000x2048x10 ...]
    python benchmarks/heads.py growth   [--plot FILE]

logistic  45 values of C in 5 folds, and a fit of all rows with the best by log loss, against
          scikit-learn's LogisticRegressionCV on the same grid, folds and scaled rows, in 32 bits, on
          as many processes as there are cores. Printed twice: the whole path, and the path left when
          the loss has clearly turned. A rival that takes longer than --limit is stopped: then its
          time, and the ratio, are lower bounds.
ridge     45 penalties judged by leaving one row out, against RidgeClassifierCV, and in 5 folds,
          against GridSearchCV of RidgeClassifier
growth    seconds by rows, features and classes

Features are made up to look like those of a network: ReLU of a low-rank mixture of classes plus
noise, half of them zero, of uneven size. --features FILE.npz takes real ones, arrays X and y in it.
All sides run in turn, each in a process of its own; printed are medians and ratios of medians.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from typing import Any

import numpy as np

CELLS = [f"{n}x2048x{classes}" for n in (3000, 10_000) for classes in (2, 10, 100)]
APART = {2: 0.25, 10: 0.35, 100: 0.6, 1000: 0.8}
"""How far apart the means of so many classes are, for accuracies between 70 and 97 %."""
GRID = np.logspace(-6, 5, 45)
ALPHAS = np.logspace(-2, 8, 45)
FOLDS = 5


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("logistic", "ridge", "growth"))
    parser.add_argument("--cell", nargs="*", default=CELLS, help="rows x features x classes")
    parser.add_argument("--features", help="an .npz file with X and y, in the place of made-up ones")
    parser.add_argument("--limit", type=float, default=1800, help="seconds that a rival may take")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tol", type=float, default=1e-8, help="the rival's tolerance")
    parser.add_argument("--plot", help="where to draw growth")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(SIDES[asked.side](asked)))
    elif asked.what is None:
        print(__doc__)
    else:
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.platform()}\n")
        {"logistic": logistic, "ridge": ridge, "growth": growth}[asked.what](asked)


def make_features(n: int, d: int, classes: int, *, seed: int = 0) -> tuple[Any, Any]:
    """Return features (n, d) float32 and classes (n,): ReLU of a low-rank mixture plus noise."""
    random = np.random.default_rng(seed)
    codes = random.permutation(np.arange(n) % classes)
    rank = 64
    fall = 1 / np.sqrt(1 + np.arange(rank))
    nearest = min(APART, key=lambda known: abs(np.log(known / classes)))
    centres = random.standard_normal((classes, rank)) * APART[nearest]
    hidden = (centres[codes] + random.standard_normal((n, rank))) * fall
    X = hidden.astype(np.float32) @ random.standard_normal((rank, d), dtype=np.float32)
    X += 0.5 * random.standard_normal(d, dtype=np.float32) - 0.1
    X += 0.7 * random.standard_normal((n, d), dtype=np.float32)
    X *= np.exp(0.5 * random.standard_normal(d, dtype=np.float32))
    return np.maximum(X, 0, out=X), codes.astype(np.intp)


def _given(asked: Any) -> tuple[Any, Any, Any]:
    """Return features, classes and the fold of each row."""
    if asked.features:
        with np.load(asked.features) as file:
            X = np.ascontiguousarray(file["X"], dtype=np.float32)
            codes = np.unique(file["y"], return_inverse=True)[1].astype(np.intp)
    else:
        X, codes = make_features(*(int(each) for each in asked.cell[0].split("x")))
    return X, codes, np.random.default_rng(1).permutation(len(X)) % FOLDS


def _weightings(X: Any, fold: Any, *, count: int = FOLDS) -> Any:
    from demijohn.models.weighting import Weighting

    result = []
    for number in range(count):
        rows = fold != number
        result.append(Weighting(rows.astype(np.float32), *_moments(X[rows]), (~rows).astype(np.float32)))
    return result


def _moments(X: Any) -> tuple[Any, Any]:
    deviation = X.std(axis=0, dtype=np.float64)
    return X.mean(axis=0, dtype=np.float64), np.where(deviation > 0, deviation, 1)


def our_logistic(asked: Any, *, leave: Any = None) -> dict[str, Any]:
    """Return seconds, and losses, accuracies and objectives by strength."""
    from demijohn.models.path import fit_path
    from demijohn.models.weighting import Weighting

    X, codes, fold = _given(asked)
    start = time.perf_counter()
    path = fit_path(X, codes, strengths=GRID, weightings=_weightings(X, fold), leave=leave)
    best = path.best("loss")
    everything = Weighting(np.ones(len(X), np.float32), *_moments(X))
    refit = fit_path(X, codes, strengths=GRID[[best]], weightings=[everything])
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "best": best,
        "loss": path.held_out_loss.mean(axis=1).tolist(),
        "accuracy": path.held_out_accuracy.mean(axis=1).tolist(),
        "objective": path.objective[:, 0].tolist(),
        "refit": float(refit.objective[0, 0]),
        "products": int(path.iterations.sum()),
        "converged": bool(path.converged[~path.left].all() and refit.converged.all()),
    }


def our_logistic_left(asked: Any) -> dict[str, Any]:
    """Return the same, left when the loss has clearly turned."""
    return our_logistic(asked, leave="loss")


def their_logistic(asked: Any) -> dict[str, Any]:
    """Return seconds and the same figures of LogisticRegressionCV, scaled by all rows."""
    from sklearn.linear_model import LogisticRegressionCV

    warnings.simplefilter("ignore")
    X, codes, fold = _given(asked)
    start = time.perf_counter()
    mean, deviation = _moments(X)
    Z = ((X - mean.astype(np.float32)) / deviation.astype(np.float32)).astype(np.float32)
    splits = [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(FOLDS)]
    options = {"scoring": "neg_log_loss", "tol": asked.tol, "max_iter": 5000, "n_jobs": os.cpu_count()}
    model = LogisticRegressionCV(Cs=GRID, cv=splits, **options).fit(Z, codes)
    seconds = time.perf_counter() - start
    best = int(np.argmin(np.abs(GRID - np.ravel(model.C_)[0])))
    scores = next(iter(model.scores_.values())) if isinstance(model.scores_, dict) else model.scores_
    margins = model.decision_function(Z).astype(np.float64)
    coefficients = model.coef_.astype(np.float64)
    return {
        "seconds": seconds,
        "best": best,
        "loss": (-np.asarray(scores).mean(axis=0)).tolist(),
        "refit": _objective(coefficients, margins, codes, GRID[best]),
    }


def _objective(coefficients: Any, margins: Any, codes: Any, c: float) -> float:
    if margins.ndim == 1:
        losses = np.logaddexp(0, np.where(codes == 1, -margins, margins))
    else:
        losses = np.logaddexp.reduce(margins, axis=1) - margins[np.arange(len(codes)), codes]
    return float(0.5 * np.square(coefficients).sum() + c * losses.sum())


def our_ridge(asked: Any) -> dict[str, Any]:
    """Return seconds and the best penalty by leaving one row out."""
    from demijohn.models.eigen_path import fit_ridge_path
    from demijohn.models.weighting import Weighting

    X, codes, _ = _given(asked)
    start = time.perf_counter()
    path = fit_ridge_path(X, codes, strengths=ALPHAS, weighting=Weighting(np.ones(len(X)), *_moments(X)))
    best = int(np.nanargmin(path.leave_one_out_loss))
    return {"seconds": time.perf_counter() - start, "best": best, "loss": float(path.leave_one_out_loss[best])}


def their_ridge(asked: Any) -> dict[str, Any]:
    """Return the same of RidgeClassifierCV."""
    from sklearn.linear_model import RidgeClassifierCV

    X, codes, _ = _given(asked)
    start = time.perf_counter()
    mean, deviation = _moments(X)
    model = RidgeClassifierCV(alphas=ALPHAS).fit((X - mean) / deviation, codes)
    seconds = time.perf_counter() - start
    best = int(np.argmin(np.abs(ALPHAS - model.alpha_)))
    return {"seconds": seconds, "best": best, "loss": float(-model.best_score_)}


def our_ridge_folds(asked: Any) -> dict[str, Any]:
    """Return seconds and the best penalty by the accuracy in folds, with a fit of all rows."""
    from demijohn.models.eigen_path import fit_ridge_path
    from demijohn.models.weighting import Weighting

    X, codes, fold = _given(asked)
    start = time.perf_counter()
    options = {"strengths": ALPHAS, "leave_one_out": False}
    paths = [fit_ridge_path(X, codes, weighting=each, **options) for each in _weightings(X, fold)]
    accuracy = np.mean([path.held_out_accuracy for path in paths], axis=0)
    best = int(accuracy.argmax())
    weighting = Weighting(np.ones(len(X)), *_moments(X))
    fit_ridge_path(X, codes, strengths=ALPHAS[[best]], weighting=weighting, leave_one_out=False)
    return {"seconds": time.perf_counter() - start, "best": best, "loss": float(1 - accuracy[best])}


def their_ridge_folds(asked: Any) -> dict[str, Any]:
    """Return the same of GridSearchCV."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, codes, fold = _given(asked)
    splits = [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(FOLDS)]
    start = time.perf_counter()
    pipeline = make_pipeline(StandardScaler(), RidgeClassifier())
    search = GridSearchCV(pipeline, {"ridgeclassifier__alpha": ALPHAS}, cv=splits, n_jobs=os.cpu_count())
    search.fit(X, codes)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "best": int(search.best_index_), "loss": float(1 - search.best_score_)}


def our_limit(asked: Any) -> dict[str, Any]:
    """Return operations per second, in 10^9, of plain products of the same width, one on each core."""
    from threadpoolctl import threadpool_limits

    X, codes, _ = _given(asked)
    width = FOLDS * (1 if codes.max() == 1 else int(codes.max()) + 1)
    width *= max(1, min(6, 96 // width))
    V = np.random.default_rng(0).standard_normal((width, X.shape[1]), dtype=np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        # On one thread: where two share a product this thin, their waiting for each other is measured.
        with threadpool_limits(1, user_api="blas"):
            margins = V @ X.T
            margins @ X
        seconds.append(time.perf_counter() - start)
    return {"seconds": min(seconds), "rate": 4 * X.size * width / min(seconds) / 1e9 * (os.cpu_count() or 1)}


SIDES: dict[str, Any] = {
    "ours": our_logistic,
    "ours, left": our_logistic_left,
    "scikit-learn": their_logistic,
    "product": our_limit,
    "leave-one-out": our_ridge,
    "RidgeClassifierCV": their_ridge,
    "folds": our_ridge_folds,
    "GridSearchCV": their_ridge_folds,
}


def run_in_turn(asked: Any, cell: str, sides: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """Return what each side found, repeat by repeat; one stopped at the limit has found nothing but that."""
    found = defaultdict(list)
    stopped = set()
    for _ in range(asked.repeats):
        for side in sides:
            if side in stopped:
                continue
            command = [sys.executable, __file__, asked.what, "--side", side, "--cell", cell, "--tol", str(asked.tol)]
            command += ["--features", asked.features] if asked.features else []
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
    print("| cell | scikit-learn s | whole path s | ratio | left early s | ratio | objective of the refit | log loss |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    notes = []
    for cell in asked.cell:
        found = run_in_turn(asked, cell, ("ours", "ours, left", "scikit-learn", "product"))
        whole, left, theirs = found["ours"], found["ours, left"], found["scikit-learn"]
        excess, losses = "-", "-"
        if not theirs[0].get("stopped"):
            excess = f"{whole[0]['refit'] / theirs[0]['refit'] - 1:+.1e}"
            excess += "" if whole[0]["best"] == theirs[0]["best"] else " (another C)"
            losses = f"{whole[0]['loss'][whole[0]['best']]:.4f}, {theirs[0]['loss'][theirs[0]['best']]:.4f}"
        seconds = [f"{_seconds(runs):.1f}" for runs in (theirs, whole, left)]
        print(
            f"| {cell} | {seconds[0]} | {seconds[1]} | {_ratio(whole, theirs)} | {seconds[2]} | {_ratio(left, theirs)} "
            f"| {excess} | {losses} |",
            flush=True,
        )
        accuracy = whole[0]["accuracy"][whole[0]["best"]]
        notes.append(
            f"{cell}: best C {GRID[whole[0]['best']]:.1e}, left early {GRID[left[0]['best']]:.1e}; "
            f"accuracy {accuracy:.3f}; "
            f"converged: {whole[0]['converged']}; " + _roofline(cell, whole[0], _seconds(whole), found["product"])
        )
    print("\n" + "\n".join(notes))


def _roofline(cell: str, run: dict[str, Any], seconds: float, product: list[dict[str, Any]]) -> str:
    n, d, classes = (int(each) for each in cell.split("x"))
    work = 4 * n * d * (1 if classes == 2 else classes) * run["products"] / 1e9
    rate = statistics.median(each["rate"] for each in product)
    return (
        f"{work:.0f} * 10^9 operations in products, {rate:.0f} * 10^9 a second alone: {work / rate / seconds:.0%} of it"
    )


def ridge(asked: Any) -> None:
    """Print a line per cell."""
    print("| cell | RidgeClassifierCV s | leave-one-out s | ratio | GridSearchCV s | folds s | ratio | same penalty |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for cell in asked.cell:
        found = run_in_turn(asked, cell, ("leave-one-out", "RidgeClassifierCV", "folds", "GridSearchCV"))
        line = [cell]
        for ours, theirs in (("leave-one-out", "RidgeClassifierCV"), ("folds", "GridSearchCV")):
            line += [
                f"{_seconds(found[theirs]):.1f}",
                f"{_seconds(found[ours]):.1f}",
                _ratio(found[ours], found[theirs]),
            ]
        pairs = (("leave-one-out", "RidgeClassifierCV"), ("folds", "GridSearchCV"))
        same = [str(found[a][0]["best"] == found[b][0].get("best", "stopped")) for a, b in pairs]
        line.append(", ".join("-" if found[b][0].get("stopped") else s for (_, b), s in zip(pairs, same, strict=True)))
        print(f"| {' | '.join(line)} |", flush=True)


def growth(asked: Any) -> None:
    """Print seconds of one path of 9 strengths on one split, by size."""
    from demijohn.models.path import fit_path

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
            weightings, seconds = _weightings(X, fold, count=1), []
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
