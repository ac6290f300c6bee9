"""What tuning gains: every head with what it chooses (strength; epochs of `dense`), and with what is usual.

    python benchmarks/tuning.py STORE [--splits N] [--dataset NAME ...] [--head NAME ...]
    python benchmarks/tuning.py STORE --rules

STORE holds features of one or more labelled data sets. Each is cut N times at random, by seed, into
70 % training, 15 % validation and 15 % test; each head chooses on validation and is refit on both,
and the untuned one is trained on both as well, so that they differ in the strength alone. Printed are
mean test accuracies over the cuts, and the difference with a 95 % interval: Student's over the cuts,
with the variance widened by test / training size for the overlap of the cuts (Nadeau and Bengio 2003,
Machine Learning 52:239-281).

With --rules, the rule of choice is compared instead, on logistic regression: which test accuracy and
log loss come of taking the best accuracy and of equals the least loss, the least loss, or what
demijohn takes (`models/heads/tuning.py`).
"""

import argparse
import os
import platform
import time
from typing import Any

import numpy as np
from demijohn.cache import FeatureStore
from demijohn.models import HEADS
from demijohn.pipeline.datasets.examples import choose_examples
from scipy.stats import t as student

SHARES = (0.7, 0.85)


def main() -> None:
    """Print a table per data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--dataset", nargs="*")
    parser.add_argument("--head", nargs="*", default=list(HEADS))
    parser.add_argument("--rules", action="store_true")
    asked = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.platform()}")
    store = FeatureStore(asked.store)
    for name in asked.dataset or store.dataset_names():
        X, y = read(store, name)
        classes = len(np.unique(y))
        print(f"\n{name}: {len(X):,} pictures in {classes} classes, {asked.splits} cuts")
        if asked.rules:
            compare_rules(X, y, asked.splits)
            continue
        print(f"{'head':10}{'untuned':>9}{'tuned':>9}   {'gain in points':24}{'seconds':>8}   strengths chosen")
        for head in asked.head:
            print(compare(head, X, y, asked.splits), flush=True)


def read(store: FeatureStore, dataset: str) -> tuple[Any, Any]:
    """Return features and labels of a data set."""
    table = store.find_dataset(dataset)
    for features in store.feature_sets():
        keys = features.keys()
        examples = choose_examples(table, lambda keys=keys: keys, store)
        if {row.key for row in examples.rows} <= keys:
            return features.read([row.key for row in examples.rows]), examples.labels
    raise SystemExit(f"{dataset} has no whole feature set in {store.folder}: run extract-features")


def compare(name: str, X: Any, y: Any, cuts: int) -> str:
    """Return a line of the table."""
    record = HEADS[name]
    plain = record.settle(record.complete({}))
    accuracies, chosen, seconds = np.zeros((cuts, 2)), [], []
    for cut in range(cuts):
        order = np.random.default_rng(cut).permutation(len(X))
        train, validation, test = np.split(order, [int(share * len(X)) for share in SHARES])
        both = np.concatenate([train, validation])
        start = time.perf_counter()
        search: Any = record.make(record.complete({}), seed=cut).fit(
            X[train], y[train], validation=(X[validation], y[validation])
        )
        tuned = record.make({**record.complete({}), **search.chosen_}, seed=cut).fit(X[both], y[both])
        seconds.append(time.perf_counter() - start)
        chosen += search.chosen_.values()
        untuned = record.make(plain, seed=cut).fit(X[both], y[both])
        accuracies[cut] = [(head.predict(X[test]) == y[test]).mean() for head in (untuned, tuned)]
    gains = 100 * (accuracies[:, 1] - accuracies[:, 0])
    error = np.sqrt((1 / cuts + (1 - SHARES[1]) / SHARES[1]) * gains.var(ddof=1)) * student.ppf(0.975, cuts - 1)
    told = f"{gains.mean():+.1f} [{gains.mean() - error:+.1f}, {gains.mean() + error:+.1f}]"
    before, after = 100 * accuracies.mean(axis=0)
    strengths = ", ".join(f"{each:g}" for each in sorted(set(chosen)))
    return f"{name:10}{before:9.2f}{after:9.2f}   {told:24}{np.median(seconds):8.1f}   {strengths}"


def compare_rules(X: Any, y: Any, cuts: int) -> None:
    """Print mean test accuracy and log loss by each rule."""
    from demijohn.models.heads.tuning import GridScores, choose

    record, found = HEADS["logistic"], np.zeros((3, cuts, 2))
    for cut in range(cuts):
        order = np.random.default_rng(cut).permutation(len(X))
        train, validation, test = np.split(order, [int(share * len(X)) for share in SHARES])
        search: Any = record.make({}, seed=cut).fit(X[train], y[train], validation=(X[validation], y[validation]))
        names = ("c", "validation_loss", "validation_accuracy", "converged")
        path = GridScores(*(np.array([point[name] for point in search.path_]) for name in names))
        best = np.flatnonzero(path.accuracy == path.accuracy.max())
        rules = (
            int(best[path.loss[best].argmin()]),
            int(path.loss.argmin()),
            choose(path, rows=len(validation), simplest="least"),
        )
        for number, chosen in enumerate(rules):
            head: Any = record.make({"c": path.strengths[chosen]}, seed=cut).fit(X[train], y[train])
            true = head.predict_proba(X[test])[np.arange(len(test)), y[test]]
            found[number, cut] = (head.predict(X[test]) == y[test]).mean(), -np.log(np.maximum(true, 1e-7)).mean()
    for rule, (accuracy, loss) in zip(
        ("best accuracy, then loss", "least loss", "demijohn's"), found.mean(axis=1), strict=True
    ):
        print(f"{rule:26}{100 * accuracy:8.2f} %   log loss {loss:.4f}")


if __name__ == "__main__":
    main()
