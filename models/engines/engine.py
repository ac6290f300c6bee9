"""The contract of an engine: uint8 pictures to float32 rows, whoever computes them.

An engine has one static batch shape. A smaller batch is padded, so that a picture's features do not
depend on who shares its batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .devices import Device
from .freezing import Facts, FrozenGraph


class Engine(ABC):
    """A compiled backbone, ready to run; in float32 it is IEEE float32."""

    name: ClassVar[str]
    streams: int = 1
    """How many threads may call `extract` at once, and should."""

    def __init__(self, facts: Facts, folder: Path, device: Device) -> None:
        self.facts = facts
        self.device = device.name
        self.batch_size = facts.batch_size
        self.input_size = facts.input_size
        self.shapes = facts.shapes
        self._shape = (facts.batch_size, *facts.input_size, 3)
        self._open(folder, device)

    def extract(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """Return the features of up to a batch of pictures, an array per tap.

        Parameters
        ----------
        images : ndarray of shape (b, h, w, 3), uint8
            RGB pixels in 0..255 at the network's input size; b at most the batch size.

        Returns
        -------
        tuple of ndarrays of shape (b, d), float32

        Raises
        ------
        ModelError
            A feature is not finite: the weights or the arithmetic are broken.
        """
        count = len(images)
        if count > self.batch_size or images.shape[1:] != self._shape[1:] or images.dtype != np.uint8:
            raise ModelError(
                f"{self.facts.backbone} takes up to {self._shape} uint8, received {images.shape} {images.dtype}"
            )
        if count < self.batch_size:
            padded = np.zeros(self._shape, dtype=np.uint8)
            padded[:count] = images
            images = padded
        features = tuple(values[:count] for values in self._run(np.ascontiguousarray(images)))
        for tap, values in zip(self.facts.taps, features, strict=True):
            if not np.isfinite(values).all():
                raise ModelError(
                    f"{self.facts.backbone} gave a feature that is not finite ({tap}): check its weights, "
                    "and compute in --precision float32"
                )
        return features

    @classmethod
    @abstractmethod
    def check(cls, precision: str, device: Device) -> None:
        """Raise `UnsuitableSetting` where it cannot compute so on this machine."""

    @staticmethod
    @abstractmethod
    def computes_in(precision: str) -> bool:
        """Return whether this processor is known to have the arithmetic of a precision."""

    @staticmethod
    @abstractmethod
    def compile(graph: FrozenGraph, folder: Path) -> None:
        """Write into a folder what an engine is opened from."""

    @abstractmethod
    def _open(self, folder: Path, device: Device) -> None:
        """Get ready to run what was compiled into a folder."""

    @abstractmethod
    def _run(self, images: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        """Return an array of its own per tap, of a full batch."""
