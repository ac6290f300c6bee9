"""What a backbone is: a pre-trained network without its classifier, and everything that must go with it.

Preprocessing is data of the record and travels with the backbone; nobody passes it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Pixel arithmetic before the first layer: (pixel - mean) / scale per channel, pixels in 0..255."""

    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    channels: str = "rgb"
    """Order in which the network expects the channels, and mean and scale stand: `rgb` or `bgr`."""

    def __str__(self) -> str:
        """Return the arithmetic as it stands in a recipe.

        >>> str(Preprocessing((127.5,) * 3, (127.5,) * 3))
        '(rgb - [127.5, 127.5, 127.5]) / [127.5, 127.5, 127.5]'
        """
        return f"({self.channels} - {list(self.mean)}) / {list(self.scale)}"


SYMMETRIC = Preprocessing((127.5,) * 3, (127.5,) * 3)
"""To -1..1."""
CAFFE = Preprocessing((103.939, 116.779, 123.68), (1.0,) * 3, "bgr")
"""The mean of ImageNet taken away, blue first."""
TORCH = Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""Mean and deviation of ImageNet."""
INSIDE = Preprocessing((0.0,) * 3, (1.0,) * 3)
"""The network's own first layers scale the pixels."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file that Keras publishes."""

    name: str
    """Name below Keras' folder `models`."""
    url: str
    checksum: str | None
    """MD5 or SHA-256, as Keras states it; None where it states none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """A pre-trained network, with everything that must go with it."""

    name: str
    keras_name: str | None = None
    """Name of the function in `keras.applications`; None for others."""
    build: Callable[..., Any]
    """`build(top=False, input_size=(h, w))` returns a Keras model with random weights: (b, h, w, 3)
    preprocessed pixels to the last map (b, h', w', width), or with `top` to (b, 1000) ImageNet
    probabilities."""
    load: Callable[[Any, Path], None]
    """`load(model, path)` puts the weights of a file into the model."""
    input_size: tuple[int, int]
    """Height and width, pixels."""
    width: int
    """Channels of the last map."""
    preprocessing: Preprocessing
    resize: str
    """Mode and filter by which a picture comes to the input size."""
    complete: bool = False
    """`build` returns the network with its weights; no others can be loaded into it."""
    architecture: str | None = None
    """SHA-256 of how the network is built, where its name does not tell; mixed into the digest of the weights."""
    norm_after_pooling: bool = False
    """The model's last layer is a layer normalisation that belongs behind the pooling (ConvNeXt)."""
    weights: WeightsFile | None = None
    """Without classifier; None where the weights come with an installation."""
    weights_top: WeightsFile | None = None
    """With classifier."""
    megabytes: float
    """Of the weights, with classifier."""
    parameters: float
    """Millions, with classifier."""
    depth: int | None = None
    """Layers with weights, as Keras counts them."""
    top1: float | None = None
    """ImageNet validation accuracy, percent, as published."""
    top5: float | None = None
    source: str
    """Where the network, its weights and the figures are published."""
    licence: str
    """Of the weights."""
    installed: Callable[[], Path | None] | None = None
    """Returns the weights file that comes with an installation; None where that is not installed."""
    extra: str | None = None
    """What to install for it, for example `demijohn[lite]`; None where demijohn itself is enough."""

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON values."""
        return {
            "name": self.name,
            "keras_name": self.keras_name,
            "megabytes": self.megabytes,
            "top1": self.top1,
            "top5": self.top5,
            "parameters_millions": self.parameters,
            "depth": self.depth,
            "input_size": list(self.input_size),
            "width": self.width,
            "preprocessing": str(self.preprocessing),
            "resize": self.resize,
            "weights_here": None if (path := self.weights_here()) is None else str(path),
            "weights_url": self.weights.url if self.weights else None,
            "extra": self.extra,
            "source": self.source,
            "licence": self.licence,
        }

    def weights_here(self, *, top: bool = False) -> Path | None:
        """Return the ImageNet weights file on this machine, or None where it has to be downloaded or installed."""
        if self.installed is not None:
            return self.installed()
        published = self.weights_top if top else self.weights
        path = keras_folder() / published.name if published else None
        return path if path and path.is_file() else None


def keras_folder() -> Path:
    """Return the folder where Keras keeps downloaded weights."""
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"
