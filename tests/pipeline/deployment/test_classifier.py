"""A run that predicts says what it said when it was trained, whatever it was trained on, and computes nothing twice."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.cache import DamagedFile, FeatureStore, Run, UnknownFeatures
from demijohn.cache.part import keys_from_array
from demijohn.cache.runs import write_predictions
from demijohn.models import BACKBONES, HEADS, BadWeights
from demijohn.models.backend import import_keras
from demijohn.models.engines.engine import Engine
from demijohn.models.heads.temperature import calibrate, fit_temperature
from demijohn.pipeline import Classifier, InvalidRequest, UnreadableImage, extract_feature_sets, train_head
from demijohn.pipeline.pictures.images import decode_image
from PIL import Image
from support.pictures import COLOURS, encode, picture, write_classes
from support.standin import TINY, build


class Runs(dict[str, Run]):
    """Runs by what they see, trained when they are first asked for."""

    def __init__(self, trainings: dict[str, Callable[[], Run]]) -> None:
        super().__init__()
        self._trainings = trainings

    def __missing__(self, what: str) -> Run:
        self[what] = self._trainings[what]()
        return self[what]


@dataclass(frozen=True)
class World:
    """Pictures, a store with features in many forms, and runs on them by what they see."""

    photos: Path
    store: Path
    runs: Runs

    def paths(self, run: Run, split: int) -> list[str]:
        """Return a file of each picture of a split, in the order of the run's predictions."""
        rows = {row.key: row.path for row in FeatureStore(self.store).find_dataset().rows}
        predictions = run.predictions
        keys = keys_from_array(predictions.keys[predictions.splits == split])
        return [str(self.photos / rows[key]) for key in keys]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("classifier")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, TINY.name, TINY)
        photos, store = write_classes(root / "photos"), root / "store"
        extract: dict[str, Any] = {"backbones": ("tiny",), "weights": "random", "store": store}
        sets: dict[str, dict[str, Any]] = {
            "usual": {"views": 3, "views_for": "all", "augment": "flip,crop"},
            "other": {"weights": "random:1"},
            "conv": {"layers": ("conv", "bn"), "pooling": "max"},
            "whole": {"pooling": "none", "resize": "pad"},
        }

        @cache
        def digest(name: str) -> str:
            return str(extract_feature_sets(photos, **{**extract, **sets[name]})[0].digest)

        def train(head: str, *names: str, **arguments: Any) -> Run:
            return train_head(head, features="+".join(map(digest, names)), store=store, **arguments)

        yield World(photos, store, Runs({what: partial(train, *names, **of) for what, (names, of) in WHAT.items()}))


WHAT: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    **{head: ((head, "usual"), {"views": 1}) for head in HEADS if head != "dense"},
    "calibrated": (("svm", "usual"), {"views": 1, "calibrated": True}),
    "calibrated in folds": (("centroid", "usual"), {"views": 1, "calibrated": True, "folds": 3}),
    "calibrated mean over views": (("svm", "usual"), {"tta": True, "calibrated": True}),
    "a network": (("dense", "usual"), {"views": 1, "settings": {"epochs": 3}}),
    "views": (("svm", "usual"), {}),
    "mean over views": (("logistic", "usual"), {"tta": True}),
    "joined": (("svm", "other", "usual"), {"views": 1}),
    "another layer joined": (("logistic", "conv", "usual"), {"views": 1}),
    "whole maps": (("svm", "whole"), {"views": 1}),
}
QUICK = {"logistic", "knn", "calibrated mean over views", "another layer joined", "whole maps"}
every_kind = pytest.mark.parametrize(
    "what", [what if what in QUICK else pytest.param(what, marks=pytest.mark.slow) for what in WHAT]
)


def expected(run: Run, split: int) -> Any:
    """Return what the run's stored scores are as calibrated probabilities."""
    stored = run.predictions
    scores = stored.scores.astype(np.float64)
    if run.record["temperature"] is None:
        seen = stored.honest
        temperature = fit_temperature(scores[seen], stored.labels[seen], are_probabilities=stored.are_probabilities)
        scores = calibrate(scores, temperature, are_probabilities=stored.are_probabilities)
    return scores[stored.splits == split]


@every_kind
def test_pictures_of_the_data_set_get_the_stored_predictions_without_a_network(
    world: World, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a network was run")

    run = world.runs[what]
    monkeypatch.setattr(Engine, "extract", refuse)
    classifier = Classifier.load(run.id, store=world.store)
    stored = run.predictions
    predicted = classifier.predict(world.paths(run, 2))
    assert predicted.tolist() == classifier.classes_[stored.predicted[stored.splits == 2]].tolist()
    assert np.allclose(classifier.predict_proba(world.paths(run, 2)), expected(run, 2), atol=1e-6)


@every_kind
def test_the_same_comes_out_where_every_row_is_made_anew(
    world: World, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKBONES, TINY.name, TINY)
    run = world.runs[what]
    store = shutil.copytree(world.store, tmp_path / "store")
    for parts in store.glob("features/*/parts"):
        shutil.rmtree(parts)
    classifier = Classifier.load(run.id, store=store)
    paths = world.paths(run, 2)
    stored = run.predictions
    assert np.allclose(classifier.predict_proba(paths), expected(run, 2), atol=1e-5)
    assert classifier.predict(paths).tolist() == classifier.classes_[stored.predicted[stored.splits == 2]].tolist()
    # Only what the run sees was made, and only of these pictures.
    rows = {len(each.keys()) for each in FeatureStore(store).feature_sets()}
    assert rows == {len(paths)}


@pytest.mark.slow
def test_arrays_go_through_the_same_resize(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, TINY.name, TINY)
    for what in ("joined", "whole maps", "mean over views"):
        classifier = Classifier(world.runs[what], FeatureStore(world.store))
        paths = world.paths(world.runs[what], 2)
        arrays = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
        assert np.allclose(
            classifier.predict_proba(arrays[:2]), classifier.predict_proba(np.stack(arrays))[:2], atol=1e-6
        )
        if what != "mean over views":
            # Views hang on the bytes of the file.
            assert np.allclose(classifier.predict_proba(arrays), classifier.predict_proba(paths), atol=1e-5)
    large = [np.asarray(picture(5, colour=COLOURS["red"], size=size)) for size in ((40, 90), (17, 16))]
    assert classifier.predict(large).tolist() == ["red", "red"]
    assert classifier.predict_proba([]).shape == (0, 3)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ([np.zeros((4, 4, 3))], r"picture 0 is \(4, 4, 3\) float64: expected paths, or arrays of shape"),
        (np.zeros((2, 4, 4), np.uint8), r"picture 0 is \(4, 4\) uint8"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 4), np.uint8)], "picture 1"),
        ([np.zeros((0, 4, 3), np.uint8)], "at least one pixel"),
        ([7], "picture 0 is int"),
        ("one.jpg", r"found one path: write \['one.jpg'\]"),
    ],
)
def test_what_is_no_picture_is_told(world: World, pictures: Any, message: str) -> None:
    classifier = Classifier(world.runs["logistic"], FeatureStore(world.store))
    with pytest.raises(InvalidRequest, match=message):
        classifier.predict(pictures)


def test_an_unreadable_file_is_an_error_that_names_it_and_the_others_are_kept(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKBONES, TINY.name, TINY)
    run = world.runs["logistic"]
    store = shutil.copytree(world.store, tmp_path / "store")
    bad, good = tmp_path / "bad.jpg", tmp_path / "good.png"
    bad.write_bytes(b"text")
    good.write_bytes(encode(picture(77, colour=COLOURS["blue"])))
    classifier = Classifier(run, FeatureStore(store))
    with pytest.raises(UnreadableImage, match=r"bad\.jpg: a text file, not a picture"):
        classifier.predict([good, bad])
    with pytest.raises(UnreadableImage, match=r"gone\.jpg: cannot be read: No such file"):
        classifier.predict([tmp_path / "gone.jpg"])
    assert classifier.predict([good]).tolist() == ["blue"]


def test_a_temperature_of_the_run_counts(world: World, tmp_path: Path) -> None:
    run = world.runs["svm"]
    store = shutil.copytree(world.store, tmp_path / "store")
    file = store / "runs" / run.id / "run.json"
    file.write_text(json.dumps({**run.record, "temperature": 2.5}))
    classifier = Classifier.load(run.id, store=store)
    assert classifier.temperature == 2.5
    stored = run.predictions
    scores = calibrate(stored.scores[stored.splits == 2].astype(np.float64), 2.5, are_probabilities=False)
    assert np.allclose(classifier.predict_proba(world.paths(run, 2)), scores, atol=1e-6)


def test_the_temperature_is_fitted_on_validation_alone_and_this_is_said(world: World, tmp_path: Path) -> None:
    class Listener:
        def __init__(self) -> None:
            self.told: list[str] = []

        def say(self, text: str) -> None:
            self.told.append(text)

        warn = say

    run = world.runs["svm"]
    store = shutil.copytree(world.store, tmp_path / "store")
    listener: Any = Listener()
    usual = Classifier.load(run.id, store=store, progress=listener)
    assert f"calibrated on the 10 validation pictures of {run.id}: temperature {usual.temperature:.3g}" in "".join(
        listener.told
    )
    stored = run.predictions
    stored.scores[stored.splits == 2] = 0.0
    file = store / "runs" / run.id / "predictions.h5"
    file.unlink()
    write_predictions(file, stored)
    assert Classifier.load(run.id, store=store).temperature == usual.temperature
    stored.splits[stored.splits == 1] = 0
    file.unlink()
    write_predictions(file, stored)
    blind = Classifier.load(run.id, store=store, progress=listener)
    assert blind.temperature == 1.0
    assert "no validation pictures to calibrate" in listener.told[-1]


def test_what_is_broken_is_told(world: World, tmp_path: Path) -> None:
    run = world.runs["logistic"]

    def broken(name: str) -> Path:
        return shutil.copytree(world.store, tmp_path / name)

    def load(store: Path) -> Classifier:
        return Classifier.load(run.id, store=store)

    store = broken("head")
    (store / "runs" / run.id / "head.skops").write_bytes(b"PK nothing")
    with pytest.raises(BadWeights, match="train it again with --force"):
        load(store)
    store = broken("classes")
    file = store / "runs" / run.id / "run.json"
    file.write_text(json.dumps({**run.record, "classes": ["blue", "green"]}))
    with pytest.raises(DamagedFile, match=r"tells 3 classes apart, run\.json names 2"):
        load(store).predict(world.paths(run, 2))
    store = broken("predictions")
    (store / "runs" / run.id / "predictions.h5").unlink()
    with pytest.raises(DamagedFile, match="is not there"):
        load(store)
    store = broken("features")
    digest = run.record["features_digest"][:12]
    [folder] = store.glob(f"features/*{digest}")
    (folder / "recipe.json").write_text("{")
    with pytest.raises(DamagedFile, match=r"recipe\.json is damaged"):
        load(store)
    shutil.rmtree(folder)
    with pytest.raises(UnknownFeatures, match=f"features {digest} of tiny, which .* does not hold any more"):
        load(store)


def test_a_network_that_was_fine_tuned_is_run_on_pixels_by_the_recipe(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As fine-tuning leaves it: one network from uint8 pixels to logits, with its parent's features for the recipe."""
    keras = import_keras()
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(keras.ops.cast(images, "float32"))
    network = keras.Model(images, keras.layers.Dense(3)(build(top=False)(x)[:, 3, 4]))
    parent = world.runs["svm"]
    store = shutil.copytree(world.store, tmp_path / "store")
    folder = shutil.copytree(parent.folder, store / "runs" / "fine-tuned-tiny-0")
    network.save(folder / "network.keras")
    about = {"head": "fine-tuned", "parent": parent.id, "head_file": "network.keras", "temperature": 2.0}
    (folder / "run.json").write_text(json.dumps({**parent.record, **about}))
    parts = sorted(path for path in store.glob("features/*/parts/*"))
    classifier = Classifier.load("fine-tuned", store=store)
    paths = world.paths(parent, 2)
    resize = FeatureStore(store).find_feature_set(digest=parent.record["features_digest"]).recipe.resize
    pixels = [decode_image(Path(path).read_bytes(), (16, 16), resize) for path in paths]
    logits = np.asarray(network(np.stack(pixels))).astype(np.float64)
    expected = calibrate(logits, 2.0, are_probabilities=False)
    assert np.allclose(classifier.predict_proba(paths), expected, atol=1e-5)
    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    assert np.allclose(classifier.predict_proba(arrays), expected, atol=1e-5)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"text")
    judged = list(classifier.judge([str(bad), paths[0], "gone.jpg", paths[0]]))
    assert [each.reason for each in judged] == [
        "a text file, not a picture",
        "",
        "cannot be read: No such file or directory",
        "",
    ]
    assert [each.probabilities is None for each in judged] == [True, False, True, False]
    assert sorted(path for path in store.glob("features/*/parts/*")) == parts
