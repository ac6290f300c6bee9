"""Reads the files that Keras writes weights to, and compares them with a network before anything is loaded.

Three layouts, told apart by what stands in the file and not by its name:

- of Keras 2 (`.h5`, also within a whole model): attributes name the layers and their arrays, in the
  order of the network. The names themselves do not count, since Keras made some of them anew.
- of Keras 3 (`.weights.h5`): `layers/<class>_<number>/vars/<place>`, the number counting the layers of
  a class, so that each layer has one name that it can have. The file does not tell the order of classes.
- `.keras`: a zip archive with the former in it. The network that its config.json describes is never
  built, hence no code of it is run.

Keras' own loaders choose by the file's suffix, ignore what a Keras 3 file holds beyond the network, and
refuse a file with the classifier for the network without. Formats: keras/src/saving/saving_lib.py and
keras/src/legacy/saving/legacy_h5_format.py, https://github.com/keras-team/keras
"""

import io
import itertools
import math
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import BadWeights
from .signatures import ARCHIVED_WEIGHTS, HDF5, KERAS_ARCHIVE, UNREADABLE, kind_of_file, reason_of

Shape = tuple[int, ...]

_EXPANSION = 10
"""Largest ratio of an archived file to the archive; Keras does not compress, and weights hardly can be."""


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """The arrays of one layer, not yet read."""

    name: str
    """In the file."""
    arrays: tuple[h5py.Dataset, ...]


@dataclass(frozen=True, slots=True)
class LayerMatch:
    """A layer of the network, and what the file holds for it."""

    layer: Any
    variables: Sequence[Any]
    """In the order of the file."""
    stored: StoredLayer | None

    @property
    def arrays(self) -> tuple[h5py.Dataset, ...]:
        """What the file holds, none where the layer is missing."""
        return self.stored.arrays if self.stored else ()


def load_keras_weights(model: Any, path: Path) -> None:
    """Put the weights of a file into a network, each array of it exactly once.

    A file with a classifier serves the network without: the classifier is left out.

    Parameters
    ----------
    model : keras.Model
    path : Path
        `.h5`, `.weights.h5` or `.keras`, whatever it is called.

    Raises
    ------
    BadWeights
        The file is of another kind or another network, or damaged; the message names the first
        difference. In the last case the network may hold some of its weights.
    """
    try:
        with _opened(path) as file:
            for pair in _match(model, file):
                for variable, array in zip(pair.variables, pair.arrays, strict=True):
                    variable.assign(array[()])
                if hasattr(pair.layer, "finalize_state"):
                    # Normalization computes with copies.
                    pair.layer.finalize_state()
    except BadWeights as error:
        raise BadWeights(f"{path} does not hold the weights of {model.name}: {error}") from error
    except UNREADABLE as error:
        raise BadWeights(f"{path} does not hold the weights of {model.name}: {reason_of(error)}") from error


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    kind = kind_of_file(path)
    if kind == HDF5:
        with h5py.File(path, "r") as file:
            yield file
    elif kind == KERAS_ARCHIVE:
        with zipfile.ZipFile(path) as archive:
            size, limit = archive.getinfo(ARCHIVED_WEIGHTS).file_size, _EXPANSION * path.stat().st_size
            if size > limit:
                raise BadWeights(
                    f"its {ARCHIVED_WEIGHTS} announces {size:,} bytes, more than {limit:,} are not believed"
                )
            content = archive.read(ARCHIVED_WEIGHTS)
        with h5py.File(io.BytesIO(content), "r") as file:
            yield file
    else:
        raise BadWeights(f"it looks like {kind}; expected weights that Keras saved (.h5, .weights.h5 or .keras)")


def _match(model: Any, file: h5py.File) -> list[LayerMatch]:
    """Return the layers with weights, each with what the file holds for it, all of the right shapes.

    Raises
    ------
    BadWeights
        The file is of another network.
    """
    pairs, rest = _pair(model, file)
    count = len(rest) + sum(pair.stored is not None for pair in pairs)
    remarks = [f"layers with weights: {count} in the file, {len(pairs)} in the network"] if count != len(pairs) else []
    whole = len(model.weights)
    if any("/layers/" in stored.name for stored in rest) or any(
        len(pair.arrays) == whole > len(pair.variables) for pair in pairs
    ):
        remarks.append("the network seems to lie inside another one there: save the weights of the inner one alone")
    name = _follow(file, "vars", h5py.Group).attrs.get("name") if "vars" in file else None
    if isinstance(name, str) and name != model.name:
        remarks.append(f"it was saved from a network called {name!r}")
    for number, pair in enumerate(pairs, 1):
        if difference := _difference(pair):
            gone = [_shapes(each.variables) for each in pairs if each.stored is None]
            if gone and len(model.output_shape) == 2 and all(_is_dense(shapes) for shapes in gone):
                remarks.append("it seems to be of the network without its classifier")
            raise BadWeights("; ".join((f"layer {number} ({pair.layer.name}) {difference}", *remarks)))
    if rest and not _is_classifier([_shapes(stored.arrays) for stored in rest], model.output_shape):
        odd = next((stored for stored in rest if not _may_classify(_shapes(stored.arrays))), rest[0])
        shapes = " and ".join(map(str, _shapes(odd.arrays)))
        raise BadWeights("; ".join((f"it holds {odd.name!r} {shapes} besides, which is of no classifier", *remarks)))
    return pairs


def _pair(model: Any, file: h5py.File) -> tuple[list[LayerMatch], list[StoredLayer]]:
    """Return what the file holds for each layer with weights, and what it holds besides."""
    if group := _keras2_group(file):
        expected = [
            (layer, [*layer.trainable_weights, *layer.non_trainable_weights]) for layer in model.layers if layer.weights
        ]
        found: list[StoredLayer | None] = [*_read_keras2(group)]
        padded = [*found, *[None] * (len(expected) - len(found))]
        pairs = [LayerMatch(*each, stored) for each, stored in zip(expected, padded, strict=False)]
        return pairs, [stored for stored in found[len(expected) :] if stored]
    # The second name is that of Keras 2.13.
    for name in ("layers", "_layer_checkpoint_dependencies"):
        if name in file:
            held = _read_keras3(_follow(file, name, h5py.Group))
            layers = [(path, layer) for path, layer in _keras3_paths(model) if layer.weights]
            pairs = [LayerMatch(layer, layer.weights, held.pop(path, None)) for path, layer in layers]
            return pairs, list(held.values())
    raise BadWeights("it is an HDF5 file, but holds no weights as Keras saves them")


def _difference(pair: LayerMatch) -> str | None:
    """Return what is not as expected, or None."""
    if pair.stored is None:
        return "is missing in the file"
    found = _shapes(pair.arrays)
    if len(found) != len(pair.variables):
        names = ", ".join(variable.name for variable in pair.variables)
        arrays = "1 array" if len(found) == 1 else f"{len(found)} arrays"
        return f"expects {names}, found {arrays} in {pair.stored.name!r}"
    for variable, expected, shape in zip(pair.variables, _shapes(pair.variables), found, strict=True):
        if shape != expected:
            return f"expects {variable.name} {expected}, found {shape} in {pair.stored.name!r}"
    return None


def _is_classifier(rest: Sequence[Sequence[Shape]], output: tuple[int | None, ...]) -> bool:
    """Return whether layers can be what stands behind a map: dense ones, with normalisations between.

    >>> _is_classifier([[(2048, 1000), (1000,)]], (None, 10, 10, 2048))
    True
    >>> _is_classifier([[(3, 3, 2048, 64)], [(64, 2)]], (None, 10, 10, 2048))
    False
    """
    if len(output) != 4:
        return False
    inputs = (output[-1], math.prod(size or 0 for size in output[1:]))
    takes_map = any(shape[-2] in inputs for shapes in rest for shape in shapes if len(shape) > 1)
    return takes_map and all(_may_classify(shapes) for shapes in rest)


def _may_classify(shapes: Sequence[Shape]) -> bool:
    return _is_dense(shapes) or all(len(shape) == 1 for shape in shapes)


def _is_dense(shapes: Sequence[Shape]) -> bool:
    """Return whether arrays are those of a dense layer or of a 1x1 convolution, which is one as well."""
    kernel, *bias = shapes
    return (len(kernel) == 2 or (len(kernel) == 4 and kernel[:2] == (1, 1))) and bias in ([], [kernel[-1:]])


def _shapes(arrays: Sequence[Any]) -> list[Shape]:
    return [tuple(array.shape) for array in arrays]


def _keras2_group(file: h5py.File) -> h5py.Group | None:
    """Return where Keras 2 has put the weights: a whole model holds its configuration besides."""
    for group in (file, _follow(file, "model_weights", h5py.Group) if "model_weights" in file else None):
        if group is not None and not {"layer_names", "layer_names0"}.isdisjoint(group.attrs):
            return group
    return None


def _read_keras2(group: h5py.Group) -> list[StoredLayer]:
    """Return the layers with weights, in the order of the network."""
    layers = []
    for name in _strings(group, "layer_names"):
        layer = _follow(group, name, h5py.Group)
        if arrays := tuple(_array(layer, each) for each in _strings(layer, "weight_names")):
            layers.append(StoredLayer(name, arrays))
    return layers


def _read_keras3(group: h5py.Group) -> dict[str, StoredLayer]:
    """Return the layers with weights by their names in the file."""
    found: dict[str, dict[int, h5py.Dataset]] = {}

    def visit(path: str, node: Any) -> None:
        name, _, place = path.rpartition("/vars/")
        if isinstance(node, h5py.Dataset):
            if not place.isdecimal():
                raise BadWeights(f"{path!r} in it is not where Keras saves weights")
            found.setdefault(name, {})[int(place)] = _array(group, path)

    group.visititems(visit)
    return {
        name: StoredLayer(name, tuple(arrays[place] for place in range(len(arrays)))) for name, arrays in found.items()
    }


def _keras3_paths(model: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each layer with its name in a file of Keras 3: its class in snake case, from the second on with a number.

    Layers of a network within the network stand below it.
    """
    counts: dict[str, int] = {}
    for layer in model.layers:
        kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()
        number = counts[kind] = counts.get(kind, -1) + 1
        path = f"{above}{kind}_{number}" if number else f"{above}{kind}"
        if hasattr(layer, "layers"):
            yield from _keras3_paths(layer, f"{path}/layers/")
        else:
            yield path, layer


def _strings(group: h5py.Group, name: str) -> list[str]:
    """Return an attribute that is a list of names; a long one lies in pieces, `name0`, `name1` and so on."""
    pieces = (f"{name}{number}" for number in itertools.count())
    keys = [name] if name in group.attrs else itertools.takewhile(group.attrs.__contains__, pieces)
    texts = [text for key in keys for text in np.ravel(group.attrs[key])]
    if not all(isinstance(text, bytes | str) for text in texts):
        raise BadWeights(f"{name!r} in it is no list of names")
    return [text.decode() if isinstance(text, bytes) else text for text in texts]


def _follow(group: h5py.Group, path: str, kind: type) -> Any:
    """Return what lies at a path in the file itself: links could lead to any other."""
    node: Any = group
    for step in path.split("/"):
        if not isinstance(node, h5py.Group) or not isinstance(node.get(step, getlink=True), h5py.HardLink):
            raise BadWeights(f"it names {path!r}, which is not in it")
        node = node[step]
    if not isinstance(node, kind):
        raise BadWeights(f"{path!r} in it is no {kind.__name__.lower()}")
    return node


def _array(group: h5py.Group, path: str) -> h5py.Dataset:
    array = _follow(group, path, h5py.Dataset)
    if array.is_virtual or array.external:
        raise BadWeights(f"the numbers of {path!r} are not in it but in another file")
    if array.dtype.kind not in "fiu":
        raise BadWeights(f"{path!r} in it is of type {array.attrs.get('dtype', array.dtype)}, expected float32")
    return array
