"""The report as one HTML page that needs nothing else: figures, pictures, and how to do it again.

Names of classes and files are data: jinja escapes them in HTML and SVG, its `tojson` in what the script
reads, and the script itself, fixed and named by its digest in the page's policy, writes text only.
"""

import base64
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ...cache.errors import CacheError
from ...cache.part import Key, keys_from_array
from ...cache.places import Place, place_within
from ...cache.runs import Predictions, Run
from ...cache.store import FeatureStore
from ...cache.table import SPLITS, Dataset
from ..auditing.summary import read_audit
from ..pictures.remains import draw_remains
from ..pictures.thumbnails import as_address, keep_thumbnails
from ..runs.rendering import Record
from ..statistics.evaluation import confusion_matrix
from ..units import format_time
from .charts import COLOURS, SHAPES, Chart, Rated, draw_cost, draw_history, draw_learning, draw_path, draw_reliability
from .feature_map import FEWEST, MOST, map_features
from .gallery import Gallery, choose_judged, choose_pictures
from .page_tables import COSTS, CostColumn, list_classes, list_confusion, list_differences, list_runs
from .reproduction import tell_again

PAGE = "index.html"
ON_MAP = 300
"""Pictures of the map that show when they are pointed at."""
PARTS = {
    "runs": "Runs",
    "cost": "Accuracy against cost",
    "differences": "Differences",
    "pictures": "Pictures",
    "map": "Map",
    "curves": "Loss and accuracy",
    "paths": "Strengths tried",
    "confusion": "Confusion",
    "classes": "Classes",
    "reliability": "Reliability",
    "learning": "Learning curve",
    "data": "Data",
    "skipped": "Skipped files",
    "again": "Do it again",
}
"""In the order of the page; one for which there is nothing is left out."""
_SKIPPED_SHOWN = 30


def render_report(report: Record, runs: Sequence[Run], *, store: FeatureStore, table: Dataset, folder: Path) -> bytes:
    """Return the page, UTF-8.

    Parameters
    ----------
    report : dict
        The content of report.json.
    runs : sequence of Run
        The same runs, the best by validation first.
    store : FeatureStore
    table : Dataset
    folder : Path
        Of the report; it keeps thumbnails and maps.
    """
    best = runs[0]
    judged = choose_judged(best.predictions, SPLITS.index(report["split"]) if report["split"] else None)
    split = SPLITS[int(judged.splits[0])]
    names: list[str] = best.record["classes"]
    metrics = best.record["metrics"][split]
    gallery = choose_pictures(judged, names)
    pointed = _choose_pointed(judged, gallery)
    kept = keep_thumbnails(store, table, gallery.keys | pointed, folder=folder)
    album = Album({row.key: row.path for row in reversed(table.rows)}, kept)
    drawn = _draw_map(judged, best.record, album, pointed - gallery.keys, store=store, folder=folder / "maps")
    sections: dict[str, Any] = {
        "runs": list_runs(report["runs"], best=report["best"], controls=report["controls"]),
        "cost": _draw_costs(report["runs"]),
        "differences": list_differences(report["comparisons"], {run["run"]: run["name"] for run in report["runs"]}),
        "pictures": gallery,
        "map": drawn,
        "curves": _draw_curves(runs, report["runs"]) or None,
        "paths": _draw_paths(report["runs"]) or None,
        "confusion": list_confusion(confusion_matrix(judged.labels, judged.predicted, len(names)), names),
        "classes": list_classes(names, metrics["per_class"]),
        "reliability": draw_reliability(metrics["reliability"]) if metrics["reliability"] else None,
        "learning": _draw_learning(report["learning_curve"]),
        "data": {"audit": read_audit(folder, table), "notes": report["notes"]},
        "skipped": {
            "reasons": _group_skipped(report["skipped"]),
            "remains": _draw_skipped(report["skipped"], table.origin.root),
        },
        "again": tell_again(runs, store=store, table=table),
    }
    script = _read("page.js")
    page = _environment(album).get_template("page.html.jinja")
    return page.render(
        style=Markup(_read("page.css")),
        script=Markup(script),
        script_digest=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        report=report,
        parts={part: title for part, title in PARTS.items() if sections[part] is not None},
        counts={name: best.record["metrics"][name]["images"] for name in SPLITS},
        names=names,
        shown=report["runs"][0],
        judged=split,
        metrics=metrics,
        probable=judged.are_probabilities,
        **sections,
    ).encode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Album:
    """What the page knows of pictures, by key."""

    paths: Mapping[Key, str]
    thumbnails: Mapping[Key, bytes]

    def address(self, key: Key) -> str | None:
        """Return the thumbnail as a `data:` address; None where there is none."""
        return as_address(self.thumbnails[key]) if key in self.thumbnails else None

    def path(self, key: Key) -> str:
        """Return the picture's path; empty where the data set has it no more."""
        return self.paths.get(key, "")


def tell_sureness(probability: float | None) -> str:
    """Return a probability in percent with a blank before it; nothing where there is none.

    >>> [tell_sureness(p).replace("\\u00a0", "_") for p in (0.734, 0.99999, 0.0002)], tell_sureness(None)
    ([' 73_%', ' >99.9_%', ' <0.1_%'], '')
    """
    if probability is None:
        return ""
    if probability > 0.999 or probability < 0.001:
        told = ">99.9" if probability > 0.5 else "<0.1"
    else:
        told = f"{100 * probability:.{0 if 0.01 <= probability <= 0.99 else 1}f}"
    # A number and its sign stay on one line.
    return f" {told}\N{NO-BREAK SPACE}%"


def _choose_pointed(judged: Predictions, gallery: Gallery) -> set[Key]:
    """Return the pictures of the map that show when they are pointed at: those of the gallery, mistakes, others."""
    keys, shown = keys_from_array(judged.keys[:MOST]), gallery.keys
    wrong = judged.labels != judged.predicted
    return {keys[i] for i in sorted(range(len(keys)), key=lambda i: (keys[i] not in shown, not wrong[i], i))[:ON_MAP]}


def _draw_map(
    judged: Predictions, record: Record, album: Album, apart: Collection[Key], *, store: FeatureStore, folder: Path
) -> dict[str, Any]:
    """Return what the template and the script need for the map, or the reason why there is none."""
    keys = keys_from_array(judged.keys[:MOST])
    if len(keys) < FEWEST:
        return {"reason": f"{len(keys)} pictures are too few for a map."}
    try:
        made = map_features(store, record["features_digest"], keys, folder=folder)
    except CacheError as error:
        return {"reason": f"No map: {error}."}
    claimed = judged.scores.max(axis=1)
    points = [
        {
            "key": key.hex(),
            "path": album.path(key),
            "truth": int(judged.labels[i]),
            "predicted": int(judged.predicted[i]),
            "sure": tell_sureness(float(claimed[i])) if judged.are_probabilities else "",
            "linear": made.linear[i],
            "neighbours": None if made.neighbours is None else made.neighbours[i],
        }
        for i, key in enumerate(keys)
    ]
    thumbnails = {key.hex(): address for key in sorted(apart) if (address := album.address(key))}
    return {
        "data": {"classes": record["classes"], "points": points, "thumbnails": thumbnails},
        "layout": "linear" if made.neighbours is None else "neighbours",
        "share": made.share,
    }


def _draw_costs(records: Sequence[Record]) -> dict[str, Any] | None:
    """Return accuracy against every cost that is known, on the split that chooses, where there is one."""
    split = "validation" if any(record["metrics"]["validation"]["images"] for record in records) else "test"
    known = [record for record in records if record["metrics"][split]["accuracy"] is not None]

    def rate(record: Record, cost: CostColumn) -> Rated:
        low, high = record["metrics"][split]["accuracy_interval"]
        name = record["name"]
        accuracy = record["metrics"][split]["accuracy"]
        return Rated(name, record["inputs"], record["head"], accuracy, (low, high), cost.read(record))

    charts = [
        draw_cost([rate(record, cost) for record in known], cost.title, unit=cost.unit, judged=split) for cost in COSTS
    ]
    return (
        {
            "charts": [chart for chart in charts if chart is not None],
            "backbones": sorted({record["inputs"] for record in known}),
            "heads": sorted({record["head"] for record in known}),
        }
        if any(charts)
        else None
    )


def _draw_learning(curve: Record | None) -> dict[str, Any] | None:
    chart = None if curve is None else draw_learning(curve["points"], judged=curve["split"])
    return None if curve is None or chart is None else {"chart": chart, "sentence": curve["sentence"]}


def _draw_curves(runs: Sequence[Run], records: Sequence[Record]) -> list[tuple[str, list[Chart]]]:
    """Return loss and accuracy of every run that learned in epochs, by its name."""
    found = []
    for run, record in zip(runs, records, strict=True):
        history = run.history
        drawn = [draw_history(history, column, title=record["name"]) for column in ("loss", "accuracy")]
        if charts := [chart for chart in drawn if chart is not None]:
            found.append((record["name"], charts))
    return found


def _draw_paths(records: Sequence[Record]) -> list[tuple[str, list[Chart]]]:
    """Return accuracy and loss by strength of every run whose strength was chosen, by its name."""
    found = []
    for record in records:
        drawn = [draw_path(record["found"], column, title=record["name"]) for column in ("loss", "accuracy")]
        if charts := [chart for chart in drawn if chart is not None]:
            found.append((record["name"], charts))
    return found


def _group_skipped(skipped: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for each in skipped:
        reasons.setdefault(each["reason"], []).append(each["path"])
    return dict(sorted(reasons.items(), key=lambda item: -len(item[1])))


def _draw_skipped(skipped: Sequence[Mapping[str, str]], root: Place) -> dict[str, str]:
    """Return, by path, what can still be seen of the first skipped pictures."""
    drawn = {each["path"]: draw_remains(place_within(root, each["path"])) for each in skipped[:_SKIPPED_SHOWN]}
    return {
        path: f"data:image/png;base64,{base64.b64encode(content).decode()}"
        for path, content in drawn.items()
        if content is not None
    }


def _environment(album: Album) -> Environment:
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["moment"] = format_time
    environment.globals |= {"shapes": SHAPES, "colours": COLOURS, "album": album, "sure": tell_sureness}
    return environment


def _read(name: str) -> str:
    return (files("demijohn.pipeline.reporting") / name).read_text("utf-8")
