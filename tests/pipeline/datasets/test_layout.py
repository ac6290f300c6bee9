"""Folders become files, labels and given splits, in a fixed order; what is left out is said."""

from pathlib import Path

import pytest
from demijohn.pipeline.datasets.labelling import Labelling
from demijohn.pipeline.datasets.layout import list_images
from demijohn.pipeline.errors import InvalidRequest, NoImages
from support.trees import make


def found(root: Path, **settings: object) -> list[tuple[str, str, str | None]]:
    listing = list_images(root, Labelling(**settings))  # type: ignore[arg-type]
    return [(each.path, each.label, each.split) for each in listing.files]


def test_class_folders_sorted_with_case_blind_suffixes(tmp_path: Path) -> None:
    root = make(tmp_path, "dogs/b.JPG", "dogs/a.png", "cats/1.JpEg", "cats/deep/2.webp")
    assert found(root) == [
        ("cats/1.JpEg", "cats", None),
        ("cats/deep/2.webp", "cats", None),
        ("dogs/a.png", "dogs", None),
        ("dogs/b.JPG", "dogs", None),
    ]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validation"])
def test_split_folders(tmp_path: Path, name: str) -> None:
    root = make(tmp_path, "train/cats/1.jpg", f"{name}/cats/2.jpg", "test/dogs/3.jpg")
    assert {(label, split) for _, label, split in found(root)} == {
        ("cats", "train"),
        ("cats", "validation"),
        ("dogs", "test"),
    }


def test_one_top_folder_of_another_name_makes_them_all_classes(tmp_path: Path) -> None:
    root = make(tmp_path, "train/a/1.jpg", "car/2.jpg")
    assert [(label, split) for _, label, split in found(root)] == [("car", None), ("train", None)]


def test_split_names_without_class_folders_are_classes_and_this_is_said(tmp_path: Path) -> None:
    listing = list_images(make(tmp_path, "train/1.jpg", "test/2.jpg"))
    assert [each.label for each in listing.files] == ["test", "train"]
    assert any("taken as classes" in note for note in listing.notes)


@pytest.mark.parametrize("folders", [["test"], ["validation"], ["test", "val"]])
def test_splits_without_training_are_an_error(tmp_path: Path, folders: list[str]) -> None:
    make(tmp_path, *(f"{folder}/cats/1.jpg" for folder in folders))
    with pytest.raises(InvalidRequest, match="none for training"):
        list_images(tmp_path)


def test_hidden_entries_and_other_files_are_left_out_and_counted(tmp_path: Path) -> None:
    root = make(tmp_path, "cats/1.jpg", ".ipynb_checkpoints/2.jpg", "cats/.hidden.jpg", "cats/notes.txt")
    listing = list_images(root)
    assert [each.path for each in listing.files] == ["cats/1.jpg"]
    assert any("hidden entries skipped: 2" in note for note in listing.notes)
    assert any("other kinds left alone: 1" in note for note in listing.notes)


def test_loose_pictures_have_no_label(tmp_path: Path) -> None:
    listing = list_images(make(tmp_path, "cats/1.jpg", "2.jpg"))
    assert [(each.path, each.label) for each in listing.files] == [("2.jpg", ""), ("cats/1.jpg", "cats")]
    assert any("no class folder" in note for note in listing.notes)


@pytest.mark.parametrize("case", ["missing", "file", "empty", "texts"])
def test_nothing_to_extract_is_an_error_that_says_what_was_expected(tmp_path: Path, case: str) -> None:
    root = tmp_path / "photos"
    if case == "file":
        root.write_text("x")
    elif case != "missing":
        root.mkdir()
    if case == "texts":
        make(root, "cats/1.txt")
    with pytest.raises(NoImages, match="expected"):
        list_images(root)


def test_a_stray_file_beside_split_folders_does_not_turn_them_into_classes(tmp_path: Path) -> None:
    root = make(tmp_path, "train/cats/1.jpg", "test/cats/2.jpg", "preview.png")
    assert found(root) == [
        ("preview.png", "", None),
        ("test/cats/2.jpg", "cats", "test"),
        ("train/cats/1.jpg", "cats", "train"),
    ]


def test_split_names_taken_as_classes_are_said(tmp_path: Path) -> None:
    listing = list_images(make(tmp_path, "train/a/1.jpg", "extra/a/2.jpg"))
    assert any("because beside them there is extra: train" in note for note in listing.notes)


@pytest.mark.parametrize(("level", "labels"), [(1, ["berlin", "paris"]), (2, ["cats", "dogs"])])
def test_nested_folders_by_level(tmp_path: Path, level: int, labels: list[str]) -> None:
    root = make(tmp_path, "berlin/cats/1.jpg", "paris/dogs/deep/2.jpg")
    assert [label for _, label, _ in found(root, label_level=level)] == labels


def test_levels_are_counted_below_split_folders(tmp_path: Path) -> None:
    root = make(tmp_path, "train/berlin/cats/1.jpg", "train/paris/dogs/2.jpg", "test/rome/cats/3.jpg")
    assert [(label, split) for _, label, split in found(root, label_level=2)] == [
        ("cats", "test"),
        ("cats", "train"),
        ("dogs", "train"),
    ]


def test_pictures_above_the_level_have_no_label_and_are_counted(tmp_path: Path) -> None:
    listing = list_images(make(tmp_path, "berlin/cats/1.jpg", "berlin/2.jpg"), Labelling(label_level=2))
    assert [file.label for file in listing.files] == ["", "cats"]
    assert "pictures in no folder of level 2, extracted but not trained on: 1" in listing.notes


def test_a_level_below_every_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"--label-level 3 is deeper .* found berlin/cats/1\.jpg"):
        list_images(make(tmp_path, "berlin/cats/1.jpg"), Labelling(label_level=3))


def test_labels_in_the_names_of_a_flat_folder(tmp_path: Path) -> None:
    root = make(tmp_path, "cat.0.jpg", "dog.1.jpg", "odd.jpg")
    listing = list_images(root, Labelling(label_pattern=r"^(.+)\.\d+\."))
    assert [file.label for file in listing.files] == ["cat", "dog", ""]
    assert listing.notes == (
        "pictures whose name does not fit --label-pattern (odd.jpg), extracted but not trained on: 1",
    )


def test_labels_in_the_names_below_split_folders(tmp_path: Path) -> None:
    root = make(tmp_path, "train/cat.0.jpg", "train/dog.1.jpg", "test/dog.2.jpg")
    assert [(label, split) for _, label, split in found(root, label_pattern=r"^(\w+)\.")] == [
        ("dog", "test"),
        ("cat", "train"),
        ("dog", "train"),
    ]


def test_split_names_beside_others_are_no_splits_for_a_pattern_either(tmp_path: Path) -> None:
    root = make(tmp_path, "train/cat.0.jpg", "train/dog.1.jpg", "test1/1.jpg")
    listing = list_images(root, Labelling(label_pattern=r"^([a-z]+)\."))
    assert [(file.label, file.split) for file in listing.files] == [("", None), ("cat", None), ("dog", None)]
    assert any("not taken as splits, because beside them there is test1" in note for note in listing.notes)


FLAT = ["cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg"]


@pytest.mark.parametrize("folder", ["", "all/", "train/"])
def test_a_pattern_is_offered_where_there_are_no_class_folders(tmp_path: Path, folder: str) -> None:
    listing = list_images(make(tmp_path, *(folder + name for name in FLAT)))
    assert any(note.endswith(r"(cat: 2, dog: 2): --label-pattern '^(.+)\.\d+\.' takes them") for note in listing.notes)


def test_a_pattern_is_offered_where_splits_would_be_taken_as_classes(tmp_path: Path) -> None:
    listing = list_images(make(tmp_path, *(f"train/{name}" for name in FLAT), "test1/1.jpg"))
    assert any("--label-pattern" in note for note in listing.notes)


def test_no_pattern_is_offered_beside_class_folders(tmp_path: Path) -> None:
    listing = list_images(make(tmp_path, *FLAT, "cats/1.jpg", "dogs/1.jpg"))
    assert not any("--label-pattern" in note for note in listing.notes)


def test_a_pattern_that_fits_nothing_is_an_error_that_offers_another(tmp_path: Path) -> None:
    make(tmp_path, *FLAT)
    with pytest.raises(InvalidRequest, match=r"found in none of the 4 names.*cat\.0\.jpg.*: --label-pattern '"):
        list_images(tmp_path, Labelling(label_pattern="^([0-9]+)"))
    with pytest.raises(InvalidRequest, match=r"--group-pattern .* found in none of the 4 paths.*try another"):
        list_images(tmp_path, Labelling(group_pattern="patient([0-9]+)"))


def test_groups_by_pattern_and_pictures_on_their_own(tmp_path: Path) -> None:
    root = make(tmp_path, "cats/p1/1.jpg", "dogs/p2-x.jpg", "dogs/3.jpg")
    listing = list_images(root, Labelling(group_pattern=r"(p\d)"))
    assert [file.group for file in listing.files] == ["p1", "", "p2"]
    assert any("each on its own: 1 (dogs/3.jpg)" in note for note in listing.notes)


def test_a_column_needs_a_table(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="take groups from the paths with --group-pattern"):
        list_images(make(tmp_path, "cats/1.jpg"), Labelling(group="patient"))


def test_unlabelled_pictures_of_a_test_folder_do_not_turn_splits_into_classes(tmp_path: Path) -> None:
    root = make(tmp_path, "train/cats/1.jpg", "train/dogs/2.jpg", "test/3.jpg")
    assert found(root) == [
        ("test/3.jpg", "", "test"),
        ("train/cats/1.jpg", "cats", "train"),
        ("train/dogs/2.jpg", "dogs", "train"),
    ]


def test_a_table_is_a_layout_too(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "a/2.jpg")
    (tmp_path / "labels.csv").write_text("path,label\na/1.jpg,cat\na/2.jpg,\n")
    listing = list_images(tmp_path / "labels.csv")
    assert (listing.root, listing.table, listing.layout) == (tmp_path, "labels.csv", "table labels.csv")
    assert [file.label for file in listing.files] == ["cat", ""]
    assert "pictures without a label in labels.csv, extracted but not trained on: 1" in listing.notes


def test_a_table_without_training_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "a/2.jpg")
    (tmp_path / "labels.csv").write_text("path,label,split\na/1.jpg,cat,test\na/2.jpg,dog,val\n")
    with pytest.raises(InvalidRequest, match=r"labels\.csv has pictures of the split test and validation but none"):
        list_images(tmp_path / "labels.csv")


def test_a_table_has_no_levels(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg")
    (tmp_path / "labels.csv").write_text("path,label\na/1.jpg,cat\n")
    with pytest.raises(InvalidRequest, match=r"--label-level 2 counts folders, but .*labels\.csv is a table"):
        list_images(tmp_path / "labels.csv", Labelling(label_level=2))
