"""The whole job with the real network, on real pictures."""

import csv
import errno
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache import FeatureStore, StoreNotWritable, files
from demijohn.cache.part import keys_from_array
from demijohn.models import BACKBONES, load_extractor, load_head, locate_weights
from demijohn.models.engines.engines import make_engine
from demijohn.pipeline import NotTrainable, extract_features, run, train_head
from demijohn.pipeline.extraction import frozen
from demijohn.pipeline.pictures.images import decode_image
from demijohn.pipeline.training import training
from PIL import Image
from sklearn.datasets import load_digits
from support.pictures import encode, picture


def write_digits(root: Path, count: int) -> Path:
    digits = load_digits()
    for number in range(count):
        path = root / str(digits.target[number]) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 - digits.images[number] * 255 / 16).astype(np.uint8)).save(path)
    return root


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("1.png", "2.png"), "has no labels: expected class folders such as .*/cats/1.jpg; sort the pictures"),
        (("cats/1.png", "cats/2.png", "3.png"), r"two classes with training pictures .* found one \(cats\): add"),
        (("train/cats/1.png", "test/cats/2.png", "test/dogs/3.png"), r"found one \(cats\)"),
        (("cat.1.png", "cat.2.png", "dog.1.png", "dog.2.png"), "--label-pattern .* takes them"),
    ],
    ids=["flat", "one class", "one class to train", "labels in names"],
)
def test_what_cannot_be_trained_on_is_told_before_a_network_is_looked_for(
    paths: tuple[str, ...], message: str, swift: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, path in enumerate(paths):
        (tmp_path / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / path).write_bytes(encode(picture(number)))
    with monkeypatch.context() as patch:
        patch.setattr(frozen, "locate_weights", lambda *_: pytest.fail("a network was looked for"))
        with pytest.raises(NotTrainable, match=message):
            run(tmp_path / "photos", backbones=[swift], weights="random", store=tmp_path / "store")
    assert not (tmp_path / "store").exists()
    # Features alone can be had of them.
    assert extract_features(tmp_path / "photos", backbone=swift, weights="random", store=tmp_path / "store").rows


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_done(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, store, tiny = tmp_path / "file", tmp_path / "store", {"backbone": swift, "weights": "random"}
    file.touch()
    with monkeypatch.context() as patch:
        patch.setattr(frozen, "locate_weights", lambda *_: pytest.fail("a network was looked for"))
        with pytest.raises(StoreNotWritable, match=f"{file} is a file"):
            extract_features(photos, store=file, **tiny)
        with pytest.raises(StoreNotWritable, match="--results"):
            run(photos, backbones=[swift], weights="random", store=store, results=file)
    extract_features(photos, store=store, **tiny)
    with monkeypatch.context() as patch:
        patch.setattr(training, "learn", lambda *_: pytest.fail("a head was trained"))
        with pytest.raises(StoreNotWritable, match="--results"):
            train_head("logistic", store=store, results=file)
    # A store that lacks nothing is not written.
    with monkeypatch.context() as patch:
        patch.setattr(files.tempfile, "mkdtemp", lambda **_: pytest.fail("the store was written"))
        extract_features(photos, store=store, **tiny)
        (photos / "red" / "new.png").write_bytes(encode(picture(9)))
        patch.setattr(frozen.FrozenBackbone, "start", lambda *_, **__: pytest.fail("a network was started"))
        patch.setattr(files.tempfile, "mkdtemp", _refuse)
        with pytest.raises(StoreNotWritable, match=f"cannot write {store / 'features'}: Read-only file system"):
            extract_features(photos, store=store, **tiny)


def _refuse(**_: object) -> None:
    raise OSError(errno.EROFS, "injected")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store after the whole job on 300 handwritten digits."""
    folder = tmp_path_factory.mktemp("job")
    run(write_digits(folder / "digits", 300), store=folder / "store", heads=("logistic", "svm", "dense"))
    return folder / "store"


@pytest.mark.slow
def test_real_features_tell_digits_apart(store: Path) -> None:
    runs = {each.record["head"]: each.record for each in FeatureStore(store).runs()}
    assert set(runs) == {"logistic", "svm", "dense"}
    # Chance is 0.1; with all 1,797 digits the best head reaches 0.95.
    assert max(each["metrics"]["test"]["accuracy"] for each in runs.values()) > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("head", ["logistic", "svm", "dense"])
def test_cached_features_and_head_equal_the_same_network_end_to_end(store: Path, head: str) -> None:
    kept = FeatureStore(store)
    trained = next(each for each in kept.runs() if each.record["head"] == head)
    table = kept.find_dataset()
    backbone = BACKBONES["efficientnet-lite0"]
    network, _ = load_extractor(backbone, locate_weights(backbone))
    engine = make_engine(backbone, network, batch_size=4)
    predictions = trained.predictions
    paths = {row.key: table.origin.root / row.path for row in table.rows}
    chosen = np.flatnonzero(predictions.splits == 2)[:8]
    pixels = [
        decode_image(paths[key].read_bytes(), backbone.input_size, backbone.resize)
        for key in keys_from_array(predictions.keys[chosen])
    ]
    features = np.concatenate([engine.extract(np.stack(pixels[i : i + 4]))[0] for i in range(0, len(pixels), 4)])
    scores = load_head(trained.folder / trained.record["head_file"])(features)
    assert np.allclose(scores, predictions.scores[chosen], atol=1e-3)
    assert (scores.argmax(axis=1) == predictions.predicted[chosen]).all()


@pytest.mark.slow
def test_the_data_set_is_a_readable_table(store: Path) -> None:
    with (store / "datasets" / "digits.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 300
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    assert all(row["path"].split("/")[0] == row["label"] for row in rows)


@pytest.mark.slow
def test_cats_and_dogs(real_data: Path, tmp_path: Path) -> None:
    job = run(real_data / "cats-dogs", store=tmp_path / "store", heads=("logistic",))
    assert job.extractions[0].rows == 2000
    assert job.report is not None
    assert job.report.runs[0].record["metrics"]["test"]["accuracy"] >= 0.97


@pytest.mark.slow
def test_wide_features_of_a_random_xception(tmp_path: Path) -> None:
    from demijohn.pipeline import extract_features

    photos = write_digits(tmp_path / "digits", 64)
    done = extract_features(photos, backbone="xception", weights="random", store=tmp_path / "store")
    assert (done.rows, done.width) == (64, 2048)
    features = FeatureStore(tmp_path / "store").find_feature_set()
    assert features.read(sorted(features.keys())).shape == (64, 2048)
