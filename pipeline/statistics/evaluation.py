"""How good a head is on some pictures: plain numbers, each with a 95 % interval (docs/intervals.md).

The intervals are in closed form, so the same predictions always give the same ones. A share such as
accuracy has Wilson's; macro F1 and the area under the ROC curve have it too, with the number of
pictures that would give a share the same variance; balanced accuracy has the score interval of a mean
of shares; the losses, which are skewed, Hall's.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration import measure_calibration
from .evidence import Sampling
from .intervals import Interval, mean_of_shares, mean_of_values, share
from .ranking import measure_areas

Metrics = dict[str, Any]
SURE = 1e-7
"""Lower probabilities count as this in the log loss."""
WITH_INTERVAL = ("accuracy", "balanced_accuracy", "macro_f1", "top5_accuracy", "roc_auc", "log_loss", "brier")
WITHOUT_INTERVAL = ("calibration_error", "calibration_error_by_luck", "reliability", "per_class")


def evaluate(
    labels: NDArray[np.int32],
    scores: NDArray[np.float64],
    *,
    are_probabilities: bool,
    groups: NDArray[np.int64] | None = None,
    stratified: bool = False,
) -> Metrics:
    """Return the metrics of one split.

    Parameters
    ----------
    labels : ndarray of shape (n,), int32
        True class of each picture, 0..c-1.
    scores : ndarray of shape (n, c), float64
        Probabilities or decision values; the greatest one is the prediction.
    are_probabilities : bool
        Without probabilities, the log loss, the Brier score and the calibration are None.
    groups : ndarray of shape (n,), int64, optional
        Pictures with one number (twins, a patient) are no independent evidence: intervals are wider.
    stratified : bool
        Whether the number of pictures per class was fixed beforehand: intervals are then narrower.

    Returns
    -------
    dict
        `images`. With `<name>_interval` [low, high] beside each: `accuracy`; `balanced_accuracy` (mean
        recall) and `macro_f1` (mean F1), both over the classes that occur in `labels`; `top5_accuracy`
        (of more than 10 classes); `roc_auc` (each class against the rest, mean); `log_loss` (natural
        logarithm, probabilities clipped at 1e-7); `brier` (sum of squares over the classes, 0..2).
        Then `calibration_error`, `calibration_error_by_luck`, `reliability`
        (`Calibration`), and `per_class` with the lists `precision`, `recall`, `f1`, `support` in the
        order of the classes. What is undefined is None.
    """
    count, classes = scores.shape
    metrics: Metrics = {"images": count}
    for name in WITH_INTERVAL:
        metrics |= {name: None, f"{name}_interval": None}
    metrics |= dict.fromkeys(WITHOUT_INTERVAL)
    if count == 0:
        return metrics
    sampling = Sampling.of(count, groups, labels if stratified else None)
    predicted = scores.argmax(axis=1).astype(np.int32)
    right = predicted == labels

    def note(name: str, value: float, interval: Interval | None) -> None:
        metrics[name] = float(value)
        metrics[f"{name}_interval"] = None if interval is None else list(interval)

    note("accuracy", right.mean(), accuracy_interval(right, sampling))
    note("balanced_accuracy", *_balanced_accuracy(labels, right, sampling))
    note("macro_f1", *_macro_f1(labels, predicted, classes, sampling))
    if classes > 10:
        own = scores[np.arange(count), labels][:, None]
        # A tie goes to the class that stands first, as with the prediction.
        ahead = (scores > own).sum(axis=1) + ((scores == own) & (np.arange(classes) < labels[:, None])).sum(axis=1)
        note("top5_accuracy", (ahead < 5).mean(), accuracy_interval(ahead < 5, sampling))
    areas = measure_areas(labels, scores)
    if areas.mean is not None:
        note(
            "roc_auc", areas.mean, _like_a_share(areas.mean, areas.influence, areas.number, sampling, most=areas.number)
        )
    if are_probabilities:
        probability = scores[np.arange(count), labels]
        losses = -np.log(np.clip(probability, SURE, None))
        note("log_loss", losses.mean(), _above_zero(mean_of_values(losses, sampling)))
        squares = (scores**2).sum(axis=1) - 2 * probability + 1
        note("brier", squares.mean(), _above_zero(mean_of_values(squares, sampling)))
        metrics |= measure_calibration(scores.max(axis=1), right).to_json()
    metrics["per_class"] = _per_class(labels, predicted, classes)
    return metrics


def accuracy_interval(right: NDArray[np.bool_], sampling: Sampling) -> Interval:
    """Return the 95 % interval of an accuracy.

    Parameters
    ----------
    right : ndarray of shape (n,), bool
        Whether each picture is predicted right; n is at least 1.
    sampling : Sampling
        How the pictures came together.
    """
    residuals = sampling.residuals(right.astype(np.float64))
    effect = sampling.effect(residuals)
    if sampling.strata is None:
        return share(float(right.mean()), len(right) / effect)
    numbers = np.bincount(sampling.strata)
    hits = np.bincount(sampling.strata, right)[numbers > 0]
    numbers = numbers[numbers > 0]
    return mean_of_shares(hits / effect, numbers / effect, numbers / len(right))


def confusion_matrix(labels: NDArray[np.int32], predicted: NDArray[np.int32], classes: int) -> NDArray[np.int64]:
    """Return counts of shape (c, c): row is the true class, column the predicted one."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _balanced_accuracy(
    labels: NDArray[np.int32], right: NDArray[np.bool_], sampling: Sampling
) -> tuple[float, Interval]:
    support = np.bincount(labels)
    occurring = support > 0
    hits, numbers = np.bincount(labels, right)[occurring], support[occurring].astype(np.float64)
    weights = np.full(len(numbers), 1 / len(numbers))
    recalls = np.zeros(len(support))
    recalls[occurring] = hits / numbers
    effect = sampling.effect((right - recalls[labels]) / support[labels])
    return float((hits / numbers).mean()), mean_of_shares(hits / effect, numbers / effect, weights)


def _macro_f1(
    labels: NDArray[np.int32], predicted: NDArray[np.int32], classes: int, sampling: Sampling
) -> tuple[float, Interval]:
    support, claimed, hits = _counts(labels, predicted, classes)
    occurring = support > 0
    total = np.maximum(support + claimed, 1)
    f1 = 2 * hits / total
    mean = float(f1[occurring].mean())
    # F1 is a ratio, so with few pictures per class it is too low by F1 * errors / total^2 (to first order).
    missed = float((f1 * (total - 2 * hits) / total**2)[occurring].mean())
    # What one picture more adds: to the hits of its class, and to the totals of its true and predicted classes.
    part = occurring / total / occurring.sum()
    influence = 2 * part[labels] * (labels == predicted) - (f1 * part)[labels] - (f1 * part)[predicted]
    # Where all are right, every class is a share of its own pictures.
    number = occurring.sum() ** 2 / float((1 / support[occurring]).sum())
    return mean, _like_a_share(mean, influence, number, sampling, bias=missed)


def _like_a_share(
    value: float,
    influence: NDArray[np.float64],
    number: float,
    sampling: Sampling,
    *,
    bias: float = 0.0,
    most: float = np.inf,
) -> Interval:
    """Return Wilson's interval with as many pictures as would give a share the same variance.

    Parameters
    ----------
    value : float
        The metric, 0..1.
    influence : ndarray of shape (n,), float64
        What each picture adds.
    number : float
        Of pictures, where influence is nothing, as when all are right.
    bias : float
        By how much the metric is expected to be too low.
    most : float
        The number of pictures is no greater.
    """
    residuals = sampling.residuals(influence)
    variance = float((residuals**2).sum())
    if variance > 1e-15 and 0 < value < 1:
        number = min(most, value * (1 - value) / variance)
    low, high = share(min(value + bias, 1.0), number / sampling.effect(residuals))
    return min(low, value), max(high, value)


def _above_zero(interval: Interval | None) -> Interval | None:
    return None if interval is None else (max(0.0, interval[0]), interval[1])


def _counts(
    labels: NDArray[np.int32], predicted: NDArray[np.int32], classes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return per class how many there are, how many are predicted, and how many of those are right."""
    support, claimed = np.bincount(labels, minlength=classes), np.bincount(predicted, minlength=classes)
    return support, claimed, np.bincount(labels[labels == predicted], minlength=classes)


def _per_class(
    labels: NDArray[np.int32], predicted: NDArray[np.int32], classes: int
) -> dict[str, list[float | None] | list[int]]:
    support, claimed, hits = _counts(labels, predicted, classes)

    def ratio(above: NDArray[np.int64], below: NDArray[np.int64]) -> list[float | None]:
        return [float(a / b) if b else None for a, b in zip(above, below, strict=True)]

    return {
        "precision": ratio(hits, claimed),
        "recall": ratio(hits, support),
        "f1": ratio(2 * hits, support + claimed),
        "support": support.tolist(),
    }
