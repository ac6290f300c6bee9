"""Reads PyTorch's legacy checkpoint files (`.pth`, not zipped) without PyTorch.

Such a file is a row of pickles (magic number, protocol version, system facts, the state dict,
the storage keys) and then the raw storages: for each key in order, the number of elements as
int64 and the elements. Unpickling runs code by design, so the unpickler here admits the
handful of names that a state dict of plain tensors needs, and refuses everything else.

Format: torch/serialization.py, `_legacy_load`, https://github.com/pytorch/pytorch
"""

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import BadWeights

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES: dict[str, np.dtype[Any]] = {
    "HalfStorage": np.dtype("<f2"),
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "IntStorage": np.dtype("<i4"),
    "LongStorage": np.dtype("<i8"),
}


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a state dict by name, in the file's order.

    Raises
    ------
    BadWeights
        The file is no legacy checkpoint, is truncated, or asks for a name that is not admitted.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except BadWeights as error:
        raise BadWeights(f"{path}: {error}") from error
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        KeyError,
        # A length of eight bytes may announce more than there is memory or than an index can say.
        OverflowError,
        MemoryError,
    ) as error:
        raise BadWeights(f"{path} is no readable PyTorch checkpoint (legacy format): {error}") from error


class _Storage:
    """Elements that several tensors may share; filled after the pickles have been read."""

    def __init__(self, dtype: np.dtype[Any], size: int) -> None:
        self.dtype = dtype
        self.size = size
        self.elements: NDArray[Any] = np.empty(0, dtype)


class _Tensor:
    """What `torch._utils._rebuild_tensor_v2` is called with: a window onto a storage."""

    def __init__(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
    ) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def to_array(self) -> NDArray[Any]:
        if 0 in self.shape:
            return np.empty(self.shape, self.storage.dtype)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if min(self.offset, *self.shape, *self.strides, 0) < 0 or last >= len(self.storage.elements):
            raise BadWeights(f"a tensor of shape {self.shape} reaches outside its storage")
        size = self.storage.dtype.itemsize
        return np.lib.stride_tricks.as_strided(
            self.storage.elements[self.offset :], self.shape, tuple(step * size for step in self.strides)
        ).copy()


class _Unpickler(pickle.Unpickler):
    """Admits an ordered dict, tensors and storages; nothing that could run code."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            # A function made for this file alone: what a pickle sets on it is gone with the file.
            return lambda *arguments: _Tensor(*arguments)  # noqa: PLW0108
        if module == "torch" and name in _STORAGES:
            return name
        raise BadWeights(f"the checkpoint asks for {module}.{name}, which is not admitted: it may run code")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, size, view = pid
        if kind != "storage" or view is not None:
            raise BadWeights(f"the checkpoint holds a {kind}, expected plain storages")
        return self.storages.setdefault(key, _Storage(_STORAGES[dtype], size))


def _read(file: BinaryIO) -> dict[str, NDArray[Any]]:
    if _Unpickler(file).load() != _MAGIC:
        raise BadWeights("it does not begin like a PyTorch checkpoint of the legacy format")
    if _Unpickler(file).load() != _PROTOCOL:
        raise BadWeights(f"it has another protocol than {_PROTOCOL}")
    if not _Unpickler(file).load()["little_endian"]:
        raise BadWeights("it was written on a big-endian machine")
    unpickler = _Unpickler(file)
    state = unpickler.load()
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        size = int.from_bytes(file.read(8), "little")
        left = os.fstat(file.fileno()).st_size - file.tell()
        if size != storage.size or size * storage.dtype.itemsize > left:
            raise BadWeights(f"it is truncated: storage {key} has {left} bytes")
        content = file.read(size * storage.dtype.itemsize)
        storage.elements = np.frombuffer(content, storage.dtype)
    return {name: tensor.to_array() for name, tensor in state.items()}
