"""Worlds whose truth is known, to see how often an interval holds it and how often a test is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from demijohn.pipeline.statistics.comparison import accuracy_difference, compare_runs
from demijohn.pipeline.statistics.evaluation import evaluate
from demijohn.pipeline.statistics.pairs import Judged
from demijohn.pipeline.statistics.seeds import separate_seeds
from demijohn.pipeline.statistics.selection import measure_optimism
from demijohn.pipeline.statistics.significance import mcnemar
from numpy.typing import NDArray
from scipy.stats import binom

Interval = tuple[float, float] | list[float] | None
LOSSES = ("log_loss", "brier")
SHARES = ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc")


@dataclass(frozen=True, slots=True)
class World:
    """One way that pictures and predictions come about."""

    name: str
    truth: dict[str, float]
    """What each interval should hold."""
    draw: Callable[[np.random.Generator], dict[str, Interval]]
    """Returns the interval of each from one sample."""


def coverage(world: World, draws: int, seed: int = 0) -> dict[str, float]:
    """Return how often each interval holds the truth; an interval that is None does not."""
    random = np.random.default_rng(seed)
    held = dict.fromkeys(world.truth, 0)
    for _ in range(draws):
        intervals = world.draw(random)
        for name, truth in world.truth.items():
            interval = intervals[name]
            held[name] += interval is not None and interval[0] <= truth <= interval[1]
    return {name: count / draws for name, count in held.items()}


def exact_coverage(accuracy: float, count: int) -> float:
    """Return how often the interval of an accuracy holds it, by adding up all that can happen."""
    hits = np.arange(count + 1)
    chance = binom.pmf(hits, count, accuracy)
    likely = hits[chance > 1e-9]
    held = [_accuracy_interval(hit, count) for hit in likely]
    return float(sum(chance[hit] for hit, (low, high) in zip(likely, held, strict=True) if low <= accuracy <= high))


def _accuracy_interval(hits: int, count: int) -> list[float]:
    scores = np.where((np.arange(count) < hits)[:, None], [[0.8, 0.2]], [[0.2, 0.8]])
    interval: list[float] = evaluate(np.zeros(count, np.int32), scores, are_probabilities=False)["accuracy_interval"]
    return interval


def classifier(name: str, shares: list[float], count: int, *, skill: float, boast: float = 1.0) -> World:
    """Return a classifier by its skill; `boast` above 1 makes its probabilities too sure."""
    prior = np.array(shares) / sum(shares)

    def sample(random: np.random.Generator, size: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        labels = random.choice(len(prior), size, p=prior).astype(np.int32)
        logits = random.normal(size=(size, len(prior)))
        logits[np.arange(size), labels] += skill
        scores = np.exp(boast * logits)
        return labels, scores / scores.sum(axis=1, keepdims=True)

    large = evaluate(*sample(np.random.default_rng(1), 1_000_000), are_probabilities=True)
    names = (*SHARES, *LOSSES)

    def draw(random: np.random.Generator) -> dict[str, Interval]:
        metrics = evaluate(*sample(random, count), are_probabilities=True)
        return {each: metrics[f"{each}_interval"] for each in names}

    return World(f"{name}, n = {count}, accuracy {large['accuracy']:.3f}", {each: large[each] for each in names}, draw)


def _alike(random: np.random.Generator, groups: NDArray[np.intp], accuracy: float, kinship: float) -> NDArray[np.bool_]:
    """Return what is right, where the pictures of a group have this correlation (beta-binomial)."""
    rest = (1 - kinship) / kinship
    level = random.beta(accuracy * rest, (1 - accuracy) * rest, groups.max() + 1)
    return np.asarray(random.random(len(groups)) < level[groups])


def grouped(number: int, size: int, *, accuracy: float, kinship: float, uneven: bool = False) -> World:
    """Return a classifier on groups of pictures, each of one class, whose errors come together."""

    def draw(random: np.random.Generator) -> dict[str, Interval]:
        sizes = random.integers(1, 2 * size, number) if uneven else np.full(number, size)
        groups = np.repeat(np.arange(number), sizes)
        labels = random.integers(0, 2, number).astype(np.int32)[groups]
        right = _alike(random, groups, accuracy, kinship)
        scores = np.where(np.where(right, labels, 1 - labels)[:, None] == [0, 1], 0.8, 0.2)
        metrics = evaluate(labels, scores, are_probabilities=True, groups=groups)
        return {each: metrics[f"{each}_interval"] for each in truth}

    loss = -accuracy * np.log(0.8) - (1 - accuracy) * np.log(0.2)
    truth = {"accuracy": accuracy, "balanced_accuracy": accuracy, "macro_f1": accuracy, "log_loss": float(loss)}
    sizes = f"1 to {2 * size - 1}" if uneven else f"{size}"
    return World(f"{number} groups of {sizes}, accuracy {accuracy}, correlation {kinship}", truth, draw)


def paired(gained: float, lost: float, count: int, *, size: int = 1, kinship: float = 0.0) -> World:
    """Return two runs by the shares of pictures that only the one and only the other has right."""

    def draw(random: np.random.Generator) -> dict[str, Interval]:
        groups = np.arange(count) // size
        fall = random.random(count)
        if size > 1:
            # With this probability a picture falls as its group does.
            fall = np.where(random.random(count) < np.sqrt(kinship), random.random(count // size + 1)[groups], fall)
        labels = np.zeros(count, np.int32)
        # Class 0 is right: the other errs in the lowest falls, the one in those above them.
        one = ((fall >= gained) & (fall < gained + lost)).astype(np.int32)
        other = (fall < gained).astype(np.int32)
        return {"difference": accuracy_difference(labels, one, other, groups=groups if size > 1 else None)[1]}

    groups = f", groups of {size}, correlation {kinship}" if size > 1 else ""
    return World(f"{gained:.0%} against {lost:.0%}, n = {count}{groups}", {"difference": gained - lost}, draw)


def chosen(validation: float, test: float, count: int) -> World:
    """Return a run with a true accuracy on either split."""

    def draw(random: np.random.Generator) -> dict[str, Interval]:
        found = measure_optimism(random.random(count) < validation, random.random(count) < test, run="run")
        return {"optimism": found.interval}

    return World(f"{validation} on validation, {test} on test, n = {count} each", {"optimism": validation - test}, draw)


def seeded(seeds: int, count: int, *, accuracy: float, luck: float) -> World:
    """Return settings whose accuracy varies by `luck` from seed to seed, on pictures that are easy or hard for all."""

    def draw(random: np.random.Generator) -> dict[str, Interval]:
        level = accuracy + luck * random.normal(size=(seeds, 1))
        hard, own = random.random(count), random.random((seeds, count))
        right = np.where(random.random((seeds, count)) < 0.6, hard, own) < level
        return {"mean accuracy": separate_seeds(right).interval}

    return World(f"{seeds} seeds, accuracy {accuracy} +- {luck}, n = {count}", {"mean accuracy": accuracy}, draw)


def false_alarms(draws: int, count: int, share: float, *, size: int = 1, seed: int = 0) -> float:
    """Return how often McNemar's test claims a difference of runs that are equally good.

    `share` of the pictures only one of the two has right; of `size` pictures each copies the first.
    """
    random = np.random.default_rng(seed)
    wrong = 0
    for _ in range(draws):
        fall = np.repeat(random.random(count), size)
        groups = np.repeat(np.arange(count), size) if size > 1 else None
        wrong += mcnemar(fall >= share / 2, (fall < share / 2) | (fall >= share), groups=groups) < 0.05
    return wrong / draws


def wrong_families(draws: int, accuracies: list[float], count: int, *, seed: int = 0) -> float:
    """Return how often comparing all runs claims any difference between two that are equally good."""
    random = np.random.default_rng(seed)
    keys = np.array([f"{i:032d}" for i in range(count)], dtype="S32")
    wrong = 0
    for _ in range(draws):
        hard = random.random(count)
        own = random.random((len(accuracies), count))
        runs = [
            Judged(f"{accuracy} {i}", keys, np.where(random.random(count) < 0.6, hard, own[i]) < accuracy)
            for i, accuracy in enumerate(accuracies)
        ]
        wrong += any(
            each.verdict in ("better", "worse") and each.one.split()[0] == each.other.split()[0]
            for each in compare_runs(runs)
        )
    return wrong / draws


EXACT = [(0.5, 100), (0.8, 200), (0.9, 50), (0.9, 100), (0.9, 200), (0.95, 200), (0.97, 200), (0.97, 300), (0.99, 1000)]


CLASSIFIERS: dict[str, Callable[[], World]] = {
    "two classes": partial(classifier, "two classes", [1, 1], 200, skill=1.82),
    "two classes, too sure": partial(classifier, "two classes, too sure", [1, 1], 300, skill=2.66, boast=2.0),
    "two classes, 9 to 1": partial(classifier, "two classes, 9 to 1", [9, 1], 300, skill=2.0),
    "five unequal classes": partial(classifier, "five classes, 50 to 5 %", [10, 4, 3, 2, 1], 300, skill=2.7),
    "20 classes": partial(classifier, "20 classes", [1] * 20, 600, skill=3.0),
}
"""Independent pictures. Made when they are asked for, since finding their truth takes a second."""
GROUPED = (
    grouped(60, 5, accuracy=0.9, kinship=0.3),
    grouped(60, 5, accuracy=0.9, kinship=0.3, uneven=True),
    grouped(100, 3, accuracy=0.9, kinship=0.8),
    grouped(200, 2, accuracy=0.95, kinship=0.5),
    grouped(30, 10, accuracy=0.9, kinship=0.2),
    grouped(20, 10, accuracy=0.8, kinship=0.3),
)
DIFFERENCES = (
    paired(0.05, 0.05, 100),
    paired(0.06, 0.03, 200),
    paired(0.03, 0.01, 300),
    paired(0.1, 0.05, 200),
    paired(0.08, 0.04, 400, size=4, kinship=0.5),
    chosen(0.92, 0.9, 200),
    chosen(0.97, 0.95, 300),
    seeded(5, 500, accuracy=0.9, luck=0.0),
    seeded(5, 500, accuracy=0.9, luck=0.02),
    seeded(10, 1000, accuracy=0.95, luck=0.01),
)


def worlds() -> Iterator[World]:
    """Yield every world."""
    for make in CLASSIFIERS.values():
        yield make()
    yield from (*GROUPED, *DIFFERENCES)
