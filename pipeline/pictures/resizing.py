"""How a picture comes to the size that a backbone sees: the mode and filter that stand in the recipe.

    squash   both sides are scaled to the input size, whatever the aspect; nothing is cut off
    crop     the shorter side is scaled to the input size, and the centre of the longer one is kept
    pad      the longer side is scaled to the input size, and the rest is filled with middle gray

Every filter is antialiased: where a picture shrinks, its support grows with the factor.
"""

from typing import Literal, get_args

from PIL import Image

from ..errors import InvalidRequest

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in a picture's own pixels, fractions included."""
ResizeMode = Literal["squash", "crop", "pad"]
MODES: tuple[ResizeMode, ...] = get_args(ResizeMode)

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
FILL = (128, 128, 128)
"""Of `pad`: what the preprocessing of most backbones turns into zero."""


def choose_resize(usual: str, mode: str | None) -> str:
    """Return mode and filter: those of the backbone, or another mode with the backbone's filter.

    >>> choose_resize("squash-bicubic", None), choose_resize("squash-bicubic", "crop")
    ('squash-bicubic', 'crop-bicubic')

    Raises
    ------
    InvalidRequest
        There is no such mode.
    """
    if mode is None:
        return usual
    if mode not in MODES:
        raise InvalidRequest(f"there is no way to resize called {mode!r}: expected one of {', '.join(MODES)}")
    return f"{mode}-{usual.partition('-')[2]}"


def scale_size(source: tuple[int, int], size: tuple[int, int], resize: str) -> tuple[float, float]:
    """Return the width and height that a whole picture is scaled to, before anything is cut off or filled.

    Parameters
    ----------
    source : (int, int)
        Width and height of the picture.
    size : (int, int)
        Width and height that are asked for.
    resize : str
        Mode and filter.
    """
    mode = resize.partition("-")[0]
    if mode == "squash":
        return size
    factors = (size[0] / source[0], size[1] / source[1])
    factor = max(factors) if mode == "crop" else min(factors)
    return source[0] * factor, source[1] * factor


def seen_box(source: tuple[int, int], size: tuple[int, int], resize: str) -> Box:
    """Return what of a picture is seen: its centre for `crop`, else all of it."""
    width, height = source
    if resize.partition("-")[0] != "crop":
        return 0.0, 0.0, float(width), float(height)
    whole = scale_size(source, size, resize)
    # What rounding takes beyond the edge is cut off.
    inner = [min(source[side], source[side] * size[side] / whole[side]) for side in (0, 1)]
    left, top = (width - inner[0]) / 2, (height - inner[1]) / 2
    return left, top, width - left, height - top


def resize_image(image: Image.Image, size: tuple[int, int], resize: str, *, box: Box | None = None) -> Image.Image:
    """Return an RGB picture at a size, resampled once.

    Parameters
    ----------
    image : Image
        RGB.
    size : (int, int)
        Width and height, pixels.
    resize : str
        Mode and filter, for example `squash-bicubic`.
    box : Box, optional
        The part of the picture to be seen, instead of what the mode sees.
    """
    mode, _, name = resize.partition("-")
    kind = _FILTERS[name]
    box = box or seen_box(image.size, size, resize)
    if mode != "pad":
        return image.resize(size, kind, box=box)
    width, height = box[2] - box[0], box[3] - box[1]
    factor = min(size[0] / width, size[1] / height)
    inner = (max(1, round(width * factor)), max(1, round(height * factor)))
    padded = Image.new("RGB", size, FILL)
    padded.paste(image.resize(inner, kind, box=box), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return padded
