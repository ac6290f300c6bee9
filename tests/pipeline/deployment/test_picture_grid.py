"""The grid: a fair sample that is the same every time, and a picture of it."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from demijohn.pipeline.deployment.picture_grid import GridSample, draw_predictions
from demijohn.pipeline.deployment.prediction import Prediction
from demijohn.pipeline.pictures.feed import Frame
from demijohn.pipeline.pictures.images import DEFAULT_POLICY
from PIL import Image
from support.cases import quick
from support.pictures import encode, picture


def predicted(path: Path | str, label: str | None = "cat", probability: float = 0.9) -> Prediction:
    reason = None if label else "rejected"
    return Prediction(str(path), label, probability, ((label or "cat", probability),), reason)


def test_every_prediction_is_as_likely_to_be_chosen_and_order_is_kept() -> None:
    passed = [predicted(str(number)) for number in range(20)]
    chosen: Counter[str] = Counter()
    for seed in range(600):
        sample = GridSample(5, seed=seed)
        assert list(sample.watch(passed)) == passed
        paths = [each.path for each in sample.predictions]
        assert paths == sorted(paths, key=int)
        assert len(set(paths)) == 5
        chosen.update(paths)
    # 150 expected of each; the deviation of a count is below 11.
    assert all(abs(count - 150) < 45 for count in chosen.values())
    assert len(chosen) == 20


def test_the_same_pictures_give_the_same_sample_and_unreadable_ones_are_not_drawn() -> None:
    passed = [*(predicted(str(number)) for number in range(40)), Prediction("bad", None, None, (), "damaged")]
    samples = [GridSample(), GridSample()]
    for sample in samples:
        list(sample.watch(passed))
    assert samples[0].predictions == samples[1].predictions
    assert len(samples[0].predictions) == 25
    few = GridSample()
    list(few.watch(passed[-3:]))
    assert [each.path for each in few.predictions] == ["38", "39"]


@pytest.mark.parametrize("count", quick(3, [0, 1, 2, 25]))
def test_it_is_drawn_however_many_there_are(tmp_path: Path, count: int) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(encode(picture(number)))
    labels = ["$x^2", "a very long name of a class indeed", None, "日本"]
    predictions = [predicted(path, labels[number % 4]) for number, path in enumerate(paths)]
    grid = tmp_path / "deep" / "grid.png"
    gone = predicted(tmp_path / "gone.png")
    assert draw_predictions(grid, [*predictions, gone], Frame((32, 32), "crop-bilinear"), DEFAULT_POLICY) == count
    with Image.open(grid) as image:
        image.load()
        assert image.width >= 200
    assert [path.name for path in grid.parent.iterdir()] == ["grid.png"]


def test_a_picture_is_drawn_as_the_backbone_sees_it(tmp_path: Path) -> None:
    # Green at both ends, which the centre square leaves out.
    pixels = np.zeros((30, 90, 3), dtype=np.uint8)
    pixels[:] = (0, 255, 0)
    pixels[:, 30:60] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    shares = {}
    for resize in ("crop-bilinear", "squash-bilinear"):
        draw_predictions(
            tmp_path / "grid.png", [predicted(tmp_path / "wide.png")], Frame((30, 30), resize), DEFAULT_POLICY
        )
        drawn = np.asarray(Image.open(tmp_path / "grid.png").convert("RGB")).astype(int)
        green, red = ((drawn == colour).all(axis=2).sum() for colour in ((0, 255, 0), (255, 0, 0)))
        shares[resize] = green / (green + red)
    assert shares["crop-bilinear"] == 0
    assert shares["squash-bilinear"] > 0.5
