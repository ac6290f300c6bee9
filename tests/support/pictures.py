"""Small pictures made from a seed, so that tests need no files of their own."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(
    seed: int, *, colour: tuple[int, int, int] = (128, 128, 128), size: tuple[int, int] = (24, 20)
) -> Image.Image:
    """Return a noisy picture around a colour; another seed gives other bytes."""
    random = np.random.default_rng(seed)
    noise = random.integers(-40, 41, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the bytes of a picture file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


COLOURS = {"red": (200, 60, 60), "green": (60, 200, 60), "blue": (60, 60, 200)}


def write_classes(root: Path, *, per_class: int = 12, classes: tuple[str, ...] = ("red", "green", "blue")) -> Path:
    """Write class folders of PNG files that a head can tell apart; return the root."""
    for number, name in enumerate(classes):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(per_class):
            seed = 1000 * number + index
            (folder / f"{index:03d}.png").write_bytes(encode(picture(seed, colour=COLOURS[name])))
    return root
