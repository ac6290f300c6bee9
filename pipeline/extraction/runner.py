"""Where pictures become rows, in one process: engines that are opened once, and serve one pass after another.

An extraction that runs alone has one runner; of an extraction with workers each worker has one.
"""

import time
from collections import Counter as Counts
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...cache.part import Key
from ...cache.refusals import Refusal
from ...cache.store import FeatureStore
from ...models.engines.engine import Engine
from ..interruption import stopping_gently
from ..pictures import images as decoding
from ..pictures.feed import Decoded, Picture, decoding_ahead
from ..pictures.images import ReadingPolicy
from ..pictures.sources import Patience
from ..progress import Counter
from .batching import Batcher, Target
from .breakdown import Breakdown
from .frozen import FrozenBackbone
from .probing import Opened, Opener
from .request import Request
from .survey import Family, Wanted

PICTURES_AHEAD = 96
"""How many are decoded ahead of the networks; bounds the memory."""


@dataclass(frozen=True, slots=True)
class Running:
    """What runs a backbone for a feature set."""

    engine: str
    device: str
    batch_size: int
    streams: int
    shape: tuple[int, ...]
    """Of a picture's features."""


@dataclass(slots=True)
class Outcome:
    """What became of the pictures that were read, and how long it took."""

    refused: list[Refusal] = field(default_factory=list)
    """Not stored yet."""
    lost: dict[str, str] = field(default_factory=dict)
    """Path and reason of files that could be read when they were hashed, and not any more."""
    changed: dict[str, Key] = field(default_factory=dict)
    """Path to the key of the bytes that were really read, where they had changed."""
    added: Counts[str] = field(default_factory=Counts)
    """Rows, by digest of the feature set."""
    breakdown: Breakdown = field(default_factory=Breakdown)

    def note(self, picture: Decoded, reading: ReadingPolicy) -> None:
        """Take note of one picture that was read, or could not be."""
        if picture.key is None:
            self.lost[picture.name] = picture.reason
            return
        if picture.key != picture.expected:
            self.changed[picture.name] = picture.key
        if picture.pixels is None:
            self.refused.append(Refusal(picture.key, picture.reason, reading.outcome, decoding.decoder_version()))

    def take_refused(self, known: dict[Key, str]) -> list[Refusal]:
        """Return the refusals that are not stored yet, and add them to those that are known."""
        new, self.refused = self.refused, []
        known.update({refusal.key: refusal.reason for refusal in new})
        return new

    def add(self, other: "Outcome") -> None:
        """Take over what another one has noted."""
        self.refused += other.refused
        self.lost |= other.lost
        self.changed |= other.changed
        self.added += other.added
        self.breakdown += other.breakdown


class Runner:
    """Opens the feature sets of some families, and fills them.

    Parameters
    ----------
    store : FeatureStore
    families : sequence of Family
        All that will ever be opened here.
    request : Request
    """

    def __init__(self, store: FeatureStore, families: Sequence[Family], request: Request) -> None:
        self._reading = request["reading"]
        self._openers = _make_openers(store, families, request)
        self._opened: dict[str, Opened] = {}

    def choose_generations(self, families: Sequence[Family]) -> list[int]:
        """Return the generation of each family whose numbers this installation gives, or the next one."""
        return [
            self._openers[_name(family.frozen)].choose_generation(
                [(each.features, each.frame) for each in family.views]
            )
            for family in families
        ]

    def open(self, families: Sequence[Family], *, new: bool) -> dict[str, Running]:
        """Open the feature sets that lack rows; return what runs each, by its digest.

        Of a family that lacks rows, every view that was begun is asked whether this installation gives its
        numbers: a family is of one installation. With `new`, so is a family that lacks nothing.
        """
        for family in families:
            for each in family.views:
                if each.plan.missing or ((new or family.missing) and each.features.begun):
                    self._open(family, each)
        return {digest: _running(opened) for digest, opened in self._opened.items()}

    def run(
        self,
        pictures: Sequence[Picture],
        families: Sequence[Family],
        outcome: Outcome,
        count: Counter,
        *,
        alone: bool = True,
        seconds: float = float("inf"),
    ) -> int:
        """Run the networks over some pictures and store what the feature sets lack; return how many were taken.

        Parameters
        ----------
        pictures : sequence of Picture
        families : sequence of Family
            Their plans say which rows each feature set lacks.
        outcome : Outcome
            Where it is noted what became of the pictures, whatever happens.
        count : Counter
        alone : bool
            Whether nobody else fills these sets; see `FeatureWriter`.
        seconds : float
            After which no further picture is taken.
        """
        lacking = [(family, each) for family in families for each in family.views if each.plan.missing]
        targets = [self._target(family, each) for family, each in lacking]
        largest = max((len(picture.frames) for picture in pictures), default=1)
        ahead = max(2, PICTURES_AHEAD // largest)
        breakdown, taken, patience = Breakdown(), 0, Patience()
        known = None
        if any(isinstance(picture.path, str) for picture in pictures):
            # What is read elsewhere for the first time may be there under another name.
            known = set.intersection(*(each.features.keys() for _, each in lacking))
        started = time.perf_counter()
        with (
            stopping_gently() as stop,
            Batcher(targets, breakdown, alone=alone) as batcher,
            decoding_ahead(pictures, self._reading, ahead=ahead, known=known) as decoded,
        ):
            try:
                for picture in breakdown.waiting(decoded):
                    if stop.is_set():
                        raise KeyboardInterrupt
                    taken += 1
                    batcher.add(picture)
                    outcome.note(picture, self._reading)
                    patience.note(picture.reason if picture.key is None else "")
                    good = picture.pixels is not None
                    breakdown.pictures += bool(picture.pixels)
                    breakdown.read += picture.read_seconds
                    breakdown.decode += picture.decode_seconds
                    count(extracted=int(good), skipped=int(not good))
                    if time.perf_counter() - started > seconds:
                        break
                batcher.finish()
            finally:
                for _, target in targets:
                    outcome.added[target.features.digest] += len(target.added)
        breakdown.seconds = time.perf_counter() - started
        outcome.breakdown += breakdown
        return taken

    def _target(self, family: Family, wanted: Wanted) -> tuple[Engine, Target]:
        opened = self._open(family, wanted)
        missing = frozenset(wanted.plan.missing)
        return opened.engine, Target(opened.features, wanted.frame, opened.output, missing)

    def _open(self, family: Family, wanted: Wanted) -> Opened:
        digest = wanted.features.digest
        if digest not in self._opened:
            self._opened[digest] = self._openers[_name(family.frozen)].open(wanted.features, wanted.frame)
        return self._opened[digest]


def _running(opened: Opened) -> Running:
    engine = opened.engine
    return Running(engine.name, engine.device, engine.batch_size, engine.streams, engine.shapes[opened.output])


def _name(frozen: FrozenBackbone) -> tuple[str, str]:
    """Return what tells a backbone from others, also where it came from another process."""
    return frozen.backbone.name, frozen.digest


def _make_openers(store: FeatureStore, families: Sequence[Family], request: Request) -> dict[tuple[str, str], Opener]:
    """Return what opens the feature sets of each backbone."""
    openers = {}
    for frozen in dict.fromkeys(family.frozen for family in families):
        own = [family for family in families if family.frozen is frozen]
        openers[_name(frozen)] = Opener(
            store,
            frozen,
            taps=[family.tap for family in own],
            frames=[each.frame for each in own[0].views],
            request=request,
        )
    return openers
