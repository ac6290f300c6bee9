"""Write scikit-learn's bundled handwritten digits as class folders of PNG files: FOLDER/0 ... FOLDER/9.

1,797 scans of 8 x 8 pixels with 17 gray levels, from the UCI repository
(Alpaydin and Kaynak 1998, https://doi.org/10.24432/C50P49).
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def write_digits(folder: Path) -> int:
    """Return the number of pictures after writing them as FOLDER/DIGIT/NNNN.png."""
    digits = load_digits()
    for number, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = folder / str(digit) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 - pixels * (255 / 16)).astype(np.uint8)).save(path)
    return len(digits.target)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    print(f"{write_digits(target)} pictures of handwritten digits in {target}")
