"""Folders become files, labels and given splits, in a fixed order; what is left out is said."""

import os
from pathlib import Path

import pytest
from demijohn.pipeline.errors import InvalidRequest, NoImages
from demijohn.pipeline.layout import list_images


def make(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"not opened here")
    return root


def found(root: Path) -> list[tuple[str, str, str | None]]:
    return [(each.path, each.label, each.split) for each in list_images(root).files]


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


def test_odd_entries_are_skipped_with_their_reason(tmp_path: Path) -> None:
    make(tmp_path, "cats/1.jpg")
    (tmp_path / "cats/gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "cats/circle").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "cats/pipe.jpg")
    (tmp_path / "cats/folder.jpg").mkdir()
    listing = list_images(tmp_path)
    assert [each.path for each in listing.files] == ["cats/1.jpg"]
    assert {each.path: each.reason for each in listing.skipped} == {
        "cats/circle": "a link that leads back to a folder above it",
        "cats/gone.jpg": "a broken link",
        "cats/pipe.jpg": "not a regular file",
    }


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


def test_the_store_inside_the_folder_is_no_class(tmp_path: Path) -> None:
    root = make(tmp_path, "cats/1.jpg", "bottlenecks/report/figures/confusion.png")
    assert [each.path for each in list_images(root, leave_out=root / "bottlenecks").files] == ["cats/1.jpg"]


def test_a_link_to_itself_is_skipped(tmp_path: Path) -> None:
    make(tmp_path, "cats/1.jpg")
    (tmp_path / "cats" / "loop.jpg").symlink_to("loop.jpg")
    assert [each.path for each in list_images(tmp_path).skipped] == ["cats/loop.jpg"]
