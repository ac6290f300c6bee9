"""Weights written in every layout that Keras has had."""

from pathlib import Path
from typing import Any

import h5py


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
