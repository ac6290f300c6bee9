"""The model card beside an export: what it was made of, how good it is, what it is for, and what it may be used for."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from ...cache.recipe import Recipe
from ...cache.runs import Predictions
from ...cache.table import SPLITS, Dataset
from ...models.backbones.backbone import Backbone
from ..provenance import describe_environment
from ..reporting.markdown import escape
from ..units import format_size, format_time
from .parity import Checked, Parity
from .prediction_script import UNREAD

CARD = "README.md"
_TEMPLATE = "model_card.md.jinja"
_METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "top5_accuracy": "top-5 accuracy",
    "roc_auc": "area under the ROC curve",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}
_SEEN = {
    "crop": "It sees the centre square of a picture; what is beyond it does not count.",
    "squash": "It sees the whole picture, squashed to the input's shape whatever its own.",
    "pad": "It sees the whole picture, with gray beside it where its shape is not the input's.",
}


def render_card(
    record: Mapping[str, Any],
    *,
    table: Dataset,
    predictions: Predictions,
    temperature: float,
    recipe: Recipe,
    backbone: Backbone,
    weights: str,
    pictures: Checked,
    parities: Sequence[Parity],
) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    record : mapping
        The run's.
    table : Dataset
        That it was trained on.
    predictions : Predictions
        The run's, for the numbers of pictures.
    temperature : float
        That the models divide scores by; 1 where they are not calibrated.
    recipe : Recipe
        By which pictures become features.
    backbone : Backbone
    weights : str
        What was asked for.
    pictures : Checked
        That the artefacts were compared on.
    parities : sequence of Parity
        Of each artefact.
    """
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"escaped": escape, "size": format_size, "moment": format_time, "share": _share}
    classes = record["classes"]
    counts = np.zeros((len(classes), len(SPLITS)), dtype=int)
    np.add.at(counts, (predictions.labels, predictions.splits), 1)
    metrics = record["metrics"]
    judged = next(split for split in reversed(SPLITS) if metrics[split]["images"])
    return environment.from_string((files("demijohn.pipeline.deployment") / _TEMPLATE).read_text("utf-8")).render(
        run={"parent": None, "temperature": None, **record},
        classes=classes,
        backbone=backbone,
        weights=weights,
        size="x".join(map(str, recipe.input_size)),
        temperature=temperature,
        pictures=len(pictures.names),
        split=pictures.split,
        unread=UNREAD,
        unread_pictures=pictures.unread,
        parities=parities,
        layout=table.layout,
        splits=SPLITS,
        counts=counts.tolist(),
        judged=judged,
        per_class=metrics[judged].get("per_class"),
        metrics=[
            (words, [_with_interval(metrics[split], name) for split in SPLITS])
            for name, words in _METRICS.items()
            if any(metrics[split].get(name) is not None for split in SPLITS)
        ],
        seen=_SEEN[recipe.resize.partition("-")[0]],
        recipe={name: value for name, value in recipe.to_json().items() if name not in ("format", "view", "augment")},
        environment=describe_environment(),
    )


def _with_interval(metrics: Mapping[str, Any], name: str) -> str:
    value, interval = metrics.get(name), metrics.get(f"{name}_interval")
    if value is None:
        return "-"
    return f"{value:.4f}" + (f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
