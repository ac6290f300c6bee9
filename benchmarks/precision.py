"""What does a narrower type lose, and what does it gain? Writes the table that demijohn ships.

    python benchmarks/precision.py FOLDER ... [--pictures 1000] [--output FILE] [--weights BACKBONE=FILE ...]
                                              [--backbones NAME ...]

FOLDER/.../CLASS/* are real pictures; of each folder up to 1,000 are taken, by chance. Tested are the
backbones whose ImageNet weights are on this machine, and those of --weights, in every narrower type that an
engine computes in here. Features are made by extract_features, as anybody makes them. Per folder:

neighbours   of how many pictures the nearest other one (by cosine, of features without their mean) is the
             same as in float32; and of the ten nearest, how many are
accuracy     of a logistic head over five folds, the same for both, so that each picture is judged once; the
             difference on the same pictures, with its 95 % interval

and per type how many times as fast the network is as in float32 on the engine that float32 would take: pixels in
memory, all sides in turn, medians of five.

The test that a type must pass, with its thresholds and their reasons, is models/engines/precisions.py; they were
written down before the first figure was seen. float32 itself, by the other engine, is put to it as well, as the
measure of what is no loss. Written to --output (by default models/engines/precision_verdicts.json, from which
--precision auto chooses) is all that was measured, with the digest of the weights, since a verdict holds for
those alone.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from demijohn.cache import FeatureStore
from demijohn.models import (
    BACKBONES,
    UnsuitableSetting,
    find_backbone,
    load_extractor,
    locate_weights,
)
from demijohn.models.engines.engines import ENGINES, choose_engine, make_engine
from demijohn.models.engines.precisions import FASTER, MARGIN, SAME, Trial, Verdict
from demijohn.models.heads.probes import assign_folds, probabilities_from_features
from demijohn.pipeline import extract_features
from demijohn.pipeline.auditing.neighbours import nearest, scale_rows
from demijohn.pipeline.provenance import describe_environment
from demijohn.pipeline.statistics.pairs import Judged, pair_runs
from engines import machine, rate

NARROWER = ("bfloat16", "float16")
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Side:
    """A type on an engine."""

    precision: str
    engine: str

    def __str__(self) -> str:
        return f"{self.precision} on {self.engine}"


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Features of one folder by one side."""

    dataset: str
    keys: list[bytes]
    labels: list[str]
    features: Any
    """(n, d) float32."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=Path("models/engines/precision_verdicts.json"))
    parser.add_argument("--weights", nargs="*", default=[], metavar="BACKBONE=FILE")
    parser.add_argument("--backbones", nargs="*")
    asked = parser.parse_args()
    if not asked.folders:
        print(__doc__)
        return
    weights = {name: "imagenet" for name, record in BACKBONES.items() if record.weights_here(top=False)}
    weights |= {find_backbone(name).name: file for name, _, file in (each.partition("=") for each in asked.weights)}
    print(f"{machine()}\n")
    print("| backbone | type | pictures | same nearest | same of ten | accuracy | difference | network |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory() as folder:
        samples = [take_pictures(each, Path(folder, each.name), asked.pictures) for each in asked.folders]
        for name in asked.backbones or weights:
            verdicts += judge(name, weights[name], samples, Path(folder, "stores"))
    told = {
        "machine": machine(),
        "versions": describe_environment()["versions"],
        "thresholds": {"same": SAME, "margin": MARGIN, "faster": FASTER},
        "verdicts": [{"verdict": str(each), **asdict(each)} for each in verdicts],
    }
    asked.output.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def take_pictures(source: Path, folder: Path, count: int) -> Path:
    """Link some pictures of a folder, chosen by chance, into class folders; return their folder."""
    files = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png")]
    for place in np.random.default_rng(0).permutation(len(files))[:count]:
        link = folder / files[place].parent.name / f"{place:06}{files[place].suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(files[place].resolve())
    return folder


def judge(name: str, weights: str, samples: Sequence[Path], stores: Path) -> Iterator[Verdict]:
    """Yield the verdict on each narrower type, and print it."""
    usual = Side("float32", choose_engine(name).engine)
    others = [Side(precision, engine) for precision in ("float32", *NARROWER) for engine in ENGINES]
    others = [side for side in others if side != usual and _is_possible(name, side)]
    digest, speeds = measure_speeds(name, weights, [usual, *others])
    wide = [_make(name, weights, usual, sample, stores) for sample in samples]
    for side in others:
        narrow = [_make(name, weights, side, sample, stores) for sample in samples]
        verdict = Verdict(
            backbone=name,
            weights=digest,
            input_size=BACKBONES[name].input_size,
            precision=side.precision,
            engine=side.engine,
            speed=round(speeds[side] / speeds[usual], 2),
            trials=tuple(map(compare, wide, narrow)),
        )
        _print(verdict)
        if side.precision != "float32":
            yield verdict


def measure_speeds(name: str, weights: str, sides: Sequence[Side]) -> tuple[str, dict[Side, float]]:
    """Return the digest of the weights, and pictures per second of the network by each side, all in turn."""
    record = find_backbone(name)
    located = locate_weights(record, weights)
    engines = {}
    for side in sides:
        built = "float32" if ENGINES[side.engine].casts else side.precision
        network, digest = load_extractor(record, located, precision=built)
        engines[side] = make_engine(record, network, engine=side.engine, precision=side.precision)
    found: dict[Side, list[float]] = {side: [] for side in sides}
    for _ in range(REPEATS):
        for side, engine in engines.items():
            found[side].append(rate(engine))
    return digest, {side: statistics.median(rates) for side, rates in found.items()}


def compare(wide: Made, narrow: Made) -> Trial:
    """Return what the narrower features of the same pictures lose."""
    assert wide.keys == narrow.keys
    ours, theirs = (_ten_nearest(each.features) for each in (wide, narrow))
    classes, numbers = np.unique(wide.labels, return_inverse=True)
    labels = numbers.astype(np.int32)
    folds = assign_folds(labels, np.arange(len(labels)), seed=0)
    right, right_wide = (
        probabilities_from_features(each.features, labels, folds, seed=0).argmax(axis=1) == labels
        for each in (narrow, wide)
    )
    keys = np.array(wide.keys, dtype="S32")
    pair = pair_runs(Judged("narrow", keys, right), Judged("float32", keys, right_wide))
    low, high = pair.interval()
    same = [len(np.intersect1d(*row)) for row in zip(ours, theirs, strict=True)]
    return Trial(
        dataset=wide.dataset,
        pictures=len(keys),
        classes=len(classes),
        same_nearest=round(float((ours[:, 0] == theirs[:, 0]).mean()), 4),
        same_ten=round(float(np.mean(same)) / ours.shape[1], 4),
        accuracy=round(float(right.mean()), 4),
        accuracy_float32=round(float(right_wide.mean()), 4),
        difference=round(pair.difference, 4),
        interval=(round(low, 4), round(high, 4)),
    )


def _ten_nearest(features: Any) -> Any:
    every = np.arange(len(features))
    return nearest(scale_rows(features), every, every, count=10)[0]


def _make(name: str, weights: str, side: Side, sample: Path, stores: Path) -> Made:
    # A store of its own, since float32 is the same recipe on every engine.
    folder = stores / str(side)
    done = extract_features(
        sample, backbone=name, weights=weights, precision=side.precision, engine=side.engine, store=folder
    )
    store = FeatureStore(folder)
    labels = {row.key: row.label for row in store.find_dataset(sample.name).rows}
    features = store.find_feature_set(digest=done.digest)
    keys = sorted(features.keys() & labels.keys())
    return Made(sample.name, keys, [labels[key] for key in keys], features.read(keys))


def _is_possible(name: str, side: Side) -> bool:
    try:
        choose_engine(name, precision=side.precision, engine=side.engine)
    except UnsuitableSetting:
        return False
    return True


def _print(verdict: Verdict) -> None:
    for trial in verdict.trials:
        low, high = (100 * end for end in trial.interval)
        cells = [
            verdict.backbone,
            f"{verdict.precision} on {verdict.engine}",
            f"{trial.dataset}, {trial.pictures:,}",
            f"{100 * trial.same_nearest:.1f}",
            f"{100 * trial.same_ten:.1f}",
            f"{100 * trial.accuracy_float32:.1f}",
            f"{100 * trial.difference:+.1f} [{low:+.1f}, {high:+.1f}]",
            f"{verdict.speed:.2f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
