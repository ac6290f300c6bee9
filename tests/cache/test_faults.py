"""Every system call of a commit fails once, before or after it was done: nothing that was committed is lost."""

import errno
import os
from pathlib import Path
from typing import Any

import h5py
import pytest
from demijohn.cache import StoreNotWritable
from demijohn.cache.merging import merge_parts
from demijohn.cache.verification import verify_features
from demijohn.cache.writer import FeatureWriter
from support.cases import quick
from support.rows import feature_set, key, rows

CALLS = ("open", "write", "fsync", "replace", "link", "mkdir")


class Faulty:
    """Counts calls of one function, and lets the n-th one fail."""

    def __init__(self, function: Any, *, at: int, after: bool, code: int) -> None:
        self._function, self._at, self._after, self._code = function, at, after, code
        self.calls = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls == self._at and not self._after:
            raise OSError(self._code, "injected")
        result = self._function(*arguments, **options)
        if self.calls == self._at:
            raise OSError(self._code, "injected")
        return result


@pytest.mark.parametrize("after", [False, True], ids=["instead", "after"])
@pytest.mark.parametrize("name", quick(4, CALLS))
def test_a_system_call_fails(tmp_path: Path, name: str, after: bool) -> None:
    at, failed = 0, 0
    while True:
        at += 1
        store, told = tmp_path / str(at), 0
        faulty = Faulty(getattr(os, name), at=at, after=after, code=(errno.ENOSPC, errno.EIO)[at % 2])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, name, faulty)
            try:
                features = feature_set(store)
                with FeatureWriter(features) as writer:
                    for told in range(0, 6, 3):
                        writer.add(*rows(range(told, told + 3)))
                        writer.commit()
                told = 6
            except StoreNotWritable:
                failed += 1
        features = feature_set(store)
        present = features.keys()
        assert {key(number) for number in range(told)} <= present
        numbers = [number for number in range(6) if key(number) in present]
        assert len(numbers) == len(present)
        assert features.read([key(number) for number in numbers]).tobytes() == rows(numbers)[1].tobytes()
        with FeatureWriter(features) as writer:
            writer.add(*rows(range(6)))
        merge_parts(features)
        with h5py.File(features.path) as file:
            shown = {one.tobytes(): other.tobytes() for one, other in zip(file["keys"], file["features"], strict=True)}
        assert shown == {key(number): rows([number])[1].tobytes() for number in range(6)}
        found = verify_features(features.folder)
        assert (found.rows, found.damaged) == (6, ())
        assert not list(store.rglob("*.partial"))
        if faulty.calls < at:
            break
    # A commit opens, writes, syncs its file and its folder, and renames; there are two, and a merge.
    expected = {"open": 6, "write": 3, "fsync": 6, "replace": 3, "link": 0, "mkdir": 0}
    assert failed >= expected[name]
