"""An extraction at work: sets are opened, pictures pass, rows are stored, until nothing is missing that can be read."""

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from ...cache.features import FeatureSet
from ...cache.merging import merge_parts
from ...cache.places import place_within
from ...cache.table import Skipped
from ..datasets.dataset import build_dataset
from ..units import format_size
from .driver import WorkerPool
from .runner import Outcome, Runner, Running
from .survey import Family, Survey, Wanted, pictures_of, plan_view

REMEMBER_AFTER = 256
"""Pictures from elsewhere whose keys a kill may lose."""


class Work:
    """An extraction from its survey to its end, done here or by a pool."""

    def __init__(self, survey: Survey, pool: WorkerPool | None = None) -> None:
        self.families = survey.families
        self.table = survey.table
        self.refusals = survey.refusals
        self.outcome = Outcome()
        self.engines: dict[str, Running] = {}
        """By name of the backbone, where it was run."""
        self._survey = survey
        self._progress = survey.request["progress"]
        self._running: dict[str, Running] = {}
        self._unread = survey.found.unread
        """Paths of what a stand-in is the key of, until the first pass is over."""
        self._remembered = 0
        """Of what was read otherwise than expected, how much the index has been told."""
        self._pool = pool
        self._hands = pool or Runner(survey.store, survey.families, survey.request)

    def open(self, *, new: bool) -> None:
        """Open the feature sets that lack rows, before anything of the data set is written.

        With `new`, each family is the generation that agrees with this installation, or a next one.
        """
        if new:
            generations = self._hands.choose_generations(self.families)
            self.families = tuple(map(self._of_generation, self.families, generations))
        self._running = self._hands.open(self.families, new=new)
        told = set()
        for family in self.families:
            for each in family.views:
                if running := self._running.get(each.features.digest):
                    self._tell(family, each, running, name=family.frozen.backbone.name not in told)
                    told.add(family.frozen.backbone.name)

    def _of_generation(self, family: Family, generation: int) -> Family:
        if generation == family.first.recipe.generation:
            return family
        recipe = replace(family.first.recipe, generation=generation)
        self._progress.say(f"with the features of this installation, {recipe.folder}")
        views = [recipe.of_view(each.recipe.view, each.recipe.augment) for each in family.views]
        return self._planned(family, map(self._survey.store.feature_set, views))

    def run(self) -> None:
        """Extract until nothing is missing that can be read."""
        survey, outcome = self._survey, self.outcome
        known = {each: set(each.part_paths()) for family in self.families for each in _sets(family) if self._pool}
        # Each turn stores rows, learns of refusals or loses files, so it ends; a pool counts its losses.
        while any(family.missing for family in self.families):
            try:
                self._pass()
            finally:
                survey.store.add_refusals(outcome.take_refused(self.refusals))
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
            before = self.families
            self.families = tuple(self._planned(family, _sets(family)) for family in before)
            if self._pool:
                self._pool.compare(self._count_rows(before))
        if self.engines:
            self._progress.say(str(outcome.breakdown))
        for features, parts in known.items():
            # Whoever works for a pool leaves it to the end.
            merge_parts(features, {path.name for path in set(features.part_paths()) - parts})
        for family in self.families:
            for each in _sets(family):
                each.refresh()
                each.note_use()

    def _planned(self, family: Family, sets: Iterable[FeatureSet]) -> Family:
        request = self._survey.request
        views = [plan_view(each, each.keys(), self.table, self.refusals, request, unread=self._unread) for each in sets]
        return replace(family, views=tuple(views))

    def _count_rows(self, before: Iterable[Family]) -> int:
        """Count what was added by what is there: who was killed has not told, and what was done twice counts once."""
        earlier_total = self.outcome.added.total()
        for earlier, family in zip(before, self.families, strict=True):
            for then, now in zip(earlier.views, family.views, strict=True):
                self.outcome.added[now.features.digest] += len(now.plan.present) - len(then.plan.present)
        return self.outcome.added.total() - earlier_total

    def _pass(self) -> None:
        """Run the networks once over everything that is missing, and store the features."""
        lacking = [(family, each) for family in self.families for each in family.views if each.plan.missing]
        for family, each in lacking:
            if running := self._running.get(each.features.digest):
                self.engines[family.frozen.backbone.name] = running
        pictures = pictures_of(self.table, [each for _, each in lacking], self._survey.listing.stamps)
        cached = min(len(family.first.plan.present) for family in self.families)
        with self._progress.count(len(pictures), cached=cached) as count:

            def count_and_remember(*, extracted: int = 0, skipped: int = 0, speeds: str = "") -> None:
                count(extracted=extracted, skipped=skipped, speeds=speeds)
                self._remember(REMEMBER_AFTER)

            try:
                self._hands.run(pictures, self.families, self.outcome, count_and_remember)
            finally:
                self._remember(1)

    def _remember(self, least: int) -> None:
        """Keep the keys of what was read elsewhere, once there are so many new ones: it is not fetched again."""
        listing, changed = self._survey.listing, self.outcome.changed
        if not listing.stamps or len(changed) < self._remembered + least:
            return
        self._survey.store.index.remember_objects(
            {
                str(place_within(listing.root, path)): (listing.stamps[path], changed[path])
                for path in islice(changed, self._remembered, None)
                if path in listing.stamps
            }
        )
        self._remembered = len(changed)

    def _tell(self, family: Family, wanted: Wanted, running: Running, *, name: bool) -> None:
        recipe = wanted.recipe
        if name:
            batches = "a picture" if running.batch_size == 1 else f"{running.batch_size} pictures"
            at_once = f", {running.streams} at once" if running.streams > 1 else ""
            self._progress.say(
                f"running {recipe.backbone} with {running.engine} on {running.device}, {recipe.precision}, "
                f"{recipe.resize}, {batches} a batch{at_once}"
            )
        if recipe.pooling == "none" and not recipe.view and family.missing:
            size = format_size(family.missing * 4 * math.prod(running.shape))
            self._progress.warn(
                f"whole maps are kept, {' x '.join(map(str, running.shape))} numbers per picture: {size} in all"
            )


def _sets(family: Family) -> list[FeatureSet]:
    return [each.features for each in family.views]
