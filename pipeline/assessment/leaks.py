"""Judged pictures that have a twin among those that heads were made with, and how good a run is without them.

The same picture saved again, made smaller or mirrored: a head that has learned the one need not see
anything in the other. Exact copies are in one split from the beginning; these are not.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.part import Key
from ...cache.results import KeptResults, Result
from ...cache.table import Dataset, Row
from ..auditing.neighbours import CANDIDATE, CANDIDATES, nearest, scale_rows
from ..pictures.likeness import compare, is_near_duplicate, read_small
from ..progress import Progress
from ..training.ground import Ground
from .controls import NUMBERS
from .judgements import Judgement

PRODUCTS = 1e11
"""Multiplications that looking for twins may take: some seconds. Beyond it, judged pictures are drawn."""
SHOWN = 100
_EARLIER = {"validation": "training", "test": "training or validation"}


@dataclass(frozen=True, slots=True)
class Leaks:
    """Twins across the splits."""

    split: str
    looked_at: int
    """Judged pictures."""
    images: int
    """Of them, those with a twin among the pictures of earlier splits, which train and choose."""
    pairs: tuple[dict[str, Any], ...]
    """The first of them, the most alike first: paths, labels, splits, cosine, correlation, mirrored."""
    run: str
    accuracy: float
    """Of the run, on those that were looked at, 0..1."""
    accuracy_without: float | None
    """The same without those that have a twin; None where none is left."""

    @property
    def sentence(self) -> str | None:
        """The same in words; None where there is no twin."""
        if not self.images:
            return None
        paths = " = ".join(self.pairs[0]["paths"])
        without = "" if self.accuracy_without is None else f", and {self.accuracy_without:.1%} without them"
        return (
            f"leak: {self.images:,} of {self.looked_at:,} {self.split} pictures have a near-duplicate in "
            f"{_EARLIER[self.split]} ({paths}{', ...' if self.images > 1 else ''}): expected none; {self.run} has "
            f"{self.accuracy:.1%} with them{without}; look at them with demijohn audit, and give twins one group"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        told = {name: value for name, value in asdict(self).items() if name != "split"}
        return {**told, "pairs": list(self.pairs), "sentence": self.sentence}


def find_leaks(
    best: Judgement, name: str, split: str, table: Dataset, kept: KeptResults, progress: Progress, *, seed: int = 0
) -> Leaks | None:
    """Return the judged pictures that have a twin in an earlier split; None with no such pictures.

    Parameters
    ----------
    best : Judgement
        On whose features it is looked for, and whose accuracy is told.
    name : str
        Of that run, for people.
    split : str
        The judged split.
    table : Dataset
        Where the files are; where they are gone, the features decide alone.
    kept : KeptResults
    progress : Progress
    seed : int
        Of the draw.
    """
    ground = best.ground
    if not ground.count(split) or not ground.count("train"):
        return None

    def compute() -> Result:
        progress.say(f"near-duplicates of {split} pictures in {_EARLIER[split]}")
        return _look(ground, split, table, seed)

    about = {**ground.identity, "split": split, "seed": seed, "root": str(table.origin.root), "most": PRODUCTS}
    result = kept.recall("leaks", about, compute)
    looked_at, twins = result.arrays["looked_at"], result.arrays["twins"]
    left = np.setdiff1d(looked_at, twins)
    return Leaks(
        split=split,
        looked_at=len(looked_at),
        images=len(twins),
        pairs=tuple(result.values["pairs"]),
        run=name,
        accuracy=float(best.right[looked_at].mean()),
        accuracy_without=float(best.right[left].mean()) if len(left) else None,
    )


def _look(ground: Ground, split: str, table: Dataset, seed: int) -> Result:
    part, width = ground.where(split), ground.inputs.width
    earlier, judged = np.arange(part.start), np.arange(part.start, part.stop)
    random = np.random.default_rng(seed)
    earlier = _draw(earlier, NUMBERS // width, random)
    judged = _draw(judged, int(PRODUCTS / (len(earlier) * width)), random)
    rows = scale_rows(ground.read(np.concatenate([earlier, judged])))
    members, among = np.arange(len(earlier), len(rows)), np.arange(len(earlier))
    found, cosines = nearest(rows, members, among, count=min(CANDIDATES, len(earlier)), least=CANDIDATE)
    examples, there = ground.examples.rows, _paths(table)
    which, column = np.nonzero(found >= 0)
    pairs = [
        (examples[judged[one]], examples[earlier[found[one, at]]], float(cosines[one, at]), int(judged[one]))
        for one, at in zip(which, column, strict=True)
    ]
    paths = {there[row.key] for pair in pairs for row in pair[:2] if row.key in there}
    # A report asks nothing of the network: of pictures that lie elsewhere, features decide alone.
    small = read_small(table.origin.root, {path for path in paths if isinstance(table.origin.place(path), Path)})
    twins: set[int] = set()
    told = []
    for first, second, cosine, position in pairs:
        pixels = [small.get(there.get(row.key, "")) for row in (first, second)]
        likeness = None if pixels[0] is None or pixels[1] is None else compare(pixels[0], pixels[1])
        if is_near_duplicate(cosine, likeness):
            twins.add(position)
            alike = {"correlation": None, "mirrored": None}
            if likeness is not None:
                alike = {"correlation": round(likeness.correlation, 4), "mirrored": likeness.mirrored}  # type: ignore[dict-item]
            told.append({**_describe(first, second), "cosine": round(cosine, 4), **alike})
    told.sort(key=lambda pair: (-pair["cosine"], pair["paths"]))
    return Result({"pairs": told[:SHOWN]}, {"looked_at": judged, "twins": np.array(sorted(twins), dtype=np.intp)})


def _draw(positions: Any, most: int, random: np.random.Generator) -> Any:
    most = max(1, most)
    return positions if len(positions) <= most else np.sort(random.choice(positions, most, replace=False))


def _paths(table: Dataset) -> dict[Key, str]:
    return {row.key: row.path for row in table.rows}


def _describe(first: Row, second: Row) -> dict[str, Any]:
    return {
        "paths": [first.path, second.path],
        "labels": [first.label, second.label],
        "splits": [first.split, second.split],
    }
