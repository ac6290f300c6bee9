"""Paths of linear classifiers: what scikit-learn finds one by one, found all at once."""

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from demijohn.models.solvers.path import Path, fit_path, has_turned, plan_waves
from demijohn.models.solvers.weighting import Weighting
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from support.cases import quick

STRENGTHS = (1e-4, 1e-2, 1.0, 100.0)


def rows_of(n: int, d: int, classes: int, *, apart: float = 0.7, seed: int = 0) -> tuple[Any, Any]:
    """Return features like a network's, not negative and half of them zero, and classes."""
    random = np.random.default_rng(seed)
    codes = random.permutation(np.arange(n) % classes)
    hidden = random.normal(size=(classes, 12))[codes] * apart + random.normal(size=(n, 12))
    features = hidden @ random.normal(size=(12, d)) + 2 * random.normal(size=(n, d))
    return np.maximum(features, 0).astype(np.float32), codes.astype(np.intp)


def weighting_of(X: Any, weights: Any, held_out: Any = None) -> Weighting:
    """Return a weighting with mean and deviation of the rows that count."""
    own = X[np.asarray(weights) > 0].astype(np.float64)
    return Weighting(np.asarray(weights), own.mean(axis=0), own.std(axis=0), held_out)


def folds_of(X: Any, count: int) -> list[Weighting]:
    """Return the weightings of folds that are held out in turn."""
    fold = np.random.default_rng(9).permutation(len(X)) % count
    return [weighting_of(X, (fold != f).astype(float), (fold == f).astype(float)) for f in range(count)]


def scaled(X: Any, weighting: Weighting) -> NDArray[np.float64]:
    """Return standardised features, in 64 bits."""
    scale = np.where(weighting.scale > 0, weighting.scale, np.inf)
    return np.asarray((X.astype(np.float64) - weighting.mean) / scale)


def margins_of(Z: Any, path: Path, s: int, f: int) -> NDArray[np.float64]:
    """Return margins, shape (n, k)."""
    assert path.coefficients is not None
    return np.asarray(Z @ path.coefficients[s, f].astype(np.float64).T + path.intercepts[s, f])


def objective_of(coefficients: Any, margins: Any, codes: Any, weights: Any, c: float, loss: str) -> float:
    """Return the objective in 64 bits, straight from its definition."""
    if margins.shape[1] == 1 or loss == "squared_hinge":
        signs = np.where(codes[:, None] == (np.arange(margins.shape[1]) if margins.shape[1] > 1 else 1), 1, -1)
        sided = signs * margins
        losses = (np.logaddexp(0, -sided) if loss == "logistic" else np.maximum(0, 1 - sided) ** 2).sum(axis=1)
    else:
        losses = np.logaddexp.reduce(margins, axis=1) - margins[np.arange(len(codes)), codes]
    return float(0.5 * np.square(coefficients).sum() + c * weights @ losses)


def reference(Z: Any, codes: Any, weights: Any, c: float) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solver = {"C": c, "tol": 1e-10, "max_iter": 20_000}
        return LogisticRegression(**solver).fit(Z[weights > 0], codes[weights > 0], weights[weights > 0])


def assert_like_scikit_learn(X: Any, codes: Any, weighting: Weighting, strengths: Any = STRENGTHS) -> None:
    """Assert that objective, accuracy and probabilities are those of LogisticRegression, in 64 bits."""
    path = fit_path(X, codes, strengths=strengths, weightings=[weighting], tolerance=1e-6)
    Z, weights = scaled(X, weighting), np.asarray(weighting.weights)
    assert path.converged.all()
    for s, c in enumerate(strengths):
        theirs = reference(Z, codes, weights, c)
        assert path.coefficients is not None
        margins = margins_of(Z, path, s, 0)
        ours = objective_of(path.coefficients[s, 0].astype(float), margins, codes, weights, c, "logistic")
        decision = theirs.decision_function(Z)
        decision = decision[:, None] if decision.ndim == 1 else decision
        best = objective_of(theirs.coef_, decision, codes, weights, c, "logistic")
        assert ours == pytest.approx(best, rel=1e-4)
        assert path.objective[s, 0] == pytest.approx(ours, rel=1e-5)
        guess = margins[:, 0] > 0 if margins.shape[1] == 1 else margins.argmax(axis=1)
        assert (guess == codes).mean() == pytest.approx(theirs.score(Z, codes), abs=2 / len(X))


# What is found.


@pytest.mark.parametrize(("n", "d", "classes"), [(200, 30, 2), (250, 40, 3), (400, 60, 10), (60, 150, 2), (80, 200, 3)])
def test_the_objective_is_scikit_learns(n: int, d: int, classes: int) -> None:
    X, codes = rows_of(n, d, classes)
    assert_like_scikit_learn(X, codes, weighting_of(X, np.ones(n)))


@pytest.mark.parametrize("classes", [2, 4])
def test_weights_count_as_scikit_learns(classes: int) -> None:
    X, codes = rows_of(240, 30, classes)
    weights = np.random.default_rng(1).choice([0, 0.5, 1, 3], size=240)
    assert_like_scikit_learn(X, codes, weighting_of(X, weights))


@pytest.mark.parametrize("classes", [2, 5])
def test_separable_classes(classes: int) -> None:
    X, codes = rows_of(150, 40, classes, apart=6.0)
    assert_like_scikit_learn(X, codes, weighting_of(X, np.ones(150)), strengths=(1e-3, 1.0, 1e3))


def test_constant_and_repeated_features() -> None:
    X, codes = rows_of(200, 20, 3)
    X = np.hstack([X, X[:, :5], np.full((200, 1), 7, np.float32), np.zeros((200, 1), np.float32)])
    weighting = weighting_of(X, np.ones(200))
    assert_like_scikit_learn(X, codes, weighting)
    path = fit_path(X, codes, strengths=[1.0], weightings=[weighting])
    assert path.coefficients is not None
    np.testing.assert_allclose(path.coefficients[0, 0, :, :5], path.coefficients[0, 0, :, 20:25], atol=1e-3)
    assert not path.coefficients[0, 0, :, 25:].any(), "a constant feature says nothing"


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
@pytest.mark.parametrize("missing", [[3], [0, 1, 2]])
def test_a_class_without_rows_in_a_fold(loss: Any, missing: list[int]) -> None:
    X, codes = rows_of(200, 20, 4)
    weights = (~np.isin(codes, missing)).astype(float)
    path = fit_path(
        X, codes, strengths=STRENGTHS, weightings=[weighting_of(X, weights, 1 - weights)], loss=loss, classes=4
    )
    assert path.coefficients is not None
    assert np.isfinite(path.coefficients).all()
    assert np.isfinite(path.intercepts).all()
    assert np.isfinite(path.objective).all()
    margins = margins_of(scaled(X, weighting_of(X, weights)), path, 1, 0)
    assert not np.isin(margins[weights > 0].argmax(axis=1), missing).any()


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("shape", [(150, 20), (25, 40)])
def test_the_squared_hinge_against_a_general_minimiser(classes: int, shape: tuple[int, int]) -> None:
    X, codes = rows_of(*shape, classes)
    weighting = weighting_of(X, np.ones(len(X)))
    path = fit_path(X, codes, strengths=STRENGTHS, weightings=[weighting], loss="squared_hinge", tolerance=1e-6)
    Z = scaled(X, weighting)
    for s, c in enumerate(STRENGTHS):
        best = 0.0
        for each in range(classes) if classes > 2 else [1]:
            signs = np.where(codes == each, 1, -1)

            def f(v: Any, signs: Any = signs, c: float = c) -> tuple[float, Any]:
                lack = np.maximum(0, 1 - signs * (Z @ v[:-1] + v[-1]))
                slope = -2 * c * signs * lack
                return 0.5 * v[:-1] @ v[:-1] + c * lack @ lack, np.append(v[:-1] + Z.T @ slope, slope.sum())

            options = {"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-14, "gtol": 1e-9}
            best += minimize(f, np.zeros(Z.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).fun
        assert path.coefficients is not None
        margins = margins_of(Z, path, s, 0)
        ours = objective_of(path.coefficients[s, 0].astype(float), margins, codes, np.ones(len(X)), c, "squared_hinge")
        assert ours == pytest.approx(best, rel=1e-4)
        assert path.objective[s, 0] == pytest.approx(ours, rel=1e-4)


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(12, 80),
    d=st.integers(1, 60),
    classes=st.integers(2, 5),
    c=st.floats(-5, 4).map(lambda power: 10**power),
    loss=st.sampled_from(["logistic", "squared_hinge"]),
    seed=st.integers(0, 99),
)
def test_nothing_near_is_better(n: int, d: int, classes: int, c: float, loss: Any, seed: int) -> None:
    X, codes = rows_of(n, d, classes, seed=seed)
    random = np.random.default_rng(seed)
    weights = random.choice([0.0, 1.0, 2.0], size=n, p=[0.2, 0.6, 0.2])
    weights[:classes] = 1
    weighting = weighting_of(X, weights)
    path = fit_path(X, codes, strengths=[c], weightings=[weighting], loss=loss, classes=classes)
    Z = scaled(X, weighting)
    assert path.coefficients is not None
    W, b = path.coefficients[0, 0].astype(float), path.intercepts[0, 0].astype(float)

    def value(W: Any, b: Any) -> float:
        return objective_of(W, Z @ W.T + b, codes, weights, c, loss)

    own = value(W, b)
    for reach in (1e-3, 1e-2, 0.1):
        V, a = random.normal(size=W.shape) * reach, random.normal(size=b.shape) * reach
        assert min(value(W + V, b + a), value(W - V, b - a), value(W * (1 + reach), b)) >= own * (1 - 1e-3) - 1e-6 * c


# All at once is as one by one.


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
@pytest.mark.parametrize("classes", quick(1, [4, 2]))
def test_each_problem_of_a_path_is_what_it_is_alone(loss: Any, classes: int) -> None:
    X, codes = rows_of(200, 30, classes)
    folds = folds_of(X, 2)
    path = fit_path(X, codes, strengths=STRENGTHS, weightings=folds, loss=loss)
    for s, c in enumerate(STRENGTHS):
        for f, fold in enumerate(folds):
            alone = fit_path(X, codes, strengths=[c], weightings=[fold], loss=loss)
            # What is left to gain is told by a quadratic model, which the kinks of the hinge are none of.
            near = 1e-4 if loss == "logistic" else 5e-4
            assert alone.objective[0, 0] == pytest.approx(path.objective[s, f], rel=near)
            assert alone.held_out_accuracy[0, 0] == pytest.approx(path.held_out_accuracy[s, f], abs=0.016)
            assert alone.held_out_loss[0, 0] == pytest.approx(path.held_out_loss[s, f], rel=0.02)


def test_the_order_of_the_strengths_is_kept() -> None:
    X, codes = rows_of(120, 10, 3)
    folds = folds_of(X, 2)
    one = fit_path(X, codes, strengths=STRENGTHS, weightings=folds)
    other = fit_path(X, codes, strengths=STRENGTHS[::-1], weightings=folds)
    np.testing.assert_array_equal(one.objective, other.objective[::-1])
    np.testing.assert_array_equal(one.coefficients, other.coefficients[::-1])  # type: ignore[index,arg-type]


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
def test_twice_the_same_bit_for_bit(loss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demijohn.models.solvers.design.SMALL", 0)
    X, codes = rows_of(200, 30, 3)
    one, other = (fit_path(X, codes, strengths=STRENGTHS[:3], weightings=folds_of(X, 2), loss=loss) for _ in range(2))
    np.testing.assert_array_equal(one.coefficients, other.coefficients)  # type: ignore[arg-type]
    np.testing.assert_array_equal(one.held_out_loss, other.held_out_loss)


@pytest.mark.parametrize("threads", quick(1, [3, 2, 7]))
def test_threads_change_nothing_but_rounding(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    X, codes = rows_of(200, 30, 3)
    alone = fit_path(X, codes, strengths=STRENGTHS, weightings=folds_of(X, 2), threads=1)
    monkeypatch.setattr("demijohn.models.solvers.design.SMALL", 0)
    shared = fit_path(X, codes, strengths=STRENGTHS, weightings=folds_of(X, 2), threads=threads)
    np.testing.assert_allclose(alone.objective, shared.objective, rtol=1e-5)
    np.testing.assert_allclose(alone.held_out_loss, shared.held_out_loss, rtol=1e-2)


@pytest.mark.parametrize("loss", quick(1, ["logistic", "squared_hinge"]))
def test_a_small_budget_gives_the_same(loss: Any) -> None:
    X, codes = rows_of(200, 30, 3)
    much = fit_path(X, codes, strengths=STRENGTHS, weightings=folds_of(X, 3), loss=loss)
    little = fit_path(X, codes, strengths=STRENGTHS, weightings=folds_of(X, 3), loss=loss, budget=1)
    np.testing.assert_allclose(much.objective, little.objective, rtol=1e-4)
    np.testing.assert_allclose(much.held_out_accuracy, little.held_out_accuracy, atol=0.016)


@given(
    s=st.integers(1, 50), f=st.integers(1, 6), width=st.integers(1, 200), budget=st.integers(1, 2**30),
    rows=st.integers(1, 10_000), d=st.integers(1, 4096),
)  # fmt: skip
def test_waves_hold_every_problem_once_and_keep_to_the_budget(
    s: int, f: int, width: int, budget: int, rows: int, d: int
) -> None:
    waves = plan_waves(np.arange(s), f=f, width=width, rows=rows, d=d, budget=budget)
    problems = [tuple(problem) for wave in waves for batch in wave for problem in batch]
    assert sorted(problems) == [(i, j) for i in range(s) for j in range(f)]
    assert [problem[0] for problem in problems] == sorted(problem[0] for problem in problems)
    most = max(len(batch) for wave in waves for batch in wave)
    assert most == 1 or most * 4 * width * (14 * rows + 12 * d) <= budget


def test_memory_stays_within_the_budget() -> None:
    # numpy reports to tracemalloc what its arrays take.
    import tracemalloc

    X, codes = rows_of(3000, 40, 4)
    folds, budget = folds_of(X, 5), 4 * 2**20
    tracemalloc.start()
    fit_path(X, codes, strengths=np.logspace(-4, 0, 6), weightings=folds, budget=budget, keep=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < budget + 2 * X.nbytes


# Judging and choosing.


@pytest.mark.parametrize("classes", [2, 5])
def test_rows_held_out_are_judged_as_scikit_learn_does(classes: int) -> None:
    X, codes = rows_of(200, 30, classes)
    random = np.random.default_rng(2)
    held_out = np.where(random.random(200) < 0.3, random.choice([1.0, 2.0], size=200), 0)
    weighting = weighting_of(X, (held_out == 0).astype(float), held_out)
    path = fit_path(X, codes, strengths=[0.01], weightings=[weighting], tolerance=1e-7)
    model = reference(scaled(X, weighting), codes, np.asarray(weighting.weights), 0.01)
    Z, rows = scaled(X, weighting), held_out > 0
    losses = -model.predict_log_proba(Z[rows])[np.arange(rows.sum()), codes[rows]]
    assert path.held_out_loss[0, 0] == pytest.approx(np.average(losses, weights=held_out[rows]), rel=1e-3)
    assert path.held_out_accuracy[0, 0] == pytest.approx(model.score(Z[rows], codes[rows], held_out[rows]), abs=1e-6)


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
@pytest.mark.parametrize(("classes", "apart", "d"), quick(2, [(4, 0.5, 60), (3, 3.0, 80), (2, 0.3, 60), (10, 0.8, 40)]))
def test_leaving_early_does_not_change_the_choice(loss: Any, classes: int, apart: float, d: int) -> None:
    X, codes = rows_of(240, d, classes, apart=apart)
    grid = np.logspace(-6, 4, 21) if loss == "logistic" else np.logspace(-8, 0, 17)
    options: dict[str, Any] = {"strengths": grid, "weightings": folds_of(X, 3), "loss": loss}
    whole = fit_path(X, codes, **options)
    assert not whole.left.any()
    for by in ("loss", "accuracy"):
        left = fit_path(X, codes, **options, leave=by)  # type: ignore[arg-type]
        assert left.best(by) == whole.best(by)  # type: ignore[arg-type]
        kept = ~left.left
        np.testing.assert_array_equal(whole.objective[kept], left.objective[kept])
        assert np.isnan(left.objective[left.left]).all()
        assert not left.converged[left.left].any()


def test_leaving_early_leaves_something() -> None:
    X, codes = rows_of(240, 60, 4, apart=0.5)
    path = fit_path(X, codes, strengths=np.logspace(-6, 4, 21), weightings=folds_of(X, 3), leave="loss")
    assert path.left.any()
    assert (np.diff(path.left.astype(int)) >= 0).all(), "only the weakest penalties are left"


def test_a_loss_that_has_clearly_turned() -> None:
    flat, risen = [2.0, 1.0, 1.01, 1.02, 1.03, 1.04], [2.0, 1.0, 1.1, 1.2, 1.3, 1.4]
    same, rising = np.full(6, 0.9), np.array([0.5, 0.8, 0.84, 0.88, 0.9, 0.92])
    assert has_turned(np.array(risen), same, rows=1000, by="loss")
    assert not has_turned(np.array(flat), same, rows=1000, by="loss")
    assert not has_turned(np.array(risen[:-1]), same[:-1], rows=1000, by="loss"), "not often enough"
    assert not has_turned(np.array([2.0, 1.0, 1.2, 1.3, 1.25, 1.4]), same, rows=1000, by="loss"), "up and down"
    assert has_turned(np.array(risen), same, rows=1000, by="accuracy")
    assert has_turned(np.array(flat), same, rows=1000, by="accuracy"), "there is nothing to gain"
    assert not has_turned(np.array(flat)[::-1], same, rows=1000, by="accuracy")
    assert not has_turned(np.array(risen), rising, rows=1000, by="accuracy"), "accuracy goes on"
    assert has_turned(np.array(risen), rising, rows=8, by="accuracy"), "of eight rows that is chance"


def test_ties_go_to_the_least_loss_and_then_the_strongest_penalty() -> None:
    def best(accuracy: list[float], loss: list[float], by: Any) -> int:
        nothing: Any = np.zeros((3, 1))
        columns: Any = [np.array(each)[:, None] for each in (loss, accuracy)]
        return Path(
            np.array([1.0, 0.1, 10.0]), None, nothing, nothing, nothing, nothing, *columns, np.zeros(3, bool)
        ).best(by)

    assert best([0.9, 0.9, 0.8], [1.0, 2.0, 0.5], "accuracy") == 0
    assert best([0.9, 0.9, 0.9], [1.0, 1.0, 1.0], "accuracy") == 1
    assert best([0.9, 0.9, 0.8], [1.0, 2.0, 0.5], "loss") == 2


def test_without_rows_held_out_nothing_is_chosen() -> None:
    X, codes = rows_of(60, 10, 2)
    path = fit_path(X, codes, strengths=[1.0], weightings=[weighting_of(X, np.ones(60))])
    assert np.isnan(path.held_out_loss).all()
    with pytest.raises(ValueError, match="no weighting holds out rows"):
        path.best()


@pytest.mark.slow
def test_the_choice_of_logistic_regression_cv() -> None:
    X, codes = rows_of(300, 30, 3, apart=0.4)
    fold = np.random.default_rng(0).permutation(300) % 4
    everywhere = weighting_of(X, np.ones(300))
    weightings = [
        Weighting((fold != f).astype(float), everywhere.mean, everywhere.scale, (fold == f).astype(float))
        for f in range(4)
    ]
    grid = np.logspace(-5, 2, 15)
    splits = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = LogisticRegressionCV(Cs=grid, cv=splits, scoring="neg_log_loss", tol=1e-8, max_iter=5000)
        theirs.fit(scaled(X, everywhere), codes)
    path = fit_path(X, codes, strengths=grid, weightings=weightings, leave="loss")
    assert grid[path.best("loss")] == pytest.approx(np.ravel(theirs.C_)[0])


# Manners.


def test_features_are_neither_changed_nor_copied() -> None:
    X, codes = rows_of(100, 10, 3)
    before = X.copy()
    X.flags.writeable = False
    fit_path(X, codes, strengths=[1.0], weightings=[weighting_of(X, np.ones(100))])
    np.testing.assert_array_equal(X, before)


def test_importing_loads_nothing_slow() -> None:
    code = (
        "import sys, demijohn.models; before = set(sys.modules)\n"
        "import demijohn.models.solvers.path, demijohn.models.solvers.eigen_path\n"
        "print(sorted({n.split('.')[0] for n in set(sys.modules) - before} & {'sklearn', 'scipy', 'tensorflow'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
