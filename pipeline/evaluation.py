"""How good a head is on some pictures: plain numbers, each with a 95 % bootstrap interval.

The bootstrap draws the pictures again, with replacement, and takes the 2.5 and 97.5 percentiles of
the metric (Efron and Tibshirani 1993, chapter 13). Where every picture is right, or every picture
wrong, drawing again cannot vary: there the accuracy's interval is the exact binomial one (Clopper
and Pearson 1934), since 10 of 10 does not prove 100 %.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

DRAWS = 1000
Metrics = dict[str, Any]


def evaluate(
    labels: NDArray[np.int32], scores: NDArray[np.float64], *, are_probabilities: bool, seed: int = 0
) -> Metrics:
    """Return the metrics of one split.

    Parameters
    ----------
    labels : ndarray of shape (n,), int32
        True class of each picture, 0..c-1.
    scores : ndarray of shape (n, c), float64
        Probabilities or decision values; the greatest one is the prediction.
    are_probabilities : bool
        Without probabilities, the log loss is None.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        `images`; `accuracy`, `macro_f1` (mean over the classes that occur in `labels`) and `log_loss`
        (natural logarithm, probabilities clipped at 1e-7), each with `<name>_interval` [low, high].
        What is undefined is None.
    """
    count, classes = scores.shape
    metrics: Metrics = {"images": count}
    if count == 0:
        for name in ("accuracy", "macro_f1", "log_loss"):
            metrics |= {name: None, f"{name}_interval": None}
        return metrics
    predicted = scores.argmax(axis=1)
    random = np.random.default_rng(seed)
    # Accuracy and F1 depend on how many pictures fall into each (true, predicted) pair that occurs, and
    # drawing n pictures again draws those counts from a multinomial distribution.
    pairs, occurring = np.unique(labels * np.int64(classes) + predicted, return_counts=True)
    drawn_counts = random.multinomial(count, occurring / count, size=DRAWS)
    drawn = _from_counts(pairs, drawn_counts, classes)
    point = _from_counts(pairs, occurring[None], classes)
    if are_probabilities:
        losses = -np.log(np.clip(scores[np.arange(count), labels], 1e-7, None))
        point["log_loss"] = losses.mean(keepdims=True)
        drawn["log_loss"] = np.array([losses[random.integers(0, count, count)].mean() for _ in range(DRAWS)])
    for name in ("accuracy", "macro_f1", "log_loss"):
        if name not in point:
            metrics |= {name: None, f"{name}_interval": None}
            continue
        low, high = np.percentile(drawn[name], [2.5, 97.5])
        accuracy = point["accuracy"][0]
        if name == "accuracy" and accuracy in (0, 1):
            exact = binomtest(round(accuracy * count), count).proportion_ci(0.95, method="exact")
            low, high = exact.low, exact.high
        metrics |= {name: float(point[name][0]), f"{name}_interval": [float(low), float(high)]}
    return metrics


def accuracy_difference(
    labels: NDArray[np.int32], one: NDArray[np.int32], other: NDArray[np.int32], *, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Return the accuracy of one minus that of the other on the same pictures, and its 95 % bootstrap interval.

    Parameters
    ----------
    labels, one, other : ndarrays of shape (n,), int32
        True classes, and those that two heads predict; n is at least 1.
    seed : int
        Of the bootstrap, which draws pictures.
    """
    gained = (one == labels).astype(int) - (other == labels)
    values, counts = np.unique(gained, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(labels), counts / len(labels), size=DRAWS) @ values
    low, high = np.percentile(drawn / len(labels), [2.5, 97.5])
    return float(gained.mean()), (float(low), float(high))


def confusion_matrix(labels: NDArray[np.int32], predicted: NDArray[np.int32], classes: int) -> NDArray[np.int64]:
    """Return counts of shape (c, c): row is the true class, column the predicted one."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _from_counts(pairs: NDArray[np.int64], counts: NDArray[np.int64], classes: int) -> dict[str, NDArray[np.float64]]:
    """Return accuracy and macro F1 of each draw.

    Parameters
    ----------
    pairs : ndarray of shape (k,), int64
        True class times c plus predicted class.
    counts : ndarray of shape (draws, k), int64
        How often each pair was drawn.
    classes : int
        c.
    """
    true, predicted = pairs // classes, pairs % classes
    every = np.arange(classes)
    truth = counts @ (true[:, None] == every)  # (draws, c)
    claimed = counts @ (predicted[:, None] == every)
    hits = counts @ ((true[:, None] == every) & (predicted[:, None] == every))
    # A class that a draw happens to leave out says nothing there, rather than zero.
    support = truth > 0
    f1 = 2 * hits / np.maximum(truth + claimed, 1)
    return {
        "accuracy": hits.sum(axis=1) / truth.sum(axis=1),
        "macro_f1": (f1 * support).sum(axis=1) / support.sum(axis=1),
    }
