"""The features that a head is trained on, as one matrix: in memory, or, where they are too many, streamed.

Rows stand in the order in which they are needed together, so that whatever is trained on and judged by
is a stretch of the matrix, and nothing is copied:

    further views of the training pictures | training | validation | test pictures
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...cache.part import Key
from ...models.solvers.streaming import Matrix, StreamedRows, cut
from ..errors import InvalidRequest, TooManyFeatures
from ..progress import Progress
from ..runs.inputs import Inputs
from ..units import format_size

SHARE = 0.5
"""Of the memory that training may take, what features may: the rest is for a copy of some, the solver and libraries."""
KEPT = 64
"""Bytes that are kept of each row for each class while a head is trained: margins, slopes, scores."""
SPARE = 2**28
"""Bytes that a disk is left with."""


def gather_rows(
    source: Inputs,
    keys: Sequence[Key],
    *,
    trained: int,
    classes: int,
    streams: bool,
    head: str,
    memory: int,
    folder: Path,
    progress: Progress,
) -> Matrix:
    """Return the features of all pictures, and before them those of further views of the first ones.

    Parameters
    ----------
    source : Inputs
    keys : sequence of Key, length n
        Of the pictures: training, validation, test.
    trained : int
        How many are training pictures.
    classes : int
    streams : bool
        Whether the head learns from rows that are streamed.
    head : str
        Its name, for what is said.
    memory : int
        Bytes that training may take.
    folder : path
        Where the file is that rows are streamed from.
    progress : Progress
        Is told where rows are streamed.

    Returns
    -------
    ndarray or StreamedRows of shape ((v - 1) * trained + n, d), float32

    Raises
    ------
    TooManyFeatures
        They take too much memory for a head that does not stream, or too much is kept of each row.
    InvalidRequest
        There is no room on the disk.
    MissingFeatures, DamagedFile
        See `Inputs.read`.
    """
    further = range(1, len(source.views))
    shape = (len(further) * trained + len(keys), source.width)
    X: Matrix
    if fits(shape, memory):
        X = np.empty(shape, dtype=np.float32)
    else:
        _check_memory(shape, classes, streams=streams, head=head, memory=memory)
        X = _make_file(shape, folder, memory)
        progress.say(
            f"{_count(shape)}, more than half of the {format_size(memory)} that training may take (--memory): "
            f"they are streamed from a file in {folder}"
        )
    for view in further:
        source.read_into(cut(X, slice((view - 1) * trained, view * trained)), keys[:trained], view)
    source.read_into(cut(X, slice(len(further) * trained, None)), keys)
    return X


def fits(shape: tuple[int, int], memory: int) -> bool:
    """Return whether features (n, d) are held in memory, of which training may take so many bytes."""
    return 4 * shape[0] * shape[1] <= SHARE * memory


def _check_memory(shape: tuple[int, int], classes: int, *, streams: bool, head: str, memory: int) -> None:
    if not streams:
        raise TooManyFeatures(
            f"{head} needs all features in memory: {_count(shape)}, more than half of the {format_size(memory)} that "
            f"training may take; give --memory {_ask(4 * shape[0] * shape[1])}, or train a head that streams: logistic"
        )
    kept = KEPT * shape[0] * classes
    if kept > SHARE * memory:
        raise TooManyFeatures(
            f"{head} keeps {format_size(kept)} of {shape[0]:,} rows and {classes:,} classes even where features are "
            f"streamed, more than half of the {format_size(memory)} that training may take; give --memory {_ask(kept)}"
        )


def _make_file(shape: tuple[int, int], folder: Path, memory: int) -> StreamedRows:
    needed = 4 * shape[0] * shape[1]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free >= needed + SPARE:
            return StreamedRows(shape, folder=folder, memory=memory)
        found = f"found {format_size(free)} free"
    except OSError as error:
        found = f"found {error.strerror}"
    raise InvalidRequest(
        f"{folder} has no room for the features that are streamed: expected {format_size(needed + SPARE)}, {found}; "
        f"name another folder with --results, or give --memory {_ask(needed)}"
    )


def _count(shape: tuple[int, int]) -> str:
    return f"{shape[0]:,} rows of {shape[1]:,} features take {format_size(4 * shape[0] * shape[1])}"


def _ask(needed: int) -> str:
    """Return what to give as --memory for so many bytes."""
    return f"{-(-needed // int(SHARE * 1e9))}G" if needed > 1e8 else f"{-(-needed // int(SHARE * 1e6))}M"
