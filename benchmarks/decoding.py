"""Which JPEG decoder: Pillow, Pillow at a fraction of the size, TensorFlow, simplejpeg or PyTurboJPEG.

    python benchmarks/decoding.py [FOLDER [COUNT]]

Takes COUNT (200) JPEG files below FOLDER, or the two photos of scikit-learn, as they are, and as
mosaics of 4 x 4 and of 10 x 8 of them, which are as large as pictures of an old and of a new camera
(about 2 and 12 megapixels). Each decoder brings them to 224 x 224 with the same bicubic filter;
repeats are interleaved. Printed: pictures per second of processor time (median of the repeats), the
ratio to Pillow, and the cosine of the features of efficientnet-lite0 to those of Pillow at full size
(median and least).
Decoders that are not installed are left out: pip install simplejpeg PyTurboJPEG.
"""

import io
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.datasets
from demijohn.models.backbones.backbones import find_backbone
from demijohn.models.backbones.weights import load_extractor, locate_weights
from demijohn.models.engines.engine import Engine
from demijohn.models.engines.engines import make_engine
from demijohn.pipeline.pictures import images
from PIL import Image

SIDE = 224
REPEATS = 5
BATCH = 32
Decoder = Callable[[bytes], Any]


def pillow(content: bytes, *, oversampling: float | None = None) -> Any:
    """Decode with Pillow, at full size or at the least fraction that is still so many times the input size."""
    with Image.open(io.BytesIO(content)) as image:
        if oversampling is not None:
            image.draft(None, (round(oversampling * SIDE),) * 2)
        return shrink(image.convert("RGB"))


def shrink(image: Image.Image) -> Any:
    """Return the pixels at the input size."""
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def fraction(height: int, width: int) -> int:
    """Return how many times smaller a picture may be decoded and still be twice the input size."""
    return next(scale for scale in (8, 4, 2, 1) if scale == 1 or min(height, width) // (2 * SIDE) >= scale)


def tensorflow_decoders() -> Iterator[tuple[str, Decoder]]:
    """Yield TensorFlow's decoder at full size and scaled."""
    import tensorflow as tf

    def decode(content: bytes, *, scaled: bool) -> Any:
        ratio = fraction(*tf.io.extract_jpeg_shape(content)[:2].numpy()) if scaled else 1
        pixels = tf.io.decode_jpeg(content, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")
        return shrink(Image.fromarray(pixels.numpy()))

    yield "TensorFlow", partial(decode, scaled=False)
    yield "TensorFlow, scaled to 2x", partial(decode, scaled=True)


def simplejpeg_decoders() -> Iterator[tuple[str, Decoder]]:
    """Yield simplejpeg at full size and scaled."""
    import simplejpeg

    def decode(content: bytes, *, least: int) -> Any:
        return shrink(Image.fromarray(simplejpeg.decode_jpeg(content, min_height=least, min_width=least, strict=False)))

    yield "simplejpeg", partial(decode, least=0)
    yield "simplejpeg, scaled to 2x", partial(decode, least=2 * SIDE)


def turbojpeg_decoders() -> Iterator[tuple[str, Decoder]]:
    """Yield PyTurboJPEG at full size and scaled."""
    from turbojpeg import TJPF_RGB, TurboJPEG

    codec = TurboJPEG()

    def decode(content: bytes, *, scaled: bool) -> Any:
        width, height = codec.decode_header(content)[:2]
        scale = (1, fraction(height, width)) if scaled else None
        return shrink(Image.fromarray(codec.decode(content, TJPF_RGB, scaling_factor=scale)))

    yield "PyTurboJPEG", partial(decode, scaled=False)
    yield "PyTurboJPEG, scaled to 2x", partial(decode, scaled=True)


def find_decoders() -> dict[str, Decoder]:
    """Return all decoders that are installed; Pillow at full size, which others are compared with, is the first."""
    decoders: dict[str, Decoder] = {"Pillow": pillow}
    for factor in (3, 2, 1):
        decoders[f"Pillow, scaled to {factor}x"] = partial(pillow, oversampling=factor)
    decoders["demijohn"] = lambda content: images.decode_image(content, (SIDE, SIDE), "squash-bicubic")
    for family in (tensorflow_decoders, simplejpeg_decoders, turbojpeg_decoders):
        try:
            decoders.update(family())
        except (ImportError, RuntimeError, OSError) as error:
            print(f"left out: {family.__name__} ({str(error).splitlines()[0]})")
    return decoders


def mosaic(pictures: list[Image.Image], columns: int, rows: int, cell: tuple[int, int]) -> bytes:
    """Return one JPEG of many, each cut to the same cell, so that no detail is invented or lost."""
    whole = Image.new("RGB", (columns * cell[0], rows * cell[1]))
    for number in range(columns * rows):
        place = (number % columns * cell[0], number // columns * cell[1])
        whole.paste(pictures[number % len(pictures)].crop((0, 0, *cell)), place)
    buffer = io.BytesIO()
    whole.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def mosaics(contents: list[bytes], columns: int, rows: int, count: int) -> list[bytes]:
    """Return some mosaics, each of other pictures first."""
    pictures = [Image.open(io.BytesIO(content)).convert("RGB") for content in contents]
    return [mosaic(pictures[start:] + pictures[:start], columns, rows, (400, 375)) for start in range(count)]


def measure(title: str, contents: list[bytes], decoders: dict[str, Decoder], engine: Engine) -> None:
    """Print a line per decoder for one list of files."""
    seconds: dict[str, list[float]] = {name: [] for name in decoders}
    features: dict[str, Any] = {}
    for repeat in range(REPEATS):
        for name, decode in decoders.items():
            started = time.process_time()
            pixels = [decode(content) for content in contents]
            seconds[name].append(time.process_time() - started)
            if repeat == 0:
                parts = [engine.extract(np.stack(pixels[at : at + BATCH]))[0] for at in range(0, len(pixels), BATCH)]
                rows = np.concatenate(parts).astype(np.float64)
                features[name] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    print(f"\n{title}\n{'decoder':28}{'images/s':>10}{'ratio':>8}{'cosine':>10}{'least':>9}")
    for name in decoders:
        speed = len(contents) / statistics.median(seconds[name])
        ratio = statistics.median(seconds["Pillow"]) / statistics.median(seconds[name])
        cosine = (features[name] * features["Pillow"]).sum(axis=1)
        print(f"{name:28}{speed:10.1f}{ratio:8.2f}{np.median(cosine):10.5f}{cosine.min():9.5f}", flush=True)


def main() -> None:
    """Print a table per size of picture."""
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(sklearn.datasets.__file__).parent / "images"
    paths = sorted(folder.rglob("*.jpg"))
    # From all over the folder, so that every class is among them.
    contents = [path.read_bytes() for path in paths[:: max(1, len(paths) // count)][:count]]
    # Enough of them to be timed.
    contents *= max(1, 32 // len(contents))
    backbone = find_backbone("efficientnet-lite0")
    network, _ = load_extractor(backbone, locate_weights(backbone, "imagenet"))
    engine = make_engine(backbone, network, batch_size=BATCH)
    decoders = find_decoders()
    measure(f"{len(contents)} files as they are", contents, decoders, engine)
    measure("mosaics of 1600 x 1500", mosaics(contents, 4, 4, 32), decoders, engine)
    measure("mosaics of 4000 x 3000", mosaics(contents, 10, 8, 8), decoders, engine)


if __name__ == "__main__":
    main()
