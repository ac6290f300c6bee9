"""Controls: heads that must not be good, and heads that need no training, on the same pictures as the runs.

A run that is not better than these has learned nothing, whatever its accuracy. They are computed from
the stored features, kept, and never made again while the features and the pictures stay as they are.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...cache.results import KeptResults, Result
from ...cache.store import FeatureStore
from ...cache.table import Dataset
from ...models.heads.estimator import scores_of
from ...models.heads.heads import HEADS
from ..auditing.shortcuts import probe_shortcuts, tabulate_facts
from ..pictures.facts import FileFacts, read_facts
from ..progress import Progress
from ..statistics.evaluation import Metrics
from ..training.ground import Ground
from .flags import Role

Name = Literal["majority", "neighbours", "centroid", "facts", "shuffled"]
ON_FEATURES: tuple[Name, ...] = ("neighbours", "centroid", "shuffled")
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
JUDGED = ("validation", "test")
MOST = 5_000
"""Training pictures that a control learns from, drawn where there are more."""
NUMBERS = 50_000_000
"""Features that are read at a time: 200 MB."""
NEIGHBOURS = 10
ALPHA = 1000.0
"""Penalty of the head that learns shuffled labels; it need not be good."""
SHUFFLED = 500
"""Training pictures that it learns from."""
SHUFFLES = 3
"""Of several shuffles the one in the middle counts: a single one may point the right way by luck."""
_BLOCK = 1024
_TITLES: dict[Name, str] = {
    "majority": "majority",
    "neighbours": f"{NEIGHBOURS}-NN",
    "centroid": "centroid",
    "facts": "facts only",
    "shuffled": "shuffled",
}


@dataclass(frozen=True, slots=True, eq=False)
class Control:
    """One control."""

    control: Name
    ground: Ground
    saw_features: bool
    right: NDArray[np.bool_]
    """(n,) of all pictures of the ground; False for those of training, of which it is not asked."""
    metrics: dict[str, Metrics]
    """Of validation and test."""
    learned_from: int
    """Training pictures."""
    seconds: float

    @property
    def name(self) -> str:
        """For people."""
        return _TITLES[self.control]

    @property
    def role(self) -> Role | None:
        """What flags know it as; None where they do not look at it."""
        return None if self.control == "centroid" else self.control

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        inputs = self.ground.inputs
        return {
            "control": self.control,
            "name": self.name,
            "features_digest": inputs.digest if self.saw_features else None,
            "inputs": inputs.label if self.saw_features else None,
            "metrics": self.metrics,
            "learned_from": self.learned_from,
            "seconds": self.seconds,
        }


def make_controls(grounds: Sequence[Ground], kept: KeptResults, progress: Progress, *, seed: int = 0) -> list[Control]:
    """Return the controls that need no file: the majority once, three for each ground.

    Parameters
    ----------
    grounds : sequence of Ground
        The first is that of the best run; the majority is of its pictures.
    kept : KeptResults
    progress : Progress
    seed : int
        Of draws and of the shuffle.
    """
    first = grounds[0]
    # Nothing to keep: it costs less than reading it.
    found = [_control("majority", first, _judge(first, _say_majority(first), are_probabilities=True), features=False)]
    for ground in grounds:
        about = {**ground.identity, "seed": seed, "plan": [MOST, NEIGHBOURS, ALPHA, SHUFFLED, SHUFFLES]}
        result = kept.recall("controls", about, partial(_learn, ground, seed, progress))
        for name in ON_FEATURES:
            own = Result(result.values[name], {"right": result.arrays[name]})
            found.append(_control(name, ground, own, features=True))
    return found


def judge_facts(
    ground: Ground, table: Dataset, store: FeatureStore, kept: KeptResults, progress: Progress, *, seed: int = 0
) -> tuple[Control | None, dict[str, Any] | None, str | None]:
    """Return the control that sees facts of the files alone, the probe of single facts, and why there is none.

    The probe is what `Shortcuts.to_json` says; None where a class has too few pictures.

    Facts are of bytes, and bytes are of keys, so that what was found once holds as long as the pictures do.

    Parameters
    ----------
    ground : Ground
        Whose pictures.
    table : Dataset
        Where their files are.
    store : FeatureStore
    kept : KeptResults
    progress : Progress
    seed : int
        Of draws, folds and trees.
    """
    if any(not isinstance(table.origin.place(row.path), Path) for row in ground.examples.rows):
        return None, None, "no control on facts of the files, since they lie elsewhere: demijohn audit reads them"
    missing: list[str] = []

    def compute() -> Result:
        progress.say("a control on facts of the files")
        # One file of each picture, as the examples have it.
        facts = read_facts(table.origin.root, ground.examples.rows, store.index).facts
        known = [facts.get(row.path) for row in ground.examples.rows]
        if None in known:
            missing.append(f"{known.count(None):,} of {len(known):,}")
            raise FileNotFoundError
        return _learn_facts(ground, known, seed)  # type: ignore[arg-type]

    try:
        result = kept.recall("facts", {**ground.pictures, "seed": seed, "most": MOST}, compute)
    except FileNotFoundError:
        return None, None, f"no control on facts of the files: {missing[0]} are gone, changed, or have no header"
    return _control("facts", ground, result, features=False), result.values["shortcuts"], None


def draw_training(ground: Ground, most: int, *, seed: int) -> NDArray[np.intp]:
    """Return positions of training pictures, rising: all, or as many as `most`, drawn."""
    train = np.arange(ground.count("train"))
    if len(train) <= most:
        return train
    drawn = np.sort(np.random.default_rng(seed).choice(train, most, replace=False))
    # Every class stays known, however rare.
    _, first = np.unique(ground.labels[train], return_index=True)
    return np.union1d(drawn, first)


def shuffle_labels(labels: NDArray[np.int32], *, seed: int) -> NDArray[np.int32]:
    """Return labels (n,) in which each class has as many of every label as all classes together have.

    A plain shuffle of two classes that lie far apart gives one of them more of its own label by luck, and a
    head that learns that is right, or wrong, in far more cases than luck of the pictures would explain.
    """
    random = np.random.default_rng(seed)
    share = np.bincount(labels) / len(labels)
    shuffled = np.empty_like(labels)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        wanted = share * len(own)
        counts = np.floor(wanted).astype(np.intp)
        # What is left over goes to the labels that lack most, with luck between equals.
        lacking = np.argsort(counts - wanted + 1e-9 * random.random(len(share)))
        counts[lacking[: len(own) - counts.sum()]] += 1
        shuffled[own] = random.permutation(np.repeat(np.arange(len(share)), counts))
    return shuffled


def _learn(ground: Ground, seed: int, progress: Progress) -> Result:
    progress.say(f"controls on {ground.inputs.label}")
    chosen = draw_training(ground, min(MOST, _rows_at_a_time(ground)), seed=seed)
    X, labels = ground.read(chosen), ground.labels[chosen]
    # What is learned of shuffled labels hangs on no number of pictures, its cost does.
    few = draw_training(ground, min(SHUFFLED, len(chosen)), seed=seed)
    shuffles = [shuffle_labels(ground.labels[few], seed=seed + number) for number in range(SHUFFLES)]
    plans: dict[Name, tuple[str, dict[str, Any], Floats, list[NDArray[np.int32]]]] = {
        "neighbours": ("knn", {"neighbours": NEIGHBOURS}, X, [labels]),
        "centroid": ("centroid", {}, X, [labels]),
        "shuffled": ("ridge", {"alpha": ALPHA}, ground.read(few), shuffles),
    }
    values: dict[str, Any] = {}
    right: dict[str, NDArray[Any]] = {}
    for name in ON_FEATURES:
        head, settings, rows, learned = plans[name]
        started = time.perf_counter()
        record = HEADS[head]
        trained = [record.make(record.complete(settings), seed=seed).fit(rows, y) for y in learned]
        says, are_probabilities = _say(ground, trained)
        judged = [_judge(ground, each, are_probabilities=are_probabilities) for each in says]
        middle = sorted(judged, key=lambda each: int(each.arrays["right"].sum()))[len(judged) // 2]
        seconds = round(time.perf_counter() - started, 3)
        values[name] = {**middle.values, "learned_from": len(rows), "seconds": seconds}
        right[name] = middle.arrays["right"]
    return Result(values, right)


def _say(ground: Ground, trained: Sequence[Any]) -> tuple[list[Doubles], bool]:
    """Return the scores (m, c) of each head of the validation and test pictures, read and judged in blocks."""
    held_out = np.arange(ground.count("train"), len(ground.labels))
    parts: list[list[Doubles]] = [[np.empty((0, len(ground.examples.classes)))] for _ in trained]
    are_probabilities, step = False, _rows_at_a_time(ground)
    for start in range(0, len(held_out), step):
        X = ground.read(held_out[start : start + step])
        for head, said in zip(trained, parts, strict=True):
            for at in range(0, len(X), _BLOCK):
                scores, are_probabilities = scores_of(head, X[at : at + _BLOCK])
                said.append(scores)
    return [np.concatenate(said) for said in parts], are_probabilities


def _rows_at_a_time(ground: Ground) -> int:
    return max(_BLOCK, NUMBERS // ground.inputs.width)


def _say_majority(ground: Ground) -> Doubles:
    counts = np.bincount(ground.labels[ground.where("train")], minlength=len(ground.examples.classes))
    held_out = len(ground.labels) - ground.count("train")
    return np.tile(counts / counts.sum(), (held_out, 1))


def _learn_facts(ground: Ground, facts: Sequence[FileFacts], seed: int) -> Result:
    from ...models.heads.probes import probabilities_by_facts

    started = time.perf_counter()
    train = draw_training(ground, MOST, seed=seed)
    held_out = np.arange(ground.count("train"), len(ground.labels))
    table = tabulate_facts(facts)
    says = np.zeros((0, len(ground.examples.classes)))
    if len(held_out):
        says = probabilities_by_facts(table[train], ground.labels[train], table[held_out], seed=seed)
    probe = probe_shortcuts(facts, [row.label for row in ground.examples.rows], groups=ground.groups, seed=seed)
    judged = _judge(ground, says, are_probabilities=True)
    about = {"learned_from": len(train), "seconds": round(time.perf_counter() - started, 3)}
    shortcuts = None if probe is None else probe.to_json()
    return Result({**judged.values, **about, "shortcuts": shortcuts}, judged.arrays)


def _judge(ground: Ground, says: Doubles, *, are_probabilities: bool) -> Result:
    """Return what is kept of a control, from its scores (m, c) of the validation and test pictures."""
    train = ground.count("train")
    right = np.zeros(len(ground.labels), dtype=bool)
    right[train:] = says.argmax(axis=1) == ground.labels[train:]
    metrics = {}
    for split in JUDGED:
        part = ground.where(split)
        of_split = says[part.start - train : part.stop - train]
        metrics[split] = ground.evaluate(part, of_split, are_probabilities=are_probabilities)
    return Result({"metrics": metrics, "learned_from": train, "seconds": 0.0}, {"right": right})


def _control(name: Name, ground: Ground, result: Result, *, features: bool) -> Control:
    values = result.values
    metrics, learned_from, seconds = values["metrics"], values["learned_from"], values["seconds"]
    return Control(name, ground, features, result.arrays["right"], metrics, learned_from, seconds)
