"""A planted leak, a planted shortcut and a planted broken head are each called out in the report's text."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache.results import KeptResults
from demijohn.pipeline import extract_features, report_heads, train_head
from demijohn.pipeline.assessment.conclusions import raise_flags
from demijohn.pipeline.assessment.judgements import judge_run
from demijohn.pipeline.reporting.report import Report
from PIL import Image
from support.reports import report_in
from support.trials import add_run, find_ground, make_store, predict


def save(path: Path, seed: int, brightness: int, kind: str = "JPEG", **options: object) -> None:
    """Write a picture of smooth noise around a brightness."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(-60, 61, (14, 14), dtype=np.int16).astype(np.int32), "I")
    noise = np.asarray(coarse.resize((40, 40), Image.Resampling.BILINEAR))
    pixels = np.clip(brightness + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.fromarray(np.repeat(pixels[..., None], 3, axis=2)).save(buffer, kind, **options)
    path.write_bytes(buffer.getvalue())


def write_splits(root: Path, *, quality: tuple[int, int] = (90, 90), counts: tuple[int, int] = (60, 50)) -> None:
    """Write train and test folders of bright and dark pictures, which overlap."""
    for split, count in zip(("train", "test"), counts, strict=True):
        for label, brightness, of_label in (("bright", 150, quality[0]), ("dark", 110, quality[1])):
            for number in range(count):
                seed = 10_000 * (split == "test") + 1_000 * (label == "dark") + number
                save(root / split / label / f"{number}.jpg", seed, brightness, quality=of_label)


def report(root: Path, store: Path) -> tuple[Report, str]:
    """Extract, train, report; return the report and its Markdown without escapes."""
    extract_features(root, backbone="tiny", weights="random", store=store)
    train_head("ridge", store=store)
    made = report_heads(store=store)
    return made, (report_in(store) / "report.md").read_text().replace("\\", "")


@pytest.mark.slow
def test_a_sound_data_set_raises_no_flag_of_data(swift: str, tmp_path: Path) -> None:
    write_splits(tmp_path / "photos")
    made, text = report(tmp_path / "photos", tmp_path / "store")
    assert not {"leak", "shortcut"} & {flag.kind for flag in made.flags}
    assert "leak" not in text
    assert made.leaks is not None
    assert (made.leaks.looked_at, made.leaks.images) == (100, 0)


@pytest.mark.slow
def test_a_planted_leak_is_called_out(swift: str, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_splits(root)
    for number in range(8):
        # Test pictures, saved again as PNG, among those to train on.
        with Image.open(root / "test" / "dark" / f"{number}.jpg") as image:
            image.save(root / "train" / "dark" / f"copy{number}.png")
    made, text = report(root, tmp_path / "store")
    assert made.leaks is not None
    assert made.leaks.images == 8
    assert "leak: 8 of 100 test pictures have a near-duplicate in training or validation" in text
    assert "flag" in text
    for pair in made.leaks.to_json()["pairs"]:
        names = sorted(Path(path).stem.removeprefix("copy") for path in pair["paths"])
        if pair["correlation"] > 0.99:
            assert names[0] == names[1]


@pytest.mark.slow
def test_exact_copies_in_given_splits_are_called_out(swift: str, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_splits(root, counts=(20, 20))
    (root / "train" / "dark" / "same.jpg").write_bytes((root / "test" / "dark" / "0.jpg").read_bytes())
    made, text = report(root, tmp_path / "store")
    assert "leak: files with the same bytes as one in a later split" in text
    assert [flag.run for flag in made.flags if flag.kind == "leak"] == ["data"]


@pytest.mark.slow
def test_a_planted_shortcut_is_called_out_with_the_fact_that_it_is(swift: str, tmp_path: Path) -> None:
    write_splits(tmp_path / "photos", quality=(95, 60))
    made, text = report(tmp_path / "photos", tmp_path / "store")
    (flag,) = [flag for flag in made.flags if flag.kind == "shortcut"]
    assert flag.sentence in text
    assert "facts of the files alone have an accuracy of 1.000" in flag.sentence
    assert "the strongest alone is " in flag.sentence
    assert made.shortcuts is not None
    assert "shortcut" in made.verdict[-1]
    facts = next(each for each in made.to_json()["controls"] if each["control"] == "facts")
    assert facts["metrics"]["test"]["accuracy"] == 1.0
    assert "| *facts only* |" in text


def test_a_planted_broken_head_is_called_out(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", images=(300, 120, 240))
    ground = find_ground(store)
    good = predict(ground, 0.95, seed=1)
    # Rows that no longer match the labels: the oldest mistake there is.
    broken = np.random.default_rng(0).permutation(good)
    add_run(store, "good", good, ground)
    add_run(store, "broken", broken, ground, head="dense")
    made = report_heads(store=store.folder)
    assert {flag.kind for flag in made.flags if flag.run == "broken"} == {"below neighbours", "below control"}
    assert not [flag for flag in made.flags if flag.run == "good"]
    text = (store.report_folder(store.find_dataset().name) / "report.md").read_text().replace("\\", "")
    assert "xception+dense has an accuracy of 0.3" in text
    assert "beside a k-NN of 0." in text
    assert "xception+dense is not shown to be better than" in text or "xception+dense is beaten by" in text
    assert made.verdict[1].startswith("It is shown to be better than the other; the closest: xception+ridge is better")


@pytest.mark.slow
def test_seeds_alone_claim_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", images=(60, 120, 240))
    ground = find_ground(store)
    for seed, accuracy in enumerate((0.7, 0.95)):
        add_run(store, f"seed{seed}", predict(ground, accuracy, seed=seed), ground, head="dense", seed=seed)
    made = report_heads(store=store.folder)
    assert [each["verdict"] for each in made.to_json()["comparisons"]] == ["seed only"]
    assert made.verdict[1] == "The other runs have the same settings, so no difference is claimed"
    text = (store.report_folder(store.find_dataset().name) / "report.md").read_text().replace("\\", "")
    assert "is better" not in text
    assert "have the same settings" in text
    rows = [line for line in text.splitlines() if line.startswith("| xception | dense |")]
    assert len(rows) == 1
    assert "2 seeds" in rows[0]


PATH = [{"alpha": 1.0}, {"alpha": 10.0}]
EARLIER = [{"c": 1.0, "converged": False}, {"c": 2.0, "converged": True}]


@pytest.mark.parametrize(
    ("head", "settings", "found", "kinds"),
    [
        ("ridge", {}, {"alpha": 10.0, "converged": True, "edge": None, "path": PATH}, []),
        ("ridge", {}, {"alpha": 10.0, "converged": True, "edge": "greatest", "path": PATH}, ["edge of grid"]),
        ("svm", {}, {"c": 1.0, "path": EARLIER}, ["not converged", "edge of grid"]),
        ("svm", {"c": 1.0}, {"c": 1.0, "path": EARLIER[1:]}, []),
        ("dense", {"epochs": 5}, {"epochs": 5, "best_epoch": 5}, ["not converged"]),
        ("dense", {"epochs": 5}, {"epochs": 5, "best_epoch": 4}, []),
        ("centroid", {}, {}, []),
    ],
)
def test_unfinished_training_is_flagged(
    tmp_path: Path, head: str, settings: dict[str, object], found: dict[str, object], kinds: list[str]
) -> None:
    store = make_store(tmp_path / "store")
    ground = find_ground(store)
    run = add_run(store, "one", predict(ground, 0.9, seed=1), ground, head=head, settings=settings, found=found)
    ranked = [judge_run(run, ground, KeptResults(tmp_path / "kept", 1))]
    flags = raise_flags(ranked, {"one": "a name"}, [], "test", shortcuts=None, leaks=None, notes=())
    assert [flag.kind for flag in flags] == kinds
    assert all(flag.run == "one" and flag.sentence.startswith("a name ") for flag in flags)


@pytest.mark.slow
def test_the_flags_of_seeds_are_one(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    ground = find_ground(store)
    for seed in range(3):
        found = {"epochs": 5, "best_epoch": 5}
        add_run(
            store,
            f"s{seed}",
            predict(ground, 0.9, seed=seed),
            ground,
            head="dense",
            settings={"epochs": 5},
            found=found,
            seed=seed,
        )
    told = json.loads(json.dumps(report_heads(store=store.folder).to_json()))["flags"]
    (flag,) = [each for each in told if each["kind"] == "not converged"]
    assert flag["sentence"].endswith("(the same of other seeds: 2)")
