"""Does an exported model say what demijohn says? It is run by its own runtime, from picture files, and compared.

The pictures go through the script that is written beside the model, and what they are compared with
are the run's predictions as `demijohn predict` makes them: another decoder, resize, preprocessing, order
of classes or arithmetic cannot pass.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cache.index import hash_file
from ...cache.part import keys_from_array
from ...cache.table import SPLITS, Dataset
from ...models.backend import quiet_libraries
from ...models.networks.artefacts import Artefact
from ..errors import NoImages, OtherPredictions
from .classifier import Classifier
from .prediction_script import Script


@dataclass(frozen=True, slots=True)
class Checked:
    """Pictures that an artefact is run on."""

    names: tuple[str, ...]
    """Paths relative to the data set's root."""
    split: str
    pixels: NDArray[np.uint8]
    """(n, h, w, 3), as the script reads them."""
    expected: NDArray[np.float64]
    """(n, c), the probabilities of the run."""
    unread: tuple[str, ...]
    """Paths of pictures that the script refused."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How an artefact agrees with demijohn."""

    artefact: str
    """Its file."""
    runtime: str
    """With its version."""
    pictures: int
    same_class: int
    greatest_difference: float
    """Of a probability."""
    tolerance: float
    bytes: int
    """Of the file."""

    def __str__(self) -> str:
        """Return it in a line."""
        return (
            f"{self.artefact} by {self.runtime}: {self.same_class:,} of {self.pictures:,} pictures in the same class, "
            f"probabilities within {self.greatest_difference:.1e}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "artefact": self.artefact,
            "runtime": self.runtime,
            "pictures": self.pictures,
            "same_class": self.same_class,
            "greatest_difference": self.greatest_difference,
            "tolerance": self.tolerance,
            "bytes": self.bytes,
        }


def choose_pictures(classifier: Classifier, table: Dataset, script: Script, count: int) -> Checked:
    """Return pictures of a run, read by the script: of the test split, else validation, else train.

    Parameters
    ----------
    classifier : Classifier
        Of the run.
    table : Dataset
        Where the pictures are.
    script : Script
    count : int
        How many, if there are so many.

    Raises
    ------
    NoImages
        None is where it was, with the bytes that it had.
    """
    run = classifier.run
    predictions = run.predictions
    split = int(predictions.splits.max())
    keys = keys_from_array(predictions.keys[predictions.splits == split])
    names = {row.key: row.path for row in table.rows}
    pixels: dict[str, NDArray[np.uint8]] = {}
    unread: list[str] = []
    for key in random.Random(0).sample(keys, len(keys)):
        path = table.origin.place(names.get(key, ""))
        if len(pixels) == count:
            break
        # The script reads files of this machine.
        if isinstance(path, str) or not path.is_file() or hash_file(path).key != key:
            continue
        try:
            pixels[names[key]] = script.read_picture(str(path))
        except Exception:  # noqa: BLE001 - decoders raise whatever they stumble over
            unread.append(names[key])
    expected = [each.probabilities for each in classifier.judge(str(table.origin.place(name)) for name in pixels)]
    if not pixels or any(each is None for each in expected):
        raise NoImages(
            f"no {SPLITS[split]} picture of {run.id} is below {table.origin.root} as it was, and readable by the "
            "script: an export is checked on them; put them back, or run extract-features on their new folder"
        )
    return Checked(
        tuple(pixels), SPLITS[split], np.concatenate(list(pixels.values())), np.array(expected), tuple(unread)
    )


def check_parity(
    artefact: Artefact, path: Path, script: Script, pictures: Checked, classes: Sequence[str], *, tolerance: float
) -> Parity:
    """Return how an artefact agrees with demijohn, run by its own runtime.

    A class may differ only where two are equally probable within the tolerance.

    Raises
    ------
    OtherPredictions
        It does not: its classes are others, a probability is off by more than the tolerance, or it does not run.
    """
    try:
        with quiet_libraries():
            found, predict = script.load_model(str(path))
            told = np.concatenate([predict(image[None]) for image in pictures.pixels]).astype(np.float64)  # (n, c)
    except Exception as error:
        # Runtimes raise whatever they stumble over; Keras says last what it was.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
        raise OtherPredictions(
            f"{artefact.file} does not run in {artefact.runtime_version()}: {reason} -- nothing was exported; leave "
            f"{artefact.format} out of --format"
        ) from error
    if list(found) != list(classes):
        raise OtherPredictions(
            f"{artefact.file} holds the classes {found}, expected {list(classes)}; nothing was exported"
        )
    if told.shape != pictures.expected.shape:
        raise OtherPredictions(
            f"{artefact.file} gives {told.shape}, expected {pictures.expected.shape}; nothing was exported"
        )
    # NaN is as far off as can be.
    off = np.nan_to_num(np.abs(told - pictures.expected), nan=np.inf).max(axis=1)  # (n,)
    parity = Parity(
        artefact=artefact.file,
        runtime=artefact.runtime_version(),
        pictures=len(off),
        same_class=int((told.argmax(axis=1) == pictures.expected.argmax(axis=1)).sum()),
        greatest_difference=float(off.max()),
        tolerance=tolerance,
        bytes=sum(each.stat().st_size for each in (path, *path.rglob("*")) if each.is_file()),
    )
    if parity.greatest_difference > tolerance:
        worst = int(off.argmax())
        says, expected = (_describe(each[worst], classes) for each in (told, pictures.expected))
        raise OtherPredictions(
            f"{artefact.file} differs from demijohn on {np.count_nonzero(off > tolerance):,} of {len(off):,} "
            f"{pictures.split} pictures, most on {pictures.names[worst]}: it says {says}, expected {expected} "
            f"within {tolerance:g}; nothing was exported"
        )
    return parity


def _describe(probabilities: NDArray[np.float64], classes: Sequence[str]) -> str:
    best = int(probabilities.argmax())
    return f"{classes[best]} {probabilities[best]:.4f}"
