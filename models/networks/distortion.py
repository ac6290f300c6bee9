"""Augmentation on the fly: Keras layers that draw another version of every picture each time it is seen.

    flip         left and right are exchanged in one picture of two
    rotation     by up to 10 degrees
    zoom         in or out by up to 15 %
    shift        by up to 10 % of each side
    brightness   up to a fifth brighter or darker
    contrast     up to a fifth more or less

What comes in from beyond the edge is the picture mirrored. Pixels stay in 0..255.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..backend import import_keras
from ..errors import UnsuitableSetting

STANDARD = "standard"
_RANGE = (0, 255)
_AROUND = {"fill_mode": "reflect", "interpolation": "bilinear"}

_LAYERS: dict[str, Callable[[Any], Any]] = {
    "flip": lambda layers: layers.RandomFlip("horizontal"),
    "rotation": lambda layers: layers.RandomRotation(10 / 360, **_AROUND),
    "zoom": lambda layers: layers.RandomZoom(0.15, **_AROUND),
    "shift": lambda layers: layers.RandomTranslation(0.1, 0.1, **_AROUND),
    "brightness": lambda layers: layers.RandomBrightness(0.2, value_range=_RANGE),
    "contrast": lambda layers: layers.RandomContrast(0.2, value_range=_RANGE),
}


def distortion_names(text: str) -> tuple[str, ...]:
    """Return the augmentations that are asked for, in the order in which they are applied.

    >>> distortion_names("zoom,flip"), distortion_names("none"), len(distortion_names("standard"))
    (('flip', 'zoom'), (), 6)

    Raises
    ------
    UnsuitableSetting
        There is none of some name.
    """
    if text in (STANDARD, "none"):
        return tuple(_LAYERS) if text == STANDARD else ()
    wanted = [name.strip() for name in text.split(",")]
    for name in wanted:
        if name not in _LAYERS:
            raise UnsuitableSetting(
                f"there is no augmentation called {name!r}: expected {STANDARD}, none, or some of {','.join(_LAYERS)}"
            )
    return tuple(name for name in _LAYERS if name in wanted)


def build_distortion(names: Sequence[str], size: tuple[int, int]) -> Any:
    """Return a Keras model from pixels (n, h, w, 3) in 0..255 to others, float32; it must be called with `training`.

    Parameters
    ----------
    names : sequence of str
        From `distortion_names`; at least one.
    size : (int, int)
        Height and width, pixels.
    """
    keras = import_keras()
    images = keras.Input((*size, 3), name="images")
    x = images
    for name in names:
        x = _LAYERS[name](keras.layers)(x)
    return keras.Model(images, keras.ops.clip(x, *_RANGE), name="distortion")
