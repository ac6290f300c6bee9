"""The RBF support vector machine: scikit-learn's, or above a size a linear one on landmarks.

SVC keeps the products of the rows it meets, and costs n^2 to n^3 in their number. Above `EXACT`
rows the kernel is taken at landmarks (Nystroem: Williams and Seeger 2000, NIPS 13), on which the
linear machine of `path` does the rest. gamma is 1 / (d var), scikit-learn's "scale": 1 / d for
standardised features.
"""

from typing import Any

import numpy as np
from demijohn.models.threads import one_thread
from numpy.typing import NDArray
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC

from ..solvers.path import fit_path
from ..solvers.weighting import Weighting
from .estimator import scores_of
from .pipelines import fill_linear
from .scaling import make_scaler
from .trial import Rows, Trial
from .tuning import GridScores

Doubles = NDArray[np.float64]

EXACT = 5000
"""Rows up to which scikit-learn's machine is taken."""
LANDMARKS = 1000
COSTLY = 2000
"""Rows from which the cost is said."""


def warn_of_kernel(count: int) -> str | None:
    """Return what to know of the cost of an RBF machine on so many rows."""
    if count > EXACT:
        return (
            f"an RBF machine costs n^2 to n^3 in the number of rows: with {count:,}, more than {EXACT:,}, the "
            f"kernel is taken at {LANDMARKS:,} landmarks (Nystroem)"
        )
    if count > COSTLY:
        return f"an RBF machine costs n^2 to n^3 in the number of rows, here {count:,}: --kernel linear takes seconds"
    return None


def fit_kernel(rows: Rows, weighting: Weighting, strength: float, seed: int) -> tuple[Any, bool]:
    """Return a pipeline trained on the rows that weigh something, and whether training converged."""
    return _fit(rows, weighting, np.array([strength]), seed)[0]


def judge_kernel(trial: Trial, strengths: Doubles, seed: int) -> GridScores:
    """Return how each C does on the rows held out."""
    loss, accuracy = np.zeros((2, len(strengths), len(trial.weightings)))
    converged = np.ones(len(strengths), dtype=bool)
    for f, each in enumerate(trial.weightings):
        held, weights = _held_out(each)
        codes = trial.rows.codes[held]
        for s, (pipeline, done) in enumerate(_fit(trial.rows, each, strengths, seed)):
            scores = scores_of(pipeline, trial.rows.X[held])[0]
            converged[s] &= done
            signs = np.where(codes[:, None] == np.arange(scores.shape[1]), 1, -1)
            loss[s, f] = np.average(np.square(np.maximum(0, 1 - signs * scores)).mean(axis=1), weights=weights)
            accuracy[s, f] = np.average(scores.argmax(axis=1) == codes, weights=weights)
    return GridScores(strengths, loss.mean(axis=1), accuracy.mean(axis=1), converged)


def score_kernel_held_out(trial: Trial, strength: float, seed: int) -> Doubles:
    """Return scores (n, c) of every row by the machine that was not trained on it, nan for others."""
    scores = np.full((len(trial.rows.X), len(trial.rows.classes)), np.nan)
    for each in trial.weightings:
        held, _ = _held_out(each)
        scores[held] = scores_of(fit_kernel(trial.rows, each, strength, seed)[0], trial.rows.X[held])[0]
    return scores


def _held_out(weighting: Weighting) -> tuple[NDArray[np.intp], Doubles]:
    assert weighting.held_out is not None
    held = np.flatnonzero(weighting.held_out)
    return held, np.asarray(weighting.held_out[held], dtype=np.float64)


def _fit(rows: Rows, weighting: Weighting, strengths: Doubles, seed: int) -> list[tuple[Any, bool]]:
    """Return a pipeline for each C, and whether training converged."""
    trained = np.flatnonzero(weighting.weights)
    scaler = make_scaler(np.asarray(weighting.mean), np.asarray(weighting.scale))
    Z = scaler.transform(rows.X[trained])
    codes, weights = rows.codes[trained], np.asarray(weighting.weights[trained], dtype=np.float64)
    if len(trained) > EXACT:
        mapping = Nystroem("rbf", gamma=1 / Z.shape[1], n_components=LANDMARKS, random_state=seed).fit(Z)
        mapped = mapping.transform(Z).astype(np.float32)
        still = Weighting(weights, np.zeros(mapped.shape[1]), np.ones(mapped.shape[1]))
        path = fit_path(
            mapped, codes, strengths=strengths, weightings=[still], loss="squared_hinge", classes=len(rows.classes)
        )
        assert path.coefficients is not None
        return [
            (
                make_pipeline(
                    scaler,
                    mapping,
                    fill_linear(LinearSVC(C=strength), rows.classes, path.coefficients[s, 0], path.intercepts[s, 0]),
                ),
                bool(path.converged[s, 0]),
            )
            for s, strength in enumerate(strengths)
        ]
    found = []
    for strength in strengths:
        classifier = SVC(C=float(strength), kernel="rbf", gamma=1 / Z.shape[1], break_ties=True, cache_size=500)
        with one_thread():
            classifier.fit(Z, rows.classes[codes], sample_weight=weights)
        found.append((make_pipeline(scaler, classifier), not classifier.fit_status_))
    return found
