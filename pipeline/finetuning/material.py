"""What a network is fine-tuned on: pictures decoded as the extraction did it, or maps that the store keeps."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...cache.features import FeatureSet
from ...cache.index import hash_bytes
from ...cache.recipe import Recipe
from ...cache.store import FeatureStore
from ...cache.table import Dataset, Row
from ...models.backbones.taps import Tap
from ...models.networks.descent import Samples
from ..datasets.examples import Examples
from ..errors import UnreadableImage
from ..extraction.frozen import FrozenBackbone
from ..extraction.probing import Opener
from ..extraction.request import Request
from ..extraction.supply import FeatureSupply
from ..memory import machine_memory
from ..pictures.feed import Frame
from ..pictures.images import ReadingPolicy, decode_image, quiet_decoders
from ..pictures.sources import read_file
from ..progress import Progress
from ..units import format_size

_SHARE_OF_MEMORY = 0.5
"""Of the machine, that maps may take."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The pictures of some examples, and how they come to the network."""

    table: Dataset
    examples: Examples
    recipe: Recipe
    """Of the features that the head was trained on."""

    @property
    def policy(self) -> ReadingPolicy:
        """What is read. No picture is too large: each of them was read before."""
        return replace(ReadingPolicy.of(self.recipe.decoder), max_pixels=sys.maxsize // 8)

    def path(self, row: Row) -> str:
        """Return the whole path of a picture."""
        return str(self.table.origin.place(row.path))

    def read(self, row: Row) -> NDArray[np.uint8]:
        """Return the pixels of one picture, as the extraction saw them.

        Raises
        ------
        UnreadableImage
            The file has gone or changed.
        """
        path = self.table.origin.place(row.path)
        try:
            content = read_file(path, self.policy)
        except OSError as error:
            raise UnreadableImage(f"{path} cannot be read: {error.strerror}; {_MEND}") from error
        if hash_bytes(content) != row.key:
            raise UnreadableImage(f"{path} has changed since its features were extracted; {_MEND}")
        return decode_image(content, self.recipe.input_size, self.recipe.resize, self.policy)


_MEND = "run extract-features and train-head again"


@contextlib.contextmanager
def pixels_of(sight: Sight, weights: NDArray[np.float32]) -> Iterator[Samples]:
    """Give the pictures themselves as material; they are decoded each time they are asked for."""
    rows = sight.examples.rows
    with quiet_decoders(sight.policy):
        yield Samples(
            lambda place: sight.read(rows[place]),
            sight.examples.labels,
            weights,
            (*sight.recipe.input_size, 3),
            "uint8",
        )


def maps_of(features: FeatureSet, sight: Sight, shape: Sequence[int], weights: NDArray[np.float32]) -> Samples:
    """Return stored maps as material; all of them are read at once.

    Parameters
    ----------
    features : FeatureSet
        With a row for every example.
    sight : Sight
    shape : sequence of int
        Of one map, (h, w, c), (tokens, d) or (d,).
    weights : ndarray of shape (n,), float32
    """
    maps = features.read([row.key for row in sight.examples.rows]).reshape(-1, *shape)  # (n, *shape)
    features.note_use()
    return Samples(lambda place: maps[place], sight.examples.labels, weights, tuple(shape), "float32")


def fits_into_memory(examples: Examples, shape: Sequence[int]) -> bool:
    """Return whether the maps of all examples take no more than half of this machine's memory."""
    return _bytes_of(examples, shape) <= _SHARE_OF_MEMORY * machine_memory()


def make_maps(
    store: FeatureStore, frozen: FrozenBackbone, sight: Sight, tap: Tap, shape: Sequence[int], request: Request
) -> FeatureSet:
    """Return the feature set that holds what a layer gives for every example; rows that are missing are made now.

    Parameters
    ----------
    store : FeatureStore
    frozen : FrozenBackbone
        The network that made the features.
    sight : Sight
    tap : Tap
        A layer, without pooling.
    shape : sequence of int
        Of one map.
    request : Request
        What the features of the head answer.

    Raises
    ------
    UnreadableImage
        A picture has gone or changed.
    """
    progress: Progress = request["progress"]
    recipe = replace(sight.recipe, layer=tap.layer, pooling=tap.pooling, generation=0)
    known = store.generations(recipe)
    features = known[0] if known else store.feature_set(recipe)
    wanted: Request = {**request, "layers": (tap.layer,), "pooling": tap.pooling}
    opener = Opener(store, frozen, taps=[tap], frames=[Frame.of(recipe)], request=wanted)
    missing = len(sight.examples.rows) - len(features.find([row.key for row in sight.examples.rows]))
    if missing:
        progress.say(
            f"extracting {missing:,} maps of {recipe.backbone} at {tap.layer}, "
            f"{format_size(_bytes_of(sight.examples, shape))} in all: they are kept, and only what is behind is trained"
        )
    paths = {sight.path(row): row for row in sight.examples.rows}
    supply = FeatureSupply(
        store,
        [[features]],
        lambda each: opener.open(each, Frame.of(each.recipe)),
        max_pixels=sight.policy.max_pixels,
    )
    with supply:
        supplied = supply.fetch(paths) if missing else None
    if supplied is not None:
        for path, row in paths.items():
            if supplied.keys.get(path) != row.key:
                reason = supplied.reasons.get(path, "has changed since its features were extracted")
                raise UnreadableImage(f"{path}: {reason}; {_MEND}")
    return features


def _bytes_of(examples: Examples, shape: Sequence[int]) -> int:
    return 4 * len(examples.rows) * int(np.prod(shape))
