"""Artefacts give the network's numbers in their own runtimes, hold the classes, and need no code of anybody's."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models.backend import import_keras, import_tensorflow, quiet_libraries
from demijohn.models.errors import UnsuitableSetting
from demijohn.models.heads.temperature import SURE
from demijohn.models.networks import artefacts as module
from demijohn.models.networks.artefacts import (
    ABOUT,
    ARTEFACTS,
    Artefact,
    choose_artefacts,
    finish_network,
    write_artefact,
)
from numpy.typing import NDArray
from support.cases import quick

CLASSES = ["cat", "dog", "Ärger\udcff"]
ABOUT_IT = {"classes": CLASSES, "run": "dense-tiny-0"}


@pytest.fixture(scope="module")
def network() -> Any:
    """Return pixels to logits, with everything that conversions are known to stumble over."""
    keras = import_keras()
    layers = keras.layers
    keras.utils.set_random_seed(3)
    image = keras.Input((12, 10, 3), name="_picture")
    x = layers.Conv2D(4, 3, name="_conv")(image)
    x = layers.Activation("gelu")(layers.LayerNormalization(name="_norm")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    core = keras.Model(image, layers.Dense(len(CLASSES), bias_initializer="one", name="_logits")(x), name="_core")
    images = keras.Input((12, 10, 3), dtype="uint8", name="images")
    x = keras.ops.take(keras.ops.cast(images, "float32"), [2, 1, 0], axis=-1)
    # It keeps arrays that are no variables.
    x = layers.Normalization(mean=[103.0, 116.0, 123.0], variance=[9.0, 16.0, 25.0], name="_preprocessing")(x)
    return keras.Model(images, core(x))


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (5, 12, 10, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def finished(network: Any) -> Any:
    return finish_network(network, temperature=2.0, are_probabilities=True)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def run(artefact: Artefact, path: Path, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], list[str]]:
    """Return the probabilities that an artefact gives in its own runtime, and its classes."""
    with quiet_libraries():
        if artefact.format == "onnx":
            import onnxruntime

            session = onnxruntime.InferenceSession(path)
            assert [each.name for each in session.get_inputs()] == ["images"]
            assert session.get_inputs()[0].shape == ["n", 12, 10, 3]
            classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
            return session.run(["probabilities"], {"images": pixels})[0], classes
        if artefact.format == "litert":
            from ai_edge_litert.interpreter import Interpreter

            told = Interpreter(str(path)).get_signature_runner()(images=pixels)
        elif artefact.format == "savedmodel":
            tf = import_tensorflow()
            model = tf.saved_model.load(str(path))
            told = model.signatures["serving_default"](images=tf.constant(pixels))
            assert set(told) == {"probabilities"}
            return told["probabilities"].numpy(), json.loads((path / "assets.extra" / ABOUT).read_text())["classes"]
        else:
            told = import_keras().saving.load_model(path, safe_mode=True)(pixels)
            told = {name: np.asarray(values) for name, values in told.items()}
    assert set(told) == {"probabilities"}
    return told["probabilities"], json.loads(zipfile.ZipFile(path).read(ABOUT))["classes"]


@pytest.mark.parametrize("artefact", quick(3, ARTEFACTS), ids=lambda artefact: artefact.file)
def test_each_gives_the_same_in_its_own_runtime(
    artefact: Artefact, finished: Any, pixels: NDArray[np.uint8], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_artefact(artefact, finished, tmp_path / artefact.file, ABOUT_IT)
    assert capfd.readouterr() == ("", "")
    expected = np.asarray(finished(pixels)["probabilities"])
    told, classes = run(artefact, tmp_path / artefact.file, pixels)
    assert classes == CLASSES
    tolerance = 1e-2 if "float16" in artefact.file else 1e-5
    np.testing.assert_allclose(told, expected, atol=tolerance)
    # As many pictures as come.
    np.testing.assert_allclose(run(artefact, tmp_path / artefact.file, pixels[:1])[0], expected[:1], atol=tolerance)


@pytest.mark.slow
def test_16_bits_are_half_of_the_weights_and_another_arithmetic(tmp_path: Path) -> None:
    keras = import_keras()
    images = keras.Input((8, 8, 3), dtype="uint8", name="images")
    x = keras.layers.Dense(512)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images)))
    finished = finish_network(keras.Model(images, keras.layers.Dense(2)(x)))
    sizes = []
    for artefact in choose_artefacts(["litert"]):
        write_artefact(artefact, finished, tmp_path / artefact.file, ABOUT_IT)
        sizes.append((tmp_path / artefact.file).stat().st_size)
    assert 0.45 < sizes[1] / sizes[0] < 0.6


def test_probabilities_are_calibrated_as_the_classifier_does(
    network: Any, finished: Any, pixels: NDArray[np.uint8]
) -> None:
    logits = np.asarray(network(pixels), dtype=np.float64)
    plain = np.asarray(finish_network(network)(pixels)["probabilities"])
    np.testing.assert_allclose(plain, softmax(logits), atol=1e-6)
    hot = np.asarray(finish_network(network, temperature=2.0)(pixels)["probabilities"])
    np.testing.assert_allclose(hot, softmax(logits / 2), atol=1e-6)
    sure = np.asarray(finished(pixels)["probabilities"])
    np.testing.assert_allclose(sure, softmax(np.log(np.maximum(softmax(logits), SURE)) / 2), atol=1e-6)


def test_no_layer_has_a_name_that_conversion_loses_and_none_runs_code(finished: Any, tmp_path: Path) -> None:
    def names(model: Any) -> list[str]:
        inner = [layer for layer in model.layers if hasattr(layer, "layers")]
        return [layer.name for layer in model.layers] + [name for each in inner for name in names(each)]

    found = names(finished)
    assert len(found) > 8
    assert not [name for name in found if name.startswith("_")]
    write_artefact(ARTEFACTS[0], finished, tmp_path / "model.keras", ABOUT_IT)
    config = zipfile.ZipFile(tmp_path / "model.keras").read("config.json").decode()
    assert "Lambda" not in config
    assert "__lambda__" not in config
    assert '"_conv"' not in config


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        ([], "no format is asked for: expected some of keras,savedmodel,onnx,litert"),
        (["keras", "tflite"], "no format 'tflite': expected some of keras,savedmodel,onnx,litert"),
    ],
)
def test_what_is_no_format_is_told(formats: list[str], message: str) -> None:
    with pytest.raises(UnsuitableSetting, match=message):
        choose_artefacts(formats)


@pytest.mark.parametrize("extra", ["onnx", "litert"])
def test_a_missing_extra_is_told_with_what_to_install(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(UnsuitableSetting, match=rf"needs .*, not installed here: pip install 'demijohn\[{extra}\]'"):
        choose_artefacts([extra])
    assert [artefact.file for artefact in choose_artefacts(["savedmodel", "keras"])] == ["model.keras", "savedmodel"]


@pytest.mark.slow
def test_what_cannot_be_converted_is_told_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    keras = import_keras()

    class Strange(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            tf = import_tensorflow()
            return tf.py_function(lambda y: y, [x], tf.float32)

        def compute_output_spec(self, x: Any) -> Any:
            return keras.KerasTensor(x.shape)

    images = keras.Input((8, 8, 3), dtype="uint8", name="images")
    x = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(keras.ops.cast(images, "float32")))
    network = finish_network(keras.Model(images, Strange()(x)))
    litert = choose_artefacts(["litert"])[0]
    with pytest.raises(
        UnsuitableSetting, match=r"cannot be written as litert: .* -- leave it out of --format"
    ) as error:
        write_artefact(litert, network, tmp_path / litert.file, ABOUT_IT)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")
