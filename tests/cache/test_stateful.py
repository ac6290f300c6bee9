"""The feature set against a dictionary, through everything that may happen to it, in any order."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from demijohn.cache import DamagedFile, FeatureSet, MissingFeatures, merging
from demijohn.cache.merging import merge_parts, prune_rows
from demijohn.cache.part import keys_from_array, open_part
from demijohn.cache.verification import repair_features, verify_features
from demijohn.cache.writer import FeatureWriter
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.rows import WIDTH, feature_set, key, row, rows

NUMBERS = st.lists(st.integers(0, 40), min_size=1, max_size=9)


class Store(RuleBasedStateMachine):
    """Rows that were told to be committed are there, and no others, whatever comes."""

    @initialize(at_once=st.sampled_from([2, 3, 64]), mappings=st.sampled_from([1, 4, 1024]), rows_=st.integers(3, 50))
    def begin(self, at_once: int, mappings: int, rows_: int) -> None:
        self.patch = pytest.MonkeyPatch()
        # Waiting for the disk would take most of the time, and no test can see it.
        self.patch.setattr(os, "fsync", lambda _descriptor: None)
        self.patch.setattr(merging, "MERGE_AT_ONCE", at_once)
        self.patch.setattr(merging, "MAX_MAPPINGS", mappings)
        self.patch.setattr(merging, "PART_BYTES", 4 * WIDTH * rows_)
        self.folder = Path(tempfile.mkdtemp())
        self.features = feature_set(self.folder)
        self.there: set[int] = set()

    @rule(sessions=st.lists(NUMBERS, min_size=1, max_size=4))
    def write(self, sessions: list[list[int]]) -> None:
        with FeatureWriter(self.features) as writer:
            for numbers in sessions:
                writer.add(*rows(numbers))
                writer.commit()
                self.there.update(numbers)

    @rule(kept=NUMBERS, lost=NUMBERS)
    def killed(self, kept: list[int], lost: list[int]) -> None:
        """One commit is done, the next one is half on disk, and nothing is merged."""
        self.features.commit(*rows(kept))
        self.there.update(kept)
        name = self.features.commit(*rows(lost))
        path = self.features.parts_folder / name
        path.with_name(f"{name}.elsewhere.1.partial").write_bytes(path.read_bytes()[:700])
        path.unlink()

    @rule()
    def reopen(self) -> None:
        self.features = FeatureSet.load(self.features.folder)

    @rule()
    def remove(self) -> None:
        shutil.rmtree(self.features.folder)
        self.features = feature_set(self.folder)
        self.there = set()

    @rule()
    def compact(self) -> None:
        assert merge_parts(self.features)

    @rule()
    def a_day_later(self) -> None:
        old = time.time() - 25 * 3600
        for path in self.features.part_paths():
            os.utime(path, (old, old))

    @rule(wanted=st.sets(st.integers(0, 40), min_size=1))
    def prune(self, wanted: set[int]) -> None:
        gone = prune_rows(self.features, {key(number) for number in wanted})
        assert gone is not None
        assert gone[0] == len(self.there - wanted)
        self.there &= wanted
        assert len(self.features.part_paths()) == len(self.features.parts())

    @rule(which=st.integers(0, 99), at=st.integers(0, 10_000))
    def damage_and_repair(self, which: int, at: int) -> None:
        """A byte of some part's rows is another: told, never read, and taken out of use on demand."""
        paths = self.features.part_paths()
        if not paths:
            return
        path = paths[which % len(paths)]
        part = open_part(path, self.features.digest)
        content = bytearray(path.read_bytes())
        content[part.offset + at % (4 * WIDTH * len(part.keys))] ^= 1
        path.write_bytes(content)
        found = verify_features(self.features.folder)
        assert [damage.path for damage in found.damaged] == [path]
        earlier: set[bytes] = set()
        for each in self.features.parts():
            own = set(keys_from_array(each.keys))
            # A row that several parts have is read from the first one.
            if each.path == path and own - earlier:
                with pytest.raises(DamagedFile, match=path.name):
                    self.features.read([key(number) for number in sorted(self.there)])
            earlier |= own
        repair_features(self.features.folder, found)
        # Rows may have survived in another part; those that did not are missing, not wrong.
        present = self.features.keys()
        lost = {number for number in self.there if key(number) not in present}
        # A part that the damaged one had superseded counts again, with what was pruned since.
        self.there = {number for number in range(41) if key(number) in present}
        if lost:
            with pytest.raises(MissingFeatures):
                self.features.read([key(number) for number in sorted(lost)])

    @invariant()
    def as_the_dictionary_says(self) -> None:
        if not hasattr(self, "there"):
            return
        assert self.features.keys() == {key(number) for number in self.there}
        asked = sorted(self.there)
        assert self.features.read([key(number) for number in asked]).tobytes() == rows(asked)[1].tobytes()
        self.features.refresh()
        if self.there:
            with h5py.File(self.features.path) as file:
                keys = [each.tobytes() for each in file["keys"][:]]
                assert keys == sorted(key(number) for number in self.there)
                shown = dict(zip(keys, file["features"][:], strict=True))
            assert all(np.array_equal(shown[key(number)], row(number)) for number in self.there)

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()
            shutil.rmtree(self.folder)


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)


@pytest.mark.slow
def test_a_store_through_far_more() -> None:
    run_state_machine_as_test(Store, settings=settings(max_examples=30, stateful_step_count=20, deadline=None))
