"""Checkpoints: the state of a training that is under way, one file each, so that it goes on after a kill.

    checkpoints/<run>.h5    arrays by name, and the rest as JSON

A checkpoint is replaced as a whole at the end of an epoch, and removed when the run is complete.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DamagedFile
from .files import remove_leftovers
from .hdf5 import reading_hdf5, writing_hdf5


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that a training needs to go on."""

    arrays: dict[str, NDArray[Any]]
    """By name; a name may have slashes in it."""
    facts: dict[str, Any]
    """Plain JSON values."""


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, durably, in place of an earlier one.

    Raises
    ------
    StoreNotWritable
        See `writing_hdf5`.
    """
    remove_leftovers(path.parent)
    with writing_hdf5(path) as file:
        for name, array in checkpoint.arrays.items():
            file[f"arrays/{name}"] = array
        file.attrs["facts"] = json.dumps(checkpoint.facts, allow_nan=False)
        file.attrs["content"] = _content(checkpoint)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Return what `write_checkpoint` wrote, or None where there is nothing.

    Raises
    ------
    DamagedFile
        The file cannot be read.
    """
    arrays: dict[str, NDArray[Any]] = {}
    mend = f"remove {path}, and the training begins anew"
    try:
        with reading_hdf5(path, mend) as file:
            # HDF5 lists names in an order of its own.
            file["arrays"].visititems(
                lambda name, item: arrays.update({name: np.asarray(item)}) if hasattr(item, "shape") else None
            )
            checkpoint = Checkpoint(arrays, json.loads(file.attrs["facts"]))
            if _content(checkpoint) != file.attrs["content"]:
                raise DamagedFile(f"{path} is damaged: its arrays are not those that were written; {mend}")
    except FileNotFoundError:
        return None
    return checkpoint


def _content(checkpoint: Checkpoint) -> str:
    digest = hashlib.sha256(json.dumps(checkpoint.facts, sort_keys=True).encode())
    for name, array in sorted(checkpoint.arrays.items()):
        digest.update(f"{name} {array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
