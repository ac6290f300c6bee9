"""The shortcut probe: how well do mere facts of the files predict the class?

Where the cats came from one camera and the dogs from another, a head may learn the camera. If file
size, dimensions, aspect, JPEG quality or kind alone predict the class better than chance, figures
on this data set need not hold on other pictures.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from ...models.heads.folds import deal_folds
from ...models.heads.probes import FOLDS, probabilities_from_facts
from ..pictures.facts import FileFacts

DRAWS = 2000
MOST = 5000
"""More pictures would make the interval narrower than anyone needs."""
_COLUMNS: dict[str, Callable[[FileFacts], float]] = {
    "file size": lambda facts: facts.size,
    "width": lambda facts: facts.width,
    "height": lambda facts: facts.height,
    "aspect": lambda facts: facts.aspect,
    "JPEG quality": lambda facts: np.nan if facts.quality is None else facts.quality,
}
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class FactProbe:
    """How well one fact, or all of them, predict the class; None where all pictures are alike in it."""

    fact: str
    balanced_accuracy: float | None
    """Mean over the classes of the share that is told right."""
    interval: Interval | None
    """Of 95 %."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        interval = None if self.interval is None else list(self.interval)
        return {
            "fact": self.fact,
            "balanced_accuracy": self.balanced_accuracy,
            "balanced_accuracy_interval": interval,
        }


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """What the shortcut probe found."""

    images: int
    """How many it was made on."""
    chance: float
    """Balanced accuracy of guessing: one by the number of classes."""
    together: FactProbe
    """All facts."""
    singles: tuple[FactProbe, ...]
    """Each fact alone, the best first."""
    accuracy: float
    """Of all facts, each class with its frequency."""
    accuracy_interval: Interval
    majority: float
    """Accuracy of always saying the most frequent class."""

    @property
    def strongest(self) -> FactProbe | None:
        """The best single fact; None where all pictures are alike in all of them."""
        return self.singles[0] if self.singles and self.singles[0].balanced_accuracy is not None else None

    @property
    def above_chance(self) -> bool:
        """Whether the whole interval of all facts lies above chance."""
        return self.together.interval is not None and self.together.interval[0] > self.chance

    @property
    def warning(self) -> str | None:
        """One sentence if the facts predict the class above chance."""
        if not self.above_chance or self.strongest is None:
            return None
        return (
            f"facts of the files alone predict the class with a balanced accuracy of {_percent(self.together)}, where "
            f"guessing has {self.chance:.1%}; the strongest single fact is {self.strongest.fact}, "
            f"{_percent(self.strongest)}. A head may learn it instead of what is in the pictures"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "images": self.images,
            "chance": self.chance,
            **{name: value for name, value in self.together.to_json().items() if name != "fact"},
            "majority": self.majority,
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.accuracy_interval),
            "strongest": None if self.strongest is None else self.strongest.fact,
            "facts": [each.to_json() for each in self.singles],
            "above_chance": self.above_chance,
            "warning": self.warning,
        }


def probe_shortcuts(
    facts: Sequence[FileFacts], labels: Sequence[str], *, groups: NDArray[np.int64] | None = None, seed: int = 0
) -> Shortcuts | None:
    """Return how well facts of files predict the class out of fold; None with too few pictures.

    Parameters
    ----------
    facts : sequence of FileFacts, length n
        Of labelled pictures, each distinct one once. Of more than `MOST`, that many are drawn.
    labels : sequence of str, length n
        Names of the classes; those with fewer pictures than folds are left out.
    groups : ndarray of shape (n,), int64, optional
        Pictures with one number (twins, a patient) are never on both sides of a fold.
    seed : int
        Of draw, folds, trees and intervals.

    Returns
    -------
    Shortcuts or None
        None where fewer than two classes have as many pictures as there are folds, or where every
        class is a group of its own, so that none can be judged by others.
    """
    random = np.random.default_rng(seed)
    chosen = _of_large_classes(labels, np.arange(len(labels)))
    if len(chosen) > MOST:
        chosen = _of_large_classes(labels, np.sort(random.choice(chosen, MOST, replace=False)))
    kept, position = np.unique([labels[each] for each in chosen], return_inverse=True)
    if len(kept) < 2:
        return None
    y = position.astype(np.int32)
    folds = deal_folds(y, np.arange(len(y)) if groups is None else groups[chosen], FOLDS, seed=seed)
    columns = _columns([facts[each] for each in chosen])
    probabilities = probabilities_from_facts(np.stack(list(columns.values()), axis=1), y, folds, seed=seed)
    judged = ~np.isnan(probabilities).any(axis=1)
    if not judged.any():
        return None
    singles = []
    for name, column in columns.items():
        probability = None if _is_constant(column) else probabilities_from_facts(column[:, None], y, folds, seed=seed)
        singles.append(_judge(name, probability, y, random))
    # The forest weighs classes alike; times their frequency, it says what is right most often.
    frequency = np.bincount(y) / len(y)
    right = int((np.argmax(probabilities[judged] * frequency, axis=1) == y[judged]).sum())
    wilson = binomtest(right, int(judged.sum())).proportion_ci(0.95, method="wilson")
    return Shortcuts(
        images=len(y),
        chance=1 / len(kept),
        together=_judge("all facts", probabilities, y, random),
        singles=tuple(sorted(singles, key=lambda each: -(each.balanced_accuracy or 0.0))),
        accuracy=right / int(judged.sum()),
        accuracy_interval=(float(wilson.low), float(wilson.high)),
        majority=float(frequency.max()),
    )


def _of_large_classes(labels: Sequence[str], chosen: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the chosen positions whose class has a picture per fold."""
    counts = Counter(labels[each] for each in chosen)
    return np.array([each for each in chosen if counts[labels[each]] >= FOLDS], dtype=np.intp)


def tabulate_facts(facts: Sequence[FileFacts]) -> NDArray[np.float64]:
    """Return the facts as numbers, shape (n, f), float64; NaN where one is not known."""
    return np.stack(list(_columns(facts).values()), axis=1)


def _columns(facts: Sequence[FileFacts]) -> dict[str, NDArray[np.float64]]:
    columns = {name: np.array([value(each) for each in facts], dtype=np.float64) for name, value in _COLUMNS.items()}
    # The most frequent kind is 0: the order of a tree's cuts then has some meaning.
    kinds, position, counts = np.unique([each.kind for each in facts], return_inverse=True, return_counts=True)
    rank = np.empty(len(kinds))
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(kinds))
    return {**columns, "kind": rank[position]}


def _is_constant(column: NDArray[np.float64]) -> bool:
    return len(np.unique(column)) < 2


def _judge(
    fact: str, probabilities: NDArray[np.float64] | None, y: NDArray[np.int32], random: np.random.Generator
) -> FactProbe:
    """Return balanced accuracy and its stratified bootstrap interval.

    Drawing the pictures of a class again, with replacement, draws the number told right from a binomial
    distribution.
    """
    if probabilities is None:
        return FactProbe(fact, None, None)
    judged = ~np.isnan(probabilities).any(axis=1)
    right = probabilities[judged].argmax(axis=1) == y[judged]
    count = np.bincount(y[judged])
    occurring = count > 0
    count = count[occurring]
    share = np.bincount(y[judged], weights=right)[occurring] / count
    drawn = (random.binomial(count, share, size=(DRAWS, len(count))) / count).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return FactProbe(fact, float(share.mean()), (float(low), float(high)))


def _percent(probe: FactProbe) -> str:
    low, high = probe.interval or (np.nan, np.nan)
    return f"{probe.balanced_accuracy:.1%} [{100 * low:.1f}, {100 * high:.1f}]"
