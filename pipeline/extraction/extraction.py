"""Stage one: frozen backbones run once over every picture that has no features yet.

One picture's way: its bytes are read once, hashed and decoded from the same buffer; pixels go
through every engine that wants them, in batches of one static shape; key and vector go together
into the store.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from ...cache.features import Speed
from ...cache.store import FeatureStore
from ...cache.table import Skipped
from ..errors import TooManyUnreadable
from .breakdown import Breakdown
from .driver import worker_pool
from .outlook import explain
from .request import Request, complete
from .survey import Family, Survey, survey_images
from .work import Work


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extraction found and did."""

    dataset: str
    seed: int
    """Of the hashed splits."""
    backbone: str
    digest: str
    """Of the recipe."""
    layer: str
    pooling: str
    precision: str
    precision_why: str | None
    """Why it is this one; None where it was asked for by name."""
    label: str
    """What tells the features from others of the backbone, in words; may be empty."""
    views: int
    """Versions of each picture, itself included."""
    images: int
    """Picture files considered."""
    cached: int
    """Distinct pictures that had features before."""
    extracted: int
    """Pictures whose features were added."""
    duplicates: int
    """Files whose bytes another file has too."""
    skipped: tuple[Skipped, ...]
    rows: int
    """Distinct pictures of this data set that have features now."""
    view_rows: int
    """Rows of all further views of pictures of this data set."""
    view_rows_extracted: int
    """Of them, those that were added."""
    width: int
    """Features per row."""
    features: Path | None
    """The file features.h5; None where no picture has features."""
    seconds: float
    """Wall time of everything."""
    images_per_second: float | None
    """Of the networks' part, for all feature sets of the command at once; None where nothing was extracted."""
    engine: str | None
    """What ran the network; None where it did not run."""
    device: str | None
    """What the network ran on; None where it did not run."""
    batch_size: int | None
    breakdown: Breakdown | None
    """Where the time of the networks' part went, for all feature sets at once; None where nothing was extracted."""
    notes: tuple[str, ...]
    max_bad: float

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `extract-features --json`."""
        return {
            "dataset": self.dataset,
            "seed": self.seed,
            "backbone": self.backbone,
            "digest": self.digest,
            "layer": self.layer,
            "pooling": self.pooling,
            "precision": self.precision,
            "precision_why": self.precision_why,
            "views": self.views,
            "images": self.images,
            "cached": self.cached,
            "extracted": self.extracted,
            "duplicates": self.duplicates,
            "skipped": [{"path": each.path, "reason": each.reason} for each in self.skipped],
            "rows": self.rows,
            "view_rows": self.view_rows,
            "view_rows_extracted": self.view_rows_extracted,
            "width": self.width,
            "features": None if self.features is None else str(self.features),
            "seconds": round(self.seconds, 3),
            "images_per_second": None if self.images_per_second is None else round(self.images_per_second, 1),
            "engine": self.engine,
            "device": self.device,
            "batch_size": self.batch_size,
            "breakdown": self.breakdown.to_json() if self.breakdown else None,
            "notes": list(self.notes),
        }

    @property
    def too_many_skipped(self) -> bool:
        """Whether more pictures were skipped than is allowed."""
        return len(self.skipped) > self.max_bad * self.images

    def check(self) -> None:
        """Raise if more pictures were skipped than is allowed.

        Raises
        ------
        TooManyUnreadable
        """
        if self.too_many_skipped:
            first = self.skipped[0]
            raise TooManyUnreadable(
                f"{len(self.skipped):,} of {self.images:,} pictures were skipped, expected at most "
                f"{self.max_bad:.2%} (the first is {first.path}: {first.reason}); the others have their features. "
                "Mend or remove those files, or allow more with --max-bad"
            )


def extract_features(
    images: str | Path | None = None,
    *,
    backbone: str = "efficientnet-lite0",
    layer: str = "last",
    max_bad: float = 1.0,
    new: bool = False,
    **request: Unpack[Request],
) -> Extraction:
    """Extract the features that are missing of one backbone, and return what was found and done.

    See `extract_feature_sets` for the other arguments and the errors.
    """
    if {"backbones", "layers"} & set(request):
        raise TypeError("extract_features takes one backbone and one layer: for several there is extract_feature_sets")
    request["backbones"], request["layers"] = (backbone,), (layer,)
    return extract_feature_sets(images, max_bad=max_bad, new=new, **request)[0]


def extract_feature_sets(
    images: str | Path | None = None,
    *,
    max_bad: float = 1.0,
    new: bool = False,
    trainable: bool = False,
    **request: Unpack[Request],
) -> tuple[Extraction, ...]:
    """Extract the features that are missing, and return what was found and done, per backbone and layer.

    Each picture is read once, and decoded once for all backbones that share input size and resize; each
    backbone is run once for all layers.

    Parameters
    ----------
    images : path, optional
        Folder of pictures, or a CSV table; here, or by URL (`s3://bucket/photos`). Without it the data set that the
        store knows, `./images` or `./data`.
    max_bad : float
        Greatest fraction of skipped pictures that `Extraction.check` accepts.
    new : bool
        Where this installation gives other numbers than the stored features, begin a feature set
        of its own beside them, instead of `OtherNumbers`.
    trainable : bool
        Where no head could be trained on the pictures, raise `NotTrainable` before anything is extracted.
    backbones : sequence of str
        Names of `BACKBONES`, by default efficientnet-lite0; `.keras` files; `hub:` and presets of KerasHub.
    weights : str
        `imagenet`, `random`, `random:SEED` or the path of a file.
    layers : sequence of str
        `last`, the default, or names of layers.
    pooling : str
        `avg`, the default, `max`, `avg+max` or `none`.
    precision : str
        What the networks compute in: `float32`, the default, `bfloat16`, `float16`, or `auto`: a narrower type
        where it has been shown to lose nothing with these weights and this machine has it, else `float32`.
    engine : str, optional
        `tensorflow` or `openvino`; by default what a feature set was begun with, else the faster one here.
    batch_size : int, optional
        Pictures that are computed together; by default what a feature set was begun with, else the engine's own.
    device : str
        `auto`, the default: the first GPU, else the CPU; `cpu`, `gpu` or `gpu:1`.
    input_size : (int, int), optional
        Height and width, instead of the backbone's own.
    preprocessing : str, optional
        Of one's own model: `symmetric`, `caffe`, `torch`, `unit` or `inside`; others bring their own.
    views : int
        Versions of each picture: 1, the default, is itself; further ones are augmented.
    augment : str
        `standard`, the default, or some of flip, crop, colour and rotation, with commas.
    views_for : str
        Splits whose pictures get further views: `train`, the default, or `all`.
    store : path
        Folder that keeps everything.
    dataset : str, optional
        Name of the data set; the folder's or the table's name by default.
    seed : int, optional
        Of the hashed splits; by default the one that the data set has, or 0.
    labelling : Labelling, optional
        How labels, groups and splits are found; what it leaves open is as the data set has it.
    reading : ReadingPolicy
        What is read and what is refused.
    resize : str, optional
        `squash`, `crop` or `pad`; by default what the backbone's record says.
    retry : bool
        Try again what was refused before.
    workers : int or "auto", optional
        Processes of this machine that share the work, `auto` one per GPU; by default this one alone.
    cluster : str, optional
        `dask://HOST:PORT`: workers of a Dask cluster, which see the same pictures and store.
    backend : optional
        What `joblib.parallel_config` takes for it, or a mapping of all that it takes.
    progress : Progress

    Raises
    ------
    PipelineError, ModelError, CacheError
        See their modules; nothing that was stored is lost.
    TypeError
        An argument has another name.
    KeyboardInterrupt
        On SIGINT or SIGTERM, after what was extracted has been stored.
    """
    started = time.monotonic()
    store = FeatureStore(complete(request)["store"])
    if not store.survey():
        # Everything is to be written; a network may be loaded before it is known what.
        store.check_writable("features")
    survey = survey_images(images, trainable=trainable, **request)
    if any(family.missing for family in survey.families):
        store.check_writable("features")
    progress = survey.request["progress"]
    for change in survey.changes:
        progress.warn(change)
    progress.say(str(survey))
    with worker_pool(survey) as pool:
        work = Work(survey, pool)
        # Whatever cannot be opened ends it here, with the data set as it was.
        work.open(new=new)
        survey.store.index.remember(survey.found.hashed)
        survey.store.index.remember_objects(survey.found.objects)
        for family in survey.families:
            family.frozen.remember()
        if not survey.found.unread:
            # Else some of its keys are not known yet; it is saved when they are.
            survey.store.save_dataset(survey.table)
        before = work.families
        for family in before:
            if not new and family.first.plan.missing and not family.first.plan.present:
                _say_why(survey, family)
        work.run()
        _keep_speed(work)
    table = work.table
    for note in table.notes:
        progress.warn(note)
    return tuple(
        _summary(survey, work, first, family, started=started, max_bad=max_bad)
        for first, family in zip(before, work.families, strict=True)
    )


def _keep_speed(work: Work) -> None:
    """Keep with each feature set how fast it was, which the report tells its reader."""
    added, breakdown = work.outcome.added, work.outcome.breakdown
    made = [each.features for family in work.families for each in family.views if added[each.features.digest]]
    for family in work.families:
        features = family.first.features
        if features in made and breakdown.seconds:
            rate = round(breakdown.images_per_second, 3)
            features.note_speed(Speed(rate, breakdown.pictures, shared=len(made) > 1))


def _say_why(survey: Survey, family: Family) -> None:
    """Say why nothing is cached, where other features of the backbone are."""
    for other in explain(survey, family):
        if other.cached:
            survey.request["progress"].say(f"nothing cached, since {other}")


def _summary(
    survey: Survey, work: Work, before: Family, family: Family, *, started: float, max_bad: float
) -> Extraction:
    first, features, table = family.first, family.first.features, work.table
    refused = set(first.plan.refused)
    unreadable = [Skipped(row.path, work.refusals[row.key]) for row in table.rows if row.key in refused]
    name = family.frozen.backbone.name
    engine = work.engines.get(name)
    extracted = work.outcome.added[features.digest]
    return Extraction(
        dataset=table.name,
        seed=table.origin.seed,
        backbone=name,
        digest=features.digest,
        layer=family.tap.layer,
        pooling=family.tap.pooling,
        precision=first.recipe.precision,
        precision_why=family.frozen.why,
        label=first.recipe.label,
        views=len(family.views),
        images=len(table.rows) + len(table.skipped),
        # What was unread may have turned out to be there.
        cached=len(first.plan.present) - extracted if survey.found.unread else len(before.first.plan.present),
        extracted=extracted,
        duplicates=len(table.rows) - len({row.key for row in table.rows}),
        skipped=(*table.skipped, *unreadable),
        rows=len(first.plan.present),
        view_rows=sum(len(each.plan.present) for each in family.views[1:]),
        view_rows_extracted=sum(work.outcome.added[each.features.digest] for each in family.views[1:]),
        width=features.width or family.frozen.backbone.width,
        features=features.path if features.has_parts() else None,
        seconds=time.monotonic() - started,
        images_per_second=work.outcome.breakdown.images_per_second if engine else None,
        engine=engine.engine if engine else None,
        device=engine.device if engine else None,
        batch_size=engine.batch_size if engine else None,
        breakdown=work.outcome.breakdown if engine else None,
        notes=(*survey.changes, *table.notes),
        max_bad=max_bad,
    )
