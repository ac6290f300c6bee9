"""What a network computes in where that is left open: `--precision auto`, settled before there is a recipe.

Nothing is timed or tried for it: the shipped verdicts on narrower types, what the processor has and what the store
has begun decide.
"""

from collections.abc import Callable, Sequence

from ...cache.recipe import Recipe
from ...cache.store import FeatureStore
from ...models.backbones.taps import Tap
from ...models.engines.engines import EngineChoice, choose_engine
from ...models.engines.precisions import TAP, Verdict, find_verdicts
from .frozen import FrozenBackbone
from .request import Request


def settle_precision(
    frozen: FrozenBackbone, taps: Sequence[Tap], request: Request, store: FeatureStore, recipe_in: Callable[..., Recipe]
) -> None:
    """Have a network, so far in float32, compute in what `auto` stands for here, and say why.

    A narrower type that has passed its test with these weights is taken where this machine has it. Features that
    the store has begun in another type that may be taken go on: a cache is not doubled.

    Parameters
    ----------
    frozen : FrozenBackbone
    taps : sequence of Tap
    request : Request
    store : FeatureStore
    recipe_in : callable
        Of tap, precision and engine: the recipe of the features.
    """

    def is_begun(precision: str, engine: str) -> bool:
        return bool(store.generations(recipe_in(tap=TAP, precision=precision, engine=engine)))

    possible, why = _possible(frozen, taps, request)
    begun = [verdict for verdict in possible if is_begun(verdict.precision, verdict.engine)]
    if possible and not begun and is_begun("float32", frozen.choice.engine):
        possible, why = [], "these features were begun in it"
    if not possible:
        frozen.why = f"auto is float32, since {why}"
    else:
        verdict = (begun or possible)[0]
        frozen.narrow(verdict.precision, _choose(frozen, verdict, request))
        frozen.why = f"auto is {verdict}"
    request["progress"].say(f"{frozen.backbone.name}: precision {frozen.why}")


def _possible(frozen: FrozenBackbone, taps: Sequence[Tap], request: Request) -> tuple[list[Verdict], str]:
    """Return the narrower types that may be taken, the fastest first, or why there is none."""
    if frozen.choice.device.is_gpu:
        return [], "narrower types were tested on processors only"
    if request["cluster"] is not None or request["backend"] is not None:
        return [], "other machines may have no narrower type"
    if any(tap != TAP for tap in taps):
        return [], f"narrower types were tested at the layer {TAP} only"
    verdicts = find_verdicts(frozen.backbone, frozen.digest)
    if not verdicts:
        return [], "narrower types were not tested with these weights at this input size"
    passing = [verdict for verdict in verdicts if verdict.passes]
    fitting = [verdict for verdict in passing if request["engine"] in (None, verdict.engine)]
    here = [verdict for verdict in fitting if verdict.computes_here]
    lacking = "this machine does not compute so" if fitting else f"--engine {request['engine']} is asked for"
    return here, f"{passing[0]}, but {lacking}" if passing else str(verdicts[0])


def _choose(frozen: FrozenBackbone, verdict: Verdict, request: Request) -> EngineChoice:
    return choose_engine(
        frozen.backbone.name,
        precision=verdict.precision,
        engine=verdict.engine,
        batch_size=request["batch_size"],
        device=request["device"],
    )
