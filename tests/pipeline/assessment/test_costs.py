"""What a run costs is what was measured, and is not known where it was not."""

from pathlib import Path

import pytest
from demijohn.cache.features import Speed
from demijohn.pipeline import extract_features, train_head
from demijohn.pipeline.assessment.costs import SHARED, UNKNOWN, measure_cost
from support.trials import add_run, find_ground, make_store, predict


def test_time_and_size_add_up(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", images=(60, 20, 20), backbones=("xception", "mobilenet"))
    grounds = [find_ground(store, name) for name in ("xception", "mobilenet")]
    record = add_run(store, "one", predict(grounds[0], 0.9, seed=1), grounds[0]).record
    sets = [ground.inputs.sets[0] for ground in grounds]
    unknown = measure_cost(record, sets)
    assert (unknown.milliseconds, unknown.seconds_to_extract, unknown.note) == (None, None, UNKNOWN)
    sets[0].note_speed(Speed(50.0, 100, shared=False))
    assert measure_cost(record, sets).milliseconds is None
    sets[1].note_speed(Speed(100.0, 100, shared=True))
    cost = measure_cost(record, sets)
    assert cost.milliseconds == pytest.approx(20 + 10 + 0.01)
    assert cost.seconds_to_extract == pytest.approx(100 * 0.03)
    assert cost.at_most
    assert SHARED in cost.note
    assert cost.bytes == cost.head_bytes + 88_000_000 + 16_000_000
    several = measure_cost({**record, "tta": True, "views": 4}, sets[:1])
    assert several.milliseconds == pytest.approx(4 * 20 + 0.01)
    assert not several.at_most


def test_the_greatest_extraction_tells_the_speed(tmp_path: Path) -> None:
    features = find_ground(make_store(tmp_path / "store")).inputs.sets[0]
    for speed in (Speed(1.0, 10, shared=False), Speed(2.0, 100, shared=True), Speed(3.0, 99, shared=False)):
        features.note_speed(speed)
    assert features.speed == Speed(2.0, 100, shared=True)
    (features.folder / "speed.json").write_text("{")
    assert features.speed is None


def test_an_extraction_and_a_training_leave_what_they_measured(swift: str, photos: Path, tmp_path: Path) -> None:
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    run = train_head("ridge", store=tmp_path / "store")
    (path,) = (tmp_path / "store" / "features").glob("*/speed.json")
    assert '"images": 36' in path.read_text()
    assert 0 < run.record["head_milliseconds"] < 1000
