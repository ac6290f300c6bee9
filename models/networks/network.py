"""A backbone and a head as one Keras network, to be trained further, saved or exported.

    images (n, h, w, 3) uint8 -> preprocessing -> backbone -> pooling -> head -> logits (n, c)

The part behind the preprocessing is a network of its own, named `core`, in which every layer of the
backbone has the name that it had.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backbones.backbone import Backbone
from ..backbones.taps import Tap, find_tensor
from ..backend import import_keras
from .folding import attach_head

CORE = "core"
_ROWS = 32


def build_core(backbone: Backbone, extractor: Any, head: Path, *, tap: Tap = Tap()) -> Any:  # noqa: B008 - frozen
    """Return backbone, pooling and head in one Keras model, which shares its layers with the extractor.

    Parameters
    ----------
    backbone : Backbone
    extractor : Keras model
        See `load_extractor`: (n, h, w, 3) preprocessed pixels to the last map.
    head : Path
        A saved head.
    tap : Tap
        Where the features that the head was trained on come from.

    Returns
    -------
    Keras model
        (n, h, w, 3) preprocessed pixels, float32, to logits (n, c), float32.

    Raises
    ------
    UnknownLayer, BadWeights, UnsuitableSetting
        See `find_tensor` and `attach_head`.
    """
    values, norm = find_tensor(backbone, extractor, tap.layer)
    logits = attach_head(_pool(values, tap.pooling, norm), head)
    return import_keras().Model(extractor.inputs[0], logits, name=CORE)


def add_preprocessing(backbone: Backbone, core: Any) -> Any:
    """Return a network from pixels, with the preprocessing of the backbone in front of the `core`.

    Returns
    -------
    Keras model
        (n, h, w, 3) uint8 RGB pixels at the backbone's input size, to logits (n, c), float32.
    """
    keras = import_keras()
    images = keras.Input(core.input_shape[1:], dtype="uint8", name="images")
    return keras.Model(images, core(preprocess(backbone, images)), name=f"{core.name}_on_images")


def build_network(backbone: Backbone, extractor: Any, head: Path, *, tap: Tap = Tap()) -> Any:  # noqa: B008 - frozen
    """Return one Keras model from uint8 pixels to logits; see `build_core` and `add_preprocessing`."""
    return add_preprocessing(backbone, build_core(backbone, extractor, head, tap=tap))


def build_stem(backbone: Backbone, core: Any, trunk: Any) -> Any:
    """Return a Keras model from RGB pixels in 0..255, float32, to what a trunk of the core gives of them.

    Without a trunk (None), to preprocessed pixels.
    """
    keras = import_keras()
    images = keras.Input(core.input_shape[1:], name="images")
    x = preprocess(backbone, images)
    return keras.Model(images, x if trunk is None else trunk(x), name="stem")


def preprocess(backbone: Backbone, images: Any) -> Any:
    """Return preprocessed pixels, float32, of RGB pixels in 0..255, as a Keras tensor."""
    keras = import_keras()
    given = backbone.preprocessing
    x = keras.ops.cast(images, "float32")
    if given.channels == "bgr":
        x = keras.ops.take(x, [2, 1, 0], axis=-1)
    if any(given.mean) or set(given.scale) != {1.0}:
        variance = np.square(given.scale, dtype=np.float64)
        x = keras.layers.Normalization(mean=given.mean, variance=variance, name="preprocessing")(x)
    return x


def run_network(network: Any, images: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return what a network gives for pictures or maps (n, ...), in batches."""
    blocks = [
        np.asarray(network(images[start : start + _ROWS], training=False)) for start in range(0, len(images), _ROWS)
    ]
    return np.concatenate(blocks)


def _pool(values: Any, pooling: str, norm: Any) -> Any:
    """Return vectors (n, d), float32, as `taps.pool` has them, by Keras layers."""
    keras = import_keras()
    layers, ops = keras.layers, keras.ops
    x = values if values.dtype == "float32" else ops.cast(values, "float32")

    def finish(x: Any) -> Any:
        return x if norm is None else norm(x)

    if pooling == "none":
        return layers.Flatten(name="pool")(finish(x))
    if len(x.shape) == 2:
        return finish(x)
    dimensions = len(x.shape) - 2
    parts = []
    for name, kind in (("avg", "Average"), ("max", "Max")):
        if name in pooling:
            layer = getattr(layers, f"Global{kind}Pooling{dimensions}D")
            parts.append(finish(layer(name=f"pool_{name}", dtype="float32")(x)))
    return parts[0] if len(parts) == 1 else layers.Concatenate(name="pool")(parts)
