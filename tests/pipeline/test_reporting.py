"""The report: best by validation first, runs of another state apart, names as data."""

import csv
import io
import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from demijohn.cache import FeatureStore
from demijohn.pipeline import InvalidRequest, extract_features, report_heads, train_head
from demijohn.pipeline.rendering import COLUMNS, cells_of, command_of, to_csv, to_markdown
from PIL import Image
from support.pictures import COLOURS, encode, picture, write_classes


@pytest.fixture
def store(tiny: str, photos: Path, tmp_path: Path) -> Path:
    """Return a store with features and two runs."""
    folder = tmp_path / "store"
    (photos / "red" / "broken.jpg").write_bytes(b"no picture")
    extract_features(photos, backbone=tiny, weights="random", store=folder)
    train_head("logistic", store=folder)
    train_head("dense", store=folder, settings={"epochs": 3})
    return folder


def test_the_files_say_the_same(store: Path) -> None:
    report = report_heads(store=store)
    folder = store / "report"
    value = json.loads((folder / "report.json").read_text())
    assert value["best"] == report.runs[0].id == value["runs"][0]["run"]
    assert {run["run"] for run in value["runs"]} == {run.id for run in FeatureStore(store).runs()}
    rows = list(csv.DictReader(io.StringIO((folder / "report.csv").read_text())))
    assert [row["run"] for row in rows] == [run["run"] for run in value["runs"]]
    assert [float(row["test_accuracy"]) for row in rows] == [
        run["metrics"]["test"]["accuracy"] for run in value["runs"]
    ]
    markdown = (folder / "report.md").read_text()
    for run in value["runs"]:
        assert f"| tiny | {run['head']} |" in markdown
    assert "red/broken.jpg: a text file, not a picture" in markdown
    assert value["skipped"] == [{"path": "red/broken.jpg", "reason": "a text file, not a picture"}]


def test_every_figure_the_markdown_names_is_a_picture(store: Path) -> None:
    report = report_heads(store=store)
    markdown = (report.folder / "report.md").read_text()
    figures = sorted(path.relative_to(report.folder).as_posix() for path in report.folder.glob("figures/*"))
    assert [name.split("-")[0] for name in figures] == ["figures/confusion", "figures/curves"]
    for name in figures:
        assert f"({name})" in markdown
        with Image.open(report.folder / name) as image:
            assert image.format == "PNG"
            assert image.width > 300


def test_figures_of_runs_that_are_gone_go_too(store: Path) -> None:
    report_heads(store=store)
    stale = store / "report" / "figures" / "curves-gone.png"
    stale.write_bytes(b"old")
    report_heads(store=store)
    assert not stale.exists()


def test_the_best_by_validation_comes_first_and_the_order_is_stable(store: Path) -> None:
    report = report_heads(store=store)
    accuracies = [run.record["metrics"]["validation"]["accuracy"] for run in report.runs]
    assert accuracies == sorted(accuracies, reverse=True)
    assert [run.id for run in report_heads(store=store).runs] == [run.id for run in report.runs]


def test_runs_of_an_earlier_state_are_outdated_with_a_command_that_works(tiny: str, store: Path, photos: Path) -> None:
    old = train_head("dense", store=store, settings={"epochs": 2, "hidden": (8, 4), "batch_norm": True}, seed=3)
    (photos / "red" / "new.png").write_bytes(encode(picture(55, colour=COLOURS["red"])))
    extract_features(photos, backbone=tiny, weights="random", store=store)
    with pytest.raises(InvalidRequest, match="earlier state: 3; the first again: train-head"):
        report_heads(store=store)
    train_head("logistic", store=store)
    report = report_heads(store=store)
    assert len(report.runs) == 1
    assert len(report.outdated) == 3
    again = next(each.command for each in report.outdated if each.run == old.id)
    assert shlex.split(again)[1:] == shlex.split(
        f"--head dense --features {old.record['features_digest'][:12]} --dataset photos --store {store} "
        "--hidden 8,4 --batch-norm --epochs 2 --views 1 --seed 3"
    )


def test_a_broken_or_a_loose_file_more_makes_no_run_outdated(tiny: str, store: Path, photos: Path) -> None:
    before = [run.id for run in report_heads(store=store).runs]
    (photos / "red" / "bad.jpg").write_bytes(b"neither a picture")
    (photos / "loose.png").write_bytes(encode(picture(77)))
    extract_features(photos, backbone=tiny, weights="random", store=store)
    assert train_head("logistic", store=store).id in before
    assert [run.id for run in report_heads(store=store).runs] == before


def test_the_same_pictures_under_another_name_are_another_data_set(tiny: str, store: Path, photos: Path) -> None:
    renamed = photos.rename(photos.parent / "renamed")
    extract_features(renamed, backbone=tiny, weights="random", store=store)
    run = train_head("logistic", store=store, dataset="renamed")
    assert report_heads(store=store, dataset="renamed").best == run
    assert len(report_heads(store=store, dataset="photos").runs) == 2


def test_without_validation_no_run_is_best(tiny: str, tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "few", per_class=1)
    extract_features(photos, backbone=tiny, weights="random", store=tmp_path / "store")
    train_head("logistic", store=tmp_path / "store")
    report = report_heads(store=tmp_path / "store")
    assert report.best is None
    assert report.to_json()["best"] is None
    assert "no run is shown to be better" in (report.folder / "report.md").read_text()


def test_files_that_could_not_be_opened_are_in_the_report(tiny: str, photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "gone.jpg").symlink_to("nowhere")
    extract_features(photos, backbone=tiny, weights="random", store=tmp_path / "store")
    train_head("logistic", store=tmp_path / "store")
    assert report_heads(store=tmp_path / "store").to_json()["skipped"] == [
        {"path": "red/gone.jpg", "reason": "a broken link"}
    ]


def test_no_runs_is_an_error(tiny: str, photos: Path, tmp_path: Path) -> None:
    extract_features(photos, backbone=tiny, weights="random", store=tmp_path / "store")
    with pytest.raises(InvalidRequest, match="run train-head first"):
        report_heads(store=tmp_path / "store")


def test_names_are_data(tiny: str, tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "a|b <script>")
    (photos / "red").rename(photos / "$<script>|*red*")
    extract_features(photos, backbone=tiny, weights="random", store=tmp_path / "store")
    train_head("logistic", store=tmp_path / "store")
    report = report_heads(store=tmp_path / "store")
    assert (report.folder / "report.md").read_text().startswith("# Heads on a\\|b \\<script\\>\n")


def test_a_run_without_validation_comes_last_and_shows_dashes(store: Path) -> None:
    record = report_heads(store=store).runs[0].record
    undefined = {
        name: None for metric in ("accuracy", "macro_f1", "log_loss") for name in (metric, f"{metric}_interval")
    }
    empty = {**record, "metrics": {**record["metrics"], "validation": undefined, "test": undefined}}
    assert cells_of(empty)[3:7] == ["-", "-", "-", "-"]
    assert ",,," in to_csv([empty])


GOLDEN = """\
| backbone | head | settings | validation | test | macro F1 | log loss | seconds | size |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| xception | dense | hidden=512,64 dropout=0.2 seed=7 | 97.5 \\[95.0, 99.1\\] | 96.0 \\[93.2, 98.0\\] \
| 0.960 | 0.123 | 4.2 | 1.5 MB |
| xception | svm | c=0.01 | 97.0 \\[94.0, 99.0\\] | 95.0 \\[92.0, 97.5\\] | 0.950 | - | 0.3 | 64 kB |
"""


def test_the_table_in_markdown() -> None:
    def metrics(accuracy: float, low: float, high: float, loss: float | None) -> dict[str, object]:
        return {
            "images": 200,
            "accuracy": accuracy,
            "accuracy_interval": [low, high],
            "macro_f1": accuracy,
            "macro_f1_interval": [low, high],
            "log_loss": loss,
            "log_loss_interval": loss and [loss, loss],
        }

    common = {
        "backbone": "xception",
        "inputs": "xception",
        "warnings": [],
        "found": {},
        "seed": 0,
        "views": 1,
        "tta": False,
        "request": {"folds": None, "refit": True, "calibrated": False},
    }
    dense = {
        **common,
        "run": "dense-1",
        "head": "dense",
        "settings": {"hidden": [512, 64], "dropout": 0.2},
        "seed": 7,
        "metrics": {"train": metrics(1, 1, 1, 0), "validation": metrics(0.975, 0.95, 0.991, 0.1)}
        | {"test": metrics(0.96, 0.932, 0.98, 0.1234)},
        "seconds": 4.2,
        "head_bytes": 1_500_000,
    }
    svm = {
        **common,
        "run": "svm-1",
        "head": "svm",
        "settings": {"c": None, "kernel": "linear"},
        "found": {"c": 0.01},
        "metrics": {"train": metrics(1, 1, 1, None), "validation": metrics(0.97, 0.94, 0.99, None)}
        | {"test": metrics(0.95, 0.92, 0.975, None)},
        "seconds": 0.31,
        "head_bytes": 64_000,
    }
    report = {
        "dataset": "d",
        "runs": [dense, svm],
        "best": "dense-1",
        "views": [],
        "outdated": [],
        "notes": [],
        "skipped": [],
        "created": "now",
        "versions": {},
        "machine": {"system": "here"},
    }
    assert GOLDEN in to_markdown(report, [], {})
    assert len(COLUMNS) == len(cells_of(svm))
    assert command_of({**svm, "dataset": "my photos", "features_digest": "0123456789abcdef"}, store=Path("s")) == (
        "train-head --head svm --features 0123456789ab --dataset 'my photos' --store s --views 1"
    )


def test_a_damaged_head_file_does_not_stop_the_report(store: Path) -> None:
    report = report_heads(store=store)
    (report.runs[0].folder / report.runs[0].record["head_file"]).write_bytes(b"")
    assert report_heads(store=store).runs == tuple(replace(run) for run in report.runs)
