"""The report: best by validation first, runs of another state apart, names as data."""

import csv
import html
import io
import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from demijohn.cache import DamagedFile, FeatureStore
from demijohn.pipeline import InvalidRequest, NotReached, extract_features, report_heads, train_head
from demijohn.pipeline.commands.answers import print_comparison
from demijohn.pipeline.reporting.report import Report
from PIL import Image
from support.cases import quick
from support.pictures import COLOURS, encode, picture, write_classes
from support.reports import report_in, write_history
from support.trials import add_run, find_ground, make_store, predict, redate


@pytest.fixture
def store(swift: str, photos: Path, tmp_path: Path) -> Path:
    """Return a store with features and two runs."""
    folder = tmp_path / "store"
    (photos / "red" / "broken.jpg").write_bytes(b"no picture")
    extract_features(photos, backbone=swift, weights="random", store=folder)
    train_head("logistic", store=folder)
    train_head("ridge", store=folder)
    return folder


def test_the_files_say_the_same(store: Path) -> None:
    report = report_heads(store=store)
    folder = report_in(store)
    value = json.loads((folder / "report.json").read_text())
    assert value["best"] == report.runs[0].id == value["runs"][0]["run"]
    assert {run["run"] for run in value["runs"]} == {run.id for run in FeatureStore(store).runs()}
    rows = list(csv.DictReader(io.StringIO((folder / "report.csv").read_text())))
    assert [row["run"] for row in rows if row["kind"] == "run"] == [run["run"] for run in value["runs"]]
    assert [row["run"] for row in rows if row["kind"] == "control"] == [each["control"] for each in value["controls"]]
    assert [float(row["test_accuracy"]) for row in rows] == [
        each["metrics"]["test"]["accuracy"] for each in (*value["runs"], *value["controls"])
    ]
    markdown = (folder / "report.md").read_text()
    for run in value["runs"]:
        assert f"| tiny | {run['head']} |" in markdown
    assert "red/broken.jpg: a text file, not a picture" in markdown
    assert value["skipped"] == [{"path": "red/broken.jpg", "reason": "a text file, not a picture"}]


def test_every_figure_the_markdown_names_is_a_picture(store: Path) -> None:
    write_history(train_head("centroid", store=store).folder / "history.csv")
    report = report_heads(store=store)
    markdown = (report.folder / "report.md").read_text()
    figures = sorted(path.relative_to(report.folder).as_posix() for path in report.folder.glob("figures/*"))
    assert [name.split("-")[0] for name in figures] == ["figures/confusion", "figures/curves"]
    for name in figures:
        assert f"({name})" in markdown
        with Image.open(report.folder / name) as image:
            assert image.format == "PNG"
            assert image.width > 300


@pytest.mark.slow
def test_figures_of_runs_that_are_gone_go_too(store: Path) -> None:
    run = train_head("dense", store=store, settings={"epochs": 3})
    report_heads(store=store)
    assert list(report_in(store).glob(f"figures/curves-*{run.id}*.png"))
    stale = report_in(store) / "figures" / "curves-gone.png"
    stale.write_bytes(b"old")
    report_heads(store=store)
    assert not stale.exists()


@pytest.mark.slow
def test_the_best_by_validation_comes_first_and_the_order_is_stable(store: Path) -> None:
    report = report_heads(store=store)
    accuracies = [run.record["metrics"]["validation"]["accuracy"] for run in report.runs]
    assert accuracies == sorted(accuracies, reverse=True)
    assert [run.id for run in report_heads(store=store).runs] == [run.id for run in report.runs]


@pytest.mark.slow
def test_runs_of_an_earlier_state_are_outdated_with_a_command_that_works(swift: str, store: Path, photos: Path) -> None:
    old = train_head("dense", store=store, settings={"epochs": 2, "hidden": (8, 4), "batch_norm": True}, seed=3)
    (photos / "red" / "new.png").write_bytes(encode(picture(55, colour=COLOURS["red"])))
    extract_features(photos, backbone=swift, weights="random", store=store)
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


@pytest.mark.slow
def test_a_broken_or_a_loose_file_more_makes_no_run_outdated(swift: str, store: Path, photos: Path) -> None:
    before = [run.id for run in report_heads(store=store).runs]
    (photos / "red" / "bad.jpg").write_bytes(b"neither a picture")
    (photos / "loose.png").write_bytes(encode(picture(77)))
    extract_features(photos, backbone=swift, weights="random", store=store)
    assert train_head("logistic", store=store).id in before
    assert [run.id for run in report_heads(store=store).runs] == before


@pytest.mark.slow
def test_the_same_pictures_under_another_name_are_another_data_set(swift: str, store: Path, photos: Path) -> None:
    renamed = photos.rename(photos.parent / "renamed")
    extract_features(renamed, backbone=swift, weights="random", store=store)
    run = train_head("logistic", store=store, dataset="renamed")
    assert report_heads(store=store, dataset="renamed").best == run
    assert len(report_heads(store=store, dataset="photos").runs) == 2


@pytest.mark.slow
def test_without_validation_no_run_is_best(swift: str, tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "few", per_class=1)
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    train_head("logistic", store=tmp_path / "store")
    report = report_heads(store=tmp_path / "store")
    assert report.best is None
    assert report.to_json()["best"] is None
    assert "no run is shown to be better" in (report.folder / "report.md").read_text()


@pytest.mark.slow
def test_files_that_could_not_be_opened_are_in_the_report(swift: str, photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "gone.jpg").symlink_to("nowhere")
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    train_head("logistic", store=tmp_path / "store")
    assert report_heads(store=tmp_path / "store").to_json()["skipped"] == [
        {"path": "red/gone.jpg", "reason": "a broken link"}
    ]


@pytest.mark.slow
def test_names_are_data(swift: str, tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "a|b <script>")
    (photos / "red").rename(photos / "$<script>|*red*")
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    train_head("logistic", store=tmp_path / "store")
    report = report_heads(store=tmp_path / "store")
    assert (report.folder / "report.md").read_text().startswith("# Heads on a\\|b \\<script\\>\n")


@pytest.mark.slow
def test_a_damaged_head_file_does_not_stop_the_report(store: Path) -> None:
    report = report_heads(store=store)
    (report.runs[0].folder / report.runs[0].record["head_file"]).write_bytes(b"")
    assert report_heads(store=store).runs == report.runs


@pytest.fixture
def made(tmp_path: Path) -> FeatureStore:
    """Return a store with runs of two backbones, one of them with three seeds."""
    store = make_store(tmp_path / "store", backbones=("xception", "mobilenet"))
    for number, backbone in enumerate(("xception", "mobilenet")):
        ground = find_ground(store, backbone)
        add_run(store, f"ridge-{backbone}", predict(ground, 0.9 - 0.2 * number, seed=number), ground)
    for seed in range(3):
        ground = find_ground(store)
        found = {"epochs": 5, "best_epoch": 5}
        scores = predict(ground, 0.8, seed=10 + seed)
        add_run(store, f"dense-{seed}", scores, ground, head="dense", seed=seed, settings={"epochs": 5}, found=found)
    return store


def documented(heading: str) -> set[str]:
    """Return the fields that docs/report.md names: in the table under a heading, or in a paragraph or row."""
    part = (Path(__file__).parents[3] / "docs" / "report.md").read_text().partition(heading)[2]
    if not heading.startswith("#"):
        return set(re.findall(r"`(\w+)`", part.partition("\n\n" if heading.startswith("**") else "\n")[0]))
    rows = re.findall(r"^\| (`.*?) \|", part.partition("\n**")[0], re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_report_json_is_as_documented(made: FeatureStore) -> None:
    value = json.loads(json.dumps(report_heads(store=made.folder, equivalence=2.0).to_json(), allow_nan=False))
    assert value["format"] == 2
    assert set(value) == documented("## report.json")
    curve, optimism = value["learning_curve"], value["optimism"]
    for heading, items in {
        "**A comparison**": value["comparisons"],
        "**A family of seeds**": value["seeds"],
        "**An equivalence**": value["equivalence"],
        "**A control**": value["controls"],
        "**The leaks**": [value["leaks"]],
        "**The learning curve**": [curve, *curve["points"], curve["gain"]],
        "**The optimism**": [optimism, optimism["measured"], optimism["expected"]],
        "**A flag**": value["flags"],
    }.items():
        assert items, heading
        for item in items:
            assert set(item) <= documented(heading), heading
    for run in value["runs"]:
        record = json.loads((made.run_folder(run["run"]) / "run.json").read_text())
        assert set(run) - set(record) == {"name", "family", "cost"}
        assert set(run["cost"]) <= documented("| `cost` |")
    assert {control["control"] for control in value["controls"]} == {"majority", "neighbours", "centroid", "shuffled"}


def ids(report: Report) -> set[str]:
    """Return the runs of a report."""
    return {run.id for run in report.runs}


@pytest.mark.slow
def test_filters_choose_runs(made: FeatureStore) -> None:
    assert ids(report_heads(store=made.folder, runs=["ridge-*"])) == {"ridge-xception", "ridge-mobilenet"}
    assert ids(report_heads(store=made.folder, runs=["dense-1", "mobilenet+ridge"])) == {"dense-1", "ridge-mobilenet"}
    only = report_heads(store=made.folder, backbone="mobilenet")
    assert ids(only) == {"ridge-mobilenet"}
    assert only.best is not None
    assert only.best.id == "ridge-mobilenet"
    assert {each["inputs"] for each in only.to_json()["controls"]} == {None, "mobilenet"}
    assert only.to_json()["filters"] == {"runs": None, "backbone": "mobilenet", "split": None}
    with pytest.raises(InvalidRequest, match=r"expected some of xception\+ridge, .*leave out --runs or --backbone"):
        report_heads(store=made.folder, runs=["nothing"])


@pytest.mark.slow
def test_the_split_chooses_whose_pictures_judge(made: FeatureStore) -> None:
    for split, images in (("validation", 40), ("test", 60)):
        report = report_heads(store=made.folder, split=split)
        assert report.split == split
        assert {duel.comparison.images for duel in report.duels} == {images}
    empty = make_store(made.folder.parent / "other", images=(30, 30, 0))
    ground = find_ground(empty)
    add_run(empty, "one", predict(ground, 0.9, seed=1), ground)
    assert report_heads(store=empty.folder).split == "validation"
    with pytest.raises(InvalidRequest, match="--split test has no picture"):
        report_heads(store=empty.folder, split="test")


def test_what_is_expected_is_checked_after_the_report_is_written(made: FeatureStore) -> None:
    report = report_heads(store=made.folder, expect=["test.accuracy >= 0.5", "validation.macro_f1 > 50%"])
    report.check()
    strict = report_heads(store=made.folder, expect=["test.accuracy >= 0.999", "flags < 0", "test.accuracy > 0"])
    assert (made.report_folder(made.find_dataset().name) / "report.json").is_file()
    with pytest.raises(NotReached) as raised:
        strict.check()
    assert re.fullmatch(
        r"test.accuracy of xception\+ridge is 0\.\d+: expected >= 0.999, missed by 0\.\d+; "
        r"flags is \d+: expected < 0, missed by \d+",
        str(raised.value),
    )


@pytest.mark.slow
def test_reports_of_two_data_sets_stand_side_by_side(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", images=(9, 9, 9))
    ground = find_ground(store)
    store.save_dataset(replace(store.find_dataset(), name="other"))
    for name in ("made", "other"):
        add_run(store, f"run-{name}", predict(ground, 0.9, seed=1), ground, dataset=name)
    first = report_heads(store=store.folder, dataset="made")
    before = {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()}
    second = report_heads(store=store.folder, dataset="other")
    assert "run-other" in (second.folder / "index.html").read_text()
    assert before == {path: path.read_bytes() for path in first.folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", quick(1, ["predictions.h5", "run.json"]))
def test_a_damaged_run_is_left_out_and_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make_store(tmp_path / "store", images=(12, 12, 12))
    ground = find_ground(store)
    good, bad = (add_run(store, name, predict(ground, 0.9, seed=1), ground).id for name in ("good", "bad"))
    file = store.run_folder(bad) / name
    file.write_bytes(file.read_bytes()[:-20])
    report = report_heads(store=store.folder)
    assert [run.id for run in report.runs] == [good]
    [left_out] = json.loads((report.folder / "report.json").read_text())["left_out"]
    assert left_out["run"] == bad
    assert f"{file} is damaged: " in left_out["reason"]
    mend = f"remove the run's folder {file.parent}, or train it again" if name == "run.json" else "train the run again"
    assert mend in left_out["reason"]
    print_comparison(report)
    assert f"! left out: {left_out['reason']}" in capsys.readouterr().out
    for page in ("report.md", "index.html"):
        assert mend in html.unescape((report.folder / page).read_text()).replace("\\", ""), page
    with pytest.raises(DamagedFile, match=re.escape(mend)):
        report_heads(store=store.folder, runs=[bad])
    shutil.rmtree(store.run_folder(good))
    with pytest.raises(InvalidRequest, match=r"no head .* yet \(runs that cannot be read: 1; .* again.*\): run"):
        report_heads(store=store.folder)
    shutil.rmtree(file.parent)
    with pytest.raises(InvalidRequest, match=f"made yet: run train-head --store {store.folder} first"):
        report_heads(store=store.folder)


@pytest.mark.slow
def test_groups_widen_intervals_of_runs_that_did_not_know_of_them(tmp_path: Path) -> None:
    intervals = []
    for size in (1, 10):
        store = make_store(tmp_path / f"store{size}", images=(60, 60, 120), group_size=size)
        ground = find_ground(store)
        run = add_run(store, "one", predict(ground, 0.9, seed=1), ground)
        redate(run, format=2)
        metrics = report_heads(store=store.folder).runs[0].record["metrics"]["test"]
        intervals.append(metrics["accuracy_interval"][1] - metrics["accuracy_interval"][0])
    assert intervals[1] > 1.2 * intervals[0]


@pytest.mark.slow
def test_a_filtered_report_forgets_nothing(made: FeatureStore) -> None:
    report_heads(store=made.folder)
    before = sorted((made.report_folder(made.find_dataset().name) / "kept").rglob("*.npz"))
    report_heads(store=made.folder, backbone="mobilenet")
    assert set(before) <= set((made.report_folder(made.find_dataset().name) / "kept").rglob("*.npz"))
    (made.run_folder("dense-0") / "run.json").unlink()
    report_heads(store=made.folder)
    assert len(list((made.report_folder(made.find_dataset().name) / "kept").rglob("run-*.npz"))) == 4
