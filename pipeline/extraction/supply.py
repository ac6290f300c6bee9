"""Features of any pictures by the recipes of some feature sets: from the store where they are, else made now and kept.

A file that has not changed since the store's index saw it is not read, and a picture that has features is
not decoded, whichever command made them. Where the store cannot be written, what is made now is kept
in a temporary folder for as long as the supply is open.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...cache.errors import StoreNotWritable
from ...cache.features import FeatureSet
from ...cache.index import hash_bytes
from ...cache.part import Key, keys_to_array
from ...cache.places import place_of
from ...cache.refusals import Refusal
from ...cache.store import FeatureStore
from ...cache.writer import FeatureWriter
from ...models.engines.engine import Engine
from ..datasets.dataset import find_keys_anywhere
from ..datasets.examples import refusals_that_hold
from ..interruption import stopping_gently
from ..pictures.augmentation import make_view
from ..pictures.feed import Frame, Picture, decoding_ahead
from ..pictures.images import MAX_PIXELS, ReadingPolicy, decoder_version
from .batching import Batcher, Target
from .breakdown import Breakdown
from .probing import Opened

_PICTURES_AHEAD = 96
"""Frames that are decoded ahead of the networks; bounds the memory."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Supplied:
    """What became of some files."""

    keys: Mapping[str, Key]
    """Of those that have features now, by their paths."""
    reasons: Mapping[str, str]
    """Why the others have none."""


class FeatureSupply:
    """Makes and reads features; a context, at whose end what was made is merged.

    Parameters
    ----------
    store : FeatureStore
    views : sequence of sequences of FeatureSet
        Per view, the sets whose rows stand side by side.
    open_set : callable
        Returns a set with what makes its rows; called when the first row is missing.
    max_pixels : int
        Larger pictures are refused.
    """

    def __init__(
        self,
        store: FeatureStore,
        views: Sequence[Sequence[FeatureSet]],
        open_set: Callable[[FeatureSet], Opened],
        *,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._store = store
        self._views = views
        self._sets = {each.digest: each for sets in views for each in sets}
        self._open_set = open_set
        self._opened: dict[str, Opened] = {}
        self._policies = {
            each.digest: replace(ReadingPolicy.of(each.recipe.decoder), max_pixels=max_pixels)
            for each in self._sets.values()
        }
        self._refusals = {policy: refusals_that_hold(store, policy) for policy in set(self._policies.values())}
        self._stack = ExitStack()
        self._writers: dict[str, FeatureWriter] = {}
        self._elsewhere: dict[str, FeatureSet] = {}
        """What stands in for a set that cannot be written."""

    def __enter__(self) -> Self:
        self._stack.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writers, self._elsewhere = {}, {}
        self._stack.__exit__(kind, error, trace)
        for each in self._sets.values():
            each.note_use()

    @property
    def seen(self) -> tuple[Frame, ReadingPolicy]:
        """How pictures come to the first network: size and resize, and what is refused."""
        first = self._views[0][0]
        return Frame.of(first.recipe), self._policies[first.digest]

    @property
    def rows_at_once(self) -> int:
        """How many pictures should be asked for at once, so that their rows stay below 64 MiB."""
        width = sum(each.width for sets in self._views for each in sets)
        return max(16, min(1024, (64 << 20) // (4 * max(width, 1))))

    def fetch(self, paths: Iterable[str]) -> Supplied:
        """See to it that some files have features.

        Raises
        ------
        PipelineError, ModelError, CacheError
            Features cannot be made at all.
        KeyboardInterrupt
            On SIGINT or SIGTERM, after what was made has been stored.
        """
        found = find_keys_anywhere(list(dict.fromkeys(paths)), self._store.index)
        keys = found.keys
        reasons = {each.path: each.reason for each in found.skipped}
        self._store.index.remember(found.hashed)
        self._store.index.remember_objects(found.objects)
        # Each turn stores rows, learns of refusals or loses files; a file may change after it was hashed.
        while missing := self._find_missing(keys.values()):
            for policy in dict.fromkeys(self._policies[digest] for digest in missing):
                lacking = {digest: gone for digest, gone in missing.items() if self._policies[digest] == policy}
                self._make(policy, lacking, keys, reasons)
        for digest, policy in self._policies.items():
            there = self._there(digest, keys.values())
            for path in [path for path, key in keys.items() if key not in there]:
                reasons[path] = self._refusals[policy][keys.pop(path)]
        return Supplied(keys, reasons)

    def read(self, keys: Sequence[Key]) -> list[NDArray[np.float32]]:
        """Return the rows of pictures that have features, per view an array of shape (n, d)."""
        return [np.concatenate([self._read(each, keys) for each in sets], axis=1) for sets in self._views]

    def compute(self, pictures: Sequence[Pixels]) -> list[NDArray[np.float32]]:
        """Return the rows of pictures that are arrays, per view an array of shape (n, d); they are not kept.

        Parameters
        ----------
        pictures : sequence of ndarrays of shape (h, w, 3), uint8
            RGB, of any size.
        """
        images = [(Image.fromarray(each), hash_bytes(repr(each.shape).encode() + each.tobytes())) for each in pictures]
        passes: dict[tuple[Engine, Frame], list[NDArray[np.float32]]] = {}
        views = []
        for sets in self._views:
            columns = []
            for each in sets:
                opened, frame = self._open(each.digest), Frame.of(each.recipe)
                if (opened.engine, frame) not in passes:
                    passes[opened.engine, frame] = _run(opened.engine, frame, images)
                columns.append(passes[opened.engine, frame][opened.output])
            views.append(np.concatenate(columns, axis=1))
        return views

    def _find_missing(self, keys: Collection[Key]) -> dict[str, frozenset[Key]]:
        """Return, per digest, the keys without a row that can be had."""
        missing = {
            digest: frozenset(keys) - self._there(digest, keys) - self._refusals[policy].keys()
            for digest, policy in self._policies.items()
        }
        return {digest: gone for digest, gone in missing.items() if gone}

    def _there(self, digest: str, keys: Collection[Key]) -> set[Key]:
        places = [self._sets[digest], *filter(None, [self._elsewhere.get(digest)])]
        return set().union(*(place.find(keys) for place in places))

    def _read(self, features: FeatureSet, keys: Sequence[Key]) -> NDArray[np.float32]:
        elsewhere = self._elsewhere.get(features.digest)
        if elsewhere is None:
            return features.read(keys)
        return features.gather([*elsewhere.parts(), *features.parts()], keys_to_array(keys))

    def _make(
        self,
        policy: ReadingPolicy,
        missing: Mapping[str, frozenset[Key]],
        keys: dict[str, Key],
        reasons: dict[str, str],
    ) -> None:
        """Run the networks over what is missing; bring keys and reasons up to what was really read."""
        frames: dict[Key, dict[Frame, None]] = {}
        targets = []
        for digest, gone in missing.items():
            opened, frame = self._open(digest), Frame.of(self._sets[digest].recipe)
            for key in gone:
                frames.setdefault(key, {})[frame] = None
            target = Target(opened.features, frame, opened.output, gone, writer=self._writer(digest))
            targets.append((opened.engine, target))
        pictures = []
        for path, key in keys.items():
            if chosen := frames.pop(key, None):
                pictures.append(Picture(place_of(path), path, key, tuple(chosen)))
        # None where a pass before this one has found that the files are gone.
        ahead = max(2, _PICTURES_AHEAD // max((len(picture.frames) for picture in pictures), default=1))
        refused: dict[Key, str] = {}
        try:
            with (
                stopping_gently() as stop,
                Batcher(targets, Breakdown()) as batcher,
                decoding_ahead(pictures, policy, ahead=ahead) as decoded,
            ):
                for picture in decoded:
                    if stop.is_set():
                        raise KeyboardInterrupt
                    batcher.add(picture)
                    if picture.key is None:
                        del keys[picture.name]
                        reasons[picture.name] = picture.reason
                        continue
                    # Of the bytes that were really read.
                    keys[picture.name] = picture.key
                    if picture.pixels is None:
                        refused[picture.key] = picture.reason
                batcher.finish()
        finally:
            for digest in missing:
                self._writers[digest].commit()
            self._refuse(policy, refused)

    def _refuse(self, policy: ReadingPolicy, refused: Mapping[Key, str]) -> None:
        """Remember pictures that cannot be decoded, in the store as well, if it can be written."""
        self._refusals[policy].update(refused)
        version = decoder_version()
        with contextlib.suppress(StoreNotWritable):
            self._store.add_refusals(Refusal(key, reason, policy.outcome, version) for key, reason in refused.items())

    def _open(self, digest: str) -> Opened:
        if digest not in self._opened:
            self._opened[digest] = self._open_set(self._sets[digest])
        return self._opened[digest]

    def _writer(self, digest: str) -> FeatureWriter:
        """Return what stores the rows of a set until the supply is closed."""
        if digest not in self._writers:
            features = self._sets[digest]
            if not os.access(features.folder, os.W_OK):
                folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="demijohn-features-"))
                features = self._elsewhere[digest] = FeatureSet(Path(folder) / features.folder.name, features.recipe)
            self._writers[digest] = self._stack.enter_context(FeatureWriter(features))
        return self._writers[digest]


def _run(engine: Engine, frame: Frame, images: Sequence[tuple[Image.Image, Key]]) -> list[NDArray[np.float32]]:
    """Return the features of some pictures, an array per output of an engine."""
    height, width = frame.size
    pixels = [np.asarray(make_view(image, (width, height), frame.resize, key, frame.view)) for image, key in images]
    size = engine.batch_size
    batches = [np.stack(pixels[start : start + size]) for start in range(0, len(pixels), size)]
    with ThreadPoolExecutor(engine.streams, thread_name_prefix="forward") as threads:
        return [np.concatenate(parts) for parts in zip(*threads.map(engine.extract, batches), strict=True)]
