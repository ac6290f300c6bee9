"""The network is gone before an engine is opened: both at once would take its memory twice."""

import weakref
from pathlib import Path
from typing import Any

import pytest
from demijohn.models.engines import engines
from demijohn.pipeline import extract_features
from demijohn.pipeline.extraction import frozen


@pytest.mark.parametrize("engine", ["openvino", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_no_network_stands_beside_the_engine(
    engine: str, tiny: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[Any]] = []
    left: list[Any] = []

    def load(*arguments: Any, **options: Any) -> Any:
        network, digest = really(*arguments, **options)
        loaded.extend(map(weakref.ref, (network, *network.variables)))
        return network, digest

    def open_(*arguments: Any) -> Any:
        left.extend(each for each in loaded if each() is not None)
        return engines.open_engine(*arguments)

    really = frozen.load_extractor
    monkeypatch.setattr(frozen, "load_extractor", load)
    monkeypatch.setattr(frozen, "open_engine", open_)
    extract_features(photos, backbone=tiny, weights="random", engine=engine, store=tmp_path / "store")
    assert loaded
    assert not left
