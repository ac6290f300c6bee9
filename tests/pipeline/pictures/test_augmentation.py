"""Views are the same whenever they are made, differ from one another, and are what their recipe says."""

import numpy as np
import pytest
from demijohn.cache.index import hash_bytes
from demijohn.pipeline.errors import InvalidRequest
from demijohn.pipeline.pictures.augmentation import Draws, View, augment_names, augment_recipe, make_view
from demijohn.pipeline.pictures.resizing import MODES
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

KEY = hash_bytes(b"a picture")
SIZE = (48, 32)


def scene(width: int = 90, height: int = 60) -> Image.Image:
    """Return a picture that no symmetry leaves as it is."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1).astype(np.uint8))


def view(names: str, number: int = 1, *, resize: str = "crop-bilinear", key: bytes = KEY) -> NDArray[np.uint8]:
    return np.asarray(make_view(scene(), SIZE, resize, key, View(number, augment_recipe(names))))


@pytest.mark.parametrize("mode", MODES)
def test_a_view_hangs_on_key_and_number_alone(mode: str) -> None:
    one = view("standard", 3, resize=f"{mode}-bicubic")
    assert one.shape == (SIZE[1], SIZE[0], 3)
    np.testing.assert_array_equal(one, view("standard", 3, resize=f"{mode}-bicubic"))
    assert not np.array_equal(one, view("standard", 4, resize=f"{mode}-bicubic"))
    assert not np.array_equal(one, view("standard", 3, resize=f"{mode}-bicubic", key=hash_bytes(b"another")))


def test_views_are_those_that_stores_out_there_hold() -> None:
    draws = Draws.of(KEY, 1)
    assert [round(value, 6) for value in (draws.flip, draws.area, draws.angle)] == [0.211514, 0.937541, 0.625181]
    pixels = view("standard")
    assert pixels[::15, ::23, 0].tolist() == [[128, 118, 0], [246, 126, 5], [128, 134, 13]]


def test_flip_is_a_mirror_or_nothing() -> None:
    plain = np.asarray(make_view(scene(), SIZE, "crop-bilinear", KEY, View()))
    seen = set()
    for number in range(1, 20):
        flipped = view("flip", number)
        mirrored = np.array_equal(flipped, plain[:, ::-1])
        assert mirrored or np.array_equal(flipped, plain)
        seen.add(mirrored)
    assert seen == {True, False}


def test_colour_moves_no_pixel_and_rotation_changes_no_middle() -> None:
    gray = Image.new("RGB", SIZE, (100, 100, 100))
    colour = np.asarray(make_view(gray, SIZE, "squash-bilinear", KEY, View(2, augment_recipe("colour"))))
    assert (colour == colour[0, 0]).all()
    assert 75 <= colour[0, 0, 0] <= 125
    assert colour[0, 0, 0] != 100
    rotated = np.asarray(make_view(gray, SIZE, "squash-bilinear", KEY, View(2, augment_recipe("rotation"))))
    assert (rotated[SIZE[1] // 2, SIZE[0] // 2] == 100).all()
    assert (rotated[0, 0] == 128).all() or (rotated[0, -1] == 128).all()


@given(st.binary(min_size=32, max_size=32), st.integers(1, 999))
def test_a_crop_is_of_the_seen_shape_within_the_picture_and_no_smaller_than_half(key: bytes, number: int) -> None:
    from demijohn.pipeline.pictures.augmentation import _draw_box

    left, top, right, bottom = _draw_box((90, 60), (15.0, 0.0, 75.0, 60.0), Draws.of(key, number))
    assert 0 <= left < right <= 90 + 1e-9
    assert 0 <= top < bottom <= 60 + 1e-9
    assert right - left == pytest.approx(bottom - top)
    assert 0.5 - 1e-9 <= (right - left) * (bottom - top) / 3600 <= 1


@given(st.binary(min_size=32, max_size=32), st.integers(1, 999))
def test_draws_are_uniform_numbers(key: bytes, number: int) -> None:
    draws = Draws.of(key, number)
    assert all(0 <= getattr(draws, name) < 1 for name in Draws.__slots__)


@pytest.mark.parametrize("names", ["standard", "flip", "crop,rotation", "colour"])
def test_names_come_back_from_the_recipe(names: str) -> None:
    assert augment_names(augment_recipe(names)) == names


def test_order_and_repetition_of_names_do_not_matter() -> None:
    assert augment_recipe("crop,flip,flip") == augment_recipe("flip, crop")
    assert augment_recipe("rotation,colour,crop,flip") == augment_recipe("standard")


@pytest.mark.parametrize("names", ["", "mixup", "flip,,crop", "Standard"])
def test_what_is_no_augmentation_is_refused(names: str) -> None:
    with pytest.raises(InvalidRequest, match="expected standard, or some of flip,crop,colour,rotation"):
        augment_recipe(names)
