"""Is fine-tuning worth it where pictures are few, and how much faster are epochs on cached maps?

    python benchmarks/finetuning.py FOLDER [--per-class 20] [--test 60] [--block block15] [--epochs 8]

FOLDER holds a folder of pictures per class. Of each class, so many pictures are trained on, half as many
choose, and up to --test judge. A logistic head is trained on cached features; then, from that head on, the block is
trained on cached maps, once more with every picture passing through the whole network, and the whole network is
trained. Printed are the accuracies on the test pictures with their 95 % intervals, the minutes, the gains over
the head picture by picture, and the ratio of seconds per epoch of the same block, cached against end to end.
"""

import argparse
import platform
import random
import tempfile
from pathlib import Path

from demijohn.cache import Run
from demijohn.pipeline import Tuning, extract_features, fine_tune, train_head
from demijohn.pipeline.finetuning import finetuning


def main() -> None:
    """Print a line per way to train, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--test", type=int, default=60)
    parser.add_argument("--block", default="block15")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=Tuning().learning_rate)
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.folder is None:
        print(__doc__)
        return
    with tempfile.TemporaryDirectory() as folder:
        root, store = Path(folder) / "pictures", Path(folder) / "store"
        sample(given.folder, root, given.per_class, given.test, given.seed)
        extracted = extract_features(root, backbone=given.backbone, store=store)
        # On the training pictures alone, as fine-tuning is.
        head = train_head("logistic", store=store, refit=False)
        metrics = head.record["metrics"]
        counts = ", ".join(f"{metrics[split]['images']} {split}" for split in metrics)
        print(f"{platform.platform()}; {given.backbone}, {len(head.record['classes'])} classes: {counts}")
        tell("head alone", head, extracted.seconds + head.record["seconds"])

        def tune(unfreeze: str, *, force: bool = False) -> Run:
            tuning = Tuning(
                unfreeze=unfreeze, epochs=given.epochs, patience=given.epochs, learning_rate=given.learning_rate
            )
            return fine_tune(head.id, tuning=tuning, store=store, force=force)

        cached = tune(given.block)
        tell(f"{given.block}, cached maps", cached, cached.record["seconds"])
        fits, finetuning.fits_into_memory = finetuning.fits_into_memory, lambda *_: False
        through = tune(given.block, force=True)
        finetuning.fits_into_memory = fits
        tell(f"{given.block}, end to end", through, through.record["seconds"])
        whole = tune("all")
        tell("all", whole, whole.record["seconds"])
        slow, fast = (run.record["found"]["epoch_seconds"] for run in (through, cached))
        print(
            f"an epoch of {given.block}: {slow:.2f} s end to end, {fast:.2f} s on cached maps: {slow / fast:.1f} times"
        )


def sample(source: Path, root: Path, per_class: int, test: int, seed: int) -> None:
    """Link a random choice of the pictures of each class into folders train, validation and test."""
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        files = sorted(path for path in folder.iterdir() if path.is_file())
        random.Random(seed).shuffle(files)
        cuts = {"train": per_class, "validation": per_class // 2, "test": test}
        for split, count in cuts.items():
            (root / split / folder.name).mkdir(parents=True)
            for file in files[:count]:
                (root / split / folder.name / file.name).symlink_to(file.resolve())
            files = files[count:]


def tell(name: str, run: Run, seconds: float) -> None:
    """Print a line."""
    test = run.record["metrics"]["test"]
    low, high = test["accuracy_interval"]
    line = f"{name:24}{100 * test['accuracy']:6.1f} [{100 * low:.1f}, {100 * high:.1f}]  {seconds / 60:5.1f} min"
    if worth := run.record.get("worth"):
        ends = ", ".join(f"{100 * each:+.1f}" for each in worth["interval"])
        line += f"  {100 * worth['difference']:+.1f} [{ends}] points, p {worth['p']:.2g}"
    print(line, flush=True)


if __name__ == "__main__":
    main()
