"""Which engine is taken: what is asked for, else the faster one that is here."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models import BACKBONES, UnsuitableEngine, UnsuitableSetting
from demijohn.models.backbones.taps import Tap
from demijohn.models.engines import engines as module
from demijohn.models.engines import openvino_engine
from demijohn.models.engines.devices import Device
from demijohn.models.engines.engines import ENGINES, choose_engine, make_engine
from demijohn.models.engines.openvino_engine import OpenVINOEngine
from support.standin import TINY

RATES = {"tiny": {"tensorflow": 30.0, "openvino": 20.0}, "other": {"tensorflow": 10.0, "openvino": 15.0}}


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_measured", lambda: RATES)


def chosen(*arguments: str, **options: Any) -> tuple[str, int]:
    choice = choose_engine(*arguments, **options)
    return choice.engine, choice.batch_size


def test_the_faster_one_is_taken_in_its_own_batches(rates: None) -> None:
    assert chosen("tiny") == ("tensorflow", 12)
    assert chosen("other") == ("openvino", 1)
    assert chosen("not measured") == ("openvino", 1)
    assert chosen("tiny", engine="openvino") == ("openvino", 1)
    assert chosen("tiny", batch_size=3) == ("tensorflow", 3)
    assert chosen("convnext-base", engine="tensorflow") == ("tensorflow", 24)


def test_what_is_not_installed_is_not_taken(rates: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "openvino", replace(ENGINES["openvino"], package="not_installed"))
    assert chosen("other") == chosen("not measured") == ("tensorflow", 12)
    with pytest.raises(UnsuitableSetting, match=r"openvino is not installed: pip install 'demijohn\[cpu\]'"):
        choose_engine("other", engine="openvino")


def test_on_a_gpu_tensorflow_computes(rates: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_device", lambda _: Device("NVIDIA T4", "/GPU:0"))
    assert chosen("other") == ("tensorflow", 12)
    with pytest.raises(UnsuitableSetting, match="openvino computes on the CPU, not on NVIDIA T4"):
        choose_engine("other", engine="openvino")


@pytest.mark.parametrize(
    ("options", "message"), [({"engine": "x"}, "no engine 'x'"), ({"batch_size": 0}, "batch of 0")]
)
def test_what_is_not_possible_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsuitableSetting, match=message):
        choose_engine("tiny", **options)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_type_that_the_processor_lacks_is_no_silent_float32(
    rates: None, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_engine, "_capabilities", lambda: ["FP32", "INT8"])
    assert chosen("other", precision=precision) == ("tensorflow", 12)
    with pytest.raises(UnsuitableSetting, match=f"does not compute in {precision} with openvino"):
        choose_engine("other", precision=precision, engine="openvino")
    monkeypatch.setattr(openvino_engine, "_capabilities", lambda: ["FP32", "BF16", "FP16"])
    assert chosen("other", precision=precision) == ("openvino", 1)


def test_the_shipped_rates_are_of_backbones_and_engines_that_there_are() -> None:
    shipped = json.loads((files("demijohn.models.engines") / "engine_rates.json").read_text())
    assert shipped["machine"]
    assert set(shipped["rates"]) <= set(BACKBONES)
    for engines in shipped["rates"].values():
        assert set(engines) == set(ENGINES)
        assert all(rate > 0 for rate in engines.values())


def test_other_numbers_than_tensorflows_are_refused(lively: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = OpenVINOEngine._run

    def shifted(self: OpenVINOEngine, images: Any) -> Any:
        return [values + 2e-4 * np.abs(values).max() for values in run(self, images)]

    monkeypatch.setattr(OpenVINOEngine, "_run", shifted)
    with pytest.raises(UnsuitableEngine, match=r"OpenVINO makes other features of tiny \(last avg\) than Keras"):
        make_engine(TINY, lively, engine="openvino")


def test_what_openvino_cannot_read_is_told_in_a_line(
    lively: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from demijohn.models.engines.freezing import freeze

    graph = freeze(tmp_path / "graph.pb", TINY, lively, batch_size=1)
    graph.file.write_bytes(b"no graph")
    with pytest.raises(UnsuitableEngine, match=r"^OpenVINO cannot take tiny: [^\n]+$"):
        OpenVINOEngine.compile(graph, tmp_path)


def test_outputs_stand_in_the_order_of_the_taps(lively: Any) -> None:
    taps = (Tap("relu", "max"), Tap("conv", "avg"), Tap("last", "avg"), Tap("bn", "avg"))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    made = [make_engine(TINY, lively, engine=name, batch_size=2, taps=taps).extract(pixels) for name in ENGINES]
    for one, other in zip(*made, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert len({values.tobytes() for values in made[0]}) == len(taps)
