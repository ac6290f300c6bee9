"""The store: one folder that holds data sets, features, runs and the report.

    images.sqlite   datasets/   features/   engines/   checkpoints/   runs/   report/   refusals.csv

This module knows where things lie and finds them again; each thing has a module of its own.
Nothing is created until something is written.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from .compiled import CompiledForms
from .errors import CacheError, DamagedFile, UnknownDataset, UnknownFeatures
from .features import FeatureSet
from .files import PARTIAL, check_writable
from .index import FileIndex
from .recipe import Recipe
from .refusals import Refusal, append_refusals, read_refusals
from .remedies import on_store
from .runs import Run, read_run, survey_runs
from .table import Dataset, Origin, read_dataset, read_origin, write_dataset


class FeatureStore:
    """Everything that demijohn keeps, in one folder.

    `results` is where runs and the report go, if not into that folder, which then may be read-only.
    """

    def __init__(self, folder: str | Path = "bottlenecks", results: str | Path | None = None) -> None:
        self.folder = Path(folder).expanduser()
        self.results = self.folder if results is None else Path(results).expanduser()

    def _find(self, pattern: str) -> list[Path]:
        """Return what fits a pattern, sorted; a folder that may not be read is an error, not empty."""
        if self.folder.is_dir():
            os.listdir(self.folder)
        return sorted(self.folder.glob(pattern))

    @property
    def index(self) -> FileIndex:
        """path, size, mtime -> key."""
        return FileIndex(self.folder / "images.sqlite")

    @property
    def compiled(self) -> CompiledForms:
        """Compiled backbones."""
        return CompiledForms(self.folder / "engines")

    def report_folder(self, dataset: str) -> Path:
        """Return where the report of a data set is written."""
        return self.results / "report" / dataset

    def check_writable(self, what: Literal["features", "runs"]) -> None:
        """Raise where nothing of a kind can be kept.

        Raises
        ------
        StoreNotWritable
        """
        check_writable((self.results if what == "runs" else self.folder) / what)

    def feature_set(self, recipe: Recipe) -> FeatureSet:
        """Return the feature set of a recipe, which may have no row yet."""
        return FeatureSet(self.folder / "features" / recipe.folder, recipe)

    def feature_sets(self) -> list[FeatureSet]:
        """Return all feature sets that have rows and can be read, in the order of their folders."""
        found = [features for _, features in self.survey() if isinstance(features, FeatureSet)]
        return [features for features in found if features.has_parts()]

    def survey(self) -> list[tuple[Path, FeatureSet | CacheError]]:
        """Return every folder of features, with the feature set in it or why it cannot be read."""
        found: list[tuple[Path, FeatureSet | CacheError]] = []
        for folder in self._find("features/*"):
            if not folder.is_dir() or folder.name.endswith(PARTIAL):
                continue
            try:
                found.append((folder, FeatureSet.load(folder)))
            except CacheError as error:
                found.append((folder, error))
            except FileNotFoundError:
                if any(folder.glob("parts/*.h5")) or any(folder.glob("damaged/*")):
                    remove = f"demijohn cache remove --features {folder.name.rpartition('-')[2]}"
                    reason = f"run extract-features again, or {on_store(remove, self.folder)}"
                    found.append((folder, DamagedFile(f"{folder} has no recipe.json: {reason}")))
        return found

    def generations(self, recipe: Recipe) -> list[FeatureSet]:
        """Return the feature sets begun for a recipe whatever its generation, the newest first."""
        found = [features for _, features in self.survey() if isinstance(features, FeatureSet)]
        alike = [each for each in found if replace(each.recipe, generation=recipe.generation) == recipe]
        return sorted(alike, key=lambda features: -features.recipe.generation)

    def find_feature_set(self, backbone: str | None = None, digest: str | None = None) -> FeatureSet:
        """Return the only feature set of view 0 that fits; of several generations of one recipe, the newest.

        Parameters
        ----------
        backbone : str, optional
            Name of the backbone.
        digest : str, optional
            The first digits of the recipe's digest.

        Raises
        ------
        UnknownFeatures
            None fits, or several; the message lists what there is.
        """
        every = [features for features in self.feature_sets() if not features.recipe.view]
        fitting = [
            features
            for features in every
            if backbone in (None, features.recipe.backbone) and features.digest.startswith(digest or "")
        ]
        if not digest:
            fitting = _newest(fitting)
            # Whole maps, which fine-tuning keeps, are for heads only where they are named.
            fitting = [features for features in fitting if features.recipe.pooling != "none"] or fitting
        if len(fitting) == 1:
            return fitting[0]
        listing = ", ".join(map(_described, fitting or every))
        if fitting:
            several = len({each.recipe.backbone for each in fitting}) > 1
            raise UnknownFeatures(
                f"{self.folder} holds {len(fitting)} feature sets that fit: {listing}; "
                f"{_choosing('backbone', 'NAME') if several else _choosing('features', 'DIGEST')}"
            )
        for each in self.feature_sets() if digest else []:
            if each.recipe.view and each.digest.startswith(digest or ""):
                pictures = each.recipe.of_view(0, "none")
                raise UnknownFeatures(
                    f"{digest} is view {each.recipe.view} of {pictures.folder}: expected the set of the pictures "
                    f"themselves, --features {pictures.digest[:12]}; its views go with it"
                )
        if every:
            asked = " ".join(filter(None, [backbone, digest]))
            command = on_store(f"extract-features --backbone {backbone or 'NAME'}", self.folder)
            raise UnknownFeatures(
                f"{self.folder} holds no features of {asked}: expected one of {listing}; or run {command}"
            )
        unreadable = [error for _, error in self.survey() if isinstance(error, CacheError)]
        if unreadable:
            raise UnknownFeatures(f"{self.folder} holds no features that can be read: {unreadable[0]}")
        raise UnknownFeatures(f"{self.folder} holds no features yet: {self._first()}")

    def views_of(self, features: FeatureSet) -> list[FeatureSet]:
        """Return the further views of a feature set of view 0, by augmentation and then by their numbers."""
        first = features.recipe
        found = [
            each
            for each in self.feature_sets()
            if each.recipe.view and each.recipe == first.of_view(each.recipe.view, each.recipe.augment)
        ]
        return sorted(found, key=lambda each: (each.recipe.augment, each.recipe.view))

    def dataset_names(self) -> list[str]:
        """Return the names of all data sets, sorted."""
        return [path.stem for path in self._find("datasets/*.json")]

    def find_dataset(self, name: str | None = None) -> Dataset:
        """Return a data set by name, or the only one.

        Raises
        ------
        UnknownDataset
            There is none of that name, or none is named and there are several.
        """
        names = self.dataset_names()
        if name is None and len(names) == 1:
            name = names[0]
        if name in names:
            return read_dataset(self.folder / "datasets", name)
        if not names:
            raise UnknownDataset(f"{self.folder} holds no data set yet: {self._first()}")
        if name is None:
            raise UnknownDataset(
                f"{self.folder} holds {len(names)} data sets: {', '.join(names)}; {_choosing('dataset', 'NAME')}"
            )
        raise UnknownDataset(f"{self.folder} holds no data set {name}: expected one of {', '.join(names)}")

    def _first(self) -> str:
        """Return what fills a store that is empty."""
        return f"run {on_store('extract-features IMAGES', self.folder)} first"

    def dataset_origin(self, name: str) -> Origin | None:
        """Return where the data set of that name comes from, or None where there is none."""
        return read_origin(self.folder / "datasets", name) if name in self.dataset_names() else None

    def save_dataset(self, dataset: Dataset) -> None:
        """Keep a data set under its name, replacing an earlier state of it."""
        write_dataset(self.folder / "datasets", dataset)

    def refusals(self) -> list[Refusal]:
        """Return the pictures that could not be read, oldest first."""
        return read_refusals(self.folder / "refusals.csv")

    def add_refusals(self, refusals: Iterable[Refusal]) -> None:
        """Remember pictures that could not be read."""
        append_refusals(self.folder / "refusals.csv", refusals)

    def run_folder(self, run: str) -> Path:
        """Return the folder of a run, which may not exist."""
        return self.results / "runs" / run

    def checkpoint(self, run: str) -> Path:
        """Return the file from which the training of a run goes on, which may not exist."""
        return self.results / "checkpoints" / f"{run}.h5"

    def find_run(self, run: str) -> Run | None:
        """Return a run by its id, or None."""
        folder = self.run_folder(run)
        return read_run(folder) if (folder / "run.json").is_file() else None

    def runs(self) -> list[Run]:
        """Return all runs that can be read, in the order of their ids."""
        return [run for _, run in self.survey_runs() if isinstance(run, Run)]

    def survey_runs(self) -> list[tuple[Path, Run | CacheError]]:
        """Return every folder of a run, with the run in it or why it cannot be read."""
        return survey_runs(self.results / "runs")


def _described(features: FeatureSet) -> str:
    label = features.recipe.label
    return f"{features.recipe.backbone} ({features.digest[:12]}{', ' * bool(label)}{label})"


def _choosing(name: str, value: str) -> str:
    return f"choose one with --{name} {value}, in Python with {name}={value}"


def _newest(found: Sequence[FeatureSet]) -> list[FeatureSet]:
    """Leave out each feature set that has a newer generation of the same recipe beside it."""
    newest: dict[Recipe, FeatureSet] = {}
    for features in sorted(found, key=lambda each: each.recipe.generation):
        newest[replace(features.recipe, generation=0)] = features
    return [features for features in found if features in newest.values()]
