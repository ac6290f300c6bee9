"""An extraction at work: sets are opened, pictures pass, rows are stored, until nothing is missing that can be read."""

import math
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ..cache.features import FeatureSet
from ..cache.index import Stamp
from ..cache.part import Key
from ..cache.places import place_within
from ..cache.refusals import Refusal
from ..cache.table import Skipped
from ..models.engine import Engine
from . import images as decoding
from .breakdown import Breakdown
from .dataset import build_dataset
from .feed import Decoded, decoding_ahead
from .frozen import FrozenBackbone
from .images import ReadingPolicy
from .interruption import stopping_gently
from .lanes import Lanes, Target
from .probing import Opened, Opener
from .sources import Patience
from .survey import Family, Survey, Wanted, pictures_of, plan_view
from .units import format_size

REMEMBER_AFTER = 256
"""Pictures from elsewhere whose keys a kill may lose."""
PICTURES_AHEAD = 96
"""How many are decoded ahead of the networks; bounds the memory."""


class Work:
    """An extraction from its survey to its end."""

    def __init__(self, survey: Survey) -> None:
        self.families = survey.families
        self.table = survey.table
        self.refusals = survey.refusals
        self.breakdown = Breakdown()
        self.engines: dict[str, Engine] = {}
        """By name of the backbone, where it was run."""
        self.added: Counter[str] = Counter()
        """Rows, by digest of the feature set."""
        self._survey = survey
        self._progress = survey.request["progress"]
        self._outcome = Outcome(survey.request["reading"])
        self._unread = survey.found.unread
        """Paths of what a stand-in is the key of, until the first pass is over."""
        self._fetched: dict[str, tuple[Stamp, Key]] = {}
        """By URL, of what lies elsewhere; not remembered yet."""
        self._opened: dict[str, Opened] = {}
        self._told: set[str] = set()
        self._openers = _make_openers(survey)

    def open(self, *, new: bool) -> None:
        """Open the feature sets that lack rows, before anything of the data set is written.

        Of a family that lacks rows, every view that was begun is asked whether this installation gives its
        numbers: a family is of one installation. With `new`, each family is the generation that agrees, or a
        next one.
        """
        if new:
            self.families = tuple(map(self._of_this_installation, self.families))
        for family in self.families:
            for each in family.views:
                if each.plan.missing or ((new or family.missing) and each.features.begun):
                    self._open(family, each)

    def _of_this_installation(self, family: Family) -> Family:
        """Return a family of the generation whose numbers this installation gives."""
        opener = self._openers[family.frozen]
        generation = opener.choose_generation([(each.features, each.frame) for each in family.views])
        if generation == family.first.recipe.generation:
            return family
        recipe = replace(family.first.recipe, generation=generation)
        self._progress.say(f"with the features of this installation, {recipe.folder}")
        views = [recipe.of_view(each.recipe.view, each.recipe.augment) for each in family.views]
        return self._planned(family, map(self._survey.store.feature_set, views))

    def run(self) -> None:
        """Extract until nothing is missing that can be read."""
        survey, outcome = self._survey, self._outcome
        # Each turn stores rows, learns of refusals or loses files, so it ends.
        while any(family.missing for family in self.families):
            try:
                self._pass()
            finally:
                survey.store.add_refusals(outcome.take_refused(self.refusals))
                self._remember()
            # What was really read counts: a file may have changed or gone since it was hashed.
            keys = survey.found.keys | outcome.changed
            keys = {path: key for path, key in keys.items() if path not in outcome.lost}
            skipped = [*survey.lost, *(Skipped(path, reason) for path, reason in outcome.lost.items())]
            self.table = build_dataset(
                self.table.name,
                survey.listing,
                keys,
                seed=self.table.origin.seed,
                unreadable=self.refusals,
                skipped=skipped,
            )
            survey.store.save_dataset(self.table)
            self._unread = frozenset()
            self.families = tuple(
                self._planned(family, [each.features for each in family.views]) for family in self.families
            )
        if self.engines:
            self._progress.say(str(self.breakdown))
        for family in self.families:
            for each in family.views:
                each.features.refresh()
                each.features.note_use()

    def _planned(self, family: Family, sets: Iterable[FeatureSet]) -> Family:
        request = self._survey.request
        views = [plan_view(each, each.keys(), self.table, self.refusals, request, unread=self._unread) for each in sets]
        return replace(family, views=tuple(views))

    def _pass(self) -> None:
        """Run the networks once over everything that is missing, and store the features."""
        lacking = [(family, each) for family in self.families for each in family.views if each.plan.missing]
        targets = [self._target(family, each) for family, each in lacking]
        pictures = pictures_of(self.table, [each for _, each in lacking], self._survey.listing.stamps)
        largest = max(len(picture.frames) for picture in pictures)
        ahead = max(2, PICTURES_AHEAD // largest)
        known = None
        if self._unread:
            # What is read for the first time may be there, or have been refused, under another name.
            known = set.intersection(*(each.features.keys() for _, each in lacking)) | self.refusals.keys()
        cached = min(len(family.first.plan.present) for family in self.families)
        outcome, breakdown = self._outcome, Breakdown()
        started = time.perf_counter()
        with (
            stopping_gently() as stop,
            Lanes(targets, breakdown) as lanes,
            self._progress.count(len(pictures), cached=cached) as count,
            decoding_ahead(pictures, outcome.reading, ahead=ahead, known=known) as decoded,
        ):
            try:
                for picture in breakdown.waiting(decoded):
                    if stop.is_set():
                        raise KeyboardInterrupt
                    self._note_fetched(picture)
                    lanes.add(picture)
                    outcome.note(picture)
                    good = bool(picture.pixels)
                    breakdown.pictures += good
                    breakdown.read += picture.read_seconds
                    breakdown.decode += picture.decode_seconds
                    count(extracted=int(picture.pixels is not None), skipped=int(picture.pixels is None))
                lanes.finish()
            finally:
                for _, target in targets:
                    self.added[target.features.digest] += len(target.added)
        breakdown.seconds = time.perf_counter() - started
        self.breakdown += breakdown

    def _note_fetched(self, picture: Decoded) -> None:
        """Take note of the key of what was read elsewhere, so that it is not fetched again."""
        listing = self._survey.listing
        if picture.key is not None and picture.name in listing.stamps:
            url = str(place_within(listing.root, picture.name))
            self._fetched[url] = listing.stamps[picture.name], picture.key
            if len(self._fetched) >= REMEMBER_AFTER:
                self._remember()

    def _remember(self) -> None:
        self._survey.store.index.remember_objects(self._fetched)
        self._fetched.clear()

    def _target(self, family: Family, wanted: Wanted) -> tuple[Engine, Target]:
        opened = self._open(family, wanted)
        self.engines[family.frozen.backbone.name] = opened.engine
        missing = frozenset(wanted.plan.missing)
        return opened.engine, Target(opened.features, wanted.frame, opened.output, missing)

    def _open(self, family: Family, wanted: Wanted) -> Opened:
        digest = wanted.features.digest
        if digest not in self._opened:
            self._opened[digest] = self._openers[family.frozen].open(wanted.features, wanted.frame)
            self._tell(family, wanted, self._opened[digest])
        return self._opened[digest]

    def _tell(self, family: Family, wanted: Wanted, opened: Opened) -> None:
        recipe, engine = wanted.recipe, opened.engine
        if recipe.backbone not in self._told:
            self._told.add(recipe.backbone)
            batches = "a picture" if engine.batch_size == 1 else f"{engine.batch_size} pictures"
            at_once = f", {engine.streams} at once" if engine.streams > 1 else ""
            self._progress.say(
                f"running {recipe.backbone} with {engine.name} on {engine.device}, {recipe.precision}, "
                f"{recipe.resize}, {batches} a batch{at_once}"
            )
        if recipe.pooling == "none" and not recipe.view and family.missing:
            shape = engine.shapes[opened.output]
            size = format_size(family.missing * 4 * math.prod(shape))
            self._progress.warn(
                f"whole maps are kept, {' x '.join(map(str, shape))} numbers per picture: {size} in all"
            )


def _make_openers(survey: Survey) -> dict[FrozenBackbone, Opener]:
    """Return what opens the feature sets of each backbone."""
    openers = {}
    for frozen in dict.fromkeys(family.frozen for family in survey.families):
        own = [family for family in survey.families if family.frozen is frozen]
        openers[frozen] = Opener(
            survey.store,
            frozen,
            taps=[family.tap for family in own],
            frames=[each.frame for each in own[0].views],
            request=survey.request,
        )
    return openers


@dataclass(slots=True)
class Outcome:
    """What became of the pictures that were read."""

    reading: ReadingPolicy
    refused: list[Refusal] = field(default_factory=list)
    """Not stored yet."""
    lost: dict[str, str] = field(default_factory=dict)
    """Path and reason of files that could be read when they were hashed, and not any more."""
    changed: dict[str, Key] = field(default_factory=dict)
    """Path to the key of the bytes that were really read, where they had changed or were not known."""
    patience: Patience = field(default_factory=Patience)

    def note(self, picture: Decoded) -> None:
        """Take note of one picture that was read, or could not be.

        Raises
        ------
        Unreachable
            So were many before it.
        """
        self.patience.note(picture.reason if picture.key is None else "")
        if picture.key is None:
            self.lost[picture.name] = picture.reason
            return
        if picture.key != picture.expected:
            self.changed[picture.name] = picture.key
        if picture.pixels is None:
            self.refused.append(Refusal(picture.key, picture.reason, self.reading.outcome, decoding.decoder_version()))

    def take_refused(self, known: dict[Key, str]) -> list[Refusal]:
        """Return the refusals that are not stored yet, and add them to those that are known."""
        new, self.refused = self.refused, []
        known.update({refusal.key: refusal.reason for refusal in new})
        return new
