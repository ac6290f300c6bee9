"""An export says what demijohn says, or is not written; and it stands on its own."""

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.cache import FeatureStore
from demijohn.cache.part import keys_from_array
from demijohn.models import HEADS, UnsuitableSetting
from demijohn.models.backbones.backbones import BACKBONES
from demijohn.models.backend import import_keras
from demijohn.models.networks.artefacts import ARTEFACTS, Artefact
from demijohn.pipeline import Export, InvalidRequest, NoImages, OtherPredictions, export, extract_features, train_head
from demijohn.pipeline.deployment import exporting
from demijohn.pipeline.deployment.prediction_script import load_script, render_script
from demijohn.pipeline.progress import Silent
from support.cases import quick
from support.commands import run
from support.pictures import encode, picture
from support.standin import TINY

FORMATS = tuple(dict.fromkeys(artefact.format for artefact in ARTEFACTS))
COLOURS = {"gr*en": (120, 134, 122), "red|dish": (134, 120, 122), "violet": (127, 118, 140)}


def write_photos(root: Path) -> Path:
    """Write pictures of classes that are hard to tell apart, so that every pixel counts, in shapes that are cut."""
    for number, (name, colour) in enumerate(COLOURS.items()):
        (root / name).mkdir(parents=True)
        for index in range(30):
            image = picture(1000 * number + index, colour=colour, size=(60, 30) if index % 2 else (20, 30))
            # A border, which another way to resize sees otherwise.
            image.paste(tuple(level // 2 for level in colour), (0, 0, image.width // 4, image.height))
            (root / name / f"{index:03d}.png").write_bytes(encode(image))
    return root


@pytest.fixture(scope="module", autouse=True)
def tiny_backbone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, TINY.name, TINY)
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    extract_features(write_photos(folder / "photos"), backbone="tiny", weights="random", store=folder / "store")
    return folder / "store"


@pytest.fixture(scope="module")
def logistic(store: Path) -> str:
    """Return the id of a run."""
    return train_head("logistic", store=store).id


@pytest.fixture(
    scope="module",
    params=[each if each in ("keras", "onnx") else pytest.param(each, marks=pytest.mark.slow) for each in FORMATS],
)
def exported(
    request: pytest.FixtureRequest, store: Path, logistic: str, tmp_path_factory: pytest.TempPathFactory
) -> Export:
    folder = tmp_path_factory.mktemp("exported") / request.param
    return export(logistic, to=folder, formats=[request.param], store=store)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_every_format_agrees_with_demijohn_and_says_so(exported: Export) -> None:
    on_disk = json.loads((exported.folder / "export.json").read_text())
    assert on_disk == exported.record
    checked = exported.record["checked_on"]
    assert checked["split"] == "test"
    assert checked["pictures"] >= 5
    card = (exported.folder / "README.md").read_text()
    for each in exported.record["artefacts"]:
        assert each["pictures"] == checked["pictures"]
        assert each["same_class"] == each["pictures"]
        assert each["greatest_difference"] <= (1e-2 if "float16" in each["artefact"] else 1e-5)
        assert (exported.folder / each["artefact"]).exists()
        assert f"| `{each['artefact']}` | {each['runtime']} | {each['same_class']} of {each['pictures']} |" in card
    expected = {"export.json", "README.md", "predict.py", *(each["artefact"] for each in exported.record["artefacts"])}
    assert set(leftovers(exported.folder)) == expected
    assert leftovers(exported.folder.parent) == [exported.folder.name]


def test_litert_is_two_files_of_32_and_16_bits(exported: Export) -> None:
    if (exported.folder / "model.tflite").exists():
        assert [each["artefact"] for each in exported.record["artefacts"]] == ["model.tflite", "model-float16.tflite"]


@pytest.mark.slow
def test_the_script_predicts_in_a_process_of_its_own_without_demijohn(exported: Export, store: Path) -> None:
    files = sorted((store.parent / "photos").rglob("*.png"))[::9]
    predicted = run("predict", *files, "--run", exported.record["run"], "--store", store, "--quiet")
    expected = {row["path"]: row for row in csv.DictReader(io.StringIO(predicted.stdout))}
    blocked = "import sys; sys.modules['demijohn'] = None; sys.argv = sys.argv[1:]; import runpy; "
    for each in exported.record["artefacts"]:
        words = ["predict.py", each["artefact"], *map(str, files)]
        done = subprocess.run(
            [sys.executable, "-c", f"{blocked}runpy.run_path(sys.argv[0], run_name='__main__')", *words],
            cwd=exported.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        lines = [line for line in done.stdout.splitlines() if ".png: " in line]
        assert len(lines) == len(files)
        for line in lines:
            path, _, told = line.partition(": ")
            name, _, probability = told.rpartition(" ")
            assert name == expected[path]["class"]
            assert float(probability) == pytest.approx(float(expected[path]["probability"]), abs=1e-2)


@pytest.mark.parametrize(
    "head", [name if name == "lda" else pytest.param(name, marks=pytest.mark.slow) for name in HEADS]
)
def test_every_head_is_folded(head: str, store: Path, tmp_path: Path) -> None:
    run = train_head(head, store=store, settings={"epochs": 2} if head == "dense" else {}, tune=False)
    written = export(run.id, to=tmp_path / "out", formats=["onnx", "keras"], store=store)
    for each in written.record["artefacts"]:
        assert each["greatest_difference"] <= 1e-4


@pytest.mark.parametrize("head", quick(1, ["knn", "svm"]))
def test_a_calibrated_run_says_what_its_stored_predictions_say(head: str, store: Path, tmp_path: Path) -> None:
    run = train_head(head, store=store, calibrated=True, tune=False)
    assert export(run.id, to=tmp_path / "out", store=store).record["artefacts"][0]["greatest_difference"] <= 1e-4
    script = load_script(tmp_path, (tmp_path / "out" / "predict.py").read_text())
    _, predict = script.load_model(str(tmp_path / "out" / "model.keras"))
    stored = run.predictions
    names = {row.key: row.path for row in FeatureStore(store).find_dataset().rows}
    test = stored.splits == 2
    for key, scores in zip(keys_from_array(stored.keys[test]), stored.scores[test], strict=True):
        pixels = script.read_picture(str(store.parent / "photos" / names[key]))
        np.testing.assert_allclose(predict(pixels)[0], scores, atol=1e-4)


def test_a_fine_tuned_network_is_exported_as_it_is(store: Path, logistic: str, tmp_path: Path) -> None:
    """As fine-tuning leaves it: one network from uint8 pixels to logits, with its parent's features for the recipe."""
    keras = import_keras()
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3), dtype="uint8", name="images")
    x = keras.layers.Rescaling(1 / 255)(images)
    core = TINY.build(top=False)
    x = keras.layers.Dense(3, kernel_initializer="glorot_normal")(keras.layers.Flatten()(core(x)))
    parent = FeatureStore(store).find_run(logistic)
    assert parent is not None
    folder = shutil.copytree(parent.folder, tmp_path / "results" / "runs" / "fine-tuned-tiny-0")
    keras.Model(images, x).save(folder / "network.keras")
    about = {"run": folder.name, "head": "fine-tuned", "parent": logistic, "head_file": "network.keras"}
    (folder / "run.json").write_text(json.dumps({**parent.record, **about}))
    record = export(
        folder.name, to=tmp_path / "out", formats=["keras", "onnx"], store=store, results=tmp_path / "results"
    ).record
    assert all(each["greatest_difference"] <= 1e-4 for each in record["artefacts"])
    assert f"trained further together from the run `{logistic}` on" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("resize", quick(1, ["crop-bilinear", "pad-bilinear", "squash-bicubic"]))
def test_another_resize_in_the_script_fails_the_gate(
    resize: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logistic: str
) -> None:
    def wrong(recipe: Any, *arguments: Any, **options: Any) -> str:
        assert recipe.resize == "squash-bilinear"
        return render_script(replace(recipe, resize=resize), *arguments, **options)

    monkeypatch.setattr(exporting, "render_script", wrong)
    with pytest.raises(
        OtherPredictions, match=r"model.onnx differs from demijohn on \d+ of \d+ test pictures"
    ) as error:
        export(logistic, to=tmp_path / "out", formats=["onnx"], store=store)
    assert ".png: it says " in str(error.value)
    assert str(error.value).endswith("nothing was exported")
    assert leftovers(tmp_path) == []


def test_another_preprocessing_fails_the_gate(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logistic: str
) -> None:
    build = exporting.build_network

    def wrong(backbone: Any, *arguments: Any, **options: Any) -> Any:
        other = replace(backbone, preprocessing=replace(backbone.preprocessing, channels="bgr"))
        return build(other, *arguments, **options)

    monkeypatch.setattr(exporting, "build_network", wrong)
    with pytest.raises(OtherPredictions, match=r"model.keras differs from demijohn"):
        export(logistic, to=tmp_path / "out", store=store)
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_a_failure_leaves_an_earlier_export_as_it_was(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logistic: str
) -> None:
    folder, dense = tmp_path / "out", train_head("dense", store=store, settings={"epochs": 2}).id
    before = export(logistic, to=folder, store=store)
    monkeypatch.setattr(exporting, "choose_artefacts", lambda _: [replace(ARTEFACTS[0], tolerance=-1.0)])
    with pytest.raises(OtherPredictions):
        export(dense, to=folder, store=store)
    assert json.loads((folder / "export.json").read_text()) == before.record
    monkeypatch.undo()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, TINY.name, TINY)
        after = export(dense, to=folder, store=store)
    assert json.loads((folder / "export.json").read_text())["run"] == after.record["run"] != before.record["run"]
    assert leftovers(tmp_path) == ["out"]


def test_what_was_exported_earlier_is_named_where_it_is_replaced(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logistic: str
) -> None:
    monkeypatch.setattr(exporting, "_write", lambda folder, _store, _source, artefacts, *_: _pretend(folder, artefacts))
    told: list[str] = []

    class Listening(Silent):
        def warn(self, text: str) -> None:
            told.append(text)

    def write(*formats: str) -> tuple[str, ...]:
        return export(logistic, to=tmp_path / "out", formats=formats, store=store, progress=Listening()).replaced

    assert (write("keras", "onnx"), told) == ((), [])
    assert write("keras", "onnx") == ("model.keras", "model.onnx")
    assert told == ["replaced the earlier export: model.keras, model.onnx"]
    assert write("onnx") == ("model.keras", "model.onnx")
    assert told[1] == f"{told[0]}; gone: model.keras (--format keras,onnx writes all together)"


def _pretend(folder: Path, artefacts: Sequence[Artefact]) -> dict[str, object]:
    for name in ("export.json", *(each.file for each in artefacts)):
        (folder / name).touch()
    return {}


def test_a_folder_with_something_else_is_refused(store: Path, tmp_path: Path, logistic: str) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InvalidRequest, match="is there and no earlier export: name a new folder with --to"):
        export(logistic, to=tmp_path, store=store)
    with pytest.raises(InvalidRequest, match="no earlier export"):
        export(logistic, to=tmp_path / "precious.txt", store=store)
    assert leftovers(tmp_path) == ["precious.txt"]
    (tmp_path / "empty").mkdir()
    assert export(logistic, to=tmp_path / "empty", store=store).record["artefacts"]


def test_what_is_no_single_network_is_refused_before_any_work(store: Path, tmp_path: Path) -> None:
    def refuse(record: dict[str, Any], message: str) -> None:
        run = train_head("logistic", store=store, settings={"c": 0.5})
        path = run.folder / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **record}))
        with pytest.raises(InvalidRequest, match=message):
            export(run.id, to=tmp_path / "out", store=store)
        path.write_text(json.dumps({**json.loads(path.read_text()), "tta": False}))
        train_head("logistic", store=store, settings={"c": 0.5}, force=True)

    refuse({"tta": True}, r"judges a picture by several views of it \(--tta\)")
    digest = FeatureStore(store).find_feature_set().digest
    refuse({"features_digest": f"{digest}+{digest}"}, "joins the features of tiny, which are no single network")
    assert leftovers(tmp_path) == []


def test_a_kernel_is_refused_in_one_line(store: Path, tmp_path: Path) -> None:
    run = train_head("svm", store=store, settings={"kernel": "rbf"})
    with pytest.raises(UnsuitableSetting, match="cannot be folded into layers") as error:
        export(run.id, to=tmp_path / "out", store=store)
    assert "\n" not in str(error.value)
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_without_pictures_nothing_is_exported(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    extract_features(photos, backbone="tiny", weights="random", store=tmp_path / "store")
    train_head("logistic", store=tmp_path / "store")
    for file in photos.rglob("*.png"):
        # Another picture under the same name is not the one that was judged.
        file.write_bytes(encode(picture(hash(file) % 2**32)))
    with pytest.raises(NoImages, match=r"no test picture of logistic-tiny-.* is below .*photos as it was"):
        export(to=tmp_path / "out", store=tmp_path / "store")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_pictures_that_the_script_refuses_are_told(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    for file in sorted((photos / "violet").iterdir()):
        deep = np.random.default_rng(len(file.name)).integers(0, 65536, (20, 20)).astype(">u2")
        file.write_bytes(b"P5 20 20 65535\n" + file.name.encode() + deep.tobytes()[len(file.name) :])
    extract_features(photos, backbone="tiny", weights="random", store=tmp_path / "store")
    train_head("logistic", store=tmp_path / "store")
    record = export(to=tmp_path / "out", store=tmp_path / "store").record
    unread = record["checked_on"]["unread"]
    assert unread
    assert all(name.startswith("violet/") for name in unread)
    assert (
        f"does not read them: {len(unread)} pictures, for example violet/" in (tmp_path / "out/README.md").read_text()
    )


@pytest.mark.slow
def test_the_command_answers_with_json_alone(store: Path, tmp_path: Path, logistic: str) -> None:
    words = ("--store", store, "--run", logistic, "--format", "onnx", "--pictures", "3")
    done = run("export", *words, "--to", tmp_path / "out", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["folder"], answer["replaced"]) == (str(tmp_path / "out"), [])
    assert [each["pictures"] for each in answer["artefacts"]] == [3]
    assert done.stderr == ""
    told = run("export", *words, "--to", tmp_path / "out").stdout
    assert "3 of 3" in told
    assert told.endswith(f"with predict.py and README.md in {tmp_path / 'out'}\n")


@pytest.mark.slow
def test_mistakes_are_told_in_one_line(store: Path, logistic: str, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for wrong, message in (
        (("--to", tmp_path / "out", "--format", "tflite"), "no format 'tflite': expected some of keras,savedmodel"),
        (("--to", tmp_path), "is there and no earlier export"),
        (("--to", tmp_path / "out", "--run", "nonsense"), "holds no run nonsense"),
    ):
        done = run("export", "--store", store, *wrong)
        assert done.returncode == 1
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert done.stdout == ""
    assert run("export", "--store", store).returncode == 2
    assert leftovers(tmp_path) == ["mine"]
