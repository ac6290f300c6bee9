"""Stage two: a head is trained on stored features; the pictures are not needed any more.

What is asked for is found in the store and becomes one training (see `head_training`), whose outcome is kept as a run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...cache.files import write_json
from ...cache.part import keys_from_array
from ...cache.runs import FORMAT, Run, new_run, read_run, write_history, write_predictions
from ...cache.store import FeatureStore
from ...models.heads.heads import HEADS, find_head
from ...models.solvers.streaming import Matrix
from ..datasets.examples import choose_examples
from ..errors import InvalidRequest, TooManyFeatures
from ..memory import machine_memory
from ..progress import SILENT, Progress
from ..provenance import describe_environment
from ..runs.choosing import find_earlier
from ..runs.inputs import Inputs, choose_inputs, extraction_command
from .gathering import gather_rows
from .ground import Ground
from .head_training import HeadTraining, Learned, learn


def train_heads(
    heads: Sequence[str],
    *,
    seeds: int = 1,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    progress: Progress = SILENT,
    **request: Any,
) -> list[Run]:
    """Train several heads, each with several seeds, and return the runs.

    Parameters
    ----------
    heads : sequence of str
        Names of `HEADS`; `all` stands for every one that the memory allows.
    seeds : int
        How many; they are seed, seed + 1, ... A head without anything random is trained with each all the same.
    settings : dict, optional
        Each goes to those of the heads that have it.
    request
        See `train_head`.

    Raises
    ------
    UnknownHead, UnsuitableSetting
        Before anything is trained.
    TooManyFeatures
        By a head that was named, or by every one.
    """
    records = [find_head(name) for name in dict.fromkeys(HEADS if "all" in heads else heads)]
    given = settings or {}
    known = {name for record in records for name in record.settings}
    for name in given:
        if name not in known:
            records[0].complete({name: given[name]})
    runs = []
    for record in records:
        own = {name: value for name, value in given.items() if name in record.settings}
        for number in range(seed, seed + seeds):
            try:
                runs.append(train_head(record.name, seed=number, settings=own, progress=progress, **request))
            except TooManyFeatures as error:
                # Whoever asks for all heads asks for those that there can be.
                if "all" not in heads or (record is records[-1] and not runs):
                    raise
                progress.warn(f"left out: {error}")
                break
    return runs


def train_head(
    head: str = "logistic",
    *,
    store: str | Path = "bottlenecks",
    results: str | Path | None = None,
    dataset: str | None = None,
    backbone: str | None = None,
    features: str | None = None,
    views: int | None = None,
    augment: str | None = None,
    tta: bool = False,
    settings: dict[str, Any] | None = None,
    tune: bool = True,
    folds: int | None = None,
    refit: bool = True,
    calibrated: bool = False,
    seed: int = 0,
    memory: int | None = None,
    force: bool = False,
    progress: Progress = SILENT,
) -> Run:
    """Train one head on stored features and return the run; a run that is there is returned as it is.

    Parameters
    ----------
    head : str
        A name of `HEADS`.
    store : path
        Folder that keeps everything.
    results : path, optional
        Folder for the run, where the store is read-only.
    dataset, backbone, features : str, optional
        Name of the data set, name of the backbone, first digits of the feature set's digest; each
        is needed only where the store holds several. Backbones joined by a plus sign, `a+b`, are
        trained on side by side.
    views : int, optional
        Versions of each training picture, itself included; by default all that the store holds.
    augment : str, optional
        Which views, where the store holds several kinds.
    tta : bool
        Judge every picture by the mean of the scores of all its views (test-time augmentation).
    settings : dict, optional
        Settings of the head, such as `{"hidden": (256, 128)}`; its defaults stand for the rest.
    tune : bool
        Choose the strength among a grid where none is given; otherwise scikit-learn's default stands.
    folds : int, optional
        Choose by so many folds of training and validation pictures together, at least 2, instead of by the
        validation split; without validation pictures, five are taken for a head with a strength.
    refit : bool
        Train the head that is put to use on validation pictures as well, with what was chosen.
    calibrated : bool
        Make honest probabilities of the scores, of any head, by a temperature.
    seed : int
        Of everything random in training.
    memory : int, optional
        Bytes that training may take, by default half of the machine's: where features would take more than half
        of them, they are streamed from a temporary file beside the runs.
    force : bool
        Train again even if the run is there.

    Raises
    ------
    UnknownDataset, UnknownFeatures, MissingFeatures, UnknownHead, UnsuitableSetting
        What was asked for is not there; the message says what is.
    NotTrainable
        Fewer than two classes have training pictures.
    UnsuitableRows
        There are fewer groups of pictures than folds.
    StoreNotWritable
        The folder for the run cannot be written.
    InvalidRequest
        The head does not stream and the features take too much memory, or there is no room on the disk.
    """
    kept = FeatureStore(store, results)
    record = find_head(head)
    complete = record.complete(settings or {})
    table = kept.find_dataset(dataset)
    source = choose_inputs(kept, backbone, features, views=views, augment=augment, dataset=table.name)
    _check(source, table.name, tta=tta, folds=folds)
    training = HeadTraining(
        head=record,
        settings=complete if tune else record.settle(complete),
        table=table,
        ground=Ground.of(source, choose_examples(table, source.keys, kept)),
        seed=seed,
        tta=tta,
        folds=folds,
        refit=refit,
        calibrated=calibrated,
    )
    existing = find_earlier(kept, training.run, progress=progress)
    if existing is not None and not force:
        progress.say(f"{existing.id}: trained before, nothing to do (--force trains it again)")
        return existing
    kept.check_writable("runs")
    X = _gather(training, machine_memory() // 2 if memory is None else memory, kept.results, progress)
    source.note_use()
    return _write_run(kept.run_folder(training.run), learn(training, X), progress)


def _check(source: Inputs, dataset: str, *, tta: bool, folds: int | None) -> None:
    if tta and len(source.views) == 1:
        command = extraction_command(source.sets[0], dataset, views=8, every=True)
        raise InvalidRequest(f"--tta needs further views of every picture: run {command} first")
    if folds is not None and folds < 2:
        raise InvalidRequest(f"--folds is {folds}, expected 2 or more: give 5, or leave it out to choose by validation")
    if folds is not None and tta:
        raise InvalidRequest("--folds and --tta were given, expected one of them: folds judge pictures in one view")


def _gather(training: HeadTraining, memory: int, folder: Path, progress: Progress) -> Matrix:
    ground = training.ground
    return gather_rows(
        ground.inputs,
        keys_from_array(ground.keys),
        trained=ground.count("train"),
        classes=len(ground.examples.classes),
        streams=training.head.streams(training.settings),
        head=training.head.name,
        memory=memory,
        folder=folder,
        progress=progress,
    )


def _write_run(folder: Path, learned: Learned, progress: Progress) -> Run:
    about, fitted = learned.to_json(), learned.fitted
    with new_run(folder) as temporary:
        head = selection = temporary / f"head{fitted.head.suffix}"
        fitted.head.save(head)
        if learned.is_refit:
            selection = temporary / f"selection{fitted.selection.suffix}"
            fitted.selection.save(selection)
        write_predictions(temporary / "predictions.h5", learned.statements.predictions)
        if fitted.selection.history_:
            write_history(temporary / "history.csv", fitted.selection.history_)
        files = {"head_file": head.name, "selection_file": selection.name, "head_bytes": head.stat().st_size}
        write_json(temporary / "run.json", {"format": FORMAT, **about, **files, **describe_environment()})
    progress.say(_summary(about))
    for warning in about["warnings"]:
        progress.warn(warning)
    return read_run(folder)


def _summary(about: dict[str, Any]) -> str:
    told = []
    for split in ("validation", "test"):
        accuracy = about["metrics"][split]["accuracy"]
        told.append(f"{split} -" if accuracy is None else f"{split} {accuracy:.1%}")
    return f"{about['run']}: {', '.join(told)} in {about['seconds']:.1f} s"
