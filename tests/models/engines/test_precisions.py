"""What a narrower type gains and loses is judged by one rule, and the shipped table is judged by it."""

import json
from dataclasses import asdict, replace
from importlib.resources import files
from typing import Any

import pytest
from demijohn.models import BACKBONES, find_backbone
from demijohn.models.engines import precisions as module
from demijohn.models.engines.engines import ENGINES
from demijohn.models.engines.precisions import FASTER, MARGIN, SAME, Trial, Verdict, find_verdicts
from support.verdicts import TRIAL, VERDICT


def judged(*, speed: float = 1.8, **changed: Any) -> Verdict:
    """Return a verdict of which the second of two trials is changed."""
    return replace(VERDICT, speed=speed, trials=(TRIAL, replace(TRIAL, **changed)))


def test_what_loses_nothing_and_is_faster_passes() -> None:
    assert judged().passes
    assert str(judged()) == "bfloat16 on openvino: 1.8x, loses nothing measurable"
    # A head that gains by it is no loss.
    assert judged(interval=(0.001, 0.02)).passes
    assert judged(speed=FASTER, same_nearest=SAME, same_ten=SAME).passes


@pytest.mark.parametrize(
    ("changed", "objection"),
    [
        ({"same_nearest": 0.945}, "5.5% of pictures get another nearest neighbour"),
        ({"same_ten": 0.98}, "2.0% of the ten nearest neighbours are others"),
        ({"interval": (-0.02, -0.001)}, "a head loses accuracy"),
        ({"interval": (-0.012, 0.004)}, "a head may lose 1.2 points"),
        ({"interval": (-MARGIN, MARGIN)}, "a head may lose 1.0 points"),
        ({"speed": 1.1}, "it is hardly faster"),
        ({"speed": 0.5}, "it is no faster"),
        ({"speed": 0.5, "same_nearest": 0.9}, "10.0% of pictures get another nearest neighbour, it is no faster"),
    ],
)
def test_one_trial_that_fails_is_enough_and_is_told(changed: dict[str, Any], objection: str) -> None:
    verdict = judged(**changed)
    assert not verdict.passes
    assert str(verdict).endswith(f"x, but {objection}")


def test_a_verdict_holds_for_its_weights_and_its_input_size(monkeypatch: pytest.MonkeyPatch) -> None:
    slower = replace(VERDICT, precision="float16", speed=1.3)
    monkeypatch.setattr(module, "_measured", lambda: (slower, VERDICT))
    record = BACKBONES["efficientnet-lite0"]
    assert find_verdicts(record) == find_verdicts(record, VERDICT.weights) == (VERDICT, slower)
    assert find_verdicts(record, "other") == ()
    assert find_verdicts(replace(record, input_size=(96, 96))) == ()
    assert find_verdicts(find_backbone("xception")) == ()


def test_only_an_engine_that_tells_what_the_processor_has_computes_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ENGINES["openvino"].kind, "computes_in", lambda precision: precision == "bfloat16")
    assert VERDICT.computes_here
    assert not replace(VERDICT, precision="float16").computes_here
    assert not replace(VERDICT, engine="tensorflow").computes_here
    monkeypatch.setitem(ENGINES, "openvino", replace(ENGINES["openvino"], package="not_installed"))
    assert not VERDICT.computes_here


def test_the_shipped_table_is_whole_and_says_of_each_what_follows_from_its_figures() -> None:
    shipped = json.loads((files("demijohn.models.engines") / "precision_verdicts.json").read_text())
    assert shipped["machine"]
    assert {"openvino", "tensorflow", "keras"} < set(shipped["versions"])
    assert shipped["thresholds"] == {"same": SAME, "margin": MARGIN, "faster": FASTER}
    verdicts = [Verdict.from_json(value) for value in shipped["verdicts"]]
    assert [value["verdict"] for value in shipped["verdicts"]] == list(map(str, verdicts))
    assert "efficientnet-lite0" in {verdict.backbone for verdict in verdicts}
    for verdict in verdicts:
        assert verdict in find_verdicts(BACKBONES[verdict.backbone], verdict.weights)
        assert verdict.precision in ("bfloat16", "float16")
        assert verdict.engine in ENGINES
        assert len(verdict.weights) == 64
        for trial in verdict.trials:
            assert isinstance(trial, Trial)
            assert trial.pictures >= 1000
            assert trial.interval[0] <= trial.difference <= trial.interval[1]
            assert trial.difference == pytest.approx(trial.accuracy - trial.accuracy_float32, abs=2e-4)
            assert all(0 <= share <= 1 for share in (trial.same_nearest, trial.same_ten))


def test_a_verdict_comes_back_from_json() -> None:
    assert Verdict.from_json(json.loads(json.dumps({"verdict": str(VERDICT), **asdict(VERDICT)}))) == VERDICT
