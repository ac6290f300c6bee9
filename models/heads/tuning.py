"""Heads whose strength is chosen: every value of a grid is judged on rows held out, then one is taken.

The rule. Accuracy on m rows has a standard error, and on the path from the strongest to the weakest
penalty many values are as good as each other within it; the very best is luck, and may be one whose
probabilities are worthless. So among the values within one standard error of the best accuracy (as
in Breiman et al. 1984, Classification and Regression Trees, section 3.4.3) the one with the least
loss is taken, and of equals the simplest: docs/decisions/0010-heads.md has what it gains.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsuitableSetting
from ..solvers.streaming import Matrix
from .estimator import Validation
from .pipelines import PipelineHead
from .trial import Rows, Trial, check_rows, hold_out

Side = Literal["least", "greatest"]
Doubles = NDArray[np.float64]

ALIKE = 1e-3
"""Losses per row that differ by less are equal: those of any validation split are far less certain."""
WIDENINGS = 3
"""How often a grid grows on the side on whose edge the choice lies."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The values of a strength that are tried."""

    values: tuple[float, ...]
    """Rising, of four digits, so that what is told and kept is what was tried."""
    usual: float
    """What stands where nothing is chosen: what scikit-learn takes, if it takes any."""
    simplest: Side
    """Where the penalty is strongest."""
    limits: tuple[float, float]
    """The grid grows no further, and a choice there is none on an edge."""
    growth: int = 5
    """Values by which it grows, as far apart as the last two."""

    def widen(self, side: Side, tried: Doubles) -> Doubles:
        """Return further values on one side of those that were tried, of shape (0,) at the limit."""
        ends = np.sort(tried)
        first, second = (ends[0], ends[1]) if side == "least" else (ends[-1], ends[-2])
        further = round_strengths(first * (first / second) ** np.arange(1, self.growth + 1))
        return np.asarray(further[(further >= self.limits[0]) & (further <= self.limits[1])])


def spread_grid(low: float, high: float, count: int) -> tuple[float, ...]:
    """Return so many values from 10^low to 10^high, each the same multiple of the one before."""
    return tuple(round_strengths(np.logspace(low, high, count)).tolist())


def round_strengths(values: Doubles) -> Doubles:
    """Return values of four digits."""
    return np.array([float(f"{value:.4g}") for value in values])


@dataclass(frozen=True, slots=True)
class GridScores:
    """How values of a strength do on the rows held out: arrays of shape (s,)."""

    strengths: Doubles
    loss: Doubles
    """nan where the value was left out."""
    accuracy: Doubles
    """0..1."""
    converged: NDArray[np.bool_]

    def join(self, other: "GridScores") -> "GridScores":
        """Return both, by rising strength."""
        order = np.argsort(np.concatenate([self.strengths, other.strengths]), kind="stable")
        return GridScores(
            *(
                np.concatenate([getattr(self, name), getattr(other, name)])[order]
                for name in ("strengths", "loss", "accuracy", "converged")
            )
        )


def choose(judged: GridScores, *, rows: int, simplest: Side) -> int:
    """Return the position of the value to take.

    Parameters
    ----------
    judged : GridScores
        At least one value that was not left out.
    rows : int
        How many rows the accuracies come from.
    simplest : "least" or "greatest"
        Which of equals.
    """
    best = float(np.nanmax(judged.accuracy))
    # One row more or less is no evidence, and with one row wrong the error is a little less than a row.
    error = max(np.sqrt(best * (1 - best) / rows), 1 / rows) * (1 + 1e-9)
    near = np.flatnonzero(judged.accuracy >= best - error)
    equal = near[judged.loss[near] <= judged.loss[near].min() + ALIKE]
    at = judged.strengths[equal]
    return int(equal[at.argmin() if simplest == "least" else at.argmax()])


class TunedHead(PipelineHead):
    """A head with a strength, chosen on validation rows, by folds, or, where it is given, not at all."""

    strength: ClassVar[str]
    """Name of the setting."""
    balanced = False

    @property
    @abstractmethod
    def grid(self) -> Grid:
        """What is tried."""

    @abstractmethod
    def _judge(self, trial: Trial, strengths: Doubles) -> GridScores:
        """Return how each strength does on the rows held out."""

    @abstractmethod
    def _score_held_out(self, trial: Trial, strength: float) -> Doubles:
        """Return scores (n, c) of every row by the head of the weighting that holds it out, nan for others."""

    @abstractmethod
    def _solve(self, rows: Rows, strength: float) -> tuple[Any, bool]:
        """Return a scikit-learn pipeline trained on all rows, and whether training converged."""

    def _judge_alone(self, rows: Rows) -> GridScores | None:  # noqa: ARG002
        """Return how the strengths do where no rows are held out, if the head can tell."""
        return None

    def fit(
        self,
        X: Matrix,
        y: NDArray[Any],
        *,
        sample_weight: NDArray[np.floating[Any]] | None = None,
        validation: Validation | None = None,
        folds: NDArray[np.integer[Any]] | None = None,
        judged: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Choose the strength and train on all of X.

        Parameters
        ----------
        X : ndarray or StreamedRows of shape (n, d), float32
            Features.
        y : ndarray of shape (n,)
            Classes.
        sample_weight : ndarray of shape (n,), optional
            How often each row counts, in judging, too.
        validation : pair of (m, d) and (m,), optional
            Rows that judge, and are never trained on.
        folds : ndarray of shape (n,), int, optional
            Fold of each row: every fold is judged by heads that are trained on the others, and
            `held_out_scores_`, of shape (n, c), has the scores that its rows then get.
        judged : ndarray of shape (n,), bool, optional
            With folds: which rows judge; the others, as augmented views, are only held out.

        Raises
        ------
        UnsuitableRows, UnsuitableSetting
            X, y, weights or folds cannot be learned from; a setting has no such value.
        """
        self.history_: list[dict[str, float]] = []
        self.warnings_: list[str] = []
        self._check_settings()
        rows = check_rows(self, X, y, sample_weight=sample_weight, balanced=self.balanced)
        if folds is not None and sample_weight is not None and len(rows.X) < len(folds):
            counting = np.asarray(sample_weight) > 0
            folds, judged = np.asarray(folds)[counting], None if judged is None else judged[counting]
        self.classes_ = rows.classes
        trial = hold_out(self, rows, validation, folds, judged)
        given = getattr(self, self.strength)
        self.path_: list[dict[str, Any]] = []
        self.edge_: Side | None = None
        strength = self._choose(trial) if given is None else float(given)
        setattr(self, f"{self.strength}_", strength)
        if folds is not None:
            self.held_out_scores_ = self._score_held_out(trial, strength)
        self.pipeline_, self.converged_ = self._solve(rows, strength)
        if not self.converged_:
            self.warnings_.append(
                f"training did not converge at {self._tell(strength)}: the numbers are those where it stopped"
            )
        return self

    @property
    def chosen_(self) -> dict[str, Any]:
        """The strength."""
        return {self.strength: getattr(self, f"{self.strength}_")}

    @property
    def facts_(self) -> dict[str, Any]:
        """What training found: the strength, whether it lies on an edge of its grid, and the path."""
        return {**self.chosen_, "converged": self.converged_, "edge": self.edge_, "path": self.path_}

    def _check_settings(self) -> None:
        given = getattr(self, self.strength)
        low, high = self.grid.limits
        if given is not None and not low <= given <= high:
            raise UnsuitableSetting(
                f"--{self.strength} is {given:g}, expected {low:g} to {high:g}: choose one, or leave it out to have it "
                "chosen"
            )

    def _tell(self, strength: float) -> str:
        return f"{self.strength} = {strength:g}"

    def _choose(self, trial: Trial) -> float:
        grid = self.grid
        if trial.judged:
            judged, count = self._judge(trial, np.array(grid.values)), trial.judged
            judged = self._widen(trial, judged)
        else:
            alone = self._judge_alone(trial.rows)
            if alone is None:
                self.warnings_.append(
                    f"no validation pictures to choose with: {self._tell(grid.usual)}; fix it with --{self.strength}, "
                    "or choose with --folds 5"
                )
                return grid.usual
            judged, count = alone, len(trial.rows.X)
        chosen = choose(judged, rows=count, simplest=grid.simplest)
        strength = float(judged.strengths[chosen])
        self.edge_ = self._edge(judged, chosen)
        self.path_ = [
            {
                self.strength: float(each),
                "validation_accuracy": float(accuracy),
                "validation_loss": float(loss),
                "converged": bool(converged),
            }
            for each, accuracy, loss, converged in zip(
                judged.strengths, judged.accuracy, judged.loss, judged.converged, strict=True
            )
            if not np.isnan(loss)
        ]
        if self.edge_:
            self.warnings_.append(
                f"the chosen {self._tell(strength)} is the {self.edge_} that was tried: a better one may lie beyond"
            )
        return strength

    def _widen(self, trial: Trial, judged: GridScores) -> GridScores:
        """Return the path with the grid grown as long as the choice lies on its edge."""
        for _ in range(WIDENINGS):
            side = self._edge(judged, choose(judged, rows=trial.judged, simplest=self.grid.simplest))
            further = self.grid.widen(side, judged.strengths) if side else np.zeros(0)
            if not len(further):
                break
            judged = judged.join(self._judge(trial, further))
        return judged

    def _edge(self, judged: GridScores, chosen: int) -> Side | None:
        """Return on which edge of what was tried a choice lies, if there is more beyond and it would matter."""
        known = np.flatnonzero(~np.isnan(judged.loss))
        if len(known) < 2 or np.ptp(judged.accuracy[known]) == 0 == np.ptp(judged.loss[known]):
            return None
        low, high = self.grid.limits
        at = float(judged.strengths[chosen])
        # Values that were left out lie beyond a turn, so their side is no edge.
        if chosen == 0 and at > low * (1 + 1e-6):
            return "least"
        if chosen == len(judged.strengths) - 1 and at < high * (1 - 1e-6):
            return "greatest"
        return None
