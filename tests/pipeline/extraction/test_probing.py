"""An installation that gives other numbers is told before a row is added, and may begin a set of its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.cache import FeatureStore
from demijohn.pipeline import Extraction, OtherNumbers, extract_features
from demijohn.pipeline.extraction.probing import PICTURES, make_probes
from demijohn.pipeline.pictures.feed import Frame
from demijohn.pipeline.pictures.images import DEFAULT_POLICY
from numpy.typing import NDArray
from support.pictures import encode, picture
from support.swift import SwiftEngine


def extract(photos: Path, store: Path, **arguments: Any) -> Extraction:
    return extract_features(photos, backbone="tiny", weights="random", store=store, **arguments)


def shift(patch: pytest.MonkeyPatch, share: float) -> None:
    """Let the engine give numbers that differ by a share."""
    exact = SwiftEngine.extract

    def shifted(self: SwiftEngine, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        return tuple(rows * np.float32(1 + share) for rows in exact(self, images))

    patch.setattr(SwiftEngine, "extract", shifted)


def test_the_probe_stands_in_recipe_json_and_is_of_the_whole_chain(swift: str, photos: Path, tmp_path: Path) -> None:
    extract(photos, tmp_path / "store")
    begun = FeatureStore(tmp_path / "store").find_feature_set().begun
    assert begun is not None
    assert set(begun.probe.vectors) == set(PICTURES)
    engine = SwiftEngine(32)
    frame = Frame((16, 16), "squash-bilinear")
    (again,) = make_probes(engine, [frame], DEFAULT_POLICY)[frame]  # type: ignore[arg-type]
    assert begun.probe.difference(again) == 0
    one, other = begun.probe.vectors.values()
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("link", ["decode_views", "the engine"])
def test_other_numbers_are_refused_with_how_much_and_the_way_out(
    link: str, swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    rows = FeatureStore(store).find_feature_set().keys()
    (photos / "red" / "new.png").write_bytes(encode(picture(99)))
    if link == "decode_views":
        monkeypatch.setattr(
            "demijohn.pipeline.extraction.probing.decode_views",
            lambda *_, **__: [np.full((16, 16, 3), 200, dtype=np.uint8)],
        )
    else:
        shift(monkeypatch, 0.01)
    with pytest.raises(OtherNumbers, match=r"differs by \d+\.\d+% .* expected at most 0\.01%; .*--new.*--recompute"):
        extract(photos, store)
    assert FeatureStore(store).find_feature_set().keys() == rows


def test_numbers_within_the_tolerance_are_continued(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(photos, tmp_path / "store")
    (photos / "red" / "new.png").write_bytes(encode(picture(99)))
    shift(monkeypatch, 5e-5)
    assert extract(photos, tmp_path / "store").extracted == 1


def test_what_is_cached_is_used_without_asking(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(photos, tmp_path / "store")
    monkeypatch.setattr("demijohn.pipeline.extraction.frozen.FrozenBackbone.start", None)
    assert extract(photos, tmp_path / "store").cached == 36


def test_new_begins_a_generation_once_and_goes_on_with_it(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    old = extract(photos, store, new=True)
    assert (old.extracted, len(FeatureStore(store).feature_sets())) == (36, 1)
    with monkeypatch.context() as patch:
        shift(patch, 0.02)
        new = extract(photos, store, new=True)
        assert (new.extracted, new.cached) == (36, 0)
        assert new.digest != old.digest
        assert extract(photos, store, new=True).cached == 36
        assert extract(photos, store).digest == new.digest
        assert [each.recipe.generation for each in FeatureStore(store).feature_sets()].count(1) == 1
    # Back on the first installation, --new finds the generation that it agrees with.
    (photos / "red" / "new.png").write_bytes(encode(picture(99)))
    with pytest.raises(OtherNumbers):
        extract(photos, store)
    again = extract(photos, store, new=True)
    assert (again.digest, again.extracted) == (old.digest, 1)
    assert len(FeatureStore(store).feature_sets()) == 2


def test_two_who_begin_at_once_agree_on_one_probe(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one begins between this one's look at the store and its first write."""
    from demijohn.pipeline.extraction import probing

    make = probing.make_probes

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(probing, "make_probes", make)
        with monkeypatch.context() as patch:
            shift(patch, 0.5)
            extract(photos, tmp_path / "store")
        return make(*arguments)

    monkeypatch.setattr(probing, "make_probes", meanwhile)
    with pytest.raises(OtherNumbers):
        extract(photos, tmp_path / "store")
