"""Which way of resizing serves transfer learning best: squash, crop, the crop of ImageNet evaluations, or pad.

    python benchmarks/resizing.py FOLDER [BACKBONE [WEIGHTS]]

Decodes the pictures of FOLDER/CLASS/* in each way, runs the backbone (efficientnet-lite0 by
default) over them, and prints the accuracy of a logistic head in five-fold cross-validation, with
the number of pictures that only the usual way and only the other way got right, and the p-value of
that (exact sign test).
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from demijohn.models.backbones.backbones import find_backbone
from demijohn.models.backbones.weights import load_extractor, locate_weights
from demijohn.models.engines.engines import make_engine
from demijohn.pipeline.errors import UnreadableImage
from demijohn.pipeline.pictures.images import decode_image, quiet_decoders
from demijohn.pipeline.pictures.resizing import choose_resize
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

BATCH = 32
WAYS = ("squash", "crop", "crop 7/8", "pad")
PER_CLASS = 1000


def decode(content: bytes, side: int, usual: str, way: str) -> Any:
    """Return the pixels; `crop 7/8` is the centre of a picture whose shorter side is 8/7 of the input."""
    mode = way.partition(" ")[0]
    if way != "crop 7/8":
        return decode_image(content, (side, side), choose_resize(usual, mode))
    larger = round(side * 8 / 7)
    margin = (larger - side) // 2
    pixels = decode_image(content, (larger, larger), choose_resize(usual, mode))
    return pixels[margin : margin + side, margin : margin + side]


def batches(contents: list[bytes], side: int, usual: str, way: str) -> Iterator[Any]:
    """Yield pixels of up to 32 pictures."""
    for start in range(0, len(contents), BATCH):
        yield np.stack([decode(content, side, usual, way) for content in contents[start : start + BATCH]])


def main() -> None:
    """Print a line per way."""
    if len(sys.argv) < 2:
        print(__doc__)
        return
    folder = Path(sys.argv[1])
    backbone = find_backbone(sys.argv[2] if len(sys.argv) > 2 else "efficientnet-lite0")
    network, _ = load_extractor(backbone, locate_weights(backbone, sys.argv[3] if len(sys.argv) > 3 else "imagenet"))
    engine = make_engine(backbone, network, batch_size=BATCH)
    contents, labels = [], []
    side = backbone.input_size[0]
    with quiet_decoders():
        for label in sorted(path for path in folder.iterdir() if path.is_dir()):
            for path in sorted(label.iterdir())[:PER_CLASS]:
                content = path.read_bytes()
                try:
                    decode(content, side, backbone.resize, "squash")
                except UnreadableImage:
                    continue
                contents.append(content)
                labels.append(label.name)
        head = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=500))
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        print(f"{backbone.name}, {len(contents):,} pictures of {folder.name}, usual: {backbone.resize}")
        right: dict[str, Any] = {}
        for way in WAYS:
            features = np.concatenate(
                [engine.extract(pixels)[0] for pixels in batches(contents, side, backbone.resize, way)]
            )
            right[way] = cross_val_predict(head, features, labels, cv=folds) == labels
            usual = right[backbone.resize.partition("-")[0]]
            worse, better = int((usual & ~right[way]).sum()), int((right[way] & ~usual).sum())
            p = binomtest(better, better + worse).pvalue if better + worse else 1.0
            counts = f"only usual right {worse:4}, only this right {better:4}, p = {p:.3f}"
            print(f"{way:10}{right[way].mean():8.4f}   {counts}", flush=True)


if __name__ == "__main__":
    main()
