"""Is a backbone wired right? Its own ImageNet classifier names what it sees in a picture."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ..models.backbones.resolving import resolve_backbone
from ..models.backbones.weights import load_classifier, locate_weights
from ..models.engines.engines import make_engine
from .errors import NoImages, UnreadableImage
from .pictures.images import decode_image, quiet_decoders
from .pictures.sources import read_file


@dataclass(frozen=True, slots=True)
class Guess:
    """One ImageNet class and how probable the network finds it."""

    label: str
    probability: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"class": self.label, "probability": round(self.probability, 6)}


def check_backbone(name: str, image: str | Path, *, weights: str = "imagenet", top: int = 5) -> list[Guess]:
    """Return the most probable ImageNet classes of a picture, through the same decoder and engine as extraction.

    Parameters
    ----------
    name : str
        A name of `BACKBONES`.
    image : path
    weights : str
        `imagenet`, or the path of a file with the classifier.
    top : int
        How many classes.

    Raises
    ------
    UnknownBackbone, MissingWeights, BadWeights
        The network cannot be had.
    NoImages, UnreadableImage
        The picture cannot.
    """
    backbone = resolve_backbone(name)
    path = Path(image)
    try:
        with quiet_decoders():
            pixels = decode_image(read_file(path), backbone.input_size, backbone.resize)
    except OSError as error:
        raise NoImages(f"cannot read {path}: {error.strerror}; expected a picture") from error
    except UnreadableImage as error:
        raise UnreadableImage(f"cannot decode {path}: {error}; expected a picture") from error
    network = load_classifier(backbone, locate_weights(backbone, weights, top=True))
    engine = make_engine(backbone, network, batch_size=1)
    probabilities = engine.extract(pixels[None])[0][0]  # (1000,)
    best = np.argsort(probabilities)[::-1][:top]
    names = imagenet_classes()
    return [Guess(names[index], float(probabilities[index])) for index in best]


def imagenet_classes() -> list[str]:
    """Return the names of the 1,000 classes of ILSVRC 2012, in the order of the classifiers' outputs."""
    return (files("demijohn.models") / "imagenet_classes.txt").read_text("utf-8").splitlines()
