"""Views: augmented versions of a picture that are the same whenever and wherever they are made.

What is drawn for a view hangs on the picture's key and the number of the view alone. A view is cut
out of the whole decoded picture, not out of what view 0 sees, and resampled once.

    flip       left and right are exchanged in one view of two
    crop       a box with 50 to 100 % of the area that view 0 sees, somewhere in the picture
    colour     brightness, contrast and saturation, each by a factor from 0.8 to 1.2
    rotation   by up to 10 degrees; corners become middle gray
"""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from ...cache.part import Key
from ..errors import InvalidRequest
from .resizing import FILL, Box, resize_image, seen_box

STANDARD = "standard"
_LEAST_AREA = 0.5
_COLOUR = 0.2
_DEGREES = 10
_OPERATIONS = {"flip": "", "crop": f" {_LEAST_AREA}", "colour": f" {_COLOUR}", "rotation": f" {_DEGREES}"}
"""In the order in which they are named in a recipe, and what is said of each there."""
_DRAWN_WITH = "; pillow"


class View(NamedTuple):
    """One version of a picture."""

    number: int = 0
    """0 is the picture itself."""
    augment: str = "none"
    """As it stands in the recipe."""


ORIGINAL = View()


@dataclass(frozen=True, slots=True)
class Draws:
    """What is drawn for one view of one picture: uniform numbers from 0 to below 1."""

    flip: float
    area: float
    left: float
    top: float
    brightness: float
    contrast: float
    saturation: float
    angle: float

    @classmethod
    def of(cls, key: Key, view: int) -> "Draws":
        """Return the draws of a view of the picture with this key."""
        digest = hashlib.sha256(key + view.to_bytes(4, "big")).digest()
        return cls(*(np.frombuffer(digest, ">u4") / 2.0**32).tolist())


def augment_recipe(names: str) -> str:
    """Return what stands in the recipe of views: `standard`, which is everything, or names with commas.

    >>> augment_recipe("crop,flip")
    'flip, crop 0.5; pillow'

    Raises
    ------
    InvalidRequest
        There is no such augmentation.
    """
    wanted = list(_OPERATIONS) if names == STANDARD else [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in _OPERATIONS:
            raise InvalidRequest(
                f"there is no augmentation called {name!r}: expected {STANDARD}, or some of {','.join(_OPERATIONS)}"
            )
    return ", ".join(name + said for name, said in _OPERATIONS.items() if name in wanted) + _DRAWN_WITH


def augment_names(recipe: str) -> str:
    """Return what `augment_recipe` was asked for.

    >>> augment_names("flip, crop 0.5; pillow"), augment_names(augment_recipe("standard"))
    ('flip,crop', 'standard')
    """
    names = [each.split()[0] for each in recipe.removesuffix(_DRAWN_WITH).split(", ")]
    return STANDARD if names == list(_OPERATIONS) else ",".join(names)


def make_view(image: Image.Image, size: tuple[int, int], resize: str, key: Key, view: View) -> Image.Image:
    """Return a view of an upright RGB picture.

    Parameters
    ----------
    image : Image
    size : (int, int)
        Width and height, pixels.
    resize : str
        Mode and filter; see `resizing`.
    key : Key
        Of the picture's bytes.
    view : View
    """
    if view == ORIGINAL:
        return resize_image(image, size, resize)
    names = augment_names(view.augment)
    chosen = set(_OPERATIONS) if names == STANDARD else set(names.split(","))
    draws = Draws.of(key, view.number)
    box = _draw_box(image.size, seen_box(image.size, size, resize), draws) if "crop" in chosen else None
    seen = resize_image(image, size, resize, box=box)
    if "flip" in chosen and draws.flip < 0.5:
        seen = ImageOps.mirror(seen)
    if "colour" in chosen:
        seen = ImageEnhance.Brightness(seen).enhance(_factor(draws.brightness))
        seen = ImageEnhance.Contrast(seen).enhance(_factor(draws.contrast))
        seen = ImageEnhance.Color(seen).enhance(_factor(draws.saturation))
    if "rotation" in chosen:
        angle = _DEGREES * (2 * draws.angle - 1)
        seen = seen.rotate(angle, Image.Resampling.BICUBIC, fillcolor=FILL)
    return seen


def _draw_box(whole: tuple[int, int], seen: Box, draws: Draws) -> Box:
    """Return a box of the shape of what view 0 sees, anywhere in the picture."""
    side = (_LEAST_AREA + (1 - _LEAST_AREA) * draws.area) ** 0.5
    width, height = (seen[2] - seen[0]) * side, (seen[3] - seen[1]) * side
    left, top = (whole[0] - width) * draws.left, (whole[1] - height) * draws.top
    return left, top, left + width, top + height


def _factor(drawn: float) -> float:
    return 1 + _COLOUR * (2 * drawn - 1)
