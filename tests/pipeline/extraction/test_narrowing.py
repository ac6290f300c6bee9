"""`--precision auto` is a narrower type where that has passed, where it can be had, and where no other was begun."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from demijohn.cache import FeatureStore
from demijohn.models.backend import keras_version
from demijohn.models.engines import engines, precisions
from demijohn.models.engines.devices import Device
from demijohn.models.engines.engines import ENGINES, EngineChoice
from demijohn.models.engines.openvino_engine import OpenVINOEngine
from demijohn.models.engines.precisions import Verdict
from demijohn.pipeline import BottleneckFeatures, Extraction, cli, extract_features
from demijohn.pipeline.extraction import survey
from demijohn.pipeline.progress import Silent
from demijohn.pipeline.upkeep.recomputation import recompute_rows
from support.standin import TINY
from support.verdicts import TRIAL, VERDICT

LOSSLESS = replace(VERDICT, backbone="tiny", weights=f"random:0:keras-{keras_version()}", input_size=TINY.input_size)
LOSSY = replace(LOSSLESS, trials=(replace(TRIAL, same_nearest=0.9),))
NARROW = "bfloat16 on openvino"


class Listening(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def ship(swift: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what replaces the shipped verdicts, and says which types the processor has; nothing real computes."""
    monkeypatch.setattr(survey, "choose_engine", engines.choose_engine)

    def ship(*verdicts: Verdict, has: tuple[str, ...] = ("float32", "bfloat16", "float16")) -> None:
        monkeypatch.setattr(precisions, "_measured", lambda: verdicts)
        monkeypatch.setattr(OpenVINOEngine, "computes_in", staticmethod(lambda precision: precision in has))

    return ship


def extract(photos: Path, store: Path, precision: str = "auto", **arguments: Any) -> Extraction:
    return extract_features(
        photos,
        backbone="tiny",
        store=store,
        precision=precision,  # type: ignore[arg-type]
        **{"weights": "random", **arguments},
    )


def test_a_type_that_has_passed_is_taken_and_the_reason_is_kept(
    ship: Callable[..., None], photos: Path, tmp_path: Path
) -> None:
    ship(LOSSLESS)
    listening = Listening()
    done = extract(photos, tmp_path / "store", progress=listening)
    why = f"auto is {NARROW}: 1.8x, loses nothing measurable"
    assert (done.precision, done.precision_why, done.rows) == (NARROW, why, 36)
    assert done.to_json()["precision_why"] == why
    assert f"tiny: precision {why}" in listening.said
    features = FeatureStore(tmp_path / "store").find_feature_set()
    assert features.begun is not None
    assert features.begun.provenance["precision"] == why
    # Whoever repeats it elsewhere gets the same, or is told that it cannot be.
    assert "--precision bfloat16" in features.command()
    assert "auto" not in features.command()
    # The same as by its name.
    named = extract(photos, tmp_path / "store", "bfloat16", engine="openvino")
    assert (named.digest, named.cached, named.precision_why) == (done.digest, 36, None)


@pytest.mark.parametrize(
    ("verdicts", "has", "arguments", "why"),
    [
        ((LOSSY,), ("bfloat16",), {}, f"{NARROW}: 1.8x, but 10.0% of pictures get another nearest neighbour"),
        ((LOSSLESS,), (), {}, f"{NARROW}: 1.8x, loses nothing measurable, but this machine does not compute so"),
        ((LOSSLESS,), ("bfloat16",), {"engine": "tensorflow"}, f"{LOSSLESS}, but --engine tensorflow is asked for"),
        ((LOSSLESS,), ("bfloat16",), {"weights": "random:1"}, "not tested with these weights at this input size"),
        ((LOSSLESS,), ("bfloat16",), {"input_size": (24, 24)}, "not tested with these weights at this input size"),
        ((LOSSLESS,), ("bfloat16",), {"pooling": "max"}, "tested at the layer last avg only"),
        ((LOSSLESS,), ("bfloat16",), {"layer": "conv"}, "tested at the layer last avg only"),
        ((), ("bfloat16",), {}, "not tested with these weights at this input size"),
    ],
)
def test_else_it_is_float32_and_never_an_error(
    ship: Callable[..., None],
    photos: Path,
    tmp_path: Path,
    verdicts: tuple[Verdict, ...],
    has: tuple[str, ...],
    arguments: dict[str, Any],
    why: str,
) -> None:
    ship(*verdicts, has=("float32", *has))
    done = extract(photos, tmp_path / "store", **arguments)
    assert done.precision == "float32"
    assert done.precision_why is not None
    assert done.precision_why.startswith("auto is float32, since ")
    assert done.precision_why.endswith(why)
    assert extract(photos, tmp_path / "store", "float32", **arguments).digest == done.digest


def test_on_a_gpu_and_with_other_machines_it_is_float32(
    ship: Callable[..., None], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(LOSSLESS)
    done = extract(photos, tmp_path / "one", backend={"backend": "threading", "n_jobs": 1})
    assert done.precision_why == "auto is float32, since other machines may have no narrower type"
    gpu = EngineChoice("tensorflow", 12, Device("NVIDIA T4", "/GPU:0"))
    monkeypatch.setattr(survey, "choose_engine", lambda *_, **__: gpu)
    done = extract(photos, tmp_path / "other")
    assert done.precision_why == "auto is float32, since narrower types were tested on processors only"


def test_a_cache_is_not_doubled(ship: Callable[..., None], photos: Path, tmp_path: Path) -> None:
    ship(LOSSLESS)
    store = tmp_path / "store"
    begun = extract(photos, store, "float32")
    done = extract(photos, store)
    assert (done.digest, done.extracted) == (begun.digest, 0)
    assert done.precision_why == "auto is float32, since these features were begun in it"
    # In a store where both were asked for by name, the faster one goes on.
    narrow = extract(photos, store, "bfloat16", engine="openvino")
    assert extract(photos, store).digest == narrow.digest
    assert len(FeatureStore(store).feature_sets()) == 2
    # Of two that have passed, the slower one goes on where it was begun.
    ship(LOSSLESS, replace(LOSSLESS, precision="float16", speed=3.0))
    assert extract(photos, store).digest == narrow.digest
    assert extract(photos, tmp_path / "new").precision == "float16 on openvino"


def test_a_type_that_has_not_passed_does_not_go_on_by_itself(
    ship: Callable[..., None], photos: Path, tmp_path: Path
) -> None:
    ship(LOSSY)
    extract(photos, tmp_path / "store", "bfloat16", engine="openvino")
    assert extract(photos, tmp_path / "store").precision == "float32"


def test_the_command_and_the_transformer_take_it(
    ship: Callable[..., None], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ship(LOSSLESS)
    store = str(tmp_path / "store")
    arguments = [str(photos), "--backbone", "tiny", "--weights", "random", "--store", store, "--precision", "auto"]
    cli.demijohn.main(["extract-features", *arguments, "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert told["precision"] == NARROW
    assert told["precision_why"].startswith("auto is bfloat16")
    transformer = BottleneckFeatures("tiny", weights="random", store=store, precision="auto")
    files = sorted(photos.glob("*/*.png"))[:3]
    assert transformer.fit_transform(files).shape == (3, TINY.width)
    (only,) = FeatureStore(store).feature_sets()
    assert only.recipe.precision == NARROW


@pytest.mark.slow
@pytest.mark.skipif(
    not (ENGINES["openvino"].installed and OpenVINOEngine.computes_in("bfloat16")),
    reason="this processor has no bfloat16",
)
def test_what_was_taken_is_computed_so_and_made_again_by_anyone(
    tiny: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precisions, "_measured", lambda: (LOSSLESS,))
    store = tmp_path / "store"
    done = extract(photos, store)
    assert (done.precision, done.engine) == (NARROW, "openvino")
    kept = FeatureStore(store)
    keys = sorted(kept.find_feature_set().keys())
    narrow = kept.find_feature_set().read(keys)
    wide = extract(photos, store, "float32")
    assert (kept.find_feature_set(digest=wide.digest).read(keys) != narrow).any()
    assert {each.greatest_difference for each in recompute_rows(3, store=store)} == {0.0}
