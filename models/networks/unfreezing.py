"""Which layers of a network are trained further, and what of it stays frozen.

A network is cut where everything behind the cut hangs on one layer's output alone. The part in front of
it, the `trunk`, is frozen as a whole and always runs in inference mode, so that what it gives may as well
come from the store; the part behind it, the `top`, is trained.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backbones.taps import Tap, list_layers, stable_names
from ..backend import import_keras
from ..errors import ModelError, UnknownLayer, UnsuitableSetting

ALL = "all"


@dataclass(frozen=True, slots=True)
class Unfrozen:
    """A network whose layers are set to be trained or not."""

    layers: tuple[str, ...]
    """Names of the backbone's layers that are unfrozen, from the picture on; those of the head always are."""
    trunk: Any
    """Keras model from preprocessed pixels to what the top takes; None where all of the network is trained."""
    top: Any
    """Keras model from there to the logits."""
    tap: Tap | None
    """What the top takes, as it is extracted; None where it takes pixels."""


def unfreeze(core: Any, extractor: Any, request: str, *, tap: Tap, train_batch_norm: bool = False) -> Unfrozen:
    """Set the layers of a network to be trained or not, and cut it where the frozen part ends.

    Parameters
    ----------
    core, extractor : Keras models
        See `build_core`.
    request : str
        `all`, a number of layers counted from the end of the backbone, or the name of a layer or block,
        which is unfrozen with all that comes after it; `0` leaves the head alone.
    tap : Tap
        Of the features that the head takes.
    train_batch_norm : bool
        Train batch normalisations of unfrozen layers and of the head as well, and have them follow the
        statistics of the pictures; by default they stay as they are.

    Raises
    ------
    UnknownLayer
        No layer has that name.
    UnsuitableSetting
        There are fewer layers, or none of those unfrozen has anything to train.
    """
    known = {id(layer) for layer in extractor.layers}
    backbone = [layer for layer in core.layers if id(layer) in known and type(layer).__name__ != "InputLayer"]
    names = stable_names(extractor)
    chosen = backbone[_first(request, [names[layer.name] for layer in backbone]) :]
    own = {id(layer) for layer in chosen}
    for layer in core.layers:
        _set_trainable(layer, id(layer) not in known or id(layer) in own, train_batch_norm=train_batch_norm)
    if chosen and not any(layer.trainable_weights for layer in chosen):
        raise UnsuitableSetting(
            f"--unfreeze {request} unfreezes {len(chosen)} layers without weights to train: name an earlier layer, "
            "or more of them"
        )
    told = tuple(names[layer.name] for layer in chosen)
    frozen = backbone[: len(backbone) - len(chosen)]
    if not chosen:
        features = next(layer for layer in core.layers if layer.weights and id(layer) not in known).input
        return Unfrozen(told, *_parts(core, features), tap)
    tappable = {layer.name for layer in list_layers(extractor)}
    for layer in reversed(frozen):
        if names[layer.name] in tappable and (parts := _cut(core, layer.output, chosen)):
            return Unfrozen(told, *parts, Tap(names[layer.name], "none"))
    return Unfrozen(told, None, core, None)


def copy_weights(core: Any) -> dict[int, NDArray[Any]]:
    """Return what the variables of a network hold now; see `check_moves`."""
    return {id(variable): np.asarray(variable).copy() for variable in core.variables}


def check_moves(core: Any, before: dict[int, NDArray[Any]]) -> None:
    """See that training changed every layer that it should have, and nothing else.

    Parameters
    ----------
    core : Keras model
    before : dict
        What `copy_weights` returned before training.

    Raises
    ------
    ModelError
        A layer did not move, or something moved that was frozen.
    """

    def moved(variable: Any) -> bool:
        return not np.array_equal(before[id(variable)], np.asarray(variable))

    free = {id(variable) for variable in core.trainable_variables}
    for layer in core.layers:
        if layer.trainable_weights and not any(map(moved, layer.trainable_weights)):
            raise ModelError(
                f"training did not change {layer.name}, which is not frozen: expected other weights than before; "
                "choose a greater --learning-rate"
            )
        for inner in layer._flatten_layers():
            if is_batch_norm(inner) and inner.trainable:
                # Its statistics follow the pictures.
                free |= {id(variable) for variable in inner.variables}
    for variable in core.variables:
        if id(variable) not in free and "seed" not in variable.path and moved(variable):
            raise ModelError(f"training changed {variable.path}, which is frozen: expected the weights from before")


def is_batch_norm(layer: Any) -> bool:
    """Return whether a layer is a batch normalisation, of whatever kind."""
    return "BatchNormalization" in type(layer).__name__


def _first(request: str, names: Sequence[str]) -> int:
    """Return the position of the first layer to be unfrozen."""
    if request == ALL:
        return 0
    if request.isdecimal():
        if int(request) > len(names):
            raise UnsuitableSetting(
                f"--unfreeze {request} asks for more than the {len(names)} layers there are: expected fewer, or all"
            )
        return len(names) - int(request)
    block = re.compile(rf"{re.escape(request)}(?![0-9])")
    for position, name in enumerate(names):
        if block.match(name):
            return position
    near = difflib.get_close_matches(request, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the last one is {names[-1]}."
    raise UnknownLayer(
        f"no layer or block is called {request!r}: {hint} Expected a name of those that "
        "extract-features --layer list prints, a number of layers, or all"
    )


def _set_trainable(layer: Any, trainable: bool, *, train_batch_norm: bool) -> None:
    layer.trainable = trainable
    if trainable and not train_batch_norm:
        # Also those within a layer that is made of layers.
        for inner in layer._flatten_layers():
            if is_batch_norm(inner):
                inner.trainable = False


def _cut(core: Any, tensor: Any, chosen: Sequence[Any]) -> tuple[Any, Any] | None:
    """Return the network in two parts, or None where something passes by the cut."""
    try:
        trunk, top = _parts(core, tensor)
    except ValueError:
        # Keras says so of a graph that is not connected.
        return None
    behind = {id(layer) for layer in top.layers}
    return (trunk, top) if all(id(layer) in behind for layer in chosen) else None


def _parts(core: Any, tensor: Any) -> tuple[Any, Any]:
    keras = import_keras()
    top = keras.Model(tensor, core.output, name="top")
    return keras.Model(core.input, tensor, name="trunk"), top
