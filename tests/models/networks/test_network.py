"""Backbone and head in one network give what cached features and the saved head give, from the same pixels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from demijohn.models import BACKBONES, load_extractor, load_head, locate_weights
from demijohn.models.backbones.backbone import CAFFE, INSIDE, TORCH, Preprocessing
from demijohn.models.backbones.taps import Tap
from demijohn.models.backend import import_keras
from demijohn.models.engines.engines import make_engine
from demijohn.models.heads.heads import open_head
from demijohn.models.networks.network import CORE, build_core, build_network, run_network
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.standin import TINY

CLASSES = 3
UNIT = Preprocessing((0.0,) * 3, (255.0,) * 3)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (40, 16, 16, 3)).astype(np.uint8)


def save_head(path: Path, features: NDArray[np.float32]) -> Path:
    labels = np.random.default_rng(1).permutation(np.arange(len(features)) % CLASSES)
    skops.io.dump(make_pipeline(StandardScaler(), LogisticRegression(C=100)).fit(features, labels), path)
    return path


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def check(backbone: Any, extractor: Any, tap: Tap, pixels: NDArray[np.uint8], folder: Path) -> Any:
    """Assert that the network says what features and head say, also saved and loaded; return the loaded one."""
    engine = make_engine(backbone, extractor, batch_size=len(pixels), taps=(tap,))
    (features,) = engine.extract(pixels)
    head = save_head(folder / "head.skops", features)
    expected = load_head(head)(features)
    network = build_network(backbone, extractor, head, tap=tap)
    np.testing.assert_allclose(probabilities(run_network(network, pixels)), expected, rtol=1e-3, atol=1e-4)
    network.save(folder / "network.keras")
    again = open_head(folder / "network.keras")
    assert run_network(again, pixels).tobytes() == run_network(network, pixels).tobytes()
    assert {layer.name for layer in again.get_layer(CORE).layers} >= {"conv", "bn"} or backbone is not TINY
    return again


@pytest.mark.parametrize(
    "tap",
    [
        Tap("last", "none"),
        *(pytest.param(each, marks=pytest.mark.slow) for each in (Tap("last", "avg+max"), Tap("bn"))),
    ],
)
def test_every_tap(tap: Tap, lively: Any, pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    network = check(TINY, lively, tap, pixels, tmp_path)
    assert network.input.dtype == "uint8"
    assert network.output.dtype == "float32"


@pytest.mark.parametrize(
    "preprocessing",
    [CAFFE, *(pytest.param(each, marks=pytest.mark.slow) for each in (TORCH, INSIDE, UNIT))],
    ids=["caffe", "torch", "inside", "unit"],
)
def test_every_preprocessing(
    preprocessing: Preprocessing, lively: Any, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    check(replace(TINY, preprocessing=preprocessing), lively, Tap(), pixels, tmp_path)


@pytest.mark.parametrize(
    "shape", ["tokens", *(pytest.param(shape, marks=pytest.mark.slow) for shape in ("vector", "normalised"))]
)
def test_tokens_vectors_and_a_norm_behind_the_pooling(shape: str, pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    keras = import_keras()
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 8, strides=8, name="conv")(image)
    if shape == "tokens":
        x = keras.layers.Reshape((4, 8))(x)
    elif shape == "vector":
        x = keras.layers.Dense(8)(keras.layers.Flatten()(x))
    else:
        x = keras.layers.LayerNormalization(name="norm")(x)
        norm_weights = [np.linspace(0.5, 2, 8), np.linspace(-1, 1, 8)]
    network = keras.Model(image, x)
    if shape == "normalised":
        network.get_layer("norm").set_weights(norm_weights)
    check(replace(TINY, norm_after_pooling=shape == "normalised"), network, Tap(), pixels, tmp_path)


def test_the_core_takes_preprocessed_pixels_and_trains_the_extractors_own_layers(
    lively: Any, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    head = save_head(tmp_path / "head.skops", np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32))
    core = build_core(TINY, lively, head)
    assert core.get_layer("conv") is lively.get_layer("conv")
    assert core.layers[-1].name.startswith("classifier_")
    network = build_network(TINY, lively, head)
    scaled = ((pixels.astype(np.float32) - 127.5) / 127.5).astype(np.float32)
    np.testing.assert_allclose(run_network(core, scaled), run_network(network, pixels), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet-lite0", "xception", "resnet50", "convnext-tiny", "mobilenet-v3-small"])
def test_real_architectures(name: str, tmp_path: Path) -> None:
    backbone = BACKBONES[name]
    weights = "imagenet" if name == "efficientnet-lite0" else "random"
    extractor, _ = load_extractor(backbone, locate_weights(backbone, weights))
    pixels = np.random.default_rng(5).integers(0, 256, (9, *backbone.input_size, 3)).astype(np.uint8)
    check(backbone, extractor, Tap(), pixels, tmp_path)
