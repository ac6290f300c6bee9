"""Distortion is drawn anew each time, stays within 0..255, and does what its name says."""

import numpy as np
import pytest
from demijohn.models import UnsuitableSetting
from demijohn.models.backend import import_keras
from demijohn.models.networks.distortion import build_distortion, distortion_names
from numpy.typing import NDArray

NAMES = ("flip", "rotation", "zoom", "shift", "brightness", "contrast")


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """Return 24 pictures that brighten from left to right, each with a bright spot."""
    ramp = np.broadcast_to(np.linspace(40, 200, 16)[None, :, None], (16, 16, 3)).astype(np.uint8)
    pictures = np.repeat(ramp[None], 24, axis=0).copy()
    pictures[:, 4:6, 4:6] = 250
    return pictures


@pytest.mark.parametrize("name", NAMES)
def test_each_changes_pictures_and_keeps_their_range(name: str, pixels: NDArray[np.uint8]) -> None:
    import_keras().utils.set_random_seed(3)
    distortion = build_distortion((name,), (16, 16))
    once, again = (np.asarray(distortion(pixels, training=True)) for _ in range(2))
    assert once.shape == pixels.shape
    assert once.dtype == np.float32
    assert once.min() >= 0
    assert once.max() <= 255
    assert not np.array_equal(once, again)
    assert len({picture.tobytes() for picture in once}) > 1, "each picture has a draw of its own"
    np.testing.assert_array_equal(np.asarray(distortion(pixels, training=False)), pixels.astype(np.float32))
    if name == "flip":
        mirrored = pixels[:, :, ::-1].astype(np.float32)
        same, turned = (np.all(once == each, axis=(1, 2, 3)) for each in (pixels, mirrored))
        assert (same | turned).all()
        assert 4 < turned.sum() < 20
    if name in ("brightness", "contrast"):
        order = once[:, 8, :, 0]
        assert (np.diff(order, axis=1) >= 0).all(), "light changes, places do not"


def test_chance_begins_at_the_seed(pixels: NDArray[np.uint8]) -> None:
    def draw(seed: int) -> bytes:
        import_keras().utils.set_random_seed(seed)
        return np.asarray(build_distortion(NAMES, (16, 16))(pixels, training=True)).tobytes()

    assert draw(1) == draw(1) != draw(2)


def test_names() -> None:
    assert distortion_names("standard") == NAMES
    assert distortion_names("contrast, flip") == ("flip", "contrast")
    with pytest.raises(UnsuitableSetting, match="'crop'"):
        distortion_names("crop")
