"""How fast is extraction: against what the machine can, against other ways, and when little or nothing is new?

    python benchmarks/extract.py limit   [BACKBONE ...]
    python benchmarks/extract.py rivals  [BACKBONE ...]
    python benchmarks/extract.py peak    [BACKBONE ...]
    python benchmarks/extract.py growth | memory | rescan | few
    python benchmarks/extract.py all

limit    the whole job from JPEG files to a committed store, against its physical bound on this machine:
         the engine alone on pictures in memory, and decoding alone, one after the other
rivals   whole jobs of others (benchmarks/rivals.py), each in a process of its own; those whose packages
         are not installed are left out; --ways NAME ... takes some of them; --torch PYTHON and
         --onnx PYTHON name environments that have them
peak     the most memory that extract-features takes, as whole processes: in the run that compiles the network,
         and in another one that finds it compiled
growth   seconds per picture and peak memory for 250 to 4,000 pictures
memory   resident memory after 100 to 10,000 batches of a small network, beside repeated model.predict, and
         what of it a full collection of garbage gives back
rescan   a second run over 1,000, 10,000 and 100,000 files that have not changed, as whole processes
few      ten new pictures in a store of 2,000, as whole processes

Pictures are 500 x 375 JPEG files, cut from the two photographs that come with scikit-learn, or with
--images FOLDER the files of FOLDER/CLASS/*.jpg. All sides run in turn; printed are medians over
--repeats N (3), and ratios of medians. --most N leaves out what is larger in growth, memory and rescan.
"""

import argparse
import gc
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PARTS = ("limit", "rivals", "peak", "growth", "memory", "rescan", "few")
BACKBONES = ("xception", "resnet50", "mobilenet-v2", "efficientnet-lite0")
COUNTS = {"xception": 72, "resnet50": 96}
"""Pictures of the slower ones, of others 384; whole batches of every engine."""
RIVALS = ("one-by-one", "dataset", "thingsvision", "timm", "onnxruntime", "openvino")
MARKS = (100, 500, 1000, 2000, 10_000)
"""Batches after which memory is looked at."""
REPEATED = ("predict", "predict-collect", "predict-on-batch", "tensorflow", "openvino")
"""What computes them."""
LONG = 2000
"""Batches of `predict`, of which each takes as long as ten or more of the others."""
SLOW = ("one-by-one", "thingsvision")
"""These take a quarter of the pictures."""
OURS = ("demijohn-tensorflow", "demijohn-openvino")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=(*PARTS, "all"))
    parser.add_argument("backbones", nargs="*", default=BACKBONES)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ways", nargs="*", default=RIVALS)
    parser.add_argument("--torch", default=sys.executable)
    parser.add_argument("--onnx", default=sys.executable)
    parser.add_argument("--most", type=int, default=100_000, metavar="N")
    parser.add_argument("--repeat-batches", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.repeat_batches:
        repeat_batches(asked.repeat_batches, asked.most)
        return
    if asked.what is None:
        print(__doc__)
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.platform()}\n")
    parts: list[Callable[[Any, Path], None]] = [limit, rivals, peak, growth, memory, rescan, few]
    for name, part in zip(PARTS, parts, strict=True):
        if asked.what in (name, "all"):
            with tempfile.TemporaryDirectory() as folder:
                part(asked, Path(folder))


def make_pictures(folder: Path, count: int, images: Path | None = None) -> Path:
    """Write pictures into class folders, or links to those of another folder, and return the folder."""
    given = sorted(images.glob("**/*.jpg"))[:count] if images else []
    photos = [] if images else _photos()
    random = np.random.default_rng(0)
    for number in range(len(given) if images else count):
        path = folder / f"class{number % 4}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if images:
            path.symlink_to(given[number].resolve())
            continue
        photo = photos[number % 2]
        left, top = random.integers(0, photo.width - 500), random.integers(0, photo.height - 375)
        photo.crop((left, top, left + 500, top + 375)).save(
            # So that no two files are equal.
            path,
            quality=90,
            comment=f"{number}",
        )
    return folder


def _photos() -> list[Image.Image]:
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(photo) for photo in load_sample_images().images]


def weights_of(backbone: str) -> str:
    """Return real weights where they come with the installation."""
    return "imagenet" if backbone == "efficientnet-lite0" else "random"


def _tasks(asked: Any, folder: Path) -> Iterator[tuple[str, int, Path]]:
    """Yield each backbone with how many pictures it gets, and their folder."""
    for backbone in asked.backbones:
        count = COUNTS.get(backbone, 384)
        yield backbone, count, make_pictures(folder / f"{count}", count, asked.images)


def limit(asked: Any, folder: Path) -> None:
    """Print the whole job against its bound."""
    print("| backbone | engine | engine alone | decoding alone | bound of both | whole job | of the bound |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for backbone, count, pictures in _tasks(asked, folder):
        for engine in ("tensorflow", "openvino"):
            rates = defaultdict(list)
            for name, rate in _limit_once(backbone, engine, pictures, folder / f"store{count}", asked.repeats):
                rates[name].append(rate)
            bounds = [1 / (1 / one + 1 / other) for one, other in zip(rates["engine"], rates["decode"], strict=True)]
            shares = [job / bound for job, bound in zip(rates["job"], bounds, strict=True)]
            cells = [statistics.median(each) for each in (rates["engine"], rates["decode"], bounds, rates["job"])]
            shown = " | ".join(f"{cell:.1f}" for cell in cells)
            print(f"| {backbone} | {engine} | {shown} | {statistics.median(shares):.2f} |", flush=True)


def _limit_once(backbone: str, engine: str, pictures: Path, store: Path, repeats: int) -> Any:
    from demijohn.models import BACKBONES as RECORDS
    from demijohn.models import load_extractor, locate_weights
    from demijohn.models.engines.engines import make_engine
    from demijohn.pipeline import extract_features
    from demijohn.pipeline.pictures.feed import Frame, Picture, decoding_ahead

    record = RECORDS[backbone]
    network, _ = load_extractor(record, locate_weights(record, weights_of(backbone)))
    ready = make_engine(record, network, engine=engine)
    frame = Frame(record.input_size, record.resize)
    listed = [Picture(path, path.name, b"", (frame,)) for path in sorted(pictures.glob("*/*.jpg"))]

    def decode() -> list[Any]:
        with decoding_ahead(listed, ahead=96) as decoded:
            return [each.pixels[frame] for each in decoded]  # type: ignore[index]

    pixels = decode()
    size = ready.batch_size
    whole = [np.stack(pixels[start : start + size]) for start in range(0, len(pixels) - size + 1, size)]
    ready.extract(whole[0])
    for _ in range(repeats):
        started = time.perf_counter()
        decode()
        yield "decode", len(pixels) / (time.perf_counter() - started)
        started = time.perf_counter()
        with ThreadPoolExecutor(ready.streams) as threads:
            list(threads.map(ready.extract, whole))
        yield "engine", len(whole) * size / (time.perf_counter() - started)
        shutil.rmtree(store / "features", ignore_errors=True)
        done = extract_features(
            pictures, backbone=backbone, weights=weights_of(backbone), engine=engine, store=store, dataset="pictures"
        )
        yield "job", done.images_per_second


def rivals(asked: Any, folder: Path) -> None:
    """Print the whole job against other ways."""
    print("| backbone | way | pictures/s | demijohn, tensorflow | demijohn, openvino | peak memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    for backbone, count, pictures in _tasks(asked, folder):
        found = defaultdict(list)
        ways = [*asked.ways, *OURS]
        for _ in range(asked.repeats):
            for way in list(ways):
                python = {"timm": asked.torch, "onnxruntime": asked.onnx}.get(way, sys.executable)
                result = _rival(python, way, backbone, pictures, count // 4 if way in SLOW else count)
                if result is None:
                    ways.remove(way)
                else:
                    found[way].append(result)
        rates = {way: statistics.median(each["rate"] for each in results) for way, results in found.items()}
        for way, rate in rates.items():
            ratios = [f"{rates[ours] / rate:.2f}" if ours in rates else "-" for ours in OURS]
            memory = statistics.median(each["memory"] for each in found[way]) / 1e9
            print(f"| {backbone} | {way} | {rate:.1f} | {ratios[0]} | {ratios[1]} | {memory:.1f} GB |", flush=True)


def _rival(python: str, way: str, backbone: str, pictures: Path, count: int) -> dict[str, float] | None:
    script = Path(__file__).with_name("rivals.py")
    run = subprocess.run(
        [python, str(script), way, backbone, str(pictures), str(count)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if run.returncode:
        print(f"(left out: {way} on {backbone}: {run.stderr.strip().splitlines()[-1]})", file=sys.stderr)
        return None
    result: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return result


def peak(asked: Any, folder: Path) -> None:
    """Print the most memory of a run that compiles the network, and of one that need not."""
    print("| backbone | engine | peak of the first run | of another run |")
    print("| --- | --- | --- | --- |")
    for backbone, _, pictures in _tasks(asked, folder):
        for engine in ("tensorflow", "openvino"):
            store = folder / f"{backbone}-{engine}"
            options = ["--backbone", backbone, "--weights", weights_of(backbone), "--engine", engine, "--quiet"]
            most = []
            for _ in range(2):
                shutil.rmtree(store / "features", ignore_errors=True)
                process = subprocess.Popen(_command("extract-features", pictures, *options, "--store", store))
                _, status, usage = os.wait4(process.pid, 0)
                assert status == 0
                most.append(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9)
            print(f"| {backbone} | {engine} | {most[0]:.2f} GB | {most[1]:.2f} GB |", flush=True)


def at_most(most: int, sizes: tuple[int, ...]) -> list[int]:
    """Return the sizes that are no larger than asked for; the smallest is always there."""
    return [size for size in sizes if size <= max(most, sizes[0])]


def growth(asked: Any, folder: Path) -> None:
    """Print seconds per picture and memory by the number of pictures."""
    print("| engine | pictures | milliseconds per picture | peak memory |")
    print("| --- | --- | --- | --- |")
    for count in at_most(asked.most, (250, 1000, 4000)):
        pictures = make_pictures(folder / f"{count}", count, asked.images)
        for way in OURS:
            result = _rival(sys.executable, way, "efficientnet-lite0", pictures, count)
            assert result is not None
            print(f"| {way} | {count:,} | {1000 / result['rate']:.2f} | {result['memory'] / 1e9:.2f} GB |", flush=True)


def memory(asked: Any, _folder: Path) -> None:
    """Print resident memory by the number of batches that were computed."""
    marks = " | ".join(f"{count:,}" for count in at_most(asked.most, MARKS))
    print(f"| megabytes after batches | {marks} | all collected | milliseconds a batch |")
    print("| --- |" + " --- |" * (marks.count("|") + 3), flush=True)
    for way in REPEATED:
        command = [sys.executable, __file__, "--repeat-batches", way, "--most", str(asked.most)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def repeat_batches(way: str, most: int) -> None:
    """Compute a batch of eight small pictures over and over, and print a row of the table."""
    from demijohn.models import load_extractor, locate_weights
    from demijohn.models.backbones.resolving import resolve_backbone
    from demijohn.models.engines.engines import make_engine

    record = resolve_backbone("mobilenet-0.25", input_size=(32, 32))
    network, _ = load_extractor(record, locate_weights(record, "random"))
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    prepared = pixels.astype(np.float32)
    if way == "predict-on-batch":

        def compute() -> None:
            network.predict_on_batch(prepared)
    elif way.startswith("predict"):

        def compute() -> None:
            network.predict(prepared, verbose=0)
    else:
        engine = make_engine(record, network, engine=way, batch_size=8)

        def compute() -> None:
            engine.extract(pixels)

    marks = at_most(most, MARKS)
    last = min(marks[-1], LONG) if way in ("predict", "predict-collect") else marks[-1]
    found = dict.fromkeys(marks, "-")
    seconds = 0.0
    for number in range(1, last + 1):
        started = time.perf_counter()
        compute()
        if way == "predict-collect" and number % 100 == 0:
            gc.collect()
        seconds += time.perf_counter() - started
        if number in found:
            found[number] = f"{_resident():,.0f}"
    gc.collect()
    cells = [way, *found.values(), f"{_resident():,.0f}", f"{1000 * seconds / last:.1f}"]
    print(f"| {' | '.join(cells)} |", flush=True)


def _resident() -> float:
    """Return megabytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _command(*arguments: str | Path) -> list[str]:
    code = "import sys; from demijohn.pipeline.cli import main; sys.argv[0] = 'demijohn'; main()"
    return [sys.executable, "-c", code, *map(str, arguments)]


def _time_command(*arguments: str | Path) -> float:
    """Return the wall time of a command as a whole process."""
    started = time.perf_counter()
    subprocess.run(_command(*arguments), check=True, capture_output=True)
    return time.perf_counter() - started


def rescan(asked: Any, folder: Path) -> None:
    """Print the time of a run that finds everything cached."""
    print("| unchanged files | seconds, whole process |")
    print("| --- | --- |")
    small = io.BytesIO()
    Image.new("RGB", (32, 32), "teal").save(small, "JPEG")
    for count in at_most(asked.most, (1000, 10_000, 100_000)):
        pictures = folder / f"{count}"
        old = time.time() - 60
        for number in range(count):
            path = pictures / f"class{number % 20:02}" / f"{number:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            # What stands behind its end does not change a picture, but its key.
            path.write_bytes(small.getvalue() + number.to_bytes(4))
            os.utime(path, (old, old))
        options = ["--backbone", "mobilenet-0.25", "--weights", "random", "--input-size", "32", "--quiet"]
        command = ["extract-features", pictures, *options, "--store", folder / f"store{count}"]
        _time_command(*command)
        seconds = statistics.median(_time_command(*command) for _ in range(asked.repeats))
        print(f"| {count:,} | {seconds:.2f} |", flush=True)


def few(asked: Any, folder: Path) -> None:
    """Print the time of ten new pictures in a store of 2,000."""
    print("| engine | seconds for ten new pictures, whole process |")
    print("| --- | --- |")
    pictures = make_pictures(folder / "pictures", 2000 + 10 * asked.repeats, asked.images)
    held = folder / "held"
    held.mkdir()
    for path in sorted(pictures.glob("*/*.jpg"))[2000:]:
        path.rename(held / path.name)
    for engine in ("tensorflow", "openvino"):
        command = ["extract-features", pictures, "--engine", engine, "--quiet", "--store", folder / engine]
        _time_command(*command)
        seconds = []
        for start in range(0, 10 * asked.repeats, 10):
            new = sorted(held.iterdir())[start : start + 10]
            for path in new:
                shutil.copy(path, pictures / "class0" / f"new-{path.name}")
            seconds.append(_time_command(*command))
        for path in pictures.glob("*/new-*"):
            path.unlink()
        print(f"| {engine} | {statistics.median(seconds):.2f} |", flush=True)


if __name__ == "__main__":
    main()
