"""A picture's split follows from its bytes and the seed, and from nothing else."""

import hashlib
from collections import Counter

from demijohn.cache.table import SPLITS, Split
from demijohn.pipeline.splits import assign_splits
from hypothesis import given
from hypothesis import strategies as st

KEYS = [hashlib.sha256(str(number).encode()).digest() for number in range(400)]


def assign(
    pictures: list[tuple[int, str]], given: list[Split | None] | None = None, seed: int = 0
) -> tuple[list[Split | None], list[str]]:
    keys = [KEYS[number] for number, _ in pictures]
    labels = [label for _, label in pictures]
    return assign_splits(keys, labels, given or [None] * len(keys), seed=seed)


def test_about_seventy_fifteen_fifteen() -> None:
    splits, notes = assign([(number, "a") for number in range(400)])
    count = Counter(splits)
    assert abs(count["train"] - 280) < 30
    assert abs(count["validation"] - 60) < 25
    assert abs(count["test"] - 60) < 25
    assert notes == []


def test_another_seed_is_another_split() -> None:
    pictures = [(number, "a") for number in range(400)]
    assert assign(pictures, seed=0)[0] != assign(pictures, seed=1)[0]


@given(st.sets(st.integers(0, 199), min_size=40), st.sets(st.integers(200, 399)), st.randoms())
def test_no_picture_changes_its_split_when_others_are_added(old: set[int], new: set[int], random: object) -> None:
    pictures = [(number, "a") for number in sorted(old)]
    before = dict(zip([number for number, _ in pictures], assign(pictures)[0], strict=True))
    more = [(number, "a") for number in sorted(old | new, key=lambda n: KEYS[n])]
    after = dict(zip([number for number, _ in more], assign(more)[0], strict=True))
    assert all(after[number] == before[number] for number in old)


@given(st.data(), st.sampled_from([[], ["train"], ["train", "validation"], ["train", "test"], list(SPLITS)]))
def test_same_bytes_never_straddle_and_every_class_can_train(data: st.DataObject, folders: list[Split]) -> None:
    labels = ["a", "b", "c"] if folders else ["a", "b", "c", ""]
    picture = st.tuples(st.integers(0, 30), st.sampled_from(labels))
    pictures = data.draw(st.lists(picture, min_size=max(1, len(folders))))
    # Every folder that there is holds a picture.
    rest = [data.draw(st.sampled_from(folders)) if folders else None for _ in pictures[len(folders) :]]
    splits, _ = assign(pictures, [*folders, *rest])
    by_key: dict[int, set[Split]] = {}
    labels_of: dict[int, set[str]] = {}
    for (number, label), split in zip(pictures, splits, strict=True):
        if label:
            assert split is not None
            by_key.setdefault(number, set()).add(split)
            labels_of.setdefault(number, set()).add(label)
        else:
            assert split is None
    assert all(len(found) == 1 for found in by_key.values())
    clean = {number: labels for number, labels in labels_of.items() if len(labels) == 1}
    trainable = {label for labels in clean.values() for label in labels}
    assert trainable == {
        label for (number, label), split in zip(pictures, splits, strict=True) if split == "train" and number in clean
    }


def test_train_and_validation_alone() -> None:
    given_splits: list[Split | None] = ["train"] * 300 + ["validation"] * 100
    splits, notes = assign([(number, "a") for number in range(400)], given_splits)
    assert splits[300:] == ["test"] * 100
    count = Counter(splits[:300])
    assert set(count) == {"train", "validation"}
    assert abs(count["validation"] - 45) < 20
    assert "the validation folder is the test split" in notes[0]


def test_train_and_test_alone() -> None:
    splits, notes = assign([(number, "a") for number in range(400)], ["train"] * 300 + ["test"] * 100)
    assert splits[300:] == ["test"] * 100
    assert abs(Counter(splits[:300])["validation"] - 45) < 20
    assert "no validation folder" in notes[0]


def test_train_alone_is_cut_in_three() -> None:
    pictures = [(number, "a") for number in range(400)]
    assert assign(pictures, ["train"] * 400)[0] == assign(pictures)[0]


def test_all_three_are_honoured() -> None:
    given_splits: list[Split | None] = ["train", "validation", "test"] * 10
    assert assign([(number, "a") for number in range(30)], given_splits)[0] == given_splits


def test_same_bytes_in_several_given_splits_stay_in_the_last_and_this_is_said() -> None:
    splits, notes = assign([(1, "a"), (2, "a"), (1, "a"), (3, "a")], ["train", "train", "test", "validation"])
    assert splits == ["test", "train", "test", "validation"]
    assert "kept in the later split only: 1" in notes[0]


def test_a_class_without_training_gets_its_lowest_hash_and_missing_classes_are_named() -> None:
    splits, notes = assign([(number, "a") for number in range(300)] + [(300, "rare")])
    assert splits[300] == "train"
    assert "without a validation picture: rare" in notes[-2]
    assert "without a test picture: rare" in notes[-1]
