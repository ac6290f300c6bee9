"""Pictures in a grid, each with what a run says of it: to be looked at."""

import contextlib
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...cache.files import replacing
from ...cache.places import place_of
from ..errors import UnreadableImage
from ..pictures.feed import Frame
from ..pictures.images import ReadingPolicy, decode_image, quiet_decoders
from ..pictures.sources import read_file
from ..reporting.figures import draw_grid
from .prediction import Prediction

MOST = 25
_LONGEST = 22


class GridSample:
    """Some of many predictions, each as likely as any other, and the same ones every time."""

    def __init__(self, most: int = MOST, *, seed: int = 0) -> None:
        self._most = most
        self._random = random.Random(seed)
        self._seen = 0
        self._chosen: list[tuple[int, Prediction]] = []

    def watch(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Pass predictions on, and keep a sample of the pictures that could be read."""
        for each in predictions:
            if each.probability is not None:
                self._see(each)
            yield each

    @property
    def predictions(self) -> list[Prediction]:
        """The sample, in the order in which it passed."""
        return [each for _, each in sorted(self._chosen, key=lambda pair: pair[0])]

    def _see(self, prediction: Prediction) -> None:
        # Algorithm R (Vitter 1985): the n-th one replaces one of the sample with the chance most / n.
        self._seen += 1
        if len(self._chosen) < self._most:
            self._chosen.append((self._seen, prediction))
        elif (place := self._random.randrange(self._seen)) < self._most:
            self._chosen[place] = (self._seen, prediction)


def draw_predictions(path: Path, predictions: Iterable[Prediction], frame: Frame, policy: ReadingPolicy) -> int:
    """Draw pictures with their predicted classes and probabilities into a PNG file; return how many.

    Parameters
    ----------
    path : Path
    predictions : iterable of Prediction
        Of pictures that can be read. One that is rejected shows its most probable class with a question mark.
    frame : Frame
        Pictures are drawn as a backbone sees them.
    policy : ReadingPolicy
    """
    drawn, pictures = [], []
    with quiet_decoders(policy):
        for each in predictions:
            # One may have gone since it was predicted.
            with contextlib.suppress(OSError, UnreadableImage):
                pictures.append(decode_image(read_file(place_of(each.path), policy), frame.size, frame.resize, policy))
                drawn.append(each)
    with replacing(path) as temporary:
        draw_grid(temporary, pictures, [_title(each) for each in drawn], [each.rejected for each in drawn])
    return len(drawn)


def _title(prediction: Prediction) -> str:
    label, probability = prediction.top[0]
    shown = label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"
    return f"{shown}{'?' * prediction.rejected} {probability:.2f}"
