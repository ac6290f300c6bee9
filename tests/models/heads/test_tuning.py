"""The strength of a head is chosen on rows held out, honestly; these are never trained on."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from demijohn.models.errors import UnsuitableRows
from demijohn.models.heads import linear
from demijohn.models.heads.heads import HEADS
from demijohn.models.heads.linear import LogisticHead, RidgeHead, SvmHead
from demijohn.models.heads.tuning import ALIKE, Grid, GridScores, choose, spread_grid
from demijohn.models.solvers.ridge_path import RidgeFolds
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.utils.estimator_checks import parametrize_with_checks

Split = tuple[NDArray[np.float32], NDArray[np.int64]]
Blobs = Callable[..., Split]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "logistic": ("logistic", {}),
    "ridge": ("ridge", {}),
    "svm": ("svm", {}),
    "rbf": ("svm", {"kernel": "rbf"}),
    "knn": ("knn", {}),
    "lda": ("lda", {}),
}
every = pytest.mark.parametrize("case", CASES)


def make(case: str, **settings: Any) -> Any:
    name, own = CASES[case]
    return HEADS[name].make({**own, **settings}, seed=0)


@pytest.fixture(scope="module")
def hard(blobs: Blobs) -> dict[str, Split]:
    """Return rows of five classes that overlap, so that the strength matters."""
    options = {"classes": 5, "width": 30, "spread": 2.0}
    return {"train": blobs(150, seed=1, **options), "validation": blobs(100, seed=2, **options)}


# The rule.


def judged(losses: Any, accuracies: Any) -> GridScores:
    strengths = np.arange(1.0, len(losses) + 1)
    return GridScores(strengths, np.array(losses), np.array(accuracies), np.ones(len(losses), dtype=bool))


points = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), min_size=1, max_size=30)


@given(points, st.integers(2, 5000), st.sampled_from(["least", "greatest"]))
def test_no_value_within_one_error_of_the_best_has_less_loss(path: Any, rows: int, simplest: Any) -> None:
    losses, accuracies = np.array(path).T
    chosen = choose(judged(losses, accuracies), rows=rows, simplest=simplest)
    best = accuracies.max()
    error = max(np.sqrt(best * (1 - best) / rows), 1 / rows)
    assert accuracies[chosen] >= best - error * 1.001
    near = accuracies >= best - error
    assert losses[chosen] <= losses[near].min() + ALIKE + 1e-12


def test_of_equals_the_simplest_is_taken() -> None:
    same = judged([0.5, 0.2, 0.2, 0.2, 0.4], [0.9] * 5)
    assert choose(same, rows=100, simplest="least") == 1
    assert choose(same, rows=100, simplest="greatest") == 3


def test_a_lucky_value_without_probabilities_is_not_taken() -> None:
    # The strongest penalty is best by one row of 300, and its probabilities say nothing.
    assert choose(judged([0.69, 0.05, 0.04], [0.99, 0.9867, 0.9867]), rows=300, simplest="least") == 2
    # Where the difference is no luck, accuracy decides.
    assert choose(judged([0.69, 0.05, 0.04], [0.99, 0.90, 0.90]), rows=300, simplest="least") == 0


@given(st.integers(20, 5000), st.integers(0, 1))
def test_one_row_less_is_no_evidence_against_less_loss(rows: int, wrong: int) -> None:
    accuracies = [1 - wrong / rows, 1 - (wrong + 1) / rows]
    assert choose(judged([0.6, 0.1], accuracies), rows=rows, simplest="least") == 1


def test_values_that_were_left_out_are_not_taken() -> None:
    assert choose(judged([0.5, 0.4, np.nan], [0.8, 0.8, np.nan]), rows=50, simplest="least") == 1


def test_a_grid_grows_evenly_up_to_its_limit() -> None:
    grid = Grid(spread_grid(-2, 2, 5), usual=1.0, simplest="least", limits=(1e-4, 1e6), growth=3)
    assert grid.values == (0.01, 0.1, 1, 10, 100)
    assert grid.widen("greatest", np.array(grid.values)).tolist() == [1e3, 1e4, 1e5]
    assert grid.widen("least", np.array(grid.values)).tolist() == [1e-3, 1e-4]
    assert not len(grid.widen("least", np.array([1e-4, 1e-3])))


# Choosing.


@every
def test_the_strength_is_chosen_from_the_path_by_the_rule(case: str, hard: dict[str, Split]) -> None:
    head = make(case).fit(*hard["train"], validation=hard["validation"])
    path, name = head.facts_["path"], head.strength
    tried = [point[name] for point in path]
    assert tried == sorted(set(tried))
    assert set(head.grid.values) <= set(tried) | set(head.grid.values[len(path) :])
    strengths, losses, accuracies = (
        np.array([point[key] for point in path]) for key in (name, "validation_loss", "validation_accuracy")
    )
    assert len(set(accuracies)) > 1, "it matters here"
    whole = GridScores(strengths, losses, accuracies, np.ones(len(path), dtype=bool))
    expected = strengths[choose(whole, rows=100, simplest=head.grid.simplest)]
    assert head.facts_[name] == head.chosen_[name] == expected
    (features, labels) = hard["validation"]
    reached = accuracies[strengths == expected][0]
    assert (head.predict(features) == labels).mean() == pytest.approx(reached, abs=0.011)


@every
def test_every_point_of_the_path_is_what_a_head_with_that_strength_reaches(case: str, hard: dict[str, Split]) -> None:
    features, labels = hard["validation"]
    head = make(case).fit(*hard["train"], validation=hard["validation"])
    for point in head.facts_["path"][::5]:
        alone = make(case, **{head.strength: point[head.strength]}).fit(*hard["train"])
        assert (alone.predict(features) == labels).mean() == pytest.approx(point["validation_accuracy"], abs=0.03)


@every
def test_a_fixed_strength_is_taken(case: str, hard: dict[str, Split]) -> None:
    name = make(case).strength
    head = make(case, **{name: 1}).fit(*hard["train"], validation=hard["validation"])
    assert head.chosen_ == {name: 1}
    assert head.facts_["path"] == []
    assert head.warnings_ == []


@pytest.mark.parametrize("case", [case for case in CASES if case != "ridge"])
def test_without_rows_to_choose_by_the_usual_strength_stands_with_a_warning(case: str, hard: dict[str, Split]) -> None:
    head = make(case).fit(*hard["train"])
    assert head.chosen_ == {head.strength: head.grid.usual}
    (warning,) = head.warnings_
    assert "no validation pictures" in warning
    assert f"--{head.strength}" in warning


@pytest.mark.slow
def test_ridge_then_chooses_by_leaving_one_out(hard: dict[str, Split]) -> None:
    X, y = hard["train"]
    head = RidgeHead().fit(X, y)
    each = RidgeHead().fit(X, y, folds=np.arange(len(X)))
    assert head.warnings_ == []
    for one, other in zip(head.path_[::8], each.path_[::8], strict=False):
        # Standardisation is not done anew for every row, which changes next to nothing.
        assert one["validation_accuracy"] == pytest.approx(other["validation_accuracy"], abs=0.02)
        assert one["validation_loss"] == pytest.approx(other["validation_loss"], rel=0.05)


class Narrow(LogisticHead):
    """Tries a few values in a place where the best is not."""

    values: tuple[float, ...]
    limits = (1e-10, 1e6)

    @property
    def grid(self) -> Grid:
        return replace(super().grid, values=self.values, limits=self.limits)


def narrow(*values: float, limits: tuple[float, float] = (1e-10, 1e6)) -> Narrow:
    head = Narrow()
    head.values, head.limits = values, limits
    return head


def test_a_grid_whose_edge_is_best_grows_until_it_is_not(hard: dict[str, Split]) -> None:
    usual = LogisticHead().fit(*hard["train"], validation=hard["validation"])
    best = usual.chosen_["c"]
    for factors in ((1e-3, 3e-3, 1e-2), (1e2, 3e2, 1e3)):
        head = narrow(*(float(f"{best * each:.4g}") for each in factors))
        head.fit(*hard["train"], validation=hard["validation"])
        assert head.edge_ is None
        assert head.warnings_ == []
        assert 0.2 < head.chosen_["c"] / best < 5


def test_an_edge_that_cannot_be_left_is_said(hard: dict[str, Split]) -> None:
    best = LogisticHead().fit(*hard["train"], validation=hard["validation"]).chosen_["c"]
    tried = [float(f"{best * each:.4g}") for each in (1e-3, 3e-3, 1e-2)]
    head = narrow(*tried, limits=(1e-10, best * 0.02)).fit(*hard["train"], validation=hard["validation"])
    assert head.facts_["edge"] == head.edge_ == "greatest"
    assert any("the greatest that was tried" in warning for warning in head.warnings_)
    # At the limit itself there is nothing beyond.
    head = narrow(*tried, limits=(1e-10, tried[-1])).fit(*hard["train"], validation=hard["validation"])
    assert head.edge_ is None


# Folds.


@every
def test_folds_judge_every_row_once_and_by_heads_that_have_not_seen_it(case: str, hard: dict[str, Split]) -> None:
    X, y = hard["train"]
    folds = np.arange(len(X)) % 5
    head = make(case).fit(X, y, folds=folds)
    scores = head.held_out_scores_
    assert scores.shape == (len(X), 5)
    assert np.isfinite(scores).all()
    for fold in range(5):
        apart = folds == fold
        alone = make(case, **head.chosen_).fit(X[~apart], y[~apart])
        guess = alone.classes_[scores[apart].argmax(axis=1)]
        assert (alone.predict(X[apart]) == guess).mean() > 0.9
    told = next(point for point in head.path_ if point[head.strength] == head.chosen_[head.strength])
    reached = (scores.argmax(axis=1) == np.searchsorted(head.classes_, y)).mean()
    assert reached == pytest.approx(told["validation_accuracy"], abs=0.02)
    # In the end all rows are trained on.
    whole = make(case, **head.chosen_).fit(X, y)
    assert (whole.predict(X) == head.predict(X)).all()


def test_ridge_takes_its_sums_once_for_grid_scores_and_refit(
    hard: dict[str, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = hard["train"]
    taken: list[RidgeFolds] = []
    monkeypatch.setattr(
        linear, "RidgeFolds", lambda *rows, **given: taken.append(RidgeFolds(*rows, **given)) or taken[-1]
    )
    head = RidgeHead().fit(X, y, folds=np.arange(len(X)) % 5)
    assert len(taken) == 1
    assert taken[0].find(taken[0].weightings[-1]) == 5
    # Nor is any row kept with the head.
    assert head._shared is None


@pytest.mark.slow
def test_labels_of_noise_are_not_learned_out_of_fold() -> None:
    random = np.random.default_rng(0)
    X, y = random.normal(size=(200, 50)).astype(np.float32), random.integers(0, 2, 200)
    for case in CASES:
        head = make(case).fit(X, y, folds=np.arange(200) % 5)
        assert (head.held_out_scores_.argmax(axis=1) == y).mean() < 0.65, case


def test_folds_that_cannot_be_trained_on_are_refused(hard: dict[str, Split]) -> None:
    X, y = hard["train"]
    two = y < 2
    with pytest.raises(UnsuitableRows, match="fewer than two classes"):
        LogisticHead().fit(X[two], y[two], folds=y[two])
    with pytest.raises(UnsuitableRows, match="expected one of them"):
        LogisticHead().fit(X, y, folds=y, validation=hard["validation"])


# Convergence.


@pytest.mark.parametrize("make_head", [LogisticHead, SvmHead])
def test_what_did_not_converge_is_solved_otherwise(
    make_head: Any, hard: dict[str, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = make_head(c=0.1).fit(*hard["train"])
    monkeypatch.setattr("demijohn.models.solvers.newton.OUTER", 1)
    again = make_head(c=0.1).fit(*hard["train"])
    assert again.converged_
    assert again.warnings_ == []
    features, _ = hard["validation"]
    assert (again.predict(features) == sound.predict(features)).mean() > 0.98


def test_what_does_not_converge_at_all_is_said(hard: dict[str, Split], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demijohn.models.solvers.newton.OUTER", 1)
    classifier = LogisticHead._classifier
    monkeypatch.setattr(LogisticHead, "_classifier", lambda self, c: classifier(self, c).set_params(max_iter=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head = LogisticHead(c=10.0).fit(*hard["train"])
    assert not head.facts_["converged"]
    assert any("did not converge at c = 10" in warning for warning in head.warnings_)


# Honesty.


@every
def test_validation_rows_are_never_trained_on(case: str, hard: dict[str, Split]) -> None:
    features, labels = hard["validation"]
    settings = {make(case).strength: 1}
    plain = make(case, **settings).fit(*hard["train"]).predict(features)
    for validation in (
        (features, labels),
        (features, (labels + 1) % 5),
        (features * 100, labels),
        (features[:1], labels[:1]),
    ):
        judged = make(case, **settings).fit(*hard["train"], validation=validation)
        assert (judged.predict(features) == plain).all()


@every
def test_wrong_validation_labels_give_a_worse_path_and_change_nothing_else(case: str, hard: dict[str, Split]) -> None:
    features, labels = hard["validation"]
    wrong = make(case).fit(*hard["train"], validation=(features, (labels + 1) % 5))
    right = make(case).fit(*hard["train"], validation=(features, labels))
    assert max(p["validation_accuracy"] for p in wrong.path_) < max(p["validation_accuracy"] for p in right.path_)
    settled = make(case, **wrong.chosen_).fit(*hard["train"])
    assert (settled.predict(features) == wrong.predict(features)).all()


@every
def test_what_was_given_stays_as_it_is(case: str, hard: dict[str, Split]) -> None:
    given = [array for split in hard.values() for array in split]
    before = [array.copy() for array in given]
    make(case).fit(*hard["train"], validation=hard["validation"])
    assert all((now == then).all() for now, then in zip(given, before, strict=True))


@pytest.mark.parametrize("case", ["logistic", "ridge", "svm", "rbf", "lda"])
def test_the_unit_of_the_features_does_not_matter(case: str, hard: dict[str, Split]) -> None:
    # Standardisation is inside the head.
    (X, y), (features, _) = hard["train"], hard["validation"]
    settings = {make(case).strength: 0.1}
    plain, scaled = make(case, **settings).fit(X, y), make(case, **settings).fit(X * 1024 + 4096, y)
    assert (plain.predict(features) == scaled.predict(features * 1024 + 4096)).mean() > 0.98


@pytest.mark.parametrize("case", ["logistic", "svm", "ridge", "lda"])
def test_balanced_judges_every_class_alike(case: str) -> None:
    random = np.random.default_rng(0)
    y = (np.arange(400) % 20 == 0).astype(int)
    X = (random.normal(size=(400, 6)) + 0.8 * y[:, None]).astype(np.float32)
    held = (X[200:], y[200:])
    head = make(case, balanced=True).fit(X[:200], y[:200], validation=held)
    predicted = head.predict(held[0])
    recalls = [(predicted[held[1] == label] == label).mean() for label in (0, 1)]
    told = next(point for point in head.path_ if point[head.strength] == head.chosen_[head.strength])
    assert told["validation_accuracy"] == pytest.approx(np.mean(recalls), abs=0.006)


# The contract of scikit-learn.

EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "solved in 32 bits, within a tolerance",
    "check_fit2d_predict1d": "the message says what the head was trained on, not how to reshape",
}
NEIGHBOURS = {
    **EXPECTED,
    "check_sample_weights_pandas_series": "votes have no weights",
    "check_sample_weights_not_an_array": "votes have no weights",
    "check_sample_weights_list": "votes have no weights",
    "check_sample_weights_not_overwritten": "votes have no weights",
}


def exceptions(head: Any) -> dict[str, str]:
    return NEIGHBOURS if type(head).__name__ == "NeighboursHead" else EXPECTED


@parametrize_with_checks([LogisticHead()], expected_failed_checks=exceptions)
def test_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [HEADS[name].estimator()() for name in HEADS if name not in ("dense", "logistic")] + [SvmHead(kernel="rbf")],
    expected_failed_checks=exceptions,
)
def test_scikit_learn_of_the_other_heads(estimator: Any, check: Callable[[Any], None]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)
