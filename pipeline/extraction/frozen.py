"""The frozen backbone of an extraction: known by the digest of its weights, loaded only when needed.

The digest is of the real arrays, which takes Keras to find out. It is remembered by the SHA-256 of
the weights file, so that a run that finds everything cached never imports Keras. What an engine
compiled of it is kept as well, so that the next extraction starts without building the network.
"""

import gc
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...cache.index import hash_file
from ...cache.part import Key
from ...cache.recipe import Recipe
from ...cache.store import FeatureStore
from ...models.backbones.backbone import Backbone
from ...models.backbones.taps import Tap
from ...models.backbones.weights import load_extractor, locate_weights
from ...models.backend import keras_version
from ...models.engines.engine import Engine
from ...models.engines.engines import ENGINES, FORM, EngineChoice, compile_backbone, open_engine, versions_of
from ...models.errors import ModelError, UnsuitableEngine
from ..progress import SILENT, Progress


class FrozenBackbone:
    """A backbone and its weights."""

    def __init__(
        self,
        backbone: Backbone,
        request: str,
        store: FeatureStore,
        progress: Progress,
        *,
        choice: EngineChoice,
        precision: str = "float32",
        asked: Mapping[str, Any] | None = None,
    ) -> None:
        self.backbone = backbone
        self.request = request
        self.precision = precision
        self.choice = choice
        """What runs it, where a feature set was not begun with something else."""
        self.why: str | None = None
        """Why it computes so, where that was left open."""
        self.asked = dict(asked or {"backbone": backbone.name, "preprocessing": None})
        """What `resolve_backbone` finds the record by again."""
        self._located = locate_weights(backbone, request)
        self._store = store
        self._progress = progress
        # Another Keras may order a network's weights in another way, so its version is part of the name.
        self._name = f"{backbone.name} keras-{keras_version()}"
        self._network: Any = None
        self._was_loaded = False
        self._file = self._hash_file()
        known = None if self._file is None else store.index.recall_weights(self._file, self._name)
        self.digest: str = self._located.identity or known or ""
        if not self.digest:
            self.load()

    def __getstate__(self) -> dict[str, Any]:
        """Go to another process without the network: what was compiled of it lies in the store."""
        return {**self.__dict__, "_network": None, "_progress": SILENT}

    def settle(self, choice: EngineChoice, progress: Progress) -> None:
        """Let it be run by what was chosen for another process or machine than that where it was made."""
        self.choice = choice
        self._progress = progress

    def narrow(self, precision: str, choice: EngineChoice) -> None:
        """Let it compute in a narrower type than that it was made for."""
        self.precision, self.choice = precision, choice
        if not choice.record.casts:
            # What was loaded for the digest was built in float32.
            self._network = None

    def load(self) -> Any:
        """Return the Keras network without classifier; from then on the digest of its weights is known.

        Raises
        ------
        ModelError
            The weights cannot be had, or are not those that the digest was remembered of.
        """
        if self._network is None:
            if self._located.file is None and self._located.seed is None and not self.backbone.complete:
                self._progress.say(f"downloading the weights of {self.backbone.name}")
            # Some engines narrow a network when they compile it; for others it is built so.
            precision = "float32" if self.choice.record.casts else self.precision
            self._network, digest = load_extractor(self.backbone, self._located, precision=precision)
            self._was_loaded = True
            if self.digest not in ("", digest):
                raise ModelError(
                    f"the weights of {self.backbone.name} have digest {digest[:12]}, expected "
                    f"{self.digest[:12]} as remembered: remove images.sqlite from the store and try again"
                )
            self.digest = digest
        return self._network

    def start(self, choice: EngineChoice, taps: Sequence[Tap], *, keep: bool = True) -> Engine:
        """Return an engine that runs the backbone; compiled now, unless the store has kept what was compiled before.

        Parameters
        ----------
        choice : EngineChoice
        taps : sequence of Tap
        keep : bool
            What is compiled now is kept in the store.

        Raises
        ------
        ModelError
            The network cannot be had, or the engine cannot take it.
        """
        made = {
            "form": FORM,
            "engine": choice.engine,
            "backbone": self.backbone.name,
            "weights": self.digest,
            "input_size": list(self.backbone.input_size),
            "preprocessing": str(self.backbone.preprocessing),
            "taps": [[tap.layer, tap.pooling] for tap in taps],
            "precision": self.precision,
            "batch_size": choice.batch_size,
            "versions": versions_of(choice.engine),
        }
        with self._store.compiled.provide(made, partial(self._compile, choice=choice, taps=taps), keep=keep) as folder:
            return open_engine(folder, choice.device)

    def start_with_fallback(
        self, choice: EngineChoice, taps: Sequence[Tap], *, asked: bool, keep: bool = True
    ) -> Engine:
        """Return an engine as `start` does; in float32 TensorFlow takes the place of one that cannot take the network.

        With `asked`, the engine was asked for by name and is not replaced.
        """
        try:
            return self.start(choice, taps, keep=keep)
        except UnsuitableEngine as error:
            if choice.engine == "tensorflow":
                raise
            # Another engine makes the same numbers in float32 only.
            if asked or self.precision != "float32":
                raise UnsuitableEngine(f"{error}; choose --engine tensorflow") from error
            self._progress.say(f"{error}; tensorflow takes its place")
            batch_size = ENGINES["tensorflow"].batch_of(self.backbone.name)
            return self.start(EngineChoice("tensorflow", batch_size, choice.device), taps, keep=keep)

    def _compile(self, folder: Path, *, choice: EngineChoice, taps: Sequence[Tap]) -> None:
        compile_backbone(folder, self.backbone, self.load(), choice, taps=taps, precision=self.precision)
        # The engine opens what was written; the network would only take memory beside it.
        self._network = None
        gc.collect()

    def remember(self) -> None:
        """Keep the digest, so that the next run knows it without Keras."""
        # After a download the file lies where Keras keeps it.
        path = self._located.file or locate_weights(self.backbone).file
        if not self._was_loaded or self._located.seed is not None or path is None:
            return
        hashed = hash_file(path)
        self._store.index.remember([hashed])
        self._store.index.remember_weights(hashed.key, self._name, self.digest)

    def _hash_file(self) -> Key | None:
        path = self._located.file
        return None if path is None else self._store.index.recall([path]).get(path) or hash_file(path).key


def is_compiled_for(made: Mapping[str, Any], recipe: Recipe) -> bool:
    """Say whether what was compiled of this (see `FrozenBackbone.start`) makes rows of a recipe."""
    network = {
        "backbone": recipe.backbone,
        "weights": recipe.weights,
        "input_size": list(recipe.input_size),
        "preprocessing": recipe.preprocessing,
        "precision": recipe.precision.partition(" ")[0],
    }
    taps = made.get("taps", [])
    return all(made.get(name) == value for name, value in network.items()) and [recipe.layer, recipe.pooling] in taps
