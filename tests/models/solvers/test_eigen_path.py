"""Discriminants of every strength, and leave-one-out errors: what scikit-learn finds one by one."""

from typing import Any

import numpy as np
import pytest
from demijohn.models.solvers.eigen_path import fit_discriminant_path, leave_one_out
from demijohn.models.solvers.weighting import Weighting
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier, RidgeClassifierCV

ALPHAS = np.logspace(-1, 5, 7)
sizes = pytest.mark.parametrize(("n", "d", "classes"), [(200, 40, 2), (200, 40, 5), (60, 130, 2), (60, 130, 3)])


def rows_of(n: int, d: int, classes: int) -> tuple[Any, Any, Any]:
    """Return features, classes, and the features standardised by all rows."""
    random = np.random.default_rng(0)
    codes = random.permutation(np.arange(n) % classes)
    X = np.maximum(random.normal(size=(classes, d))[codes] * 0.5 + random.normal(size=(n, d)), 0).astype(np.float32)
    X[:, 1], X[:, 2] = 3, X[:, 3]
    return X, codes, (X.astype(float) - X.mean(axis=0, dtype=float)) / divisor(X)


def divisor(X: Any) -> Any:
    """Return deviations, and infinity for features that do not vary."""
    deviation = X.std(axis=0, dtype=float)
    return np.where(deviation > 0, deviation, np.inf)


def weighting_of(X: Any, weights: Any, held_out: Any = None) -> Weighting:
    """Return a weighting that standardises by all rows."""
    return Weighting(weights, X.mean(axis=0, dtype=float), X.std(axis=0, dtype=float), held_out)


@sizes
def test_leaving_one_out_is_scikit_learns(n: int, d: int, classes: int) -> None:
    X, codes, Z = rows_of(n, d, classes)
    loss, _ = leave_one_out(X, codes, strengths=ALPHAS, weighting=weighting_of(X, np.ones(n)))
    theirs = RidgeClassifierCV(alphas=ALPHAS, store_cv_results=True).fit(Z, codes)
    errors = theirs.cv_results_.reshape(-1, len(ALPHAS)).mean(axis=0)
    np.testing.assert_allclose(loss, errors, rtol=1e-6)
    assert ALPHAS[loss.argmin()] == theirs.alpha_


@pytest.mark.parametrize(("n", "d"), [(40, 10), (25, 60)])
def test_leaving_one_out_is_leaving_each_row_out(n: int, d: int) -> None:
    X, codes, Z = rows_of(n, d, 3)
    weights = np.random.default_rng(3).choice([1.0, 2.0], size=n)
    loss, accuracy = leave_one_out(X, codes, strengths=[10.0], weighting=weighting_of(X, weights))
    losses, right = np.zeros(n), np.zeros(n)
    for row in range(n):
        others = np.arange(n) != row
        model = RidgeClassifier(alpha=10.0).fit(Z[others], codes[others], weights[others])
        scores = model.decision_function(Z[[row]])[0]
        losses[row] = np.square(scores - np.where(np.arange(3) == codes[row], 1, -1)).mean()
        right[row] = scores.argmax() == codes[row]
    assert loss[0] == pytest.approx(np.average(losses, weights=weights))
    assert accuracy[0] == pytest.approx(np.average(right, weights=weights))


@sizes
def test_the_discriminant_is_scikit_learns(n: int, d: int, classes: int) -> None:
    X, codes, Z = rows_of(n, d, classes)
    shrinkages = [0.01, 0.2, 0.7, 1.0]
    path = fit_discriminant_path(X, codes, strengths=shrinkages, weighting=weighting_of(X, np.ones(n), np.ones(n)))
    for s, shrinkage in enumerate(shrinkages):
        theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(Z, codes)
        ours, level = path.coefficients[s], path.intercepts[s]
        if classes == 2:
            ours, level = ours[1:] - ours[:1], level[1:] - level[:1]
        np.testing.assert_allclose(ours, theirs.coef_, atol=1e-5 * np.abs(theirs.coef_).max())
        np.testing.assert_allclose(level, theirs.intercept_, rtol=1e-4, atol=1e-4)
        assert path.held_out_accuracy[s] == pytest.approx(theirs.score(Z, codes))
        losses = -theirs.predict_log_proba(Z)[np.arange(n), codes]
        assert path.held_out_loss[s] == pytest.approx(losses.mean(), rel=1e-3)


def test_weights_count_rows_of_the_discriminant() -> None:
    X, codes, _ = rows_of(120, 20, 3)
    weights = np.random.default_rng(1).choice([1, 2, 3], size=120)
    one = fit_discriminant_path(X, codes, strengths=[0.3], weighting=weighting_of(X, weights.astype(float)))
    many = np.repeat(np.arange(120), weights)
    moments = weighting_of(X, None)
    repeated = Weighting(np.ones(len(many)), moments.mean, moments.scale)
    other = fit_discriminant_path(X[many], codes[many], strengths=[0.3], weighting=repeated)
    np.testing.assert_allclose(one.coefficients, other.coefficients, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(one.intercepts, other.intercepts, rtol=1e-6)


@pytest.mark.parametrize("fit", [leave_one_out, fit_discriminant_path])
def test_no_rows_are_refused(fit: Any) -> None:
    X, codes, _ = rows_of(30, 5, 3)
    with pytest.raises(ValueError, match="nothing to train on"):
        fit(X, codes, strengths=[0.5], weighting=weighting_of(X, np.zeros(30)))


def test_a_class_without_rows_is_never_chosen() -> None:
    X, codes, Z = rows_of(90, 12, 3)
    weights = (codes != 1).astype(float)
    path = fit_discriminant_path(X, codes, strengths=[0.5], weighting=weighting_of(X, weights))
    scores = Z @ path.coefficients[0].T + path.intercepts[0]
    assert np.isfinite(path.coefficients).all()
    assert not (scores[weights > 0].argmax(axis=1) == 1).any()
