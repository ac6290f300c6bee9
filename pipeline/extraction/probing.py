"""Does the present installation give the numbers that are stored? Two small pictures tell.

`probe.jpg` and `probe.png` lie beside this file. They go the whole way from bytes to vector: decoder,
colour, resize, view, preprocessing, network, engine. Their features stand in recipe.json since the
feature set was begun, and are made again before rows are added to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cache.features import FeatureSet
from ...cache.index import hash_bytes
from ...cache.probe import TOLERANCE, Probe
from ...cache.remedies import on_store
from ...cache.store import FeatureStore
from ...models.backbones.taps import Tap
from ...models.engines.engine import Engine
from ...models.engines.engines import ENGINES, EngineChoice
from ...models.errors import UnsuitableSetting
from ..errors import OtherNumbers
from ..pictures.feed import Frame
from ..pictures.images import ReadingPolicy, decode_views, quiet_decoders
from ..provenance import describe_environment
from .frozen import FrozenBackbone
from .request import Request, options_of

PICTURES = ("probe.jpg", "probe.png")
_PROBE_WIDTH = 8192
"""Of a wider vector, such as a whole map, every second, third, ... value is kept."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A feature set to which rows may be added, and what makes them."""

    features: FeatureSet
    engine: Engine
    output: int
    """Which of the engine's outputs belongs to it."""


class Opener:
    """Opens the feature sets of one backbone, with engines that give their numbers.

    An engine serves all taps and views at once. It is started when the first set needs it, and once
    more where a set was begun with another engine or batch size: a set is continued as it was begun.
    """

    def __init__(
        self,
        store: FeatureStore,
        frozen: FrozenBackbone,
        *,
        taps: Sequence[Tap],
        frames: Sequence[Frame],
        request: Request,
    ) -> None:
        self._frozen = frozen
        self._store = store
        self._taps = list(taps)
        self._frames = list(frames)
        # Not the user's policy: a limit on pixels says nothing about numbers.
        self._reading = ReadingPolicy.of(request["reading"].decoder)
        self._request = request
        self._engines: dict[EngineChoice, Engine] = {}
        self._probes: dict[Engine, dict[Frame, list[Probe]]] = {}
        self._said: set[str] = set()

    def choose_generation(self, wanted: Sequence[tuple[FeatureSet, Frame]]) -> int:
        """Return the newest generation of a family whose numbers this installation gives in all views, or the next.

        Parameters
        ----------
        wanted : sequence of (FeatureSet, Frame)
            The views, of any generation.
        """
        recipes = [(features.recipe, frame) for features, frame in wanted]
        known = {each.recipe.generation for recipe, _ in recipes for each in self._store.generations(recipe)}
        for generation in sorted(known, reverse=True):
            sets = [
                (self._store.feature_set(replace(recipe, generation=generation)), frame) for recipe, frame in recipes
            ]
            if all((self._difference(*each) or 0.0) <= TOLERANCE for each in sets):
                return generation
        return max(known) + 1 if known else 0

    def open(self, features: FeatureSet, frame: Frame) -> Opened:
        """Return a feature set, begun if it was not, with what makes its rows.

        Parameters
        ----------
        features : FeatureSet
        frame : Frame
            How pictures come to the network for it.

        Raises
        ------
        OtherNumbers
            The installation gives other numbers than those stored.
        StoreNotWritable
            The feature set cannot be begun.
        """
        difference = self._difference(features, frame)
        if difference is None:
            return self._begin(features, frame, self._output(features))
        begun = features.begun
        assert begun is not None
        if difference > TOLERANCE:
            raise OtherNumbers(_complaint(features, begun.provenance, difference))
        return Opened(features, self._engine(self._as_begun(begun.provenance)), self._output(features))

    def _difference(self, features: FeatureSet, frame: Frame) -> float | None:
        """Return by how much the probe of a set differs from that of this installation; None where it is not begun."""
        begun = features.begun
        if begun is None:
            return None
        engine = self._engine(self._as_begun(begun.provenance))
        return begun.probe.difference(self._probe(engine, frame, self._output(features)))

    def _output(self, features: FeatureSet) -> int:
        return self._taps.index(Tap(features.recipe.layer, features.recipe.pooling))

    def _begin(self, features: FeatureSet, frame: Frame, output: int) -> Opened:
        engine = self._engine(self._frozen.choice)
        probe = self._probe(engine, frame, output)
        # As it was settled here: where it was left open, another machine would settle it otherwise.
        options = options_of({**self._request, "precision": self._frozen.precision})  # type: ignore[typeddict-item]
        if self._frozen.precision != "float32":
            # There the engine is of the recipe.
            options += ["--engine", engine.name]
        provenance = {
            "engine": engine.name,
            "batch_size": engine.batch_size,
            "shape": list(engine.shapes[output]),
            **self._frozen.asked,
            "weights": self._frozen.request,
            "options": options,
            **({"precision": self._frozen.why} if self._frozen.why else {}),
            "device": engine.device,
            **describe_environment(),
        }
        begun = features.begin(provenance, probe)
        # Another process on another installation may have begun it at the same instant.
        difference = begun.probe.difference(probe)
        if difference > TOLERANCE:
            raise OtherNumbers(_complaint(features, begun.provenance, difference))
        return Opened(features, engine, output)

    def _as_begun(self, provenance: dict[str, Any]) -> EngineChoice:
        """Return what a feature set was begun with, as far as this machine has it and nothing else is asked for."""
        usual, begun = self._frozen.choice, provenance["engine"]
        size = self._request["batch_size"]
        if self._request["engine"] in (None, begun) and begun in ENGINES and ENGINES[begun].installed:
            try:
                ENGINES[begun].kind.check(self._frozen.precision, usual.device)
                return EngineChoice(begun, size or provenance["batch_size"], usual.device)
            except UnsuitableSetting:
                pass
        if usual.engine != begun:
            self._say(f"these features were begun with {begun}; {usual.engine} goes on, if its numbers agree")
        return usual

    def _engine(self, choice: EngineChoice) -> Engine:
        if choice in self._engines:
            return self._engines[choice]
        if not self._engines:
            self._say(f"loading {self._frozen.backbone.name}")
        engine = self._frozen.start_with_fallback(choice, self._taps, asked=self._request["engine"] is not None)
        self._engines[choice] = engine
        return engine

    def _probe(self, engine: Engine, frame: Frame, output: int) -> Probe:
        # All at once: batches are padded, so that a picture alone would cost as much.
        if engine not in self._probes:
            self._probes[engine] = make_probes(engine, self._frames, self._reading)
        return self._probes[engine][frame][output]

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._request["progress"].say(text)


def make_probes(engine: Engine, frames: Sequence[Frame], reading: ReadingPolicy) -> dict[Frame, list[Probe]]:
    """Return the features of the probe pictures in each frame, a probe per output of the engine."""
    folder = files("demijohn.pipeline.extraction")
    pixels: list[NDArray[np.uint8]] = []
    with quiet_decoders(reading):
        for name in PICTURES:
            content = (folder / name).read_bytes()
            for frame in frames:
                pixels += decode_views(
                    content, frame.size, frame.resize, reading, key=hash_bytes(content), views=[frame.view]
                )
    size = engine.batch_size
    batches = [engine.extract(np.stack(pixels[start : start + size])) for start in range(0, len(pixels), size)]
    outputs = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    probes = {}
    for place, frame in enumerate(frames):
        at = {name: number * len(frames) + place for number, name in enumerate(PICTURES)}
        probes[frame] = [Probe({name: _thin(rows[index]) for name, index in at.items()}) for rows in outputs]
    return probes


def _thin(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector[:: -(-len(vector) // _PROBE_WIDTH)].copy()


def _complaint(features: FeatureSet, provenance: dict[str, Any], difference: float) -> str:
    then, now = provenance.get("versions", {}), describe_environment()["versions"]
    changed = [f"{name} {then[name]} -> {now[name]}" for name in now if name in then and then[name] != now[name]]
    since = f" ({', '.join(changed)})" if changed else ""
    compare = f"demijohn cache verify --features {features.digest[:12]} --recompute 20"
    compare = on_store(compare, features.folder.parent.parent)
    return (
        f"this installation gives other features of {features.recipe.backbone} than those in {features.folder}{since}: "
        f"the probe differs by {difference:.3%} of its greatest value, expected at most {TOLERANCE:.2%}; "
        f"begin a feature set of its own with --new, or see by how much stored rows differ with {compare}"
    )
