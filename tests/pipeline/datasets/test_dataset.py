"""From folders and tables to data sets: which source, what is remembered, what a change does."""

import json
import shutil
import time
from pathlib import Path

import pytest
from demijohn.cache import DamagedFile, FeatureStore
from demijohn.cache.index import hash_bytes
from demijohn.cache.table import Dataset
from demijohn.pipeline import (
    DatasetClash,
    Extraction,
    InvalidRequest,
    Labelling,
    NoImages,
    NotTrainable,
    extract_features,
    report_heads,
    run,
    train_head,
)
from demijohn.pipeline.datasets.dataset import finding_keys
from demijohn.pipeline.datasets.layout import list_images
from support.pictures import COLOURS, encode, picture, write_classes


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Return a folder of pictures whose names say what they show, as in red.0.png."""
    folder = tmp_path / "flat"
    folder.mkdir()
    for number, (name, colour) in enumerate(COLOURS.items()):
        for index in range(12):
            content = encode(picture(1000 * number + index, colour=colour))
            (folder / f"{name}.{index}.png").write_bytes(content)
    return folder


PATTERN = r"^(.+)\.\d+\."


def extract(images: Path | None, store: Path, dataset: str | None = None, **settings: object) -> Extraction:
    labelling = Labelling(**settings)  # type: ignore[arg-type]
    return extract_features(
        images, backbone="tiny", weights="random", store=store, dataset=dataset, labelling=labelling
    )


def table(store: Path, name: str | None = None) -> Dataset:
    return FeatureStore(store).find_dataset(name)


@pytest.mark.slow
def test_a_flat_folder_is_extracted_and_trained_in_one_go(tiny: str, flat: Path, tmp_path: Path) -> None:
    job = run(
        flat,
        backbones=[tiny],
        weights="random",
        heads=["logistic"],
        store=tmp_path / "store",
        labelling=Labelling(label_pattern=PATTERN),
    )
    assert job.report is not None
    record = job.report.runs[0].record
    assert record["classes"] == ["blue", "green", "red"]
    assert record["metrics"]["train"]["accuracy"] == 1.0
    assert {row.path.split(".")[0]: row.label for row in table(tmp_path / "store").rows} == {
        name: name for name in COLOURS
    }


@pytest.mark.slow
def test_a_flat_folder_without_a_pattern_is_told_the_option_to_type(tiny: str, flat: Path, tmp_path: Path) -> None:
    done = extract(flat, tmp_path / "store")
    assert done.rows == 36
    offered = r"(blue: 12, green: 12, red: 12): --label-pattern '^(.+)\.\d+\.' takes them"
    assert any(note.endswith(offered) for note in done.notes)
    with pytest.raises(NotTrainable) as told:
        train_head("logistic", store=tmp_path / "store")
    assert str(told.value).endswith(offered)
    extract(flat, tmp_path / "store", label_pattern=PATTERN)
    assert train_head("logistic", store=tmp_path / "store").record["classes"] == ["blue", "green", "red"]


@pytest.mark.slow
def test_unlabelled_pictures_are_extracted_and_not_trained_on(tiny: str, photos: Path, tmp_path: Path) -> None:
    (photos / "loose.png").write_bytes(encode(picture(99)))
    done = extract(photos, tmp_path / "store")
    assert (done.rows, done.extracted) == (37, 37)
    trained = train_head("logistic", store=tmp_path / "store")
    assert len(trained.predictions.keys) == 36


@pytest.mark.slow
def test_settings_stay_until_others_are_asked_for_and_a_change_is_said(tiny: str, flat: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = extract(flat, store, label_pattern=PATTERN, shares=(50.0, 25.0, 25.0), limit=30)
    assert not any("changes" in note for note in first.notes)
    before = table(store).rows
    again = extract_features(None, backbone="tiny", weights="random", store=store)
    assert table(store).rows == before
    assert again.notes == first.notes
    changed = extract(None, store, shares=(70.0, 15.0, 15.0), limit=0)
    assert changed.notes[0] == (
        "the data set flat changes, and heads that were trained before count as outdated: "
        "--split 70/15/15 (before: 50/25/25); --limit 0, all (before: 30)"
    )
    assert (changed.cached, changed.extracted, changed.rows) == (30, 6, 36)
    assert table(store).classes == ("blue", "green", "red")
    assert extract(None, store).notes == changed.notes[1:]
    assert json.loads((store / "datasets" / "flat.json").read_text())["labelling"] == {"label_pattern": PATTERN}


def test_another_seed_is_said(tiny: str, photos: Path, tmp_path: Path) -> None:
    extract(photos, tmp_path / "store")
    done = extract_features(photos, backbone="tiny", weights="random", store=tmp_path / "store", seed=4)
    assert done.notes[0].endswith("outdated: --seed 4 (before: 0)")


@pytest.mark.slow
def test_heads_trained_before_a_change_are_outdated(tiny: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    old = train_head("logistic", store=store)
    extract(photos, store, shares=(50.0, 25.0, 25.0))
    train_head("logistic", store=store)
    report = report_heads(store=store)
    assert [each.run for each in report.outdated] == [old.id]


def test_settings_that_are_damaged_say_how_to_go_on(tiny: str, photos: Path, tmp_path: Path) -> None:
    extract(photos, tmp_path / "store", limit=6)
    about = tmp_path / "store" / "datasets" / "photos.json"
    for damage in ({"limit": -1}, {"colour": "red"}, {"shares": [1]}, {"shares": 7}):
        about.write_text(json.dumps({**json.loads(about.read_text()), "labelling": damage}))
        with pytest.raises(DamagedFile, match=r"photos\.json is damaged.*run extract-features .*photos"):
            extract(photos, tmp_path / "store")


@pytest.mark.slow
def test_a_sample_grows_and_only_what_is_new_is_extracted(tiny: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    small = extract(photos, store, limit=12)
    paths = {row.path for row in table(store).rows}
    assert (small.images, small.rows, len(paths)) == (12, 12, 12)
    assert sorted(path.split("/")[0] for path in paths) == ["blue"] * 4 + ["green"] * 4 + ["red"] * 4
    larger = extract(photos, store, limit=24)
    assert (larger.images, larger.cached, larger.extracted) == (24, 12, 12)
    assert paths < {row.path for row in table(store).rows}
    assert "a sample of 24 of 36 distinct pictures; --limit 0 takes all" in larger.notes


@pytest.mark.slow
def test_several_data_sets_share_features(tiny: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    twin = tmp_path / "twin"
    shutil.copytree(photos, twin)
    (twin / "red" / "new.png").write_bytes(encode(picture(99)))
    done = extract(twin, store, shares=(50.0, 25.0, 25.0))
    assert (done.dataset, done.cached, done.extracted) == ("twin", 36, 1)
    halves = extract(photos, store, dataset="halves", shares=(50.0, 25.0, 25.0))
    assert (halves.cached, halves.extracted) == (36, 0)
    assert FeatureStore(store).dataset_names() == ["halves", "photos", "twin"]
    assert len(FeatureStore(store).feature_sets()) == 1
    assert [row.split for row in table(store, "halves").rows] != [row.split for row in table(store, "photos").rows]
    # Each keeps its own settings.
    before = table(store, "photos").rows
    extract_features(photos, backbone="tiny", weights="random", store=store)
    assert table(store, "photos").rows == before
    for name in ("photos", "halves", "twin"):
        assert train_head("logistic", store=store, dataset=name).record["dataset"] == name


def write_table(path: Path, photos: Path) -> Path:
    """Write a table of all pictures but the blue ones, which says that a folder is a patient."""
    lines = [
        f"{picture.relative_to(path.parent)},{picture.parent.name},p{int(picture.stem) % 4}"
        for picture in sorted(photos.glob("[!b]*/*.png"))
    ]
    path.write_text("\n".join(["path,label,patient", *lines, ""]))
    return path


@pytest.mark.slow
def test_a_table_is_a_data_set_of_its_own(tiny: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    source = write_table(tmp_path / "study.csv", photos)
    done = extract(source, store, group="patient")
    assert (done.dataset, done.rows) == ("study", 24)
    rows = table(store).rows
    assert {(row.label, row.group) for row in rows} == {(c, f"p{p}") for c in ("red", "green") for p in range(4)}
    assert all(len({row.split for row in rows if row.group == f"p{p}"}) == 1 for p in range(4))
    assert {row.path.split("/")[0] for row in rows} == {"photos"}
    # Without IMAGES the table is read again, with its column.
    with source.open("a") as file:
        file.write("photos/blue/000.png,blue,p9\n")
    again = extract(None, store)
    assert (again.dataset, again.cached, again.extracted) == ("study", 24, 1)
    assert table(store).rows[0].group == "p9"
    source.unlink()
    with pytest.raises(NoImages, match=r"study\.csv is not there"):
        extract(None, store)


def test_a_table_without_a_label_is_told_where_to_write_it(tiny: str, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "study.csv").write_text("path,label\nphotos/red/000.png,\n")
    extract(tmp_path / "study.csv", tmp_path / "store")
    with pytest.raises(
        NotTrainable, match=r"in the column label of .*study\.csv, found empty cells; fill them and extract again"
    ):
        train_head("logistic", store=tmp_path / "store")


def test_two_tables_of_one_folder_do_not_take_each_others_name(tiny: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    one, other = (write_table(tmp_path / name, photos) for name in ("one.csv", "other.csv"))
    extract(one, store)
    extract(other, store)
    assert FeatureStore(store).dataset_names() == ["one", "other"]
    with pytest.raises(DatasetClash, match=r"is .*one\.csv, not .*other\.csv"):
        extract(other, store, dataset="one")


def test_files_that_a_table_names_and_that_are_missing_are_skipped_files(
    tiny: str, photos: Path, tmp_path: Path
) -> None:
    source = write_table(tmp_path / "study.csv", photos)
    (photos / "red" / "000.png").unlink()
    done = extract(source, tmp_path / "store")
    assert (done.images, done.rows) == (24, 23)
    assert [(each.path, each.reason[:16]) for each in done.skipped] == [("photos/red/000.png", "cannot be opened")]


def test_a_column_is_no_setting_of_a_folder(tiny: str, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="--group-pattern"):
        extract(photos, tmp_path / "store", group="patient")
    assert not (tmp_path / "store").exists()


def test_names_and_folders_in_any_encoding_are_labels_and_groups(tiny: str, tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "photos", per_class=4, classes=("red", "green"))
    for path in sorted(photos.glob("red/*.png")):
        path.rename(path.with_name(f"caf\udce9 {path.name}"))
    extract(photos, tmp_path / "store", group_pattern=r"^red/(.+) \d")
    assert {row.group for row in table(tmp_path / "store").rows} == {"", "caf\udce9"}
    train_head("logistic", store=tmp_path / "store")


@pytest.mark.slow
def test_names_of_real_pictures(real_data: Path, tmp_path: Path) -> None:
    flat = tmp_path / "pets"
    flat.mkdir()
    for name in ("cat", "dog"):
        for number, path in enumerate(sorted((real_data / "cats-dogs" / "train" / f"{name}s").iterdir())[:150]):
            (flat / f"{name}.{number}{path.suffix}").symlink_to(path)
    job = run(flat, store=tmp_path / "store", heads=("logistic",), labelling=Labelling(label_pattern=PATTERN))
    assert job.report is not None
    assert job.report.runs[0].record["metrics"]["test"]["accuracy"] >= 0.9


def test_hashing_goes_on_beside_other_work_and_ends_where_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from demijohn.pipeline.datasets import dataset as module

    folder = tmp_path / "photos"
    (folder / "red").mkdir(parents=True)
    for number in range(1000):
        (folder / "red" / f"{number}.png").write_bytes(f"{number}".encode())
    hashed = 0
    hash_file = module.hash_file

    def slowly(path: Path) -> object:
        nonlocal hashed
        hashed += 1
        time.sleep(0.001)
        return hash_file(path)

    monkeypatch.setattr(module, "hash_file", slowly)
    listing, index = list_images(folder), FeatureStore(tmp_path / "store").index

    def fail() -> None:
        with finding_keys(listing, index):
            raise ValueError("no weights")

    with pytest.raises(ValueError, match="no weights"):
        fail()
    assert hashed < 500
    with finding_keys(listing, index) as finding:
        found = finding.result()
    assert len(found.keys) == len(set(found.keys.values())) == len(found.hashed) == 1000
    assert not found.skipped
    assert found.keys["red/7.png"] == hash_bytes(b"7")


def test_a_table_may_name_whole_paths(tiny: str, photos: Path, tmp_path: Path) -> None:
    table_file = tmp_path / "elsewhere" / "t.csv"
    table_file.parent.mkdir()
    lines = [f"{path},{path.parent.name}" for path in sorted(photos.glob("*/*.png"))]
    table_file.write_text("\n".join(["path,label", *lines]) + "\n")
    done = extract(table_file, tmp_path / "store")
    assert (done.images, done.rows, done.skipped) == (36, 36, ())
    assert extract(table_file, tmp_path / "store").cached == 36
