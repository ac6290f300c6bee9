"""What augmented views gain where pictures are few: heads on eight views against the same heads on one.

    python benchmarks/views.py FOLDER... [--per-class 10] [--draws 20] [--augment standard] [--head logistic]

Each FOLDER holds a folder of pictures per class. Features of its pictures (a sample of --pool in all) are
extracted once, with eight views of every training picture. Then, in each draw, so many training pictures
per class are chosen at random; a head is trained on their views, another on the pictures alone, C or
the epoch being chosen on as many validation pictures; and both judge the test split. What is
printed is the mean difference of their accuracies, with its 95 % interval by drawing draws and test
pictures again.
"""

import argparse
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from demijohn.cache import FeatureStore
from demijohn.models import HEADS
from demijohn.pipeline import Labelling, extract_features
from demijohn.pipeline.runs.inputs import Inputs, choose_inputs
from numpy.typing import NDArray

VIEWS = 8
RESAMPLES = 2000


def main() -> None:
    """Print a line per folder, augmentation and head."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--per-class", type=int, default=10)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--pool", type=int, default=1500)
    parser.add_argument("--augment", action="append")
    parser.add_argument("--head", action="append")
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--store", type=Path, help="kept, so that a second run extracts nothing")
    given = parser.parse_args()
    if not given.folders:
        print(__doc__)
        return
    print(f"{platform.platform()}; {given.backbone}, {given.per_class} pictures per class, ", end="")
    print(f"{given.draws} draws, {VIEWS} views against 1")
    print(f"{'pictures':14}{'augment':26}{'head':10}{'1 view':>8}{'views':>8}{'gain':>8}  95 % interval, points")
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or Path(folder)
        for pictures in given.folders:
            for augment in given.augment or ["standard"]:
                extract_features(
                    pictures,
                    backbone=given.backbone,
                    views=VIEWS,
                    augment=augment,
                    store=store,
                    labelling=Labelling(limit=given.pool),
                )
                inputs = choose_inputs(FeatureStore(store), given.backbone, views=VIEWS, augment=augment)
                for head in given.head or ["logistic", "dense"]:
                    measure(store, pictures.name, inputs, augment, head, given)


def measure(store: Path, name: str, inputs: Inputs, augment: str, head: str, given: Any) -> None:
    """Print one line."""
    table = FeatureStore(store).find_dataset(name)
    rows = list({row.key: row for row in table.rows if row.label}.values())
    classes = sorted({row.label for row in rows})
    split = {part: [row for row in rows if row.split == part] for part in ("train", "validation", "test")}
    keys = {part: [row.key for row in chosen] for part, chosen in split.items()}
    labels = {part: np.array([classes.index(row.label) for row in chosen]) for part, chosen in split.items()}
    views = np.stack([inputs.read(keys["train"], view) for view in range(VIEWS)])  # (v, n, d)
    held_out, test = inputs.read(keys["validation"]), inputs.read(keys["test"])
    right: dict[int, list[NDArray[np.bool_]]] = {1: [], VIEWS: []}
    for draw in range(given.draws):
        random = np.random.default_rng(draw)
        chosen = choose(labels["train"], given.per_class, random)
        checked = choose(labels["validation"], given.per_class, random)
        for count, judged in right.items():
            learned = views[:count, chosen].reshape(count * len(chosen), -1)
            fitted = HEADS[head].make(HEADS[head].settings, seed=0)
            fitted.fit(
                learned,
                np.tile(labels["train"][chosen], count),
                validation=(held_out[checked], labels["validation"][checked]),
            )
            judged.append(fitted.predict(test) == labels["test"])
    one, several = np.array(right[1]), np.array(right[VIEWS])  # (draws, pictures)
    gains = several.astype(int) - one
    low, high = 100 * np.percentile(resample(gains), [2.5, 97.5])
    print(
        f"{name:14}{augment:26}{head:10}{100 * one.mean():8.1f}{100 * several.mean():8.1f}"
        f"{100 * gains.mean():+8.1f}  [{low:+.1f}, {high:+.1f}]",
        flush=True,
    )


def choose(labels: NDArray[np.int64], per_class: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return the positions of so many rows of each class, or of all where it has fewer."""
    of_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return np.concatenate([random.permutation(each)[:per_class] for each in of_class])


def resample(gains: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean gain over draws and pictures that are both drawn again; `gains` has shape (draws, pictures)."""
    random = np.random.default_rng(0)
    draws, pictures = gains.shape
    by_draw = random.multinomial(draws, np.full(draws, 1 / draws), RESAMPLES)  # (r, draws)
    by_picture = random.multinomial(pictures, np.full(pictures, 1 / pictures), RESAMPLES)  # (r, pictures)
    return np.einsum("rd,dp,rp->r", by_draw, gains, by_picture, optimize=True) / gains.size


if __name__ == "__main__":
    main()
