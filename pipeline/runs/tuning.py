"""How a network is fine-tuned: what is trained of it, on what, how fast and how long."""

from dataclasses import asdict, dataclass
from typing import Any

from ...models.errors import UnsuitableSetting
from ...models.networks.descent import Pace
from ...models.networks.distortion import distortion_names

FINE_TUNED = "fine-tuned"
"""Stands in a run for the kind of head."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The settings of a fine-tuning.

    Raises
    ------
    UnsuitableSetting
        One of them makes no sense.
    """

    unfreeze: str = "30"
    """A number of layers from the end, the name of a layer or block, `all`, or `0`: the head alone."""
    augment: str = "none"
    """Augmentations on the fly: `standard`, which is all, some of flip, rotation, zoom, shift, brightness, contrast
    with commas, or `none`."""
    train_batch_norm: bool = False
    """Train batch normalisations as well."""
    epochs: int = 10
    """At most."""
    batch_size: int = 32
    learning_rate: float = 3e-5
    """Of the unfrozen layers, at its highest."""
    head_learning_rate: float = 1e-4
    """Of the head, at its highest."""
    weight_decay: float = 1e-2
    clip: float = 1.0
    """Greatest norm of the gradients."""
    patience: int = 3
    """Epochs without a better validation loss after which training stops."""

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        least = {"epochs": 1, "batch_size": 1, "patience": 1}
        for name, value in self.to_json().items():
            if isinstance(value, int | float) and not value >= least.get(name, 0):
                raise UnsuitableSetting(f"{name} is {value}: expected {least.get(name, 0)} or more")
        distortion_names(self.augment)

    @property
    def pace(self) -> Pace:
        """How fast."""
        return Pace(self.learning_rate, self.head_learning_rate, self.weight_decay, self.clip)

    @property
    def distortions(self) -> tuple[str, ...]:
        """Augmentations in the order in which they are applied."""
        return distortion_names(self.augment)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)
