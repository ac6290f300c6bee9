"""Likeness: copies of every kind agree, other pictures do not."""

from pathlib import Path

import pytest
from demijohn.pipeline.pictures.likeness import (
    ALIKE,
    CERTAIN,
    SAME,
    SIMILAR,
    Likeness,
    compare,
    is_near_duplicate,
    read_small,
)
from PIL import Image, ImageOps
from support.pictures import encode
from support.scenes import SIZE, scene

COPIES = {
    "recompressed": (scene(1), {"kind": "JPEG", "quality": 40}),
    "resized": (scene(1).resize((40, 30)), {"kind": "JPEG", "quality": 90}),
    "gray": (scene(1).convert("L"), {}),
    "mirrored": (ImageOps.mirror(scene(1)), {"kind": "JPEG", "quality": 90}),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_the_same(kind: str, tmp_path: Path) -> None:
    image, options = COPIES[kind]
    (tmp_path / "one").write_bytes(encode(scene(1)))
    (tmp_path / "other").write_bytes(encode(image, **options))
    small = read_small(tmp_path, ["one", "other"])
    likeness = compare(small["one"], small["other"])
    assert likeness.correlation > SAME
    assert likeness.mirrored == (kind == "mirrored")


def test_other_pictures_are_not(tmp_path: Path) -> None:
    for seed in range(20):
        (tmp_path / f"{seed}").write_bytes(encode(scene(seed)))
    small = read_small(tmp_path, [f"{seed}" for seed in range(20)])
    greatest = max(compare(small["0"], small[f"{seed}"]).correlation for seed in range(1, 20))
    assert greatest < SAME


def test_pictures_without_contrast_are_like_each_other_only(tmp_path: Path) -> None:
    for name, image in (("flat", Image.new("L", SIZE, 100)), ("even", Image.new("L", SIZE, 99)), ("scene", scene(1))):
        (tmp_path / name).write_bytes(encode(image))
    small = read_small(tmp_path, ["flat", "even", "scene"])
    assert compare(small["flat"], small["even"]).correlation == 1
    assert compare(small["flat"], small["scene"]).correlation < 0.2


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"no picture")
    assert read_small(tmp_path, ["text", "nowhere"]) == {}


@pytest.mark.parametrize(
    ("cosine", "correlation", "verdict"),
    [
        (0.5, SAME, True),
        (0.5, SAME - 0.01, False),
        (ALIKE, SIMILAR, True),
        (ALIKE - 0.01, SIMILAR, False),
        (1.0, SIMILAR - 0.01, False),
        (CERTAIN, None, True),
        (CERTAIN - 0.01, None, False),
    ],
)
def test_features_and_pixels_decide_together(cosine: float, correlation: float | None, verdict: bool) -> None:
    likeness = None if correlation is None else Likeness(correlation, mirrored=False)
    assert is_near_duplicate(cosine, likeness) == verdict
