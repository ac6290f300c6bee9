"""Feature sets opened for more rows as they were begun, whatever they were asked for with then.

What recipe.json says of a set is enough to find its network, weights and engine again. Where this
installation would follow another recipe, that is told field by field.
"""

from collections.abc import Sequence
from dataclasses import replace

from ...cache.features import FeatureSet
from ...cache.recipe import Recipe, differences
from ...cache.store import FeatureStore
from ...models.backbones.taps import Tap
from ..errors import InvalidRequest, OtherNumbers
from ..pictures.augmentation import augment_names, augment_recipe
from ..pictures.feed import Frame
from ..pictures.images import ReadingPolicy
from ..progress import Progress
from .frozen import FrozenBackbone
from .probing import Opened, Opener
from .request import Request, complete
from .survey import recipes_of


class Reopener:
    """Opens some feature sets; those of one network share it.

    Parameters
    ----------
    store : FeatureStore
    sets : sequence of FeatureSet
        All that may be opened.
    progress : Progress
    """

    def __init__(self, store: FeatureStore, sets: Sequence[FeatureSet], progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self._sets: dict[Recipe, list[FeatureSet]] = {}
        for each in sets:
            self._sets.setdefault(_network(each.recipe), []).append(each)
        self._openers: dict[Recipe, Opener] = {}

    def open(self, features: FeatureSet) -> Opened:
        """Return a feature set with what makes its rows.

        Raises
        ------
        InvalidRequest
            This version or these weights would follow another recipe.
        OtherNumbers
            This installation gives other numbers than those stored.
        ModelError
            The network cannot be had.
        """
        network = _network(features.recipe)
        if network not in self._openers:
            self._openers[network] = self._make_opener(self._sets[network])
        try:
            return self._openers[network].open(features, Frame.of(features.recipe))
        except OtherNumbers as error:
            fact = str(error).partition("; begin")[0]
            raise OtherNumbers(f"{fact}; run {features.command()} --new, and train again on its features") from error

    def _make_opener(self, sets: Sequence[FeatureSet]) -> Opener:
        request = request_of(self._store, sets[0], self._progress)
        frozen = find_network(self._store, sets[0], request)
        frozen.remember()
        taps = dict.fromkeys(Tap(each.recipe.layer, each.recipe.pooling) for each in sets)
        frames = dict.fromkeys(Frame.of(each.recipe) for each in sets)
        return Opener(self._store, frozen, taps=list(taps), frames=list(frames), request=request)


def request_of(store: FeatureStore, features: FeatureSet, progress: Progress) -> Request:
    """Return the request that a feature set which was begun answers, but for its view."""
    begun, recipe = features.begun, features.recipe
    provenance = begun.provenance if begun else {}
    # Below float32 the engine is of the recipe.
    precision, _, engine = recipe.precision.partition(" on ")
    return complete(
        {
            "backbones": (provenance.get("backbone", recipe.backbone),),
            "weights": provenance.get("weights", "imagenet"),
            "preprocessing": provenance.get("preprocessing"),
            "input_size": recipe.input_size,
            "layers": (recipe.layer,),
            "pooling": recipe.pooling,
            "precision": precision,  # type: ignore[typeddict-item]
            "engine": engine or None,
            "resize": recipe.resize.partition("-")[0],
            "reading": ReadingPolicy.of(recipe.decoder),
            "store": store.folder,
            "progress": progress,
        }
    )


def find_network(store: FeatureStore, features: FeatureSet, request: Request) -> FrozenBackbone:
    """Return the network that makes the rows of a feature set, by the request that it answers.

    Raises
    ------
    InvalidRequest
        This version or these weights would follow another recipe.
    """
    recipe = features.recipe
    [(frozen, _, [found, *_])] = recipes_of(store, request)
    augment = augment_recipe(augment_names(recipe.augment)) if recipe.view else "none"
    possible = replace(found.recipe.of_view(recipe.view, augment), generation=recipe.generation)
    if fields := differences(recipe, possible):
        raise InvalidRequest(
            f"the rows of {recipe.folder} cannot be made here, since the recipe would be another: "
            f"{'; '.join(fields)}; use the version or the weights that made them"
        )
    return frozen


def _network(recipe: Recipe) -> Recipe:
    """Return what the recipes have in common that one network serves."""
    return replace(recipe, layer="", pooling="", view=0, augment="", generation=0)
