"""A picture's split follows from its bytes (or its group) and the seed, and from nothing else."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from demijohn.cache.table import SPLITS, Row, Split
from demijohn.pipeline.datasets.splits import assign_splits, fraction_of
from hypothesis import given, settings
from hypothesis import strategies as st

KEYS = [hashlib.sha256(str(number).encode()).digest() for number in range(400)]


def rows_of(
    pictures: Sequence[tuple[int, str]],
    given: Sequence[Split | None] | None = None,
    groups: Sequence[str] | None = None,
) -> list[Row]:
    given = given or [None] * len(pictures)
    groups = groups or [""] * len(pictures)
    return [
        Row(f"{label}/{index}-{number}.jpg", KEYS[number], label, split or "", group)
        for index, ((number, label), split, group) in enumerate(zip(pictures, given, groups, strict=True))
    ]


def assign(
    pictures: Sequence[tuple[int, str]],
    given: Sequence[Split | None] | None = None,
    *,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    **options: object,
) -> tuple[list[str], list[str]]:
    """Return the splits, and the notes."""
    rows, notes = assign_splits(rows_of(pictures, given, groups), seed=seed, **options)  # type: ignore[arg-type]
    return [row.split for row in rows], notes


def test_about_seventy_fifteen_fifteen() -> None:
    splits, notes = assign([(number, "a") for number in range(400)])
    count = Counter(splits)
    assert abs(count["train"] - 280) < 30
    assert abs(count["validation"] - 60) < 25
    assert abs(count["test"] - 60) < 25
    assert notes == []


def test_the_usual_splits_never_change() -> None:
    # Other splits would make every run outdated, and mix pictures that were apart.
    splits, _ = assign([(number, "a") for number in range(24)])
    assert " ".join(split[:2] for split in splits) == (
        "tr te tr tr tr tr tr tr tr tr tr te tr te va te tr tr tr tr tr tr tr te"
    )


@pytest.mark.parametrize(
    ("shares", "expected"), [((50.0, 25.0, 25.0), (200, 100, 100)), ((90.0, 0.0, 10.0), (360, 0, 40))]
)
def test_other_shares(shares: tuple[float, float, float], expected: tuple[int, int, int]) -> None:
    splits, notes = assign([(number, "a") for number in range(400)], shares=shares)
    count = Counter(splits)
    assert all(abs(count[split] - wanted) < 30 for split, wanted in zip(SPLITS, expected, strict=True))
    assert (count["validation"] == 0) == (shares[1] == 0)
    assert any("without a validation picture: a" in note for note in notes) == (shares[1] == 0)


def test_greater_shares_of_training_only_add_to_it() -> None:
    pictures = [(number, "a") for number in range(400)]
    less, more = (assign(pictures, shares=shares)[0] for shares in ((60.0, 20.0, 20.0), (80.0, 10.0, 10.0)))
    assert all(after == "train" for before, after in zip(less, more, strict=True) if before == "train")


def test_another_seed_is_another_split() -> None:
    pictures = [(number, "a") for number in range(400)]
    assert assign(pictures, seed=0)[0] != assign(pictures, seed=1)[0]


@settings(deadline=None)
@given(st.sets(st.integers(0, 199), min_size=40), st.sets(st.integers(200, 399)), st.booleans())
def test_no_picture_changes_its_split_when_others_are_added(old: set[int], new: set[int], grouped: bool) -> None:
    def splits_of(numbers: list[int]) -> dict[int, str]:
        groups = [f"g{number % 40}" for number in numbers] if grouped else None
        return dict(zip(numbers, assign([(number, "a") for number in numbers], groups=groups)[0], strict=True))

    before = splits_of(sorted(old))
    after = splits_of(sorted(old | new, key=lambda number: KEYS[number]))
    # A class without training is the one exception, and it is said.
    if len({number % 40 for number in old}) >= 20 or not grouped:
        assert all(after[number] == before[number] for number in old)


@settings(deadline=None)
@given(st.data(), st.sampled_from([[], ["train"], ["train", "validation"], ["train", "test"], list(SPLITS)]))
def test_same_bytes_never_straddle_and_every_class_can_train(data: st.DataObject, folders: list[Split]) -> None:
    labels = ["a", "b", "c"] if folders else ["a", "b", "c", ""]
    picture = st.tuples(st.integers(0, 30), st.sampled_from(labels))
    pictures = data.draw(st.lists(picture, min_size=max(1, len(folders))))
    # Every folder that there is holds a picture.
    rest = [data.draw(st.sampled_from(folders)) if folders else None for _ in pictures[len(folders) :]]
    groups = data.draw(st.lists(st.sampled_from(["", "p", "q"]), min_size=len(pictures), max_size=len(pictures)))
    splits, _ = assign(pictures, [*folders, *rest], groups=groups)
    by_key: dict[int, set[str]] = {}
    labels_of: dict[int, set[str]] = {}
    for (number, label), split in zip(pictures, splits, strict=True):
        if label:
            assert split
            by_key.setdefault(number, set()).add(split)
            labels_of.setdefault(number, set()).add(label)
        else:
            assert split == ""
    assert all(len(found) == 1 for found in by_key.values())
    clean = {number: labels for number, labels in labels_of.items() if len(labels) == 1}
    trainable = {label for labels in clean.values() for label in labels}
    assert trainable == {
        label for (number, label), split in zip(pictures, splits, strict=True) if split == "train" and number in clean
    }


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from("abc"), st.sampled_from(["", *"pqrstuvw"])), min_size=1),
    st.integers(0, 3),
    st.sampled_from([0, 5, 20]),
)
def test_neither_a_group_nor_what_shares_its_bytes_straddles(
    files: list[tuple[int, str, str]], seed: int, limit: int
) -> None:
    rows, _ = assign_splits(
        rows_of([(number, label) for number, label, _ in files], None, [group for *_, group in files]),
        seed=seed,
        limit=limit,
    )
    # The slow way: pictures are connected by bytes or group, over and over until nothing changes.
    together = {index: index for index in range(len(files))}
    changed = True
    while changed:
        changed = False
        for i, (number, _, group) in enumerate(files):
            for j, (other, _, theirs) in enumerate(files):
                if (number == other or (group and group == theirs)) and together[i] != together[j]:
                    together[i] = together[j] = min(together[i], together[j])
                    changed = True
    splits: dict[int, set[str]] = defaultdict(set)
    places = {row.path: index for index, row in enumerate(rows_of([(n, label) for n, label, _ in files]))}
    for row in rows:
        splits[together[places[row.path]]].add(row.split)
    assert all(len(found) == 1 for found in splits.values())


def test_groups_get_the_shares_on_average() -> None:
    pictures = [(number, "a") for number in range(400)]
    count = Counter(
        split
        for seed in range(30)
        for split in assign(pictures, groups=[f"film {number // 8}" for number in range(400)], seed=seed)[0]
    )
    assert abs(count["train"] / 12_000 - 0.70) < 0.04
    assert abs(count["validation"] / 12_000 - 0.15) < 0.03


def test_groups_are_counted_and_those_that_share_bytes_are_named() -> None:
    pictures = [(number, "a") for number in range(6)] + [(0, "a")]
    splits, notes = assign(pictures, groups=["p", "p", "q", "q", "r", "r", "q"])
    assert len(set(splits[:4])) == 1
    assert splits[6] == splits[0]
    assert any(note.endswith("kept together as one: p + q") for note in notes)
    assert any(note.startswith("groups that stay together: 2; pictures by split: train ") for note in notes)


def test_train_and_validation_alone() -> None:
    given_splits: list[Split | None] = ["train"] * 300 + ["validation"] * 100
    splits, notes = assign([(number, "a") for number in range(400)], given_splits)
    assert splits[300:] == ["test"] * 100
    count = Counter(splits[:300])
    assert set(count) == {"train", "validation"}
    assert abs(count["validation"] - 45) < 20
    assert "the validation split is the test split" in notes[0]


@pytest.mark.parametrize(("shares", "wanted"), [(None, 45), ((60.0, 30.0, 10.0), 90)])
def test_train_and_test_alone(shares: tuple[float, float, float] | None, wanted: int) -> None:
    splits, notes = assign([(number, "a") for number in range(400)], ["train"] * 300 + ["test"] * 100, shares=shares)
    assert splits[300:] == ["test"] * 100
    assert abs(Counter(splits[:300])["validation"] - wanted) < 20
    assert f"no validation split is given: {30 if shares else 15} % of train" in notes[0]
    # Always the same end of the hashes, so that greater shares only add to validation.
    least = 1 - (0.30 if shares else 0.15)
    assert splits[:300] == ["validation" if fraction_of(key, 0) >= least else "train" for key in KEYS[:300]]


def test_validation_cut_from_a_given_train_split_keeps_groups_together() -> None:
    pictures = [(number, "a") for number in range(400)]
    groups = [f"film {number // 10}" for number in range(400)]
    splits, _ = assign(pictures, ["train"] * 300 + ["test"] * 100, groups=groups)
    assert all(len(set(splits[start : start + 10])) == 1 for start in range(0, 400, 10))
    assert set(splits[:300]) == {"train", "validation"}


def test_train_alone_is_cut_in_three() -> None:
    pictures = [(number, "a") for number in range(400)]
    assert assign(pictures, ["train"] * 400)[0] == assign(pictures)[0]


def test_all_three_are_honoured_and_shares_then_change_nothing() -> None:
    given_splits: list[Split | None] = ["train", "validation", "test"] * 10
    pictures = [(number, "a") for number in range(30)]
    assert assign(pictures, given_splits) == (given_splits, [])
    splits, notes = assign(pictures, given_splits, shares=(80.0, 10.0, 10.0))
    assert splits == given_splits
    assert notes == ["--split 80/10/10 changes nothing: train, validation and test are given"]


def test_a_given_test_split_and_the_rest_without_one() -> None:
    splits, notes = assign([(number, "a") for number in range(100)], ["test"] * 20 + [None] * 80)
    assert splits[:20] == ["test"] * 20
    assert set(splits[20:]) == {"train", "validation"}
    assert "taken as train: 80" in notes[0]


def test_given_splits_without_a_label_are_said_and_do_not_count() -> None:
    pictures = [(number, "a") for number in range(60)] + [(number, "") for number in range(60, 80)]
    splits, notes = assign(pictures, ["train"] * 60 + ["test"] * 20)
    assert set(splits[:60]) == set(SPLITS)
    assert splits[60:] == [""] * 20
    assert "nothing is measured on them: test" in notes[0]


def test_same_bytes_in_several_given_splits_stay_in_the_last_and_are_named() -> None:
    splits, notes = assign([(1, "a"), (2, "a"), (1, "a"), (3, "a")], ["train", "train", "test", "validation"])
    assert splits == ["test", "train", "test", "validation"]
    assert notes[0] == (
        "leak: files with the same bytes as one in a later split, kept in the later split only: "
        "1 (a/0-1.jpg = a/2-1.jpg)"
    )


def test_many_leaks_are_named_by_the_first_few_and_a_count() -> None:
    pictures = [(number, "a") for number in range(20)] * 2
    _, notes = assign(pictures, ["train"] * 20 + ["test"] * 20)
    leak = next(note for note in notes if note.startswith("leak"))
    assert leak.count(" = ") == 5
    assert "kept in the later split only: 20 (" in leak
    assert leak.endswith(" and 15 more)")


def test_groups_torn_by_given_splits_stay_and_are_named() -> None:
    given_splits: list[Split | None] = ["train", "train", "validation", "test"]
    splits, notes = assign([(number, "a") for number in range(4)], given_splits, groups=["p", "q", "q", "p"])
    assert splits == given_splits
    assert notes[0].startswith("leak: groups that lie in several given splits")
    assert notes[0].endswith(": p (train, test), q (train, validation)")


def test_a_class_without_training_gets_its_lowest_hash_and_missing_classes_are_named() -> None:
    splits, notes = assign([(number, "a") for number in range(300)] + [(300, "rare")])
    assert splits[300] == "train"
    assert "without a validation picture: rare" in notes[-2]
    assert "without a test picture: rare" in notes[-1]


def test_small_classes_are_named_with_what_becomes_of_them() -> None:
    pictures = [(number, "a") for number in range(60)] + [(100, "one"), (101, "two"), (102, "two"), (101, "two")]
    splits, notes = assign([*pictures, (103, "none"), (104, "x"), (104, "y")], unreadable={KEYS[103]})
    small = next(note for note in notes if note.startswith("classes with fewer than 3 pictures"))
    assert "one (1 in train)" in small
    assert "two (" in small
    assert "none (none that can be used: left out)" in small
    assert "x (none that can be used" in small
    assert splits[60] == "train"


def test_a_class_of_one_group_trains_as_a_whole() -> None:
    pictures = [(number, "a") for number in range(100)] + [(number, "b") for number in range(100, 104)]
    for seed in range(10):
        splits, _ = assign(pictures, groups=[""] * 100 + ["film"] * 4, seed=seed)
        assert splits[100:] == ["train"] * 4


def test_a_sample_keeps_the_splits_and_is_said() -> None:
    pictures = [(number, "ab"[number % 2]) for number in range(400)]
    whole = dict(zip([row.path for row in rows_of(pictures)], assign(pictures)[0], strict=True))
    rows, notes = assign_splits(rows_of(pictures), seed=0, limit=100)
    assert len(rows) == 100
    assert all(row.split == whole[row.path] for row in rows)
    assert {row.split for row in rows} == set(SPLITS)
    assert notes[0] == "a sample of 100 of 400 distinct pictures; --limit 0 takes all"
    assert assign_splits(rows_of(pictures), seed=0, limit=400) == assign_splits(rows_of(pictures), seed=0)
