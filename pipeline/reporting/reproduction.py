"""How to come to the same numbers again: commands, digests, recipes, and what made each run."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ...cache.features import FeatureSet
from ...cache.runs import Run
from ...cache.store import FeatureStore
from ...cache.table import Dataset
from ..datasets.labelling import Labelling
from ..runs.inputs import JOINT, extraction_command
from ..runs.rendering import Record, command_of

_TOLD = ("settings", "found", "seed", "views", "augment", "tta", "features_digest", "created", "versions", "machine")


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What somebody needs who wants to do it again."""

    commands: tuple[str, ...]
    """In the order in which they are to be run."""
    digests: dict[str, str]
    recipes: dict[str, str]
    """By feature set, as JSON."""
    runs: dict[str, str]
    """What made each run, as JSON."""


def tell_again(runs: Sequence[Run], *, store: FeatureStore, table: Dataset) -> Reproduction:
    """Return how to do some runs again.

    Parameters
    ----------
    runs : sequence of Run
        At least one, all of the data set.
    store : FeatureStore
    table : Dataset
    """
    sets = {features.digest: features for features in store.feature_sets()}
    used = dict.fromkeys(digest for run in runs for digest in run.record["features_digest"].split(JOINT))
    found = [sets[digest] for digest in used if digest in sets]
    return Reproduction(
        commands=(
            *(_extraction(features, table) for features in found),
            *(command_of(run.record, store=store.folder) for run in runs),
            shlex.join(["report-heads", "--dataset", table.name, "--store", str(store.folder)]),
        ),
        digests={
            "data set": table.digest,
            "rows learned from": runs[0].record["examples_digest"],
            **{f"features of {each.recipe.backbone}": each.digest for each in found},
        },
        recipes={each.recipe.folder: json.dumps(each.recipe.to_json(), indent=1) for each in found},
        runs={run.id: json.dumps(_told(run.record), indent=1) for run in runs},
    )


def _extraction(features: FeatureSet, table: Dataset) -> str:
    program, *options = shlex.split(extraction_command(features, table.name))
    asked = Labelling.from_json(table.origin.labelling).to_options()
    if table.origin.seed:
        asked += ["--seed", str(table.origin.seed)]
    return shlex.join([program, str(table.origin.source), *options, *asked])


def _told(record: Record) -> Record:
    return {name: record[name] for name in _TOLD if name in record}
