"""What the records of networks share that are not in the catalogue: a name, a digest of the architecture, a check.

Nobody can look such a network up by its name, so whatever makes it another one must be found in it.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..backend import import_keras
from ..errors import UnsuitableSetting

_SET_ANEW = ("name", "compile_config", "shared_object_id")
"""What Keras writes anew with every model, or what only training needs."""


def safe_name(kind: str, text: str) -> str:
    """Return a name that is fit for a folder, and that no backbone of the catalogue has.

    >>> safe_name("own", "My Model (v2)"), safe_name("hub", "hf://timm/resnet18.a1_in1k"), safe_name("own", "模型")
    ('own-my-model-v2', 'hub-hf-timm-resnet18.a1-in1k', 'own-model')
    """
    return f"{kind}-{re.sub('[^a-z0-9.]+', '-', text.lower()).strip('-.') or 'model'}"


def digest_architecture(config: Any) -> str:
    """Return SHA-256 over the canonical JSON of what Keras makes a network from.

    Equal arrays may stand in different networks: another stride, another number of attention heads.
    Names of layers do not count, since Keras makes them anew; their order does.

    >>> def chain(*names):
    ...     layers = [{"class_name": "ReLU", "config": {"name": name}, "name": name} for name in names]
    ...     return {"name": names[0], "layers": layers, "output_layers": [names[-1], 0, 0]}
    >>> digest_architecture(chain("relu", "relu_1")) == digest_architecture(chain("relu_5", "relu_6"))
    True
    >>> digest_architecture(chain("relu", "relu_1")) == digest_architecture(chain("relu"))
    False
    """
    canonical = json.dumps(_nameless(config, {}), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def refuse_other_precision(name: str, network: Any) -> None:
    """Refuse a network whose layers do not compute in what is asked, which is what new layers would compute in.

    Raises
    ------
    UnsuitableSetting
        It was saved in another precision. Where single layers are in float32, as the end of a
        network in mixed precision is, the others count.
    """
    asked = import_keras().config.dtype_policy().compute_dtype
    found = {layer.compute_dtype for layer in network.layers if layer.weights}
    narrow = found - {"float32"} or {"float32"}
    if narrow != {asked}:
        raise UnsuitableSetting(
            f"{name} computes in {' and '.join(sorted(found))}, as it was saved: expected that as --precision, "
            f"received {asked}"
        )


@contextmanager
def refusing_fresh_weights() -> Iterator[None]:
    """Make an error of Keras' warning that it found no weights for a layer, which then has random ones."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*freshly-initialized weights")
        yield


def _nameless(value: Any, places: dict[str, int]) -> Any:
    if isinstance(value, dict):
        if isinstance(layers := value.get("layers"), list):
            named = [layer.get("name") or layer.get("config", {}).get("name") for layer in layers]
            places = {name: place for place, name in enumerate(named)}
        return {key: _nameless(each, places) for key, each in value.items() if key not in _SET_ANEW}
    if isinstance(value, list | tuple):
        match value:
            case [str() as layer, int() as call, int() as output] if layer in places:
                # The address of a tensor.
                return [places[layer], call, output]
        return [_nameless(each, places) for each in value]
    return value
