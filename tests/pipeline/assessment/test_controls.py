"""Controls are what they say, are computed once, and need neither files nor TensorFlow."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache.results import KeptResults
from demijohn.pipeline import report_heads
from demijohn.pipeline.assessment import controls as controls_module
from demijohn.pipeline.assessment.controls import Control, draw_training, make_controls, shuffle_labels
from demijohn.pipeline.progress import SILENT
from demijohn.pipeline.training.ground import Ground
from sklearn.neighbors import KNeighborsClassifier
from support.trials import add_run, find_ground, make_store, predict


def by_name(found: list[Control]) -> dict[str, Control]:
    """Return controls by their names."""
    return {each.control: each for each in found}


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Return pictures whose classes are told apart well."""
    return find_ground(make_store(tmp_path / "store", images=(150, 60, 90)))


def test_each_is_what_it_says(ground: Ground, tmp_path: Path) -> None:
    found = by_name(make_controls([ground], KeptResults(tmp_path / "kept", 1), SILENT))
    assert list(found) == ["majority", "neighbours", "centroid", "shuffled"]
    assert found["majority"].metrics["test"]["accuracy"] == pytest.approx(1 / 3)
    assert found["neighbours"].metrics["test"]["accuracy"] > 0.85
    assert found["centroid"].metrics["test"]["accuracy"] > 0.85
    assert found["shuffled"].metrics["test"]["accuracy"] < 0.6
    for control in found.values():
        assert not control.right[ground.where("train")].any()
        for split in ("validation", "test"):
            metrics = control.metrics[split]
            assert metrics["images"] == ground.count(split)
            assert control.right[ground.where(split)].mean() == pytest.approx(metrics["accuracy"])
    assert {each.to_json()["features_digest"] for each in found.values()} == {None, ground.inputs.digest}


def test_neighbours_are_those_of_scikit_learn(ground: Ground, tmp_path: Path) -> None:
    found = by_name(make_controls([ground], KeptResults(tmp_path / "kept", 1), SILENT))["neighbours"]
    X, train, test = ground.read(np.arange(len(ground.labels))), ground.where("train"), ground.where("test")
    X = X - X[train].mean(axis=0)
    rival = KNeighborsClassifier(10, metric="cosine").fit(X[train], ground.labels[train])
    assert found.metrics["test"]["accuracy"] == pytest.approx(rival.score(X[test], ground.labels[test]), abs=1e-9)


def test_they_are_made_once_and_again_for_other_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    learn = controls_module._learn
    monkeypatch.setattr(
        controls_module, "_learn", lambda ground, *rest: (made.append(ground.digest), learn(ground, *rest))[1]
    )
    for images in ((60, 30, 30), (60, 30, 30), (60, 30, 33)):
        ground = find_ground(make_store(tmp_path / f"store{images[2]}", images=images))
        make_controls([ground], KeptResults(tmp_path / "kept", 1), SILENT)
    assert len(made) == len(set(made)) == 2


@pytest.mark.parametrize("sizes", [(50, 50), (90, 10), (7, 5, 3), (1, 1), (100, 1, 1)])
def test_shuffled_labels_tell_nothing_of_the_class_not_even_by_luck(sizes: tuple[int, ...]) -> None:
    labels = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    for seed in range(20):
        shuffled = shuffle_labels(labels, seed=seed)
        for label, size in enumerate(sizes):
            expected = np.array(sizes) / sum(sizes) * size
            assert np.abs(np.bincount(shuffled[labels == label], minlength=len(sizes)) - expected).max() < 1 + 1e-9
    assert not np.array_equal(
        shuffle_labels(np.repeat(labels, 9), seed=1), shuffle_labels(np.repeat(labels, 9), seed=2)
    )


def test_a_draw_keeps_every_class(tmp_path: Path) -> None:
    ground = find_ground(make_store(tmp_path / "store", classes=20, images=(400, 0, 20)))
    drawn = draw_training(ground, 5, seed=0)
    assert set(ground.labels[drawn]) == set(range(20))
    assert len(drawn) <= 25
    assert np.array_equal(drawn, np.unique(drawn))
    assert np.array_equal(draw_training(ground, 400, seed=0), np.arange(400))


def test_without_validation_and_test_there_is_nothing_to_judge(tmp_path: Path) -> None:
    ground = find_ground(make_store(tmp_path / "store", images=(30, 0, 0)))
    for control in make_controls([ground], KeptResults(tmp_path / "kept", 1), SILENT):
        assert control.metrics["test"]["accuracy"] is None


@pytest.mark.slow
def test_a_further_run_computes_no_control_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(tmp_path / "store")
    ground = find_ground(store)
    add_run(store, "one", predict(ground, 0.9, seed=1), ground)
    first = report_heads(store=store.folder).to_json()
    folder = store.report_folder("made") / "kept"
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}
    assert {path.name.partition("-")[0] for path in kept} == {"controls", "curve", "leaks", "run"}
    for name in ("_learn", "_learn_facts"):
        monkeypatch.setattr(controls_module, name, lambda *_: pytest.fail("computed again"))
    add_run(store, "two", predict(ground, 0.7, seed=2), ground, head="knn")
    second = report_heads(store=store.folder).to_json()
    assert second["controls"] == first["controls"]
    assert second["leaks"] == first["leaks"]
    assert second["learning_curve"] == first["learning_curve"]
    new = {path for path in folder.rglob("*.npz") if kept.get(path) != path.stat().st_mtime_ns}
    assert [path.name.partition("-")[0] for path in new] == ["run"]
    assert "majority" not in {run["run"] for run in second["runs"]}
    assert second["best"] == "one"


@pytest.mark.slow
def test_neither_controls_nor_curve_load_tensorflow(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    ground = find_ground(store)
    add_run(store, "one", predict(ground, 0.9, seed=1), ground, head="dense", head_file="head.keras")
    code = (
        "import sys; from demijohn.pipeline import report_heads; "
        f"report = report_heads(store={str(store.folder)!r}); "
        "assert report.learning_curve.head == 'logistic'; assert len(report.controls) == 4; "
        "print(sorted({'tensorflow', 'keras', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
