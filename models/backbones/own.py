"""One's own Keras model as a backbone: a `.keras` file, read without running code.

What the catalogue knows of a backbone comes from the model itself: its input size, its width and
where its features end. Only the preprocessing cannot be found there, and must be stated.
"""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import import_keras
from ..errors import BadWeights, MissingWeights, UnsuitableSetting
from .backbone import CAFFE, INSIDE, SYMMETRIC, TORCH, Backbone, Preprocessing
from .signatures import UNREADABLE
from .uncatalogued import digest_architecture, refuse_other_precision, refusing_fresh_weights, safe_name

PREPROCESSINGS: dict[str, Preprocessing] = {
    "symmetric": SYMMETRIC,
    "caffe": CAFFE,
    "torch": TORCH,
    "unit": Preprocessing((0.0,) * 3, (255.0,) * 3),
    "inside": INSIDE,
}
"""What can be stated: to -1..1; ImageNet's mean away, blue first; ImageNet's mean and deviation; to 0..1; nothing."""

_CLASSIFYING = ("softmax", "sigmoid")
_PLAUSIBLE = 20.0
"""Greatest absolute value that pixels may have once they are scaled; ImageNet's deviation gives less than 3."""
_SCALING = ("Rescaling", "Normalization")
_UNREADABLE = (*UNREADABLE, ImportError, UserWarning)


def own_backbone(
    path: Path | str, *, input_size: tuple[int, int] | None = None, preprocessing: str | None = None
) -> Backbone:
    """Return the record of a model in a file; its features are what stands before its classifier.

    A last Dense layer with softmax or sigmoid (or followed by one) is a classifier: it is cut off,
    and the tap `last` is its input. Any other last layer belongs to the features. Models inside the
    model are taken apart, so that their layers can be tapped too, as `inner.layer`.

    Parameters
    ----------
    path : Path or str
        A file that Keras saved, `.keras`, with one image input (h, w, 3) and one output: a map
        (b, h', w', c), tokens (b, t, d) or a vector (b, d).
    input_size : (int, int), optional
        Height and width, pixels. To be stated where the model leaves them open.
    preprocessing : str, optional
        One of `PREPROCESSINGS`. A model that begins with a Rescaling or Normalization layer needs
        none: it is `inside`, unless that would leave pixels far from zero.

    Raises
    ------
    MissingWeights
        There is no such file.
    BadWeights
        Keras cannot load it in safe mode: it is damaged, or has Lambda layers or custom classes.
    UnsuitableSetting
        The model does not see one picture or give one output, or input size or preprocessing is
        missing or does not fit.
    """
    path = Path(path).expanduser()
    name = safe_name("own", path.stem)
    whole = _load_whole(path)
    size = _choose_size(name, whole, input_size)
    network = _take_apart(name, whole, size)
    ready = [network]

    def build(*, top: bool, input_size: tuple[int, int]) -> Any:
        if ready and input_size == size:
            # Loaded for its facts, it need not be loaded again; another build gets a network of its own.
            network = ready.pop()
        else:
            whole = _load_whole(path)
            network = _take_apart(name, whole, _choose_size(name, whole, input_size))
        features = _without_classifier(network)
        if top and (features is network or network.output_shape[1:] != (1000,)):
            raise UnsuitableSetting(
                f"{name} has no ImageNet classifier: expected 1000 probabilities, it gives {network.output_shape}"
            )
        built = network if top else features
        refuse_other_precision(name, built)
        return built

    return Backbone(
        name=name,
        build=build,
        load=_load_nothing,
        complete=True,
        architecture=digest_architecture(_read_config(path)),
        input_size=size,
        width=_without_classifier(network).output_shape[-1],
        preprocessing=_choose_preprocessing(name, network, preprocessing),
        resize="crop-bilinear",
        megabytes=round(path.stat().st_size / 2**20, 1),
        parameters=round(network.count_params() / 1e6, 3),
        source=str(path),
        licence="its owner's",
        installed=lambda: path,
    )


def _load_nothing(model: Any, path: Path) -> None:
    """Leave a model as it is: it was built with its weights."""


def _load_whole(path: Path) -> Any:
    if not path.is_file():
        raise MissingWeights(f"there is no model {path}: expected a file that Keras saved, for example model.keras")
    if not zipfile.is_zipfile(path):
        raise BadWeights(
            f"{path} is no .keras file, which is a zip archive: load what it is and save it with model.save(...keras)"
        )
    try:
        with refusing_fresh_weights():
            return import_keras().saving.load_model(path, safe_mode=True, compile=False)
    except _UNREADABLE as error:
        # Keras tells whole configurations; its first sentence says what is wrong.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise BadWeights(
            f"{path} cannot be loaded: {reason} -- expected a .keras file of Keras' own layers; Lambda layers and "
            "custom classes would run code and are refused: save the model with layers of Keras in their place"
        ) from error


def _read_config(path: Path) -> Any:
    """Return what the file says of the architecture; unlike what Keras makes of it, it outlives Keras' versions."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def _choose_size(name: str, whole: Any, asked: tuple[int, int] | None) -> tuple[int, int]:
    inputs, outputs = getattr(whole, "inputs", None) or [], getattr(whole, "outputs", None) or []
    shapes = [tuple(each.shape) for each in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] != 3:
        raise UnsuitableSetting(
            f"{name} takes {' and '.join(map(str, shapes)) or 'no stated input'}: expected one input of pictures, "
            "(None, height, width, 3), channels last"
        )
    if len(outputs) != 1:
        raise UnsuitableSetting(f"{name} gives {len(outputs)} outputs: expected one; save a model that ends in it")
    saved = shapes[0][1:3]
    if asked is None and None in saved:
        raise UnsuitableSetting(
            f"{name} takes pictures of any size, {shapes[0]}: expected one to be stated, with --input-size"
        )
    size = asked or saved
    if any(side not in (None, wanted) for side, wanted in zip(saved, size, strict=True)):
        raise UnsuitableSetting(
            f"{name} takes pictures of {'x'.join(map(str, saved))}, received --input-size {'x'.join(map(str, size))}: "
            "leave it out, or save the model with that input"
        )
    return size


def _take_apart(name: str, whole: Any, size: tuple[int, int]) -> Any:
    """Return the same network for one input size, with the layers of inner models as its own."""
    keras = import_keras()
    _name_apart(whole)
    try:
        network = _connect(keras.Model(whole.inputs[0], whole.outputs[0]), size)
        while any(isinstance(layer, keras.Model) for layer in network.layers):
            network = _connect(network, size)
        # Connected anew, a layer stands in several graphs, and what it gives would be that of the first.
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "network.keras")
            network.save(file)
            network = keras.saving.load_model(file, safe_mode=True, compile=False)
    except (ValueError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnsuitableSetting(f"{name} cannot be built for pictures of {size[0]}x{size[1]}: {reason}") from error
    for tensor in (network.outputs[0], _without_classifier(network).outputs[0]):
        if len(tensor.shape) not in (2, 3, 4) or None in tensor.shape[1:]:
            raise UnsuitableSetting(
                f"{name} gives {tuple(tensor.shape)}: expected a map (None, h, w, c), tokens (None, t, d) or a "
                "vector (None, d)"
            )
    return network


def _connect(network: Any, size: tuple[int, int]) -> Any:
    """Return the same layers on a picture of that size, with the layers of its inner models in their place."""
    keras = import_keras()

    def call(operation: Any, *inputs: Any, **arguments: Any) -> Any:
        # The method, not the layer itself, walks through the inner graph.
        inside = operation.call if isinstance(operation, keras.Model) else operation
        return inside(*inputs, **arguments)

    image = keras.Input((*size, 3), dtype=network.inputs[0].dtype)
    return keras.models.clone_model(
        network, input_tensors=image, clone_function=lambda layer: layer, call_function=call
    )


def _name_apart(model: Any, prefix: str = "") -> None:
    """Put the name of an inner model before those of its layers: two may have the same in two of them."""
    for operation in getattr(model, "operations", None) or model.layers:
        operation.name = f"{prefix}{operation.name}"
        if isinstance(operation, import_keras().Model):
            _name_apart(operation, f"{operation.name}.")


def _without_classifier(network: Any) -> Any:
    """Return the network up to what its classifier takes, or the network itself where it has none."""
    before, last = (network.layers[0], *network.layers)[-2:]
    if last.output is not network.outputs[0]:
        # An operation without a layer of its own comes behind.
        return network
    kind, activation = type(last).__name__, getattr(getattr(last, "activation", None), "__name__", None)
    dense = last
    if kind == "Softmax" or (kind == "Activation" and activation in _CLASSIFYING):
        dense = before
    elif kind != "Dense" or activation not in _CLASSIFYING:
        return network
    if type(dense).__name__ != "Dense" or (dense is not last and last.input is not dense.output):
        return network
    return import_keras().Model(network.inputs[0], dense.input, name=network.name)


def _choose_preprocessing(name: str, network: Any, stated: str | None) -> Preprocessing:
    choices = f"--preprocessing {', '.join(PREPROCESSINGS)}"
    if stated in PREPROCESSINGS:
        return PREPROCESSINGS[stated]
    if stated is not None:
        raise UnsuitableSetting(f"there is no preprocessing {stated!r}: expected one of {choices}")
    if type(network.layers[1]).__name__ in _SCALING:
        ends = np.array([[[[0.0] * 3, [255.0] * 3]]], np.float32)  # (1, 1, 2, 3): black and white
        greatest = float(np.abs(np.asarray(network.layers[1](ends))).max())
        if greatest > _PLAUSIBLE:
            raise UnsuitableSetting(
                f"{name} begins with {network.layers[1].name}, which makes pixels of 0..255 as large as "
                f"{greatest:.0f}: it expects others; state which, one of {choices}"
            )
        return INSIDE
    raise UnsuitableSetting(
        f"{name} does not say which pixels it was trained with, and does not begin with a Rescaling or Normalization "
        f"layer: state it, one of {choices}"
    )
