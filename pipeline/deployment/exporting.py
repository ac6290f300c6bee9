"""A run becomes one deployable model, in files that other programs run.

    DIR/model.keras, savedmodel/, model.onnx, ...   pixels to probabilities
    DIR/predict.py    decodes a picture, runs a model, says the class
    DIR/README.md     the model card, with what the parity gate found
    DIR/export.json   the same facts for programs

All of it is written under another name, and every model is compared with the run's own predictions;
only then the folder gets its name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...cache.files import replacing_folder, write_json
from ...cache.recipe import Recipe
from ...cache.runs import Run
from ...cache.store import FeatureStore
from ...models.backbones.backbone import Backbone
from ...models.backbones.taps import Tap
from ...models.backbones.weights import load_extractor, locate_weights
from ...models.heads.heads import load_scorer, open_head
from ...models.networks.artefacts import ARTEFACTS, Artefact, choose_artefacts, finish_network, write_artefact
from ...models.networks.folding import check_head
from ...models.networks.network import build_network
from ..errors import InvalidRequest
from ..extraction.reopening import find_network, request_of
from ..progress import SILENT, Progress
from ..provenance import describe_environment
from ..runs.choosing import BEST, choose_run
from ..runs.inputs import JOINT
from .classifier import Classifier, find_sets, is_network
from .model_card import CARD, render_card
from .parity import check_parity, choose_pictures
from .prediction_script import load_script, render_script

RECORD = "export.json"
FORMAT = 1
_NARROW = 5e-2
"""Tolerance where features were computed in less than float32, in which the model computes."""


@dataclass(frozen=True, slots=True)
class Export:
    """What `export` wrote."""

    folder: Path
    record: dict[str, Any]
    """The content of export.json."""
    replaced: tuple[str, ...] = ()
    """Models of an earlier export in the folder, which are gone or written anew."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `export --json`."""
        return {"folder": str(self.folder), "replaced": list(self.replaced), **self.record}


@dataclass(frozen=True, slots=True)
class _Source:
    """What a model is made of."""

    classifier: Classifier
    """What demijohn itself predicts with."""
    recipe: Recipe
    backbone: Backbone
    weights: str
    """What was asked for."""

    @property
    def is_hub(self) -> bool:
        """Whether the network is made of KerasHub's layers."""
        return self.backbone.name.startswith("hub-")

    @property
    def run(self) -> Run:
        """The run."""
        return self.classifier.run

    @property
    def head(self) -> Path:
        """The saved head."""
        return self.run.folder / str(self.run.record["head_file"])


def export(
    run: str = BEST,
    *,
    to: str | Path,
    formats: Sequence[str] = ("keras",),
    store: str | Path = "bottlenecks",
    results: str | Path | None = None,
    dataset: str | None = None,
    pictures: int = 100,
    progress: Progress = SILENT,
) -> Export:
    """Write a run as models that other programs run, checked on real pictures, and return what was written.

    Parameters
    ----------
    run : str
        An id, its first letters, or `best`, the best by validation.
    to : path
        Folder to be made; one that an earlier export has made is replaced.
    formats : sequence of str
        `keras`, `savedmodel`, `onnx`, `litert`.
    store, results : path
        See `FeatureStore`.
    dataset : str, optional
        Whose best run, where the store holds several data sets.
    pictures : int
        How many test pictures each model is run on.
    progress : Progress

    Raises
    ------
    OtherPredictions
        A model says something else than demijohn; nothing is left of the export.
    UnsuitableSetting
        There is no such format, it is not installed, or the run cannot be one network.
    InvalidRequest
        The folder is no export, or the features cannot be made here.
    NoImages
        No picture is there to compare predictions on.
    """
    if pictures < 1:
        raise InvalidRequest(f"{pictures} pictures to check on are asked for: expected 1 or more")
    artefacts = choose_artefacts(formats)
    folder = _check_folder(Path(to).expanduser().resolve())
    kept = FeatureStore(store, results)
    chosen = choose_run(kept, run, dataset=dataset, progress=progress)
    source = _find_source(kept, chosen, progress)
    replaced = [each for each in ARTEFACTS if (folder / each.file).exists()]
    with replacing_folder(folder) as temporary:
        record = _write(temporary, kept, source, artefacts, pictures, progress)
    if replaced:
        progress.warn(_tell_replaced(replaced, artefacts))
    return Export(folder, record, tuple(each.file for each in replaced))


def _tell_replaced(replaced: Sequence[Artefact], written: Sequence[Artefact]) -> str:
    told = f"replaced the earlier export: {', '.join(each.file for each in replaced)}"
    if gone := [each.file for each in replaced if each not in written]:
        formats = ",".join(dict.fromkeys(each.format for each in (*replaced, *written)))
        told += f"; gone: {', '.join(gone)} (--format {formats} writes all together)"
    return told


def _check_folder(folder: Path) -> Path:
    if folder.exists() and not (folder / RECORD).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidRequest(f"{folder} is there and no earlier export: name a new folder with --to")
    return folder


def _find_source(store: FeatureStore, run: Run, progress: Progress) -> _Source:
    """Return what a run's model is made of; whatever cannot be one network is told before any work."""
    record = run.record
    if record["tta"]:
        raise InvalidRequest(
            f"{run.id} judges a picture by several views of it (--tta), which one network does not: "
            "export a run without"
        )
    if JOINT in record["features_digest"]:
        raise InvalidRequest(
            f"{run.id} joins the features of {record['backbone']}, which are no single network: "
            "export a run of one backbone"
        )
    if not is_network(run):
        check_head(run.folder / record["head_file"])
    [[features]] = find_sets(run, store)
    request = request_of(store, features, progress)
    backbone = find_network(store, features, request).backbone
    classifier = Classifier(run, store, progress=progress)
    return _Source(classifier, features.recipe, backbone, request["weights"])


def _write(
    folder: Path,
    store: FeatureStore,
    source: _Source,
    artefacts: Sequence[Artefact],
    pictures: int,
    progress: Progress,
) -> dict[str, Any]:
    """Write models, script, card and record into a folder; return the record."""
    run, recipe = source.run.record, source.recipe
    table, classes = store.find_dataset(run["dataset"]), run["classes"]
    script = load_script(folder, render_script(recipe, artefacts, classes=len(classes), hub=source.is_hub))
    checked = choose_pictures(source.classifier, table, script, pictures)
    environment = describe_environment()
    about = {
        "classes": classes,
        "run": run["run"],
        "dataset": run["dataset"],
        "backbone": recipe.backbone,
        "input_size": list(recipe.input_size),
        "resize": recipe.resize,
        "created": environment["created"],
        "versions": environment["versions"],
    }
    network = _build(source)
    parities = []
    for artefact in artefacts:
        progress.say(f"writing {artefact.file}")
        path = folder / artefact.file
        write_artefact(artefact, network, path, about)
        tolerance = artefact.tolerance if recipe.precision == "float32" else max(_NARROW, artefact.tolerance)
        parities.append(check_parity(artefact, path, script, checked, classes, tolerance=tolerance))
        progress.say(str(parities[-1]))
    record = {
        "format": FORMAT,
        **about,
        "checked_on": {"split": checked.split, "pictures": len(checked.names), "unread": list(checked.unread)},
        "artefacts": [each.to_json() for each in parities],
    }
    card = render_card(
        run,
        table=table,
        predictions=source.run.predictions,
        temperature=source.classifier.temperature,
        recipe=recipe,
        backbone=source.backbone,
        weights=source.weights,
        pictures=checked,
        parities=parities,
    )
    (folder / CARD).write_bytes(card.encode(errors="backslashreplace"))
    write_json(folder / RECORD, record)
    return record


def _build(source: _Source) -> Any:
    """Return the Keras model from pixels to probabilities; it computes in float32, or as it was fine-tuned."""
    _, are_probabilities = load_scorer(source.head)
    return finish_network(
        open_head(source.head) if is_network(source.run) else _put_together(source),
        temperature=source.classifier.temperature,
        are_probabilities=are_probabilities,
    )


def _put_together(source: _Source) -> Any:
    """Return backbone and head as one network to logits."""
    recipe = source.recipe
    extractor, digest = load_extractor(source.backbone, locate_weights(source.backbone, source.weights))
    if digest != recipe.weights:
        raise InvalidRequest(
            f"the weights of {source.backbone.name} have digest {digest[:12]}, expected {recipe.weights[:12]}, with "
            f"which {source.run.id} was trained: bring the weights back, or extract and train again"
        )
    return build_network(source.backbone, extractor, source.head, tap=Tap(recipe.layer, recipe.pooling))
