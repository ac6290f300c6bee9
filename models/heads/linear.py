"""The linear heads: logistic regression, support vector machine, ridge, discriminant.

Features are standardised inside the head, by the training rows. All strengths and folds are solved
together (`path`, `ridge_path`, `eigen_path`), and what was found is kept in the scikit-learn classifier of that name.
"""

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from demijohn.models.threads import one_thread
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from ..errors import UnsuitableSetting
from ..solvers.eigen_path import EigenPath, fit_discriminant_path, leave_one_out
from ..solvers.path import fit_path, mean_over_weightings
from ..solvers.ridge_path import RidgeFolds
from ..solvers.streaming import StreamedRows, pieces_of
from ..solvers.weighting import Weighting
from .estimator import scores_of
from .kernel import fit_kernel, judge_kernel, score_kernel_held_out, warn_of_kernel
from .pipelines import ProbableHead, ScoringHead, fill_linear
from .scaling import make_scaler
from .trial import Rows, Trial
from .tuning import Grid, GridScores, TunedHead, spread_grid

SOLVED = 1e-5
"""What may be left to gain, as a share of the objective."""
SEARCHED = 1e-4
"""The same while strengths are compared, whose objectives are much further apart."""

Doubles = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """Linear functions of s strengths and f weightings, k functions each (one for two classes)."""

    judged: GridScores
    coefficients: Floats | None
    """For standardised features, shape (s, f, k, d)."""
    intercepts: Floats | None
    """Shape (s, f, k)."""


class LinearHead(TunedHead):
    """A head of linear functions on standardised features."""

    @property
    def streams(self) -> bool:
        """Whether it learns from rows that are streamed."""
        return True

    @abstractmethod
    def _solve_all(self, rows: Rows, weightings: tuple[Weighting, ...], strengths: Doubles, *, search: bool) -> Solved:
        """Return the functions of every strength and weighting; where they are searched, none need be kept."""

    @abstractmethod
    def _classifier(self, strength: float) -> Any:
        """Return the untrained scikit-learn classifier."""

    def _retry(self, X: Floats, rows: Rows, weights: Floats, strength: float) -> tuple[Any, bool] | None:  # noqa: ARG002
        """Return a classifier that another solver found, and whether it converged; X is standardised."""
        return None

    def _judge(self, trial: Trial, strengths: Doubles) -> GridScores:
        return self._solve_all(trial.rows, trial.weightings, strengths, search=True).judged

    def _score_held_out(self, trial: Trial, strength: float) -> Doubles:
        found = self._solve_all(trial.rows, trial.weightings, np.array([strength]), search=False)
        assert found.coefficients is not None
        scores = np.full((len(trial.rows.X), len(trial.rows.classes)), np.nan)
        for f, each in enumerate(trial.weightings):
            assert each.held_out is not None
            held = np.flatnonzero(each.held_out)
            classifier = self._fill(trial.rows, strength, found, f)
            scaler = make_scaler(np.asarray(each.mean), np.asarray(each.scale))
            for where, some in pieces_of(trial.rows.X, held):
                scores[held[where]] = scores_of(classifier, scaler.transform(some))[0]
        return scores

    def _solve(self, rows: Rows, strength: float) -> tuple[Any, bool]:
        weighting = rows.weighting
        found = self._solve_all(rows, (weighting,), np.array([strength]), search=False)
        classifier, converged = self._fill(rows, strength, found, 0), bool(found.judged.converged[0])
        scaler = make_scaler(np.asarray(weighting.mean), np.asarray(weighting.scale))
        # The other solver needs all rows in memory.
        if not converged and not isinstance(rows.X, StreamedRows):
            again = self._retry(scaler.transform(rows.X), rows, weighting.weights, strength)
            classifier, converged = again or (classifier, converged)
        return make_pipeline(scaler, classifier), converged

    def _fill(self, rows: Rows, strength: float, found: Solved, f: int) -> Any:
        """Return a classifier with what was found for the first strength and one weighting."""
        assert found.coefficients is not None
        assert found.intercepts is not None
        return fill_linear(self._classifier(strength), rows.classes, found.coefficients[0, f], found.intercepts[0, f])


class _NewtonHead(LinearHead):
    """A head whose strengths and folds advance together by Newton's method."""

    strength = "c"
    loss: ClassVar[Literal["logistic", "squared_hinge"]]

    def _solve_all(self, rows: Rows, weightings: tuple[Weighting, ...], strengths: Doubles, *, search: bool) -> Solved:
        path = fit_path(
            rows.X,
            rows.codes,
            strengths=strengths,
            weightings=weightings,
            loss=self.loss,
            classes=len(rows.classes),
            tolerance=SEARCHED if search else SOLVED,
            leave="accuracy" if search else None,
            keep=not search,
        )
        loss, accuracy = mean_over_weightings(path.held_out_loss), mean_over_weightings(path.held_out_accuracy)
        return Solved(
            GridScores(strengths, loss, accuracy, np.asarray(path.converged.all(axis=1))),
            path.coefficients,
            path.intercepts,
        )

    def _retry(self, X: Floats, rows: Rows, weights: Floats, strength: float) -> tuple[Any, bool] | None:
        classifier = self._classifier(strength)
        with one_thread(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            classifier.fit(X, rows.classes[rows.codes], sample_weight=weights)
        return classifier, not any(issubclass(each.category, ConvergenceWarning) for each in caught)


class LogisticHead(_NewtonHead, ProbableHead):
    """Multinomial logistic regression with an L2 penalty."""

    loss = "logistic"

    def __init__(self, *, c: float | None = None, balanced: bool = False, seed: int = 0) -> None:
        self.c = c
        self.balanced = balanced
        self.seed = seed

    @property
    def grid(self) -> Grid:
        """Values of C."""
        return Grid(spread_grid(-6, 2, 41), usual=1.0, simplest="least", limits=(1e-10, 1e6))

    def _classifier(self, strength: float) -> Any:
        return LogisticRegression(C=strength, solver="newton-cg", tol=1e-6, max_iter=1000)


class RidgeHead(LinearHead, ScoringHead):
    """Least squares on targets of -1 and 1 with an L2 penalty; without held-out rows, leave-one-out chooses."""

    strength = "alpha"
    _shared: RidgeFolds | None = None
    """Of the rows in `fit`."""

    def __init__(self, *, alpha: float | None = None, balanced: bool = False, seed: int = 0) -> None:
        self.alpha = alpha
        self.balanced = balanced
        self.seed = seed

    @property
    def grid(self) -> Grid:
        """Values of the penalty."""
        return Grid(spread_grid(-2, 6, 41), usual=1.0, simplest="greatest", limits=(1e-6, 1e12))

    def _judge_alone(self, rows: Rows) -> GridScores | None:
        if isinstance(rows.X, StreamedRows):
            return None
        strengths = np.array(self.grid.values)
        loss, accuracy = leave_one_out(
            rows.X, rows.codes, strengths=strengths, weighting=rows.weighting, classes=len(rows.classes)
        )
        return GridScores(strengths, loss, accuracy, np.ones(len(strengths), dtype=bool))

    def _solve_all(self, rows: Rows, weightings: tuple[Weighting, ...], strengths: Doubles, *, search: bool) -> Solved:
        folds, some = self._share(rows, weightings)
        path = folds.solve(strengths, some=some, keep=not search)
        loss, accuracy = mean_over_weightings(path.held_out_loss), mean_over_weightings(path.held_out_accuracy)
        judged = GridScores(strengths, loss, accuracy, np.ones(len(strengths), dtype=bool))
        return Solved(judged, path.coefficients, path.intercepts)

    def _solve(self, rows: Rows, strength: float) -> tuple[Any, bool]:
        solved = super()._solve(rows, strength)
        # It is the last to ask, and what is shared has all rows in it.
        self._shared = None
        return solved

    def _share(self, rows: Rows, weightings: tuple[Weighting, ...]) -> tuple[RidgeFolds, list[int]]:
        """Return what fits of the same rows share, and where in it the weightings are."""
        if self._shared is None or self._shared.X is not rows.X or None in map(self._shared.find, weightings):
            # After folds, all rows are trained on.
            every = weightings if len(weightings) == 1 else (*weightings, rows.weighting)
            self._shared = RidgeFolds(rows.X, rows.codes, weightings=every, classes=len(rows.classes))
        return self._shared, [where for each in weightings if (where := self._shared.find(each)) is not None]

    def _classifier(self, strength: float) -> Any:
        return RidgeClassifier(alpha=strength)


class DiscriminantHead(LinearHead, ProbableHead):
    """Linear discriminant analysis; the covariance within the classes is shrunk towards a multiple of one."""

    strength = "shrinkage"

    def __init__(self, *, shrinkage: float | None = None, balanced: bool = False, seed: int = 0) -> None:
        self.shrinkage = shrinkage
        self.balanced = balanced
        self.seed = seed

    @property
    def grid(self) -> Grid:
        """Values of the shrinkage."""
        return Grid(spread_grid(-4, 0, 41), usual=0.1, simplest="greatest", limits=(0.0, 1.0), growth=10)

    def _solve_all(
        self,
        rows: Rows,
        weightings: tuple[Weighting, ...],
        strengths: Doubles,
        *,
        search: bool,  # noqa: ARG002
    ) -> Solved:
        paths = [
            fit_discriminant_path(rows.X, rows.codes, strengths=strengths, weighting=each, classes=len(rows.classes))
            for each in weightings
        ]
        return _join(strengths, paths)

    def _fill(self, rows: Rows, strength: float, found: Solved, f: int) -> Any:
        classifier = super()._fill(rows, strength, found, f)
        if len(rows.classes) == 2:
            classifier.coef_ = classifier.coef_[1:] - classifier.coef_[:1]
            classifier.intercept_ = classifier.intercept_[1:] - classifier.intercept_[:1]
        return classifier

    def _classifier(self, strength: float) -> Any:
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=strength)


def _join(strengths: Doubles, paths: list[EigenPath]) -> Solved:
    """Return the paths of several weightings as one."""
    judged = GridScores(
        strengths,
        np.mean([each.held_out_loss for each in paths], axis=0),
        np.mean([each.held_out_accuracy for each in paths], axis=0),
        np.ones(len(strengths), dtype=bool),
    )
    return Solved(
        judged,
        np.stack([each.coefficients for each in paths], axis=1),
        np.stack([each.intercepts for each in paths], axis=1),
    )


class SvmHead(_NewtonHead, ScoringHead):
    """Support vector machine: linear (squared hinge, each class against the others), or with an RBF kernel."""

    loss = "squared_hinge"

    def __init__(
        self, *, kernel: str = "linear", c: float | None = None, balanced: bool = False, seed: int = 0
    ) -> None:
        self.kernel = kernel
        self.c = c
        self.balanced = balanced
        self.seed = seed

    @property
    def grid(self) -> Grid:
        """Values of C."""
        if self.kernel == "rbf":
            return Grid(spread_grid(-2, 4, 13), usual=1.0, simplest="least", limits=(1e-6, 1e8), growth=2)
        return Grid(spread_grid(-8, 0, 41), usual=1.0, simplest="least", limits=(1e-12, 1e4))

    @property
    def streams(self) -> bool:
        """Whether it learns from rows that are streamed: with a kernel, rows meet rows."""
        return self.kernel == "linear"

    def _check_settings(self) -> None:
        if self.kernel not in ("linear", "rbf"):
            raise UnsuitableSetting(f"--kernel is {self.kernel!r}, expected linear or rbf: choose one of them")
        super()._check_settings()

    def _judge(self, trial: Trial, strengths: Doubles) -> GridScores:
        return judge_kernel(trial, strengths, self.seed) if self.kernel == "rbf" else super()._judge(trial, strengths)

    def _score_held_out(self, trial: Trial, strength: float) -> Doubles:
        if self.kernel == "rbf":
            return score_kernel_held_out(trial, strength, self.seed)
        return super()._score_held_out(trial, strength)

    def _solve(self, rows: Rows, strength: float) -> tuple[Any, bool]:
        if self.kernel == "rbf":
            if warning := warn_of_kernel(len(rows.X)):
                self.warnings_.append(warning)
            return fit_kernel(rows, rows.weighting, strength, self.seed)
        return super()._solve(rows, strength)

    def _classifier(self, strength: float) -> Any:
        # It penalises the intercept, which ours are not: the larger its feature, the less.
        return LinearSVC(C=strength, dual=False, max_iter=2000, intercept_scaling=30)
