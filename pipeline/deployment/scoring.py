"""What a run says of pictures: scores by its head on features that the store keeps, or by its network on pixels."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...cache.features import FeatureSet
from ...cache.places import place_of
from ...cache.recipe import Recipe
from ...cache.store import FeatureStore
from ...models.heads.heads import load_scorer, open_head
from ...models.heads.temperature import calibrate
from ..extraction.reopening import Reopener
from ..extraction.supply import FeatureSupply, Pixels
from ..pictures.feed import Frame, Picture, decoding_ahead
from ..pictures.images import ReadingPolicy
from ..pictures.resizing import resize_image
from ..progress import Progress

_NETWORK_ROWS = 32
_NETWORK_AT_ONCE = 256

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of some files."""

    scores: Mapping[str, Scores]
    """(c,) per path of a picture that could be read."""
    reasons: Mapping[str, str]
    """Why the others could not."""
    keys: Mapping[str, bytes]
    """Of the bytes of those that could be read."""


class Scorer(Protocol):
    """What gives scores."""

    are_probabilities: bool
    """Whether the scores are, else decision values."""

    @property
    def seen(self) -> tuple[Frame, ReadingPolicy]:
        """How pictures come to the network, or to the first of several, and what is refused."""

    @property
    def at_once(self) -> int:
        """How many files should be asked for at once."""

    def working(self) -> AbstractContextManager[Any]:
        """Return a context in which files are scored; at its end what was kept is merged."""

    def score_files(self, paths: Sequence[str]) -> Scored:
        """Return the scores of some files."""

    def score_arrays(self, pictures: Sequence[Pixels]) -> Scores:
        """Return the scores (n, c) of pictures that are RGB arrays of shape (h, w, 3), uint8, of any size."""


class HeadScorer:
    """A head on features; with several views, the mean of what it says of each.

    Parameters
    ----------
    head : Path
        What the head has saved.
    store : FeatureStore
    views : sequence of sequences of FeatureSet
        Per view, the sets whose rows stand side by side.
    max_pixels : int
        Larger pictures are refused.
    progress : Progress
    """

    def __init__(
        self,
        head: Path,
        store: FeatureStore,
        views: Sequence[Sequence[FeatureSet]],
        *,
        max_pixels: int,
        progress: Progress,
    ) -> None:
        self._head, self.are_probabilities = load_scorer(head)
        reopener = Reopener(store, [each for sets in views for each in sets], progress)
        self._supply = FeatureSupply(store, views, reopener.open, max_pixels=max_pixels)

    @property
    def seen(self) -> tuple[Frame, ReadingPolicy]:
        """See `Scorer`."""
        return self._supply.seen

    @property
    def at_once(self) -> int:
        """See `Scorer`."""
        return self._supply.rows_at_once

    def working(self) -> AbstractContextManager[Any]:
        """See `Scorer`."""
        return self._supply

    def score_files(self, paths: Sequence[str]) -> Scored:
        """See `Scorer`."""
        supplied = self._supply.fetch(paths)
        read = list(supplied.keys)
        if not read:
            return Scored({}, supplied.reasons, {})
        scores = self._score(self._supply.read([supplied.keys[path] for path in read]))
        return Scored(dict(zip(read, scores, strict=True)), supplied.reasons, supplied.keys)

    def score_arrays(self, pictures: Sequence[Pixels]) -> Scores:
        """See `Scorer`."""
        return self._score(self._supply.compute(pictures))

    def _score(self, views: Sequence[NDArray[np.float32]]) -> Scores:
        """Return scores (n, c) from the rows of each view (n, d)."""
        return np.asarray(np.mean([self._head(rows) for rows in views], axis=0))


class NetworkScorer:
    """A network from pixels to classes, as fine-tuning leaves it; nothing is kept, since nothing of it is frozen.

    Parameters
    ----------
    file : Path
        Keras network from uint8 pixels at the recipe's input size to logits.
    recipe : Recipe
        By which pictures are decoded.
    max_pixels : int
        Larger pictures are refused.
    """

    are_probabilities = True

    def __init__(self, file: Path, recipe: Recipe, *, max_pixels: int) -> None:
        self._network = open_head(file)
        self._frame = Frame.of(recipe)
        self._policy = replace(ReadingPolicy.of(recipe.decoder), max_pixels=max_pixels)

    @property
    def seen(self) -> tuple[Frame, ReadingPolicy]:
        """See `Scorer`."""
        return self._frame, self._policy

    @property
    def at_once(self) -> int:
        """See `Scorer`."""
        return _NETWORK_AT_ONCE

    def working(self) -> AbstractContextManager[Any]:
        """See `Scorer`."""
        return nullcontext()

    def score_files(self, paths: Sequence[str]) -> Scored:
        """See `Scorer`."""
        pictures = [Picture(place_of(path), path, b"", (self._frame,)) for path in dict.fromkeys(paths)]
        pixels: dict[str, Pixels] = {}
        reasons: dict[str, str] = {}
        keys: dict[str, bytes] = {}
        with decoding_ahead(pictures, self._policy, ahead=_NETWORK_ROWS) as decoded:
            for each in decoded:
                if each.pixels is None or each.key is None:
                    reasons[each.name] = each.reason
                else:
                    pixels[each.name], keys[each.name] = each.pixels[self._frame], each.key
        if not pixels:
            return Scored({}, reasons, {})
        scores = self._score(np.stack(list(pixels.values())))
        return Scored(dict(zip(pixels, scores, strict=True)), reasons, keys)

    def score_arrays(self, pictures: Sequence[Pixels]) -> Scores:
        """See `Scorer`."""
        size = self._frame.size[::-1]
        resized = [resize_image(Image.fromarray(each), size, self._frame.resize) for each in pictures]
        return self._score(np.stack([np.asarray(each) for each in resized]))

    def _score(self, pixels: Pixels) -> Scores:
        """Return probabilities (n, c) of pictures (n, h, w, 3)."""
        starts = range(0, len(pixels), _NETWORK_ROWS)
        blocks = [np.asarray(self._network(pixels[at : at + _NETWORK_ROWS], training=False)) for at in starts]
        return calibrate(np.concatenate(blocks).astype(np.float64), 1.0, are_probabilities=False)
