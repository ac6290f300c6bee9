"""Ridge classifiers of every strength and weighting: what scikit-learn finds one by one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from demijohn.models.solvers import ridge_path
from demijohn.models.solvers.ridge_path import RidgeFolds, RidgePath
from demijohn.models.solvers.weighting import Weighting
from sklearn.linear_model import RidgeClassifier

ALPHAS = np.logspace(-1, 5, 7)
sizes = pytest.mark.parametrize(("n", "d", "classes"), [(200, 40, 2), (200, 40, 5), (60, 130, 2), (60, 130, 3)])


def rows_of(n: int, d: int, classes: int) -> tuple[Any, Any]:
    """Return features, one of which is constant and one of which is another one again, and classes."""
    random = np.random.default_rng(0)
    codes = random.permutation(np.arange(n) % classes)
    X = np.maximum(random.normal(size=(classes, d))[codes] * 0.5 + random.normal(size=(n, d)) + 1, 0)
    X[:, 1], X[:, 2] = 3, X[:, 3]
    return X.astype(np.float32), codes


def weighting_of(X: Any, weights: Any, held_out: Any = None) -> Weighting:
    """Return a weighting standardised by the rows that count."""
    own = X[weights > 0].astype(float)
    return Weighting(weights, own.mean(axis=0), own.std(axis=0), held_out)


def folds_of(X: Any, count: int = 4) -> list[Weighting]:
    """Return the weightings of folds that are held out in turn."""
    fold = np.random.default_rng(9).permutation(len(X)) % count
    return [weighting_of(X, (fold != f).astype(float), (fold == f).astype(float)) for f in range(count)]


def scaled(X: Any, weighting: Weighting) -> Any:
    """Return standardised features, in 64 bits."""
    return (X.astype(float) - weighting.mean) / np.where(weighting.scale > 0, weighting.scale, np.inf)


def assert_like_scikit_learn(X: Any, codes: Any, weightings: Sequence[Weighting], path: RidgePath) -> None:
    """Assert that loss and accuracy, and coefficients if they are kept, are RidgeClassifier's, in 64 bits."""
    for f, weighting in enumerate(weightings):
        Z, weights = scaled(X, weighting), np.asarray(weighting.weights)
        for s, alpha in enumerate(path.strengths):
            theirs = RidgeClassifier(alpha=alpha).fit(Z[weights > 0], codes[weights > 0], weights[weights > 0])
            if path.coefficients is not None and path.intercepts is not None:
                np.testing.assert_allclose(path.coefficients[s, f], theirs.coef_.reshape(-1, X.shape[1]), atol=1e-9)
                np.testing.assert_allclose(path.intercepts[s, f], theirs.intercept_, atol=1e-9)
            if weighting.held_out is None:
                assert np.isnan(path.held_out_loss[s, f])
                continue
            rows, counts = np.flatnonzero(weighting.held_out), weighting.held_out[weighting.held_out > 0]
            scores = theirs.decision_function(Z[rows]).reshape(len(rows), -1)
            targets = np.where(codes[rows, None] == (np.arange(scores.shape[1]) if scores.shape[1] > 1 else 1), 1, -1)
            loss = np.average(np.square(scores - targets).mean(axis=1), weights=counts)
            assert path.held_out_loss[s, f] == pytest.approx(loss, rel=1e-9)
            accuracy = np.average(theirs.predict(Z[rows]) == codes[rows], weights=counts)
            assert path.held_out_accuracy[s, f] == pytest.approx(accuracy)


@sizes
@pytest.mark.parametrize("keep", [True, False])
def test_folds_are_scikit_learns(n: int, d: int, classes: int, keep: bool) -> None:
    X, codes = rows_of(n, d, classes)
    weightings = folds_of(X)
    path = RidgeFolds(X, codes, weightings=weightings).solve(ALPHAS, keep=keep)
    assert (path.coefficients is not None) == keep
    assert_like_scikit_learn(X, codes, weightings, path)


@sizes
@pytest.mark.parametrize("strengths", [[10.0], ALPHAS])
def test_rows_that_count_several_times(n: int, d: int, classes: int, strengths: Any) -> None:
    X, codes = rows_of(n, d, classes)
    weights = np.random.default_rng(1).choice([0.0, 1.0, 2.5], size=n)
    held_out = np.where(weights == 0, np.random.default_rng(2).choice([1.0, 3.0], size=n), 0)
    weightings = [weighting_of(X, weights, held_out), weighting_of(X, np.ones(n))]
    assert_like_scikit_learn(X, codes, weightings, RidgeFolds(X, codes, weightings=weightings).solve(strengths))


def test_weights_of_a_fold_s_own() -> None:
    X, codes = rows_of(200, 40, 3)
    random = np.random.default_rng(3)
    weightings = [
        Weighting(each.weights * random.uniform(0.5, 2, size=200), each.mean, each.scale, each.held_out)
        for each in folds_of(X)
    ]
    assert_like_scikit_learn(X, codes, weightings, RidgeFolds(X, codes, weightings=weightings).solve(ALPHAS))


def test_few_solutions_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    X, codes = rows_of(200, 40, 3)
    whole = RidgeFolds(X, codes, weightings=folds_of(X)).solve(ALPHAS)
    monkeypatch.setattr(ridge_path, "COLUMNS", 1)
    monkeypatch.setattr(ridge_path, "ROWS", 7)
    pieces = RidgeFolds(X, codes, weightings=folds_of(X), threads=1).solve(ALPHAS)
    np.testing.assert_allclose(pieces.coefficients, whole.coefficients, atol=1e-12)
    np.testing.assert_allclose(pieces.held_out_loss, whole.held_out_loss, rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(200, 40), (60, 130)])
def test_nothing_of_a_row_held_out_reaches_the_fit(n: int, d: int) -> None:
    X, codes = rows_of(n, d, 3)
    weightings = folds_of(X)
    before = RidgeFolds(X, codes, weightings=weightings).solve(ALPHAS)
    held = np.flatnonzero(weightings[0].held_out)
    changed, other = X.copy(), codes.copy()
    # Ten times as large as all others, and with a feature that is constant in the rest.
    changed[held] = 10 * X[held][::-1]
    changed[held, 1] = np.arange(len(held))
    other[held] = (codes[held] + 1) % 3
    after = RidgeFolds(changed, other, weightings=[weightings[0], *folds_of(changed)[1:]]).solve(ALPHAS)
    np.testing.assert_allclose(after.coefficients[:, 0], before.coefficients[:, 0], atol=1e-9)
    np.testing.assert_allclose(after.intercepts[:, 0], before.intercepts[:, 0], atol=1e-9)
    assert np.abs(after.coefficients[:, 1] - before.coefficients[:, 1]).max() > 1e-3


def test_a_penalty_below_rounding_is_solved() -> None:
    X, codes = rows_of(200, 40, 2)
    path = RidgeFolds(X, codes, weightings=folds_of(X)).solve([*ALPHAS, 1e-14])
    weakest, weak = path.held_out_loss[-1], path.held_out_loss[0]
    np.testing.assert_allclose(weakest, weak, rtol=0.05)


@sizes
def test_what_is_kept_serves_further_strengths_and_the_chosen_one(n: int, d: int, classes: int) -> None:
    X, codes = rows_of(n, d, classes)
    folds, everything = folds_of(X), weighting_of(X, np.ones(n))
    together = RidgeFolds(X, codes, weightings=[*folds, everything])
    together.solve(ALPHAS, some=range(len(folds)), keep=False)
    further = together.solve(ALPHAS[-1:] * 10, some=range(len(folds)), keep=False)
    alone = RidgeFolds(X, codes, weightings=folds).solve(ALPHAS[-1:] * 10, keep=False)
    np.testing.assert_allclose(further.held_out_loss, alone.held_out_loss, rtol=1e-9)
    assert_like_scikit_learn(X, codes, folds, together.solve(ALPHAS[3:4], some=range(len(folds))))
    assert_like_scikit_learn(X, codes, [everything], together.solve(ALPHAS[3:4], some=[len(folds)]))


def test_no_rows_are_refused() -> None:
    X, codes = rows_of(30, 5, 3)
    with pytest.raises(ValueError, match="nothing to train on"):
        RidgeFolds(X, codes, weightings=[Weighting(np.zeros(30), np.zeros(5), np.ones(5))]).solve([0.5])


def test_a_class_without_rows_is_never_chosen() -> None:
    X, codes = rows_of(90, 12, 3)
    weighting = weighting_of(X, (codes != 1).astype(float))
    path = RidgeFolds(X, codes, weightings=[weighting]).solve([0.5])
    scores = scaled(X, weighting) @ path.coefficients[0, 0].T + path.intercepts[0, 0]
    assert not (scores.argmax(axis=1) == 1).any()
