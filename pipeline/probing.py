"""Does the present installation give the numbers that are stored? Two small pictures tell.

`probe.jpg` and `probe.png` lie beside this file. They go the whole way from bytes to vector: decoder,
colour, resize, preprocessing, network, engine. Their features stand in recipe.json since the feature
set was begun, and are made again before rows are added to it.
"""

from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import numpy as np

from ..cache.features import FeatureSet
from ..cache.probe import TOLERANCE, Probe
from ..cache.recipe import Recipe
from ..cache.store import FeatureStore
from ..models.backend import device_name
from ..models.engines import BATCH_SIZE, TensorFlowEngine
from .errors import OtherNumbers
from .frozen import FrozenBackbone
from .images import ReadingPolicy, decode_image, quiet_decoders
from .progress import Progress
from .provenance import describe_environment

PICTURES = ("probe.jpg", "probe.png")


@dataclass(frozen=True, slots=True)
class Opened:
    """A feature set to which rows may be added, and what makes them."""

    features: FeatureSet
    engine: TensorFlowEngine


def open_features(
    store: FeatureStore,
    recipe: Recipe,
    frozen: FrozenBackbone,
    progress: Progress,
    *,
    new: bool = False,
) -> Opened:
    """Return the feature set of a recipe, begun if it was not, with an engine that gives its numbers.

    Parameters
    ----------
    store : FeatureStore
    recipe : Recipe
        Of any generation.
    frozen : FrozenBackbone
    progress : Progress
    new : bool
        Where the installation gives other numbers than the newest generation, take an older one
        that it agrees with, or else begin a generation of its own.

    Raises
    ------
    OtherNumbers
        The installation gives other numbers than those stored, and `new` is not asked for.
    StoreNotWritable
        The feature set cannot be begun.
    """
    generations = store.generations(recipe)
    progress.say(f"loading {frozen.backbone.name}")
    engines: dict[int, TensorFlowEngine] = {}

    def engine_of(batch_size: int) -> TensorFlowEngine:
        if batch_size not in engines:
            engines[batch_size] = TensorFlowEngine(frozen.backbone, frozen.load()[0], batch_size=batch_size)
        return engines[batch_size]

    for features in generations:
        begun = features.begun
        assert begun is not None
        engine = engine_of(begun.provenance["batch_size"])
        difference = begun.probe.difference(make_probe(engine, recipe))
        if difference <= TOLERANCE:
            return Opened(features, engine)
        if not new:
            raise OtherNumbers(_complaint(features, begun.provenance, difference))
    return _begin(store, recipe, frozen, engine_of(BATCH_SIZE), generations)


def make_probe(engine: TensorFlowEngine, recipe: Recipe) -> Probe:
    """Return the features of the probe pictures, each through the whole chain on its own."""
    folder = files("demijohn.pipeline")
    # Not the user's policy: a limit on pixels says nothing about numbers.
    reading = ReadingPolicy.of(recipe.decoder)
    vectors = {}
    with quiet_decoders(reading):
        for name in PICTURES:
            pixels = decode_image((folder / name).read_bytes(), recipe.input_size, recipe.resize, reading)
            vectors[name] = np.array(engine.extract(pixels[None])[0][0])
    return Probe(vectors)


def _begin(
    store: FeatureStore,
    recipe: Recipe,
    frozen: FrozenBackbone,
    engine: TensorFlowEngine,
    generations: list[FeatureSet],
) -> Opened:
    generation = generations[0].recipe.generation + 1 if generations else 0
    features = store.feature_set(replace(recipe, generation=generation))
    provenance = {
        "engine": TensorFlowEngine.name,
        "batch_size": engine.batch_size,
        "width": frozen.backbone.width,
        "weights": frozen.request,
        "device": device_name(),
        **describe_environment(),
    }
    probe = make_probe(engine, recipe)
    begun = features.begin(provenance, probe)
    # Another process on another installation may have begun it at the same instant.
    difference = begun.probe.difference(probe)
    if difference > TOLERANCE:
        raise OtherNumbers(_complaint(features, begun.provenance, difference))
    return Opened(features, engine)


def _complaint(features: FeatureSet, provenance: dict[str, Any], difference: float) -> str:
    then, now = provenance.get("versions", {}), describe_environment()["versions"]
    changed = [f"{name} {then[name]} -> {now[name]}" for name in now if name in then and then[name] != now[name]]
    since = f" ({', '.join(changed)})" if changed else ""
    return (
        f"this installation gives other features of {features.recipe.backbone} than those in {features.folder}{since}: "
        f"the probe differs by {difference:.3%} of its greatest value, expected at most {TOLERANCE:.2%}; "
        "begin a feature set of its own with --new, or see by how much stored rows differ with "
        f"demijohn cache verify --features {features.digest[:12]} --recompute 20"
    )
