"""Made pictures with light and dark in places of their own, so that copies can be told from others."""

import numpy as np
from PIL import Image

SIZE = (96, 72)


def scene(seed: int, *, colour: tuple[int, int, int] = (128, 128, 128), size: tuple[int, int] = SIZE) -> Image.Image:
    """Return soft blobs around a colour; another seed puts them elsewhere."""
    random = np.random.default_rng(seed)
    coarse = np.clip(np.array(colour) + random.integers(-70, 71, (6, 8, 1)), 0, 255).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
