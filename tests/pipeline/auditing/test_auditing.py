"""The audit: finds what was planted, needs neither features nor pictures, and says the same to every reader."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache import UnknownDataset, UnknownFeatures
from demijohn.pipeline import Audit, audit, cli, extract_features
from PIL import Image, ImageOps
from support.commands import run
from support.pictures import COLOURS, encode, picture, write_classes
from support.scenes import scene


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Return given splits of three classes with copies, leaks, a wrong label and a broken file in them."""
    root = tmp_path / "planted"
    for split, first, count in (("train", 0, 12), ("test", 100, 5)):
        for number, (name, colour) in enumerate(COLOURS.items()):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                content = encode(scene(1000 * number + first + index, colour=colour))
                (folder / f"{index:03d}.png").write_bytes(content)
    train, test = root / "train", root / "test"
    shutil.copy(train / "red" / "000.png", train / "red" / "copy.png")
    shutil.copy(train / "red" / "001.png", test / "red" / "leak.png")
    shutil.copy(train / "red" / "002.png", train / "green" / "conflict.png")
    copies = {
        "again.jpg": (scene(3, colour=COLOURS["red"]), 60),
        "smaller.jpg": (scene(4, colour=COLOURS["red"]).resize((64, 48)), 90),
        "mirrored.jpg": (ImageOps.mirror(scene(5, colour=COLOURS["red"])), 90),
    }
    for name, (image, quality) in copies.items():
        (test / "red" / name).write_bytes(encode(image, "JPEG", quality=quality))
    (train / "green" / "wrong.png").write_bytes(encode(scene(77, colour=COLOURS["blue"])))
    (train / "blue" / "broken.png").write_bytes(b"no picture")
    return root


@pytest.fixture
def store(swift: str, planted: Path, tmp_path: Path) -> Path:
    """Return a store with features of the planted data set."""
    extract_features(planted, backbone=swift, weights="random", store=tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def telling(tiny: str, planted: Path, tmp_path: Path) -> Path:
    """Return such a store whose features tell the colours apart."""
    extract_features(planted, backbone=tiny, weights="random", store=tmp_path / "store")
    return tmp_path / "store"


def near_leaks(found: Audit) -> dict[tuple[str, str], bool | None]:
    """Return the pairs across splits by their paths, and whether they are mirrored."""
    return {(pair.first.path, pair.second.path): pair.mirrored for pair in found.near_leaks}


def test_what_was_planted_is_found(telling: Path) -> None:
    found = audit(store=telling)
    assert [[row.path for row in each.rows] for each in found.duplicates] == [
        ["test/red/leak.png", "train/red/001.png"],
        ["train/green/conflict.png", "train/red/002.png"],
        ["train/red/000.png", "train/red/copy.png"],
    ]
    assert [each.given for each in found.leaks] == [("test", "train")]
    assert [each.labels for each in found.conflicts] == [("green", "red")]
    assert near_leaks(found) == {
        ("test/red/again.jpg", "train/red/003.png"): False,
        ("test/red/smaller.jpg", "train/red/004.png"): False,
        ("test/red/mirrored.jpg", "train/red/005.png"): True,
    }
    worst = found.label_errors[0]
    assert (worst.row.path, worst.row.label, worst.suggested) == ("train/green/wrong.png", "green", "blue")
    assert worst.confident
    assert found.outliers[0].row.path == "train/green/wrong.png"
    assert [each.path for each in found.skipped] == ["train/blue/broken.png"]
    # Five, the leak, the picture that it leaked from, and three near-duplicates.
    assert found.counts["red"]["test"] == 10
    assert sum(sum(counts.values()) for counts in found.counts.values()) == 59
    assert found.kinds == {"PNG": 55, "JPEG": 3}
    width = found.ranges["width"]
    assert width is not None
    assert (width.least, width.greatest) == (64, 96)


@pytest.mark.slow
def test_the_json_is_plain_whole_and_the_same_again(store: Path) -> None:
    found = audit(store=store, seed=3)
    value = found.to_json()
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert audit(store=store, seed=3).to_json() == value
    assert value["images"] == 59
    assert value["distinct"] == 56
    assert value["leaks"][0]["given_splits"] == ["test", "train"]
    assert value["near_duplicates"][0]["across_splits"]
    assert value["shortcuts"]["chance"] == pytest.approx(1 / 3)
    assert {each["fact"] for each in value["shortcuts"]["facts"]} >= {"file size", "width", "height", "aspect", "kind"}
    assert value["features"]["backbone"] == "tiny"
    page = Path(value["page"])
    first = page.read_bytes()
    audit(store=store, seed=3)
    assert page.read_bytes() == first


def test_before_extraction_bytes_and_headers_are_audited(store: Path) -> None:
    shutil.rmtree(store / "features")
    found = audit(store=store)
    assert found.features is None
    assert len(found.duplicates) == 3
    assert found.shortcuts is not None
    assert found.near_duplicates == found.label_errors == found.outliers == ()
    assert any("run extract-features" in note for note in found.notes)
    assert found.to_json()["features"] is None
    assert "Near-duplicates</h2>" not in found.page.read_text()


def test_pictures_that_moved_are_said_and_the_rest_still_works(store: Path, planted: Path) -> None:
    planted.rename(planted.with_name("elsewhere"))
    found = audit(store=store)
    assert len(found.duplicates) == 3
    assert ("test/red/again.jpg", "train/red/003.png") in near_leaks(found)
    assert "train/green/wrong.png" in {each.row.path for each in found.label_errors}
    assert (found.facts, found.kinds, found.shortcuts) == ({}, {}, None)
    assert any("none of the 59 files is in" in note for note in found.notes)
    assert any("judged by their features alone" in note for note in found.notes)
    page = found.page.read_text()
    assert "no picture on this disk" in page
    assert "<img" not in page


@pytest.mark.slow
def test_a_file_that_changed_is_left_out_and_said(store: Path, planted: Path) -> None:
    (planted / "train" / "blue" / "003.png").write_bytes(encode(picture(1)))
    (planted / "train" / "blue" / "004.png").unlink()
    found = audit(store=store)
    assert "train/blue/003.png" not in found.facts
    assert any("have changed since they were extracted, left out here: 1; run extract" in note for note in found.notes)
    assert any("not there any more, or cannot be read: 1; run extract" in note for note in found.notes)


@pytest.mark.slow
def test_of_copies_the_one_that_is_there_is_looked_at(store: Path, planted: Path) -> None:
    (planted / "train" / "red" / "000.png").unlink()
    found = audit(store=store)
    assert "train/red/copy.png" in found.facts
    assert len(near_leaks(found)) == 3


@pytest.mark.slow
def test_splits_that_are_not_given_do_not_leak(swift: str, photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "red" / "000.png", photos / "red" / "copy.png")
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    found = audit(store=tmp_path / "store")
    assert [each.given for each in found.duplicates] == [()]
    assert found.leaks == ()


@pytest.mark.slow
def test_pictures_without_labels_are_audited(swift: str, tmp_path: Path) -> None:
    folder = tmp_path / "loose"
    folder.mkdir()
    for seed in range(8):
        (folder / f"{seed}.png").write_bytes(encode(scene(seed)))
    (folder / "twin.jpg").write_bytes(encode(scene(3), "JPEG", quality=70))
    extract_features(folder, backbone=swift, weights="random", store=tmp_path / "store")
    found = audit(store=tmp_path / "store")
    assert [(pair.first.path, pair.second.path) for pair in found.near_duplicates] == [("3.png", "twin.jpg")]
    assert found.near_leaks == ()
    assert found.shortcuts is None
    assert found.counts == {"": {"": 9}}
    assert any("no shortcut probe" in note for note in found.notes)


@pytest.mark.slow
def test_what_is_not_known_or_not_one_is_an_error(swift: str, store: Path, planted: Path) -> None:
    with pytest.raises(UnknownDataset, match="expected one of planted"):
        audit(store=store, dataset="other")
    with pytest.raises(UnknownDataset, match="run extract-features IMAGES --store"):
        audit(store=store / "nowhere")
    extract_features(planted, backbone=swift, weights="random:1", store=store)
    with pytest.raises(UnknownFeatures, match="choose one with --features DIGEST"):
        audit(store=store)
    with pytest.raises(UnknownFeatures, match="no features of xception"):
        audit(store=store, backbone="xception")


def test_another_data_set_of_the_store_has_no_features_of_its_own(swift: str, store: Path, tmp_path: Path) -> None:
    other = write_classes(tmp_path / "other", per_class=2)
    extract_features(other, backbone=swift, weights="random", store=store)
    found = audit(store=store, dataset="other")
    assert len(found.facts) == 6
    assert found.features is not None


@pytest.mark.slow
def test_the_command_prints_json_alone(telling: Path, tmp_path: Path) -> None:
    done = run("audit", "--store", telling, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label_errors"][0]["path"] == "train/green/wrong.png"
    assert "page in" in done.stderr
    done = run("audit", "--store", tmp_path / "none")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "none").exists()


def test_the_command_prints_text(telling: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.audit_command.main(["--store", str(telling), "--quiet", "--top", "1"], standalone_mode=False)
    printed, told = capsys.readouterr()
    assert told == ""
    assert "planted: 59 images, 56 distinct\n" in printed
    assert "exact copies across given splits: 1 picture\n  test/red/leak.png, train/red/001.png\n" in printed
    assert "near-duplicates across splits: 3 pairs\n" in printed
    assert "and 2 more (--top, --json)" in printed
    assert "  * train/green/wrong.png: green" in printed
    assert "skipped, a text file, not a picture: 1 file\n  train/blue/broken.png\n" in printed
    assert f"page with pictures: {telling / 'report' / 'planted' / 'audit.html'}\n" in printed


KINDS = ("recompressed", "resized", "mirrored")


def plant(source: Path, root: Path) -> tuple[dict[str, list[frozenset[str]]], set[str]]:
    """Copy cats and dogs, plant ten near-duplicates of each kind across splits and ten wrong labels; return both."""
    shutil.copytree(source, root)
    pictures = sorted((root / "train").rglob("*.jpg"))
    drawn = [pictures[at] for at in np.random.default_rng(7).permutation(len(pictures))[:40]]
    pairs: dict[str, list[frozenset[str]]] = {kind: [] for kind in KINDS}
    for number, path in enumerate(drawn[:30]):
        kind = KINDS[number % 3]
        twin = root / "validation" / path.parent.name / f"{kind}-{number}.jpg"
        with Image.open(path) as image:
            if kind == "recompressed":
                image.save(twin, quality=60)
            elif kind == "resized":
                image.resize((image.width * 6 // 10, image.height * 6 // 10)).save(twin, quality=90)
            else:
                ImageOps.mirror(image).save(twin, quality=90)
        pairs[kind].append(frozenset([path.relative_to(root).as_posix(), twin.relative_to(root).as_posix()]))
    wrong = set()
    for path in drawn[30:]:
        other = "dogs" if path.parent.name == "cats" else "cats"
        moved = path.rename(root / "train" / other / path.name)
        wrong.add(moved.relative_to(root).as_posix())
    return pairs, wrong


@pytest.mark.slow
def test_planted_near_duplicates_and_wrong_labels_among_real_pictures(real_data: Path, tmp_path: Path) -> None:
    if not (real_data / "cats-dogs").is_dir():
        pytest.skip(f"no cats-dogs in {real_data}")
    pairs, wrong = plant(real_data / "cats-dogs", tmp_path / "cats-dogs")
    extract_features(tmp_path / "cats-dogs", store=tmp_path / "store")
    found = audit(store=tmp_path / "store")
    across = {frozenset([pair.first.path, pair.second.path]): pair for pair in found.near_leaks}
    caught = {kind: sum(pair in across for pair in planted) for kind, planted in pairs.items()}
    assert caught["recompressed"] >= 9
    assert caught["resized"] >= 9
    assert caught["mirrored"] >= 8
    assert all(
        across[pair].mirrored == (kind == "mirrored") for kind in KINDS for pair in pairs[kind] if pair in across
    )
    false_alarms = set(across) - {pair for planted in pairs.values() for pair in planted}
    assert len(false_alarms) <= 1
    ranked = [each.row.path for each in found.label_errors[:30]]
    assert len(wrong & set(ranked)) >= 8


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="names of this kind are of other systems")
def test_names_are_data(swift: str, tmp_path: Path) -> None:
    root = write_classes(tmp_path / "a&b", per_class=5)
    (root / "red").rename(root / "<b>red")
    shutil.copy(root / "<b>red" / "000.png", root / "<b>red" / '"><script>alert(1).png')
    (root / "green" / os.fsdecode(b"\xff.png")).write_bytes((root / "green" / "000.png").read_bytes())
    extract_features(root, backbone=swift, weights="random", store=tmp_path / "store")
    found = audit(store=tmp_path / "store")
    page = found.page.read_text()
    assert "<script" not in page
    assert "<b>red" not in page
    assert "&#34;&gt;&lt;script&gt;alert(1).png" in page
    assert "\\udcff.png" in page
    done = run("audit", "--store", tmp_path / "store", "--quiet")
    assert done.returncode == 0, done.stderr
