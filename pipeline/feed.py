"""Pictures decoded ahead of the networks, in order, by threads; memory is bounded by how far ahead.

A file is read and hashed once; it is decoded once for all frames of one size and resize. Decoding
releases Python's lock for most of its time, so threads are enough to keep a network busy.
"""

import os
import stat
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..cache.index import hash_bytes
from ..cache.part import Key
from ..cache.recipe import Recipe
from .augmentation import ORIGINAL, View
from .errors import UnreadableImage
from .images import DEFAULT_POLICY, ReadingPolicy, decode_views, quiet_decoders


class Frame(NamedTuple):
    """How pixels come to a network: what one decoded picture can be in several."""

    size: tuple[int, int]
    """Height and width, pixels."""
    resize: str
    """Mode and filter."""
    view: View = ORIGINAL

    @classmethod
    def of(cls, recipe: Recipe) -> "Frame":
        """Return how pictures come to the network by a recipe."""
        return cls(recipe.input_size, recipe.resize, View(recipe.view, recipe.augment))


@dataclass(frozen=True, slots=True)
class Picture:
    """A file to be decoded."""

    path: Path
    name: str
    """Path relative to the data set's root."""
    expected: Key
    """What its bytes hashed to when the extraction was planned."""
    frames: tuple[Frame, ...]
    """That are wanted of it."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a file."""

    name: str
    expected: Key
    key: Key | None
    """Of the very buffer that was decoded; None where the file could not be read."""
    pixels: Mapping[Frame, NDArray[np.uint8]] | None
    """(h, w, 3) RGB of each frame; None where it could not be decoded."""
    reason: str
    """Why not."""
    read_seconds: float = 0.0
    """In which its bytes were read and hashed."""
    decode_seconds: float = 0.0


@contextmanager
def decoding_ahead(
    pictures: Sequence[Picture],
    policy: ReadingPolicy = DEFAULT_POLICY,
    *,
    ahead: int,
) -> Iterator[Iterator[Decoded]]:
    """Give an iterator over the decoded pictures, in order, at most `ahead` of them waiting."""
    # Here, since where all is cached nothing has need of it.
    from joblib import cpu_count

    with quiet_decoders(policy), ThreadPoolExecutor(cpu_count(), thread_name_prefix="decode") as threads:

        def decoded() -> Iterator[Decoded]:
            rest = iter(pictures)
            waiting: deque[Future[Decoded]] = deque()
            for picture in islice(rest, ahead):
                waiting.append(threads.submit(_decode, picture, policy))
            while waiting:
                done = waiting.popleft().result()
                for picture in islice(rest, 1):
                    waiting.append(threads.submit(_decode, picture, policy))
                yield done

        try:
            yield decoded()
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def read_file(path: Path, policy: ReadingPolicy = DEFAULT_POLICY) -> bytes:
    """Return the bytes of a picture file; this never waits for anything but the disk.

    Raises
    ------
    UnreadableImage
        It is no regular file, or larger than any picture that is allowed.
    OSError
        It cannot be read.
    """
    # A pipe without a writer would block the opening; what was opened is looked at, not the name.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableImage("not a regular file")
        if status.st_size > policy.max_bytes:
            raise UnreadableImage(
                f"larger than any picture that --max-pixels allows ({status.st_size:,} bytes, "
                f"expected at most {policy.max_bytes:,})"
            )
        return file.read()


def _decode(picture: Picture, policy: ReadingPolicy) -> Decoded:
    started = time.perf_counter()
    try:
        content = read_file(picture.path, policy)
    except OSError as error:
        return Decoded(picture.name, picture.expected, None, None, f"cannot be read: {error.strerror}")
    except UnreadableImage as error:
        return Decoded(picture.name, picture.expected, None, None, str(error))
    key = hash_bytes(content)
    read = time.perf_counter()
    pixels: dict[Frame, NDArray[np.uint8]] = {}
    reason = ""
    try:
        for (size, resize), alike in groupby(sorted(picture.frames), key=lambda frame: frame[:2]):
            frames = list(alike)
            views = [frame.view for frame in frames]
            arrays = decode_views(content, size, resize, policy, key=key, views=views)
            pixels.update(zip(frames, arrays, strict=True))
    except UnreadableImage as error:
        reason = str(error)
    seconds = read - started, time.perf_counter() - read
    return Decoded(picture.name, picture.expected, key, None if reason else pixels, reason, *seconds)
