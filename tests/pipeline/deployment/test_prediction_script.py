"""The script beside an export: to the last bit the pixels of extraction, or an error; and nothing of demijohn."""

import ast
import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache import Recipe
from demijohn.models.networks.artefacts import ARTEFACTS, choose_artefacts
from demijohn.pipeline.deployment.prediction_script import Script, load_script, render_script
from demijohn.pipeline.errors import UnreadableImage
from demijohn.pipeline.pictures.images import ReadingPolicy, decode_image, quiet_decoders
from PIL import Image
from support.cases import quick
from support.kinds import STORED, every_kind, turned
from support.pictures import encode, picture

RESIZES = ("squash-bilinear", "crop-bicubic", "pad-bicubic")
UNREAD = {"png gray 16", "pgm 16", "tiff 12", "heic"}
RUNTIMES = {"keras", "tensorflow", "onnxruntime", "ai_edge_litert"}


def make_recipe(resize: str, *, size: tuple[int, int] = (40, 56), accept: bool = False) -> Recipe:
    decoder = ReadingPolicy("accept" if accept else "refuse").decoder
    return Recipe("tiny", "w", size, decoder, "c", "exif", resize, "p", "last", "avg", "float32")


def make_script(folder: Path, recipe: Recipe) -> Script:
    return load_script(folder, render_script(recipe, ARTEFACTS, classes=3))


def is_read(script: Script, recipe: Recipe, file: Path) -> bool:
    """Assert that the script reads a file as extraction does, if it reads it; return whether it does."""
    policy = ReadingPolicy.of(recipe.decoder)
    with quiet_decoders(policy):
        try:
            read = script.read_picture(str(file))
        except Exception:  # noqa: BLE001 - decoders raise whatever they stumble over
            return False
        expected = decode_image(file.read_bytes(), recipe.input_size, recipe.resize, policy)
    assert read.dtype == np.uint8
    assert read.shape == (1, *recipe.input_size, 3)
    assert read[0].tobytes() == expected.tobytes(), file
    return True


@pytest.mark.parametrize("accept", [False, True], ids=["refuse", "accept"])
@pytest.mark.parametrize("resize", RESIZES)
def test_every_kind_is_read_to_the_last_bit_or_refused(resize: str, accept: bool, tmp_path: Path) -> None:
    recipe = make_recipe(resize, accept=accept)
    script = make_script(tmp_path, recipe)
    for name, content in every_kind((90, 70)).items():
        file = tmp_path / name
        file.write_bytes(content)
        assert is_read(script, recipe, file) or name in UNREAD, name


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", quick(1, [((40, 56),), ((56, 40),), ((7, 7),)]))
def test_large_jpegs_of_every_orientation_and_shape(resize: str, size: tuple[int, int], tmp_path: Path) -> None:
    recipe = make_recipe(resize, size=size)
    script = make_script(tmp_path, recipe)
    for shape in ((500, 380), (333, 701), (1000, 3)):
        for orientation in STORED:
            file = tmp_path / f"{orientation}.jpg"
            file.write_bytes(turned(picture(orientation, size=shape), orientation, "JPEG"))
            assert is_read(script, recipe, file)


def test_a_truncated_jpeg_is_read_where_it_was_read_in_training(tmp_path: Path) -> None:
    file = tmp_path / "short.jpg"
    file.write_bytes(encode(picture(1, size=(300, 200)), "JPEG")[:-4000])
    assert is_read(
        make_script(tmp_path, make_recipe("pad-bilinear", accept=True)), make_recipe("pad-bilinear", accept=True), file
    )
    assert not is_read(make_script(tmp_path, make_recipe("pad-bilinear")), make_recipe("pad-bilinear"), file)


@pytest.mark.parametrize("resize", quick(1, RESIZES))
def test_public_files_that_decoders_trip_over(resize: str, real_data: Path, tmp_path: Path) -> None:
    recipe = make_recipe(resize, size=(64, 64))
    script = make_script(tmp_path, recipe)
    read = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", ReadingPolicy().max_pixels)
        for file in sorted((real_data / "messy").rglob("*")):
            # Extraction is stricter: it refuses what may take for ever, or ends before its first row.
            with contextlib.suppress(UnreadableImage):
                read += file.is_file() and is_read(script, recipe, file)
    assert read >= 50


def test_it_needs_no_demijohn_and_only_the_runtimes_asked_for() -> None:
    for names in (["onnx"], ["litert"], ["keras"], ["savedmodel"], ["keras", "savedmodel", "onnx", "litert"]):
        artefacts = choose_artefacts(names)
        text = render_script(make_recipe("crop-bilinear"), artefacts, classes=3)
        imported = {
            (alias.name if isinstance(node, ast.Import) else str(node.module)).split(".")[0]
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert imported & RUNTIMES == {artefact.runtime.replace("-", "_") for artefact in artefacts}
        assert "demijohn" not in imported
        assert all(artefact.file in text for artefact in artefacts)
        assert max(map(len, text.splitlines())) <= 120


def test_layers_of_kerashub_are_imported_before_they_are_loaded() -> None:
    artefacts = choose_artefacts(["keras"])
    assert "import keras_hub" in render_script(make_recipe("crop-bilinear"), artefacts, classes=3, hub=True)
    assert "keras_hub" not in render_script(make_recipe("crop-bilinear"), artefacts, classes=3)


def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"x\.bin is none of model\.keras, savedmodel, model\.onnx"):
        make_script(tmp_path, make_recipe("crop-bilinear")).load_model("x.bin")


@pytest.mark.parametrize(
    ("words", "told"), [([], "usage: "), (["x.onnx"], "usage: "), (["x.bin", "a.png"], "error: x.bin is none of ")]
)
def test_a_mistake_is_told_in_a_line(tmp_path: Path, words: list[str], told: str) -> None:
    script = tmp_path / "predict.py"
    script.write_text(render_script(make_recipe("crop-bilinear"), choose_artefacts(["onnx"]), classes=3))
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1
