"""Pictures decoded ahead of the networks, in order, by threads; memory is bounded by how far ahead.

A file is read and hashed once; it is decoded once for all frames of one size and resize. Decoding
releases Python's lock for most of its time, so threads are enough to keep a network busy.
"""

import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from threading import BoundedSemaphore
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...cache.index import hash_bytes
from ...cache.part import Key
from ...cache.places import Place
from ...cache.recipe import Recipe
from ..errors import UnreadableImage
from .augmentation import ORIGINAL, View
from .images import DEFAULT_POLICY, ReadingPolicy, decode_views, quiet_decoders
from .sources import read_file, reading_threads, why_unreadable


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

    path: Place
    name: str
    """Path relative to the data set's root."""
    expected: Key
    """What its bytes hashed to when the extraction was planned, or what stood in for that."""
    frames: tuple[Frame, ...]
    """That are wanted of it."""
    size: int | None = None
    """Bytes, where they are known of what lies elsewhere."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a file."""

    name: str
    expected: Key
    key: Key | None
    """Of the very buffer that was decoded; None where the file could not be read."""
    pixels: Mapping[Frame, NDArray[np.uint8]] | None
    """(h, w, 3) RGB of each frame; None where it could not be decoded, empty where its rows are there already."""
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
    known: Collection[Key] | None = None,
) -> Iterator[Iterator[Decoded]]:
    """Give an iterator over the decoded pictures, in order, at most `ahead` of them waiting.

    With `known`, what turns out to have other bytes than expected, and these are known or of a picture before
    it, is not decoded. More threads read what lies elsewhere than there are processors; no more than these decode.
    """
    # Here, since where all is cached nothing has need of it.
    from joblib import cpu_count

    count = reading_threads(picture.path for picture in pictures)
    decode = partial(
        _decode, policy=policy, slots=BoundedSemaphore(cpu_count()), seen=None if known is None else set(known)
    )
    with quiet_decoders(policy), ThreadPoolExecutor(count, thread_name_prefix="decode") as threads:

        def decoded() -> Iterator[Decoded]:
            rest = iter(pictures)
            waiting: deque[Future[Decoded]] = deque()
            for picture in islice(rest, ahead):
                waiting.append(threads.submit(decode, picture))
            while waiting:
                done = waiting.popleft().result()
                for picture in islice(rest, 1):
                    waiting.append(threads.submit(decode, picture))
                yield done

        try:
            yield decoded()
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def _decode(picture: Picture, policy: ReadingPolicy, slots: BoundedSemaphore, seen: set[Key] | None) -> Decoded:
    started = time.perf_counter()
    try:
        content = read_file(picture.path, policy, size=picture.size)
    except (OSError, UnreadableImage) as error:
        return Decoded(picture.name, picture.expected, None, None, why_unreadable(error))
    key = hash_bytes(content)
    read = time.perf_counter()
    if seen is not None and key != picture.expected:
        if key in seen:
            return Decoded(picture.name, picture.expected, key, {}, "", read - started)
        seen.add(key)
    pixels: dict[Frame, NDArray[np.uint8]] = {}
    reason = ""
    try:
        with slots:
            began = time.perf_counter()
            for (size, resize), alike in groupby(sorted(picture.frames), key=lambda frame: frame[:2]):
                frames = list(alike)
                views = [frame.view for frame in frames]
                arrays = decode_views(content, size, resize, policy, key=key, views=views)
                pixels.update(zip(frames, arrays, strict=True))
    except UnreadableImage as error:
        reason = str(error)
    seconds = read - started, time.perf_counter() - began
    return Decoded(picture.name, picture.expected, key, None if reason else pixels, reason, *seconds)
