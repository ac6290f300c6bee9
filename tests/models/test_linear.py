"""Logistic and SVM heads: C is chosen on validation rows, honestly, and these are never trained on."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from demijohn.models.linear import LogisticHead, SvmHead
from numpy.typing import NDArray

Blobs = Callable[..., tuple[NDArray[np.float32], NDArray[np.int64]]]
Make = Callable[..., Any]

MAKERS: dict[str, Make] = {
    "logistic": LogisticHead,
    "svm": SvmHead,
    "rbf": lambda **settings: SvmHead(kernel="rbf", **settings),
}
every = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
linear = pytest.mark.parametrize("make", [LogisticHead, SvmHead], ids=["logistic", "svm"])


def coefficients(head: Any) -> NDArray[np.float64]:
    """Return all that training found: the scaler's numbers, and the decision on points anywhere."""
    scaler = head.pipeline_[0]
    points = np.random.default_rng(0).normal(size=(50, len(scaler.mean_))) * 3
    return np.concatenate([scaler.mean_, scaler.scale_, head.pipeline_.decision_function(points).ravel()])


@pytest.fixture(scope="module")
def hard(blobs: Blobs) -> dict[str, Any]:
    """Return rows of five classes that overlap, so that C matters."""
    options = {"classes": 5, "width": 30, "spread": 2.0}
    train = blobs(150, seed=1, **options)
    return {"train": train, "validation": blobs(100, seed=2, **options)}


# Choosing C.


@every
def test_c_is_the_best_of_the_path_on_validation(make: Make, hard: dict[str, Any]) -> None:
    head = make().fit(*hard["train"], validation=hard["validation"])
    path = head.facts_["path"]
    assert head.facts_["c"] == head.c_
    assert [point["c"] for point in path] == sorted({point["c"] for point in path})
    assert len(path) == len(head.grid)
    best = max(point["validation_accuracy"] for point in path)
    tied = [point for point in path if point["validation_accuracy"] == best]
    least = min(point["validation_loss"] for point in tied)
    # Among equals, the strongest penalty.
    assert head.c_ == min(point["c"] for point in tied if point["validation_loss"] == least)
    assert len({point["validation_accuracy"] for point in path}) > 1, "C matters here"
    features, labels = hard["validation"]
    assert (head.predict(features) == labels).mean() == pytest.approx(best)


class Indifferent(SvmHead):
    """Finds every machine equally good."""

    def _judge(self, classifier: Any, X: NDArray[np.float32], y: NDArray[Any]) -> tuple[float, float]:
        return 1.0, 0.0


def test_among_equals_the_strongest_penalty_is_taken(hard: dict[str, Any]) -> None:
    head = Indifferent().fit(*hard["train"], validation=hard["validation"])
    assert head.c_ == min(head.grid)


@every
def test_every_point_of_the_path_is_what_a_head_with_that_c_reaches(make: Make, hard: dict[str, Any]) -> None:
    features, labels = hard["validation"]
    for point in make().fit(*hard["train"], validation=hard["validation"]).facts_["path"]:
        alone = make(c=point["c"]).fit(*hard["train"])
        # A warm start ends within the solver's tolerance of a cold one.
        assert (alone.predict(features) == labels).mean() == pytest.approx(point["validation_accuracy"], abs=0.03)


@every
def test_the_chosen_head_is_the_one_that_was_judged(make: Make, hard: dict[str, Any]) -> None:
    # Later fits of the path must not change the one that was kept.
    head = make().fit(*hard["train"], validation=hard["validation"])
    alone = make(c=head.c_).fit(*hard["train"])
    np.testing.assert_allclose(coefficients(head), coefficients(alone), atol=0.05 * np.abs(coefficients(alone)).max())


@every
def test_a_fixed_c_is_taken_and_still_judged(make: Make, hard: dict[str, Any]) -> None:
    head = make(c=0.25).fit(*hard["train"], validation=hard["validation"])
    (point,) = head.facts_["path"]
    assert head.c_ == point["c"] == head.pipeline_[-1].C == 0.25
    assert 0 <= point["validation_accuracy"] <= 1
    assert head.warnings_ == []


@every
def test_without_validation_rows_c_is_the_middle_of_the_grid_with_a_warning(make: Make, hard: dict[str, Any]) -> None:
    head = make().fit(*hard["train"])
    (point,) = head.facts_["path"]
    assert "validation_accuracy" not in point
    (warning,) = head.warnings_
    assert "no validation pictures" in warning
    assert "--c" in warning
    with_rows = make().fit(*hard["train"], validation=hard["validation"]).facts_["path"]
    assert with_rows[0]["c"] < head.c_ < with_rows[-1]["c"]


@every
def test_a_c_on_the_edge_of_its_grid_is_said(make: Make, hard: dict[str, Any]) -> None:
    for side in (0, -1):
        head = make()
        # A grid of three that ends where the best was.
        best = make().fit(*hard["train"], validation=hard["validation"]).c_ / (1e3 if make is MAKERS["rbf"] else 1)
        head.grid = tuple(sorted(best * factor for factor in ((1, 1e2, 1e4) if side == 0 else (1, 1e-2, 1e-4))))
        head.fit(*hard["train"], validation=hard["validation"])
        assert head.c_ == head.facts_["path"][side]["c"]
        assert any("edge of its grid" in warning and f"{head.c_:g}" in warning for warning in head.warnings_)
    inside = make()
    inside.grid = (best * 1e-5, best, best * 1e5)
    assert inside.fit(*hard["train"], validation=hard["validation"]).warnings_ == []


class Hasty(LogisticHead):
    def _classifier(self) -> Any:
        return super()._classifier().set_params(max_iter=1)


class HastySvm(SvmHead):
    def _classifier(self) -> Any:
        return super()._classifier().set_params(max_iter=1)


@pytest.mark.parametrize("make", [Hasty, HastySvm, lambda **settings: HastySvm(kernel="rbf", **settings)])
def test_training_that_did_not_converge_is_said(make: Make, hard: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head = make(c=10.0).fit(*hard["train"])
    assert not head.facts_["path"][0]["converged"]
    assert any("did not converge at C = 10" in warning for warning in head.warnings_)


@every
def test_training_that_converged_is_recorded_as_such(make: Make, hard: dict[str, Any]) -> None:
    assert make(c=0.01).fit(*hard["train"]).facts_["path"][0]["converged"]


# Honesty.


@every
def test_validation_rows_are_never_trained_on(make: Make, hard: dict[str, Any]) -> None:
    features, labels = hard["validation"]
    plain = coefficients(make(c=0.1).fit(*hard["train"]))
    for validation in (
        (features, labels),
        (features, (labels + 1) % 5),
        (features * 100, labels),
        (features[:1], labels[:1]),
    ):
        judged = make(c=0.1).fit(*hard["train"], validation=validation)
        assert coefficients(judged).tobytes() == plain.tobytes()


@every
def test_validation_labels_choose_c_and_nothing_else(make: Make, hard: dict[str, Any]) -> None:
    features, labels = hard["validation"]
    wrong = make().fit(*hard["train"], validation=(features, (labels + 1) % 5))
    right = make().fit(*hard["train"], validation=(features, labels))
    assert [point["c"] for point in wrong.path_] == [point["c"] for point in right.path_]
    assert max(p["validation_accuracy"] for p in wrong.path_) < max(p["validation_accuracy"] for p in right.path_)


@every
def test_what_was_given_stays_as_it_is(make: Make, hard: dict[str, Any]) -> None:
    given = [array for split in hard.values() for array in split]
    before = [array.copy() for array in given]
    make().fit(*hard["train"], validation=hard["validation"])
    assert all((now == then).all() for now, then in zip(given, before, strict=True))


@every
def test_the_unit_of_the_features_does_not_matter(make: Make, hard: dict[str, Any]) -> None:
    # Standardisation is inside the head.
    (X, y), (features, _) = hard["train"], hard["validation"]
    plain, scaled = make(c=0.1).fit(X, y), make(c=0.1).fit(X * 1024 + 4096, y)
    np.testing.assert_array_equal(plain.predict(features), scaled.predict(features * 1024 + 4096))


# Balance.


@linear
def test_balanced_judges_every_class_alike(make: Make) -> None:
    random = np.random.default_rng(0)
    y = (np.arange(400) % 20 == 0).astype(int)
    X = (random.normal(size=(400, 6)) + 0.8 * y[:, None]).astype(np.float32)
    held = (X[200:], y[200:])
    head = make(balanced=True).fit(X[:200], y[:200], validation=held)
    predicted = head.predict(held[0])
    recalls = [(predicted[held[1] == label] == label).mean() for label in (0, 1)]
    best = max(point["validation_accuracy"] for point in head.path_)
    assert best == pytest.approx(np.mean(recalls))


@every
def test_it_shows_its_settings_the_way_of_scikit_learn(make: Make) -> None:
    head = make(c=0.5, balanced=True, seed=3)
    assert {"c": 0.5, "balanced": True, "seed": 3}.items() <= head.get_params().items()
    assert head.set_params(c=2.0).c == 2.0
    assert head.history_ == [] if hasattr(head, "history_") else True
