"""What each side of heads.py does, in a process of its own: features, demijohn's heads, their rivals.

Every side takes what was asked for, with one cell, and returns its seconds and what it found.
"""

import os
import time
import warnings
from dataclasses import asdict
from typing import Any

import numpy as np
from demijohn.cache import FeatureStore
from demijohn.models.heads.scaling import measure_features
from demijohn.models.solvers.weighting import Weighting
from roofline import measure_rates
from tuning import read

APART = {2: 0.25, 10: 0.35, 100: 0.6, 1000: 0.8}
"""How far apart the means of so many classes are, for accuracies between 70 and 97 %."""
FOLDS = 5


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
    if asked.store:
        X, labels = read(FeatureStore(asked.store), asked.cell[0])
        codes = np.unique(labels, return_inverse=True)[1]
    elif asked.features:
        with np.load(asked.features) as file:
            X = np.ascontiguousarray(file["X"], dtype=np.float32)
            codes = np.unique(file["y"], return_inverse=True)[1].astype(np.intp)
    else:
        X, codes = make_features(*(int(each) for each in asked.cell[0].split("x")))
    return X, codes, np.random.default_rng(1).permutation(len(X)) % FOLDS


def weigh_folds(X: Any, fold: Any, *, count: int = FOLDS) -> Any:
    """Return a weighting for each fold, which trains on the others."""
    held = fold == np.arange(count)[:, None]
    moments = zip(*_moments(X, ~held), strict=True)
    return [
        Weighting((~own).astype(np.float32), *each, own.astype(np.float32))
        for own, each in zip(held, moments, strict=True)
    ]


def weigh_all(X: Any) -> Any:
    """Return the weighting of all rows."""
    mean, deviation = _moments(X, np.ones((1, len(X))))
    return Weighting(np.ones(len(X), np.float32), mean[0], deviation[0])


def _moments(X: Any, counts: Any) -> tuple[Any, Any]:
    mean, deviation = measure_features(X, counts)
    return mean, np.where(deviation > 0, deviation, 1)


def _grid(asked: Any) -> Any:
    return np.logspace(-6, 5, asked.strengths)


def _penalties(asked: Any) -> Any:
    return np.logspace(-2, 8, asked.strengths)


def our_logistic(asked: Any, *, leave: Any = None) -> dict[str, Any]:
    """Return seconds, and what the best C comes to on the folds that the rival goes through."""
    from demijohn.models.solvers.path import fit_path

    X, codes, fold = _given(asked)
    grid = _grid(asked)
    start = time.perf_counter()
    path = fit_path(X, codes, strengths=grid, weightings=weigh_folds(X, fold), leave=leave)
    losses = path.held_out_loss[:, : asked.rival_folds].mean(axis=1)
    best = int(np.nanargmin(losses))
    refit = fit_path(X, codes, strengths=grid[[best]], weightings=[weigh_all(X)])
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "shape": [*X.shape, int(codes.max()) + 1],
        "best": float(grid[best]),
        "loss": float(losses[best]),
        "accuracy": float(path.held_out_accuracy[best, : asked.rival_folds].mean()),
        "refit": float(refit.objective[0, 0]),
        "products": int(path.iterations.sum()),
        "converged": bool(path.converged[~path.left].all() and refit.converged.all()),
    }


def our_logistic_left(asked: Any) -> dict[str, Any]:
    """Return the same, left when the loss has clearly turned."""
    return our_logistic(asked, leave="loss")


def their_logistic(asked: Any) -> dict[str, Any]:
    """Return seconds, those of folds left out included, and the same figures of scikit-learn, scaled by all rows."""
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

    warnings.simplefilter("ignore")
    X, codes, fold = _given(asked)
    grid, count = _grid(asked), asked.rival_folds
    start = time.perf_counter()
    mean, deviation = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    deviation[deviation == 0] = 1
    Z = ((X - mean.astype(np.float32)) / deviation.astype(np.float32)).astype(np.float32)
    splits = [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(count)]
    options = {"tol": asked.tol, "max_iter": 5000}
    model = LogisticRegressionCV(
        Cs=grid, cv=splits, scoring="neg_log_loss", n_jobs=os.cpu_count(), refit=False, **options
    ).fit(Z, codes)
    # Every class has the same scores, and coefficients (fold, strength, feature) of its own.
    losses = -np.mean(next(iter(model.scores_.values())), axis=0)
    best = int(losses.argmin())
    paths = np.stack([model.coefs_paths_[each][:, best] for each in sorted(model.coefs_paths_)], axis=1)
    folds = time.perf_counter() - start
    # As LogisticRegressionCV does it, from the mean over the folds.
    last = LogisticRegression(C=grid[best], warm_start=True, **options)
    last.classes_, last.coef_, last.intercept_ = np.unique(codes), paths.mean(axis=0)[:, :-1], paths.mean(axis=0)[:, -1]
    last.fit(Z, codes)
    refit = time.perf_counter() - start - folds
    margins = [Z[held] @ path[:, :-1].T + path[:, -1] for (_, held), path in zip(splits, paths, strict=True)]
    guesses = [each.argmax(axis=1) if each.shape[1] > 1 else each[:, 0] > 0 for each in margins]
    right = [(guess == codes[held]).mean() for (_, held), guess in zip(splits, guesses, strict=True)]
    return {
        "seconds": folds * FOLDS / count + refit,
        "scaled": count < FOLDS,
        "best": float(grid[best]),
        "loss": float(losses[best]),
        "accuracy": float(np.mean(right)),
        "refit": _objective(last.coef_.astype(float), last.decision_function(Z).astype(float), codes, grid[best]),
    }


def _objective(coefficients: Any, margins: Any, codes: Any, c: float) -> float:
    if margins.ndim == 1:
        losses = np.logaddexp(0, np.where(codes == 1, -margins, margins))
    else:
        losses = np.logaddexp.reduce(margins, axis=1) - margins[np.arange(len(codes)), codes]
    return float(0.5 * np.square(coefficients).sum() + c * losses.sum())


def our_ridge(asked: Any) -> dict[str, Any]:
    """Return seconds and the best penalty by leaving one row out."""
    from demijohn.models.solvers.eigen_path import leave_one_out

    X, codes, _ = _given(asked)
    start = time.perf_counter()
    loss, _ = leave_one_out(X, codes, strengths=_penalties(asked), weighting=weigh_all(X))
    best = int(np.nanargmin(loss))
    return {"seconds": time.perf_counter() - start, "best": best, "loss": float(loss[best])}


def their_ridge(asked: Any) -> dict[str, Any]:
    """Return the same of RidgeClassifierCV."""
    from sklearn.linear_model import RidgeClassifierCV

    X, codes, _ = _given(asked)
    start = time.perf_counter()
    mean, deviation = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    deviation[deviation == 0] = 1
    alphas = _penalties(asked)
    model = RidgeClassifierCV(alphas=alphas).fit((X - mean) / deviation, codes)
    seconds = time.perf_counter() - start
    best = int(np.argmin(np.abs(alphas - model.alpha_)))
    return {"seconds": seconds, "best": best, "loss": float(-model.best_score_)}


def our_ridge_folds(asked: Any) -> dict[str, Any]:
    """Return seconds and the best penalty by the accuracy in folds, with a fit of all rows."""
    from demijohn.models.solvers.ridge_path import RidgeFolds

    X, codes, fold = _given(asked)
    alphas = _penalties(asked)
    start = time.perf_counter()
    folds = RidgeFolds(X, codes, weightings=[*weigh_folds(X, fold), weigh_all(X)])
    accuracy = folds.solve(alphas, some=range(FOLDS), keep=False).held_out_accuracy.mean(axis=1)
    best = int(accuracy.argmax())
    folds.solve(alphas[[best]], some=[FOLDS])
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "best": best, "accuracy": accuracy.tolist(), "shape": X.shape}


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
    grid = {"ridgeclassifier__alpha": _penalties(asked)}
    search = GridSearchCV(pipeline, grid, cv=splits, n_jobs=os.cpu_count())
    search.fit(X, codes)
    seconds = time.perf_counter() - start
    accuracy = search.cv_results_["mean_test_score"].tolist()
    return {"seconds": seconds, "best": int(search.best_index_), "accuracy": accuracy}


def our_rates(asked: Any) -> dict[str, Any]:  # noqa: ARG001
    """Return what the machine gives."""
    return asdict(measure_rates())


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
    "rates": our_rates,
    "leave-one-out": our_ridge,
    "RidgeClassifierCV": their_ridge,
    "folds": our_ridge_folds,
    "GridSearchCV": their_ridge_folds,
}
