"""--plan and --explain tell, and leave no trace."""

from pathlib import Path
from typing import Any

import pytest
from demijohn.pipeline import explain_features, extract_features, plan_features
from support.pictures import encode, picture

TINY = {"backbones": ("tiny",), "weights": "random"}


def test_a_plan_tells_counts_size_and_time_and_creates_nothing(swift: str, photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "copy.png").write_bytes((photos / "red" / "000.png").read_bytes())
    store = tmp_path / "store"
    told = plan_features(photos, store=store, **TINY)  # type: ignore[arg-type]
    assert not store.exists()
    answer = told.to_json()
    assert {name: answer[name] for name in ("images", "cached", "new", "duplicates", "refused", "unreadable")} == {
        "images": 37,
        "cached": 0,
        "new": 36,
        "duplicates": 1,
        "refused": 0,
        "unreadable": 0,
    }
    assert answer["bytes"] == 36 * (4 * 8 + 32)
    assert answer["images_per_second"] > 0
    assert answer["seconds"] > 0
    assert "37 images: 0 cached, 36 new; 1 duplicates" in str(told)


def test_a_plan_of_a_full_cache_measures_nothing(swift: str, photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "broken.png").write_bytes(b"x")
    extract_features(photos, store=tmp_path / "store", backbone="tiny", weights="random")
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "store").rglob("*"))
    told = plan_features(photos, store=tmp_path / "store", **TINY)  # type: ignore[arg-type]
    assert str(told) == "37 images: 36 cached, 0 new; 1 refused earlier\nnothing to extract"
    assert told.to_json()["images_per_second"] is None
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "store").rglob("*")) == before


def test_the_one_field_that_differs_is_named(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract_features(photos, backbone="tiny", weights="random:1", store=store)
    told = explain_features(photos, backbones=("tiny",), weights="random:2", store=store)
    ((_, (other,)),) = told.families
    assert (other.rows, other.cached) == (36, 36)
    (difference,) = other.differences
    assert difference.startswith("weights: random:1:keras-")
    assert " -> random:2:keras-" in difference
    assert difference in str(told)


@pytest.mark.parametrize(
    ("field", "value"), [("resize", "squash-bicubic"), ("input_size", (32, 32)), ("preprocessing", None)]
)
def test_a_changed_record_is_explained_by_its_field(
    field: str, value: Any, swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from demijohn.models import BACKBONES, Preprocessing
    from support.standin import TINY as RECORD

    extract_features(photos, store=tmp_path / "store", backbone="tiny", weights="random")
    changed = value or Preprocessing((0.0,) * 3, (1.0,) * 3)
    monkeypatch.setitem(BACKBONES, "tiny", replace(RECORD, **{field: changed}))
    told = explain_features(photos, store=tmp_path / "store", **TINY)  # type: ignore[arg-type]
    ((_, ((difference,),)),) = [(family, [other.differences for other in others]) for family, others in told.families]
    assert difference.startswith(f"{field}: ")


def test_new_pictures_are_no_riddle(swift: str, photos: Path, tmp_path: Path) -> None:
    extract_features(photos, store=tmp_path / "store", backbone="tiny", weights="random")
    assert "every picture that can be read is cached" in str(
        explain_features(photos, store=tmp_path / "store", **TINY)  # type: ignore[arg-type]
    )
    (photos / "red" / "new.png").write_bytes(encode(picture(7)))
    told = str(explain_features(photos, store=tmp_path / "store", **TINY))  # type: ignore[arg-type]
    assert "1 pictures are new to this recipe" in told
    assert "no other features of tiny" in told


def test_a_run_says_of_itself_why_nothing_is_cached(swift: str, photos: Path, tmp_path: Path) -> None:
    from demijohn.pipeline.progress import Silent

    class Listening(Silent):
        def __init__(self) -> None:
            self.said: list[str] = []

        def say(self, text: str) -> None:
            self.said.append(text)

    listening = Listening()
    for seed in (1, 2):
        extract_features(
            photos, backbone="tiny", weights=f"random:{seed}", store=tmp_path / "store", progress=listening
        )
    (why,) = [text for text in listening.said if text.startswith("nothing cached, since")]
    assert "weights: random:1" in why
