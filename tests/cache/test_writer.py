"""Rows on their way in: refused whole or kept, and committed whatever ends the block."""

from pathlib import Path

import numpy as np
import pytest
from demijohn.cache.writer import FeatureWriter
from support.rows import expected, feature_set, key, row, rows, visible


def test_rows_are_committed_by_number_by_time_and_whenever_the_block_is_left(tmp_path: Path) -> None:
    features, now = feature_set(tmp_path), [0.0]
    writer = FeatureWriter(features, clock=lambda: now[0])
    writer.add(*rows(range(511)))
    assert not features.keys()
    writer.add(*rows([511]))
    assert len(features.keys()) == 512
    writer.add(*rows([600]))
    assert len(features.keys()) == 512
    now[0] = 2.0
    writer.add(*rows([601]))
    assert len(features.keys()) == 514
    writer.add(*rows([700]))
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert len(features.keys()) == 515


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(tmp_path: Path, value: float) -> None:
    keys, values = rows([1])
    values[0, 2] = value
    with pytest.raises(ValueError, match="finite"), FeatureWriter(feature_set(tmp_path)) as writer:
        writer.add(keys, values)
    assert not feature_set(tmp_path).keys()


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_rows_added_before_any_error_are_kept(tmp_path: Path, kind: type[BaseException]) -> None:
    def work() -> None:
        with FeatureWriter(feature_set(tmp_path)) as writer:
            writer.add(*rows([1, 2]))
            raise kind

    with pytest.raises(kind):
        work()
    assert feature_set(tmp_path).read([key(2)]).tobytes() == row(2).tobytes()
    feature_set(tmp_path).refresh()
    assert visible(feature_set(tmp_path)) == expected({1, 2})


def test_a_refused_batch_takes_no_other_with_it(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    writer = FeatureWriter(features)
    writer.add(*rows([1]))
    keys, values = rows([2, 3])
    values[1, 0] = -np.inf
    with pytest.raises(ValueError, match="finite"):
        writer.add(keys, values)
    with pytest.raises(ValueError, match="one row per key, found 2 keys and rows of shape"):
        writer.add(keys, values[:1])
    writer.add(*rows([4]))
    writer.commit()
    assert features.keys() == {key(1), key(4)}


def test_rows_are_copied_when_they_are_added(tmp_path: Path) -> None:
    features, (keys, values) = feature_set(tmp_path), rows([1, 2])
    buffer = values.copy()
    with FeatureWriter(features) as writer:
        writer.add(keys, buffer)
        buffer[:] = 7
    assert features.read(keys).tobytes() == values.tobytes()


def test_one_of_several_commits_rarely_and_leaves_merging_to_others(tmp_path: Path) -> None:
    now = [0.0]
    features = feature_set(tmp_path)
    with FeatureWriter(features, clock=lambda: now[0], alone=False) as writer:
        for number in range(1000):
            now[0] += 0.009
            writer.add(*rows([number]))
        assert not features.part_paths()
        now[0] += 2
        writer.add(*rows([1000]))
        assert len(features.part_paths()) == 1
        writer.add(*rows([1001]))
    assert len(features.part_paths()) == 2
    assert not features.path.exists()
    assert len(features.keys()) == 1002
