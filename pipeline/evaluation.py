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
_BLOCK = 1 << 22
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
    correct = (predicted == labels).astype(np.float64)
    # Columns are summed over pictures, so that a draw is one product: weights (draws, n) times columns.
    columns = [correct[:, None], *_confusion_columns(labels, predicted, classes)]
    if are_probabilities:
        losses = -np.log(np.clip(scores[np.arange(count), labels], 1e-7, None))
        columns.append(losses[:, None])
    table = np.concatenate(columns, axis=1)

    def summarise(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        hits, truth, claimed = (sums[:, 1 + part * classes : 1 + (part + 1) * classes] for part in range(3))
        f1 = 2 * hits / np.maximum(truth + claimed, 1)
        # A class that a draw happens to leave out says nothing there, rather than zero.
        support = truth > 0
        macro_f1 = (f1 * support).sum(axis=1) / support.sum(axis=1)
        values = {"accuracy": sums[:, 0] / count, "macro_f1": macro_f1}
        if are_probabilities:
            values["log_loss"] = sums[:, -1] / count
        return values

    point = summarise(table.sum(axis=0, keepdims=True))
    drawn = summarise(_draw(table, seed))
    for name in ("accuracy", "macro_f1", "log_loss"):
        if name not in point:
            metrics |= {name: None, f"{name}_interval": None}
            continue
        low, high = np.percentile(drawn[name], [2.5, 97.5])
        if name == "accuracy" and correct.min() == correct.max():
            exact = binomtest(int(correct.sum()), count).proportion_ci(0.95, method="exact")
            low, high = exact.low, exact.high
        metrics |= {name: float(point[name][0]), f"{name}_interval": [float(low), float(high)]}
    return metrics


def confusion_matrix(labels: NDArray[np.int32], predicted: NDArray[np.int32], classes: int) -> NDArray[np.int64]:
    """Return counts of shape (c, c): row is the true class, column the predicted one."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _confusion_columns(
    labels: NDArray[np.int32], predicted: NDArray[np.intp], classes: int
) -> list[NDArray[np.float64]]:
    """Return per class: true and predicted, true, predicted; each of shape (n, c)."""
    every = np.arange(classes)
    truth = (labels[:, None] == every).astype(np.float64)
    claimed = (predicted[:, None] == every).astype(np.float64)
    return [truth * claimed, truth, claimed]


def _draw(table: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return the column sums of DRAWS resampled tables, shape (DRAWS, columns)."""
    count = len(table)
    random = np.random.default_rng(seed)
    sums = []
    step = max(1, _BLOCK // count)
    for start in range(0, DRAWS, step):
        draws = min(step, DRAWS - start)
        weights = random.multinomial(count, np.full(count, 1 / count), size=draws)
        sums.append(weights @ table)
    return np.concatenate(sums)
