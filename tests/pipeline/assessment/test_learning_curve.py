"""The learning curve grows where more pictures help, ends at the run itself, and says when it cannot tell."""

from dataclasses import replace
from pathlib import Path

import pytest
from demijohn.cache.results import KeptResults
from demijohn.pipeline import train_head
from demijohn.pipeline.assessment.judgements import Judgement, judge_run
from demijohn.pipeline.assessment.learning_curve import SIZES, LastGain, LearningCurve, Point, draw_learning_curve
from demijohn.pipeline.progress import SILENT
from support.trials import find_ground, make_store


def judged(folder: Path, head: str = "ridge", **options: object) -> list[Judgement]:
    """Return a real run on made-up features."""
    store = make_store(folder, **options)  # type: ignore[arg-type]
    run = train_head(head, store=folder)
    ground = find_ground(store)
    return [judge_run(run, ground, KeptResults(folder / "kept", 1))]


@pytest.mark.parametrize("group_size", [1, 4])
def test_more_pictures_help_until_they_do_not(tmp_path: Path, group_size: int) -> None:
    ranked = judged(tmp_path / "store", images=(600, 240, 0), width=60, apart=2.5, group_size=group_size)
    curve = draw_learning_curve(ranked, KeptResults(tmp_path / "kept", 1), SILENT)
    assert curve is not None
    assert [point.per_class for point in curve.points] == [5, 10, 20, 50, 100, 200]
    assert [point.images for point in curve.points] == [15, 30, 60, 150, 300, 600]
    assert [point.draws for point in curve.points] == [3] * 5 + [1]
    assert curve.points[-1].accuracy > curve.points[0].accuracy + 0.1
    for point in curve.points:
        assert point.interval[0] <= point.accuracy <= point.interval[1]
    assert curve.gain is not None
    assert curve.gain.images == 300
    assert curve.gain.difference == pytest.approx(curve.points[-1].accuracy - curve.points[-2].accuracy)
    assert curve.gain.interval[0] <= curve.gain.difference <= curve.gain.interval[1]
    told = curve.to_json()
    assert (told["run"], told["head"], told["split"]) == (ranked[0].run.id, "ridge", "validation")
    assert draw_learning_curve(ranked, KeptResults(tmp_path / "kept", 1), SILENT) == curve


def test_where_there_are_more_pictures_than_are_learned_from_the_run_is_the_last_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demijohn.pipeline.assessment.learning_curve.MOST", 100)
    ranked = judged(tmp_path / "store", images=(300, 60, 0))
    curve = draw_learning_curve(ranked, KeptResults(tmp_path / "kept", 1), SILENT)
    assert curve is not None
    assert [point.images for point in curve.points] == [15, 30, 60, 300]
    assert curve.points[-1].accuracy == ranked[0].accuracy("validation")


def test_a_head_that_needs_tensorflow_is_passed_over(tmp_path: Path) -> None:
    (light,) = judged(tmp_path / "store", head="lda")
    heavy = replace(
        light,
        run=replace(light.run, id="heavy", record={**light.run.record, "head_file": "head.keras", "head": "dense"}),
    )
    kept = KeptResults(tmp_path / "kept", 1)
    curve = draw_learning_curve([heavy, light], kept, SILENT)
    assert curve is not None
    assert (curve.run, curve.head) == (light.run.id, "lda")
    stand_in = draw_learning_curve([heavy], kept, SILENT)
    assert stand_in is not None
    assert (stand_in.run, stand_in.head) == ("heavy", "logistic")


def test_without_validation_there_is_none(tmp_path: Path) -> None:
    ranked = judged(tmp_path / "store", images=(60, 0, 60))
    assert draw_learning_curve(ranked, KeptResults(tmp_path / "kept", 1), SILENT) is None


@pytest.mark.parametrize(
    ("difference", "interval", "end"),
    [
        (0.03, (0.01, 0.05), "more of this kind are likely to help"),
        (0.001, (-0.004, 0.006), "more of this kind would hardly help"),
        (0.01, (-0.02, 0.04), "too few validation pictures to tell whether more for training would help"),
    ],
)
def test_the_sentence_claims_what_is_shown(difference: float, interval: tuple[float, float], end: str) -> None:
    points = (Point(10, 20, 3, 0.8, (0.7, 0.9)), Point(20, 40, 1, 0.8 + difference, (0.7, 0.9)))
    curve = LearningCurve("r", "ridge", "x", points, LastGain(20, difference, interval))
    assert curve.sentence.startswith("from 20 to 40 training pictures, accuracy on validation changed by +")
    assert curve.sentence.endswith(end)
    assert replace(curve, gain=None).sentence == "40 training pictures are too few to tell whether more would help"


def test_sizes_rise() -> None:
    assert list(SIZES) == sorted(SIZES)
