"""`predict`: a row per picture in CSV and JSON lines, rejected and unreadable ones with their reasons."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.cache import FeatureStore
from demijohn.cache.part import keys_from_array
from demijohn.models.engines.engines import ENGINES
from demijohn.pipeline import InvalidRequest, NoImages, Prediction, TooManyUnreadable, cli, extract_features, predict
from demijohn.pipeline import train_head as train
from support.pictures import encode, picture
from support.powers import obey_permissions
from support.swift import SwiftEngine

GRAYS = {"bright": (210,) * 3, "dark": (50,) * 3, "gray": (130,) * 3}


def write_grays(root: Path, count: int, seed: int) -> Path:
    """Write class folders that can be told apart by brightness, which is all that the swift engine sees."""
    for name, colour in GRAYS.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            seed += 1
            (root / name / f"{number}.png").write_bytes(encode(picture(seed, colour=colour)))
    return root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_grays(tmp_path / "photos", 12, 0)


@pytest.fixture
def store(swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a store with a run; the working folder holds `new`, pictures of which one is no picture."""
    monkeypatch.chdir(tmp_path)
    extract_features(photos, backbone=swift, weights="random", store="store")
    # The head that predicts is the one that was judged by validation.
    train("logistic", store="store", refit=False)
    (tmp_path / "new").mkdir()
    for number, colour in enumerate(GRAYS.values()):
        (tmp_path / "new" / f"{number}.png").write_bytes(encode(picture(600 + number, colour=colour)))
    (tmp_path / "new" / "3.jpg").write_bytes(b"text")
    return tmp_path / "store"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what `demijohn predict` prints on stdout."""
    capsys.readouterr()
    cli.demijohn.main(["predict", *words, "--store", "store"], standalone_mode=False)
    return capsys.readouterr().out


def test_csv_has_a_row_per_picture(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(told(capsys, "new"))))
    assert list(rows[0]) == ["path", "class", "probability", "reason"]
    assert [row["path"] for row in rows] == ["new/0.png", "new/1.png", "new/2.png", "new/3.jpg"]
    assert [row["class"] for row in rows] == ["bright", "dark", "gray", ""]
    assert rows[3] == {"path": "new/3.jpg", "class": "", "probability": "", "reason": "a text file, not a picture"}
    assert all(0.3 < float(row["probability"]) <= 1 for row in rows[:3])
    top = list(csv.DictReader(io.StringIO(told(capsys, "new", "--top", "7"))))
    assert list(top[0])[4:] == [f"{name}_{place}" for place in (1, 2, 3) for name in ("class", "probability")]
    for row, usual in zip(top[:3], rows, strict=False):
        assert (row["class_1"], row["probability_1"]) == (usual["class"], usual["probability"])
        assert {row["class_1"], row["class_2"], row["class_3"]} == set(GRAYS)
        probabilities = [float(row[f"probability_{place}"]) for place in (1, 2, 3)]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1, abs=3e-6)
    assert set(list(top[3].values())[4:]) == {""}


def test_json_is_an_object_a_line_or_one_that_sums_it_up(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.loads(line) for line in told(capsys, "new", "--json", "--top", "2").splitlines()]
    assert [list(line) for line in lines] == [["path", "class", "probability", "top", "reason"]] * 4
    assert lines[0]["top"][0] == {"class": "bright", "probability": lines[0]["probability"]}
    assert lines[3] == {
        "path": "new/3.jpg",
        "class": None,
        "probability": None,
        "top": [],
        "reason": "a text file, not a picture",
    }
    words = ("new", "--top", "2", "--out", "out/all.jsonl", "--grid", "out/grid.png", "--reject-below", "0.0")
    summary = json.loads(told(capsys, *words, "--json"))
    assert [json.loads(line) for line in Path("out/all.jsonl").read_text().splitlines()] == lines
    assert {name: summary[name] for name in ("images", "predicted", "rejected", "unreadable", "classes")} == {
        "images": 4,
        "predicted": 3,
        "rejected": 0,
        "unreadable": 1,
        "classes": {"bright": 1, "dark": 1, "gray": 1},
    }
    assert summary["threshold"]["validation_coverage"] == 1.0
    assert summary["temperature"] > 0
    assert (summary["out"], summary["grid"]) == ("out/all.jsonl", "out/grid.png")
    assert Path("out/grid.png").read_bytes().startswith(b"\x89PNG")
    said = told(capsys, *words[:5], "--out", "all.csv")
    assert said.startswith("4 pictures in all.csv: 3 predicted, 1 unreadable (")
    assert len(Path("all.csv").read_text().splitlines()) == 5
    assert sorted(path.name for path in Path("out").iterdir()) == ["all.jsonl", "grid.png"]


def test_pictures_that_the_run_has_learned_are_counted_and_said(
    store: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = FeatureStore(store).find_dataset()
    named = [str(photos / row.path) for row in table.rows]
    learned = [path for path, row in zip(named, table.rows, strict=True) if row.split in ("train", "validation")]
    assert 0 < len(learned) < len(named)
    assert [each.path for each in predict(named, store=store) if each.learned] == learned
    summary = json.loads(told(capsys, str(photos), "--store", str(store), "--out", "all.csv", "--json"))
    assert summary["learned"] == len(learned)
    cli.demijohn.main(["predict", str(photos), "--store", str(store)], standalone_mode=False)
    assert f"{len(learned)} of them are training or validation pictures of this run" in capsys.readouterr().err


def test_what_is_not_probable_enough_gets_no_class_but_keeps_its_figures(store: Path) -> None:
    usual = [each for each in predict("new", store=store, top=3) if each.probability is not None]
    least = float(np.median([each.probability for each in usual if each.probability is not None]))
    judged = list(predict(["new"], store=store, top=3, reject_below=least))
    for before, after in zip(usual, judged, strict=False):
        assert (after.probability, after.top) == (before.probability, before.top)
        assert after.rejected == (before.top[0][1] < least)
        if after.rejected:
            assert (after.label, after.reason) == (None, f"rejected, its probability is below {least:.4g}")
    assert sum(each.rejected for each in judged) == 1
    assert judged[3] == Prediction("new/3.jpg", None, None, (), "a text file, not a picture")


def test_the_precision_that_was_found_on_validation_holds_there(store: Path, photos: Path) -> None:
    stream = predict(photos, store=store, precision=0.95)
    held = stream.classifier.held_out
    keys = {row.key: row.path for row in FeatureStore(store).find_dataset().rows}
    stored = stream.classifier.run.predictions
    paths = [str(photos / keys[key]) for key in keys_from_array(stored.keys[stored.splits == 1])]
    assert stream.threshold is not None
    predicted = {each.path: each for each in stream}
    labels = stream.classifier.classes_[held.labels]
    kept = [(predicted[path].label, label) for path, label in zip(paths, labels, strict=True) if predicted[path].label]
    assert len(kept) == stream.threshold.accepted
    assert sum(one == other for one, other in kept) == stream.threshold.right


@pytest.mark.slow
def test_the_result_does_not_hang_on_how_many_are_asked_for_at_once(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_grays(Path("many"), 30, 1000)
    at_once = [each.to_json() for each in predict("many", store=store)]
    monkeypatch.setattr("demijohn.pipeline.extraction.supply.FeatureSupply.rows_at_once", 7)
    assert [each.to_json() for each in predict("many", store=store)] == at_once
    asked: list[int] = []
    extract = SwiftEngine.extract
    monkeypatch.setattr(SwiftEngine, "extract", lambda self, images: asked.append(len(images)) or extract(self, images))
    write_grays(Path("more"), 40, 2000)
    stream = iter(predict("more", store=store))
    for _ in range(3):
        next(stream)
    # What nobody has asked for is not computed.
    assert sum(asked) <= 2 + 7
    assert len(list(stream)) == 117


def test_errors(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases: tuple[tuple[tuple[str, ...], Any, str], ...] = (
        (("gone.jpg",), NoImages, "gone.jpg is not there"),
        (("new/3.jpg",), TooManyUnreadable, r"no picture could be read \(new/3.jpg: a text file"),
        (("new", "--reject-below", "0.5", "--precision", "0.5"), InvalidRequest, "exclude one another"),
        (("new", "--precision", "2"), Exception, "expected a number from 0 to 1, found 2"),
        (("new", "--out", "x.txt"), Exception, "ends in .csv or .jsonl, found x.txt"),
        (("new", "--grid", "x.jpg"), Exception, "ends in .png, found x.jpg"),
    )
    for words, error, message in cases:
        with pytest.raises(error, match=message):
            told(capsys, *words)


def test_arguments_of_the_function_are_checked(store: Path) -> None:
    for arguments, message in (
        ({"top": 0}, "0 most probable classes"),
        ({"reject_below": float("nan")}, "from 0 to 1, found --reject-below nan"),
        ({"precision": 1.5}, "from 0 to 1, found --precision 1.5"),
    ):
        with pytest.raises(InvalidRequest, match=message):
            predict("new", store=store, **arguments)  # type: ignore[arg-type]


def test_names_of_any_bytes_come_out_as_they_are(store: Path) -> None:
    name = os.fsdecode(b'new/odd "\xff", name.png')
    Path(name).write_bytes(encode(picture(601, colour=GRAYS["dark"])))
    cli.demijohn.main(["predict", name, "--store", "store", "--out", "x.csv", "--quiet"], standalone_mode=False)
    [_, [path, label, *_]] = list(
        csv.reader(io.StringIO(Path("x.csv").read_bytes().decode("utf-8", "surrogateescape")))
    )
    assert (path, label) == (name, "dark")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_without_permission_is_told(store: Path) -> None:
    locked = Path("locked")
    locked.mkdir()
    (locked / "1.png").write_bytes(encode(picture(1)))
    locked.chmod(0o000)
    script = "import sys; from demijohn.pipeline import cli; sys.argv[0] = 'demijohn'; cli.main()"
    words = [sys.executable, "-c", script, "predict", "--store", "store"]
    for names, status, message in (
        (["locked"], 1, "folder cannot be opened: Permission denied"),
        (["locked/1.png"], 1, "cannot use locked/1.png: Permission denied"),
    ):
        done = subprocess.run(
            [*words, *names], capture_output=True, text=True, preexec_fn=obey_permissions, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
        assert message in done.stderr
    locked.chmod(0o755)


@pytest.mark.slow
def test_where_all_is_cached_tensorflow_is_not_imported(store: Path, photos: Path) -> None:
    script = (
        "import sys\nfrom demijohn.pipeline import predict\n"
        f"assert len(list(predict({str(photos)!r}, store={str(store)!r}))) == 36\n"
        "heavy = {'tensorflow', 'keras', 'openvino', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not ENGINES["openvino"].installed, reason="needs openvino")
def test_new_pictures_start_from_the_kept_network_without_tensorflow(photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract_features(photos, store=store, engine="openvino")
    train("logistic", store=store)
    write_grays(tmp_path / "new", 2, 900)
    script = (
        "import sys\nfrom demijohn.pipeline import predict\n"
        f"found = [each.label for each in predict({str(tmp_path / 'new')!r}, store={str(store)!r})]\n"
        f"assert found == {[name for name in GRAYS for _ in range(2)]!r}, found\n"
        "assert 'openvino' in sys.modules\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
