"""Weights written in every layout that Keras has had, and what is to be seen of a file that is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from demijohn.models import BadWeights
from demijohn.models.backbones.backbone import WeightsFile
from demijohn.models.backbones.weights import digest_weights
from demijohn.models.backbones.weights_files import load_keras_weights
from support.standin import TINY

PUBLISHED = replace(
    TINY, weights=WeightsFile("tiny.weights.h5", "https://127.0.0.1:9/tiny.weights.h5", "0" * 32), weights_top=None
)
"""The stand-in, as if Keras published weights for it."""


def save_keras2(network: Any, file: Path) -> None:
    """Write weights as Keras 2 did, and as the published files are."""
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(file, "w") as target:
        legacy_h5_format.save_weights_to_hdf5_group(target, network)


def save_keras2_model(network: Any, file: Path) -> None:
    """Write a whole model as Keras 2 did."""
    from keras.src.legacy.saving import legacy_h5_format

    legacy_h5_format.save_model_to_hdf5(network, file)


def save_keras3(network: Any, file: Path) -> None:
    """Write weights as Keras 3 does."""
    aside = file.with_name("aside.weights.h5")
    network.save_weights(aside)
    aside.replace(file)


def save_archive(network: Any, file: Path) -> None:
    """Write a whole model as Keras 3 does."""
    aside = file.with_name("aside.keras")
    network.save(aside)
    aside.replace(file)


LAYOUTS = {".h5": save_keras2, ".model.h5": save_keras2_model, ".weights.h5": save_keras3, ".keras": save_archive}
"""By the ending that such a file usually has."""


def save(network: Any, folder: Path, layout: str) -> Path:
    file = folder / f"saved{layout}"
    LAYOUTS[layout](network, file)
    return file


def scatter(network: Any, seed: int = 0) -> Any:
    """Return the network with other numbers in every weight."""
    random = np.random.default_rng(seed)
    for variable in network.weights:
        variable.assign(0.1 + 0.9 * random.random(variable.shape, np.float32).astype(variable.dtype))
    return network


def refuse(network: Any, file: Path) -> str:
    """Return the message with which a file is refused; it is one line and the network is as it was."""
    before = digest_weights(network)
    with pytest.raises(BadWeights) as caught:
        load_keras_weights(network, file)
    message = str(caught.value)
    assert message.startswith(f"{file} does not hold the weights of {network.name}: ")
    assert "\n" not in message
    assert digest_weights(network) == before, "nothing is loaded before all is compared"
    return message.partition(f"{network.name}: ")[2]
