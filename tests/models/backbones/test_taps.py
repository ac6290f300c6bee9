"""Taps: any layer, any pooling, several in one pass, in float32."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from demijohn.models import LocatedWeights, UnknownLayer, UnsuitableSetting, load_extractor
from demijohn.models.backbones.taps import Tap, list_layers
from demijohn.models.backend import import_keras
from demijohn.models.engines.engines import make_engine
from numpy.typing import NDArray
from support.standin import TINY

BATCH = 4


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (BATCH, 16, 16, 3)).astype(np.uint8)


def extract(network: Any, pixels: NDArray[np.uint8], *taps: Tap, backbone: Any = TINY) -> tuple[Any, ...]:
    return make_engine(backbone, network, batch_size=BATCH, taps=taps).extract(pixels)


def test_poolings_are_of_one_map(lively: Any, pixels: NDArray[np.uint8]) -> None:
    poolings = ("none", "avg", "max", "avg+max")
    flat, avg, largest, both = extract(lively, pixels, *(Tap("last", each) for each in poolings))
    whole = flat.reshape(BATCH, 16, 16, 8)
    expected = np.asarray(lively((pixels.astype(np.float32) - 127.5) / 127.5, training=False))
    np.testing.assert_allclose(whole, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(avg, whole.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(largest, whole.max(axis=(1, 2)))
    np.testing.assert_array_equal(both, np.concatenate([avg, largest], axis=1))
    assert {each.dtype for each in (flat, avg, largest, both)} == {np.dtype(np.float32)}


def test_a_layer_in_the_middle_is_what_a_cut_model_gives(lively: Any, pixels: NDArray[np.uint8]) -> None:
    (tapped,) = extract(lively, pixels, Tap("bn", "none"))
    cut = import_keras().Model(lively.input, lively.get_layer("bn").output)
    expected = np.asarray(cut((pixels.astype(np.float32) - 127.5) / 127.5, training=False))
    np.testing.assert_allclose(tapped.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)
    assert (tapped < 0).any(), "the activation behind it would leave nothing negative"


@pytest.mark.slow
def test_what_shares_a_pass_changes_nothing(lively: Any, pixels: NDArray[np.uint8]) -> None:
    taps = (Tap("conv", "max"), Tap("last", "avg"), Tap("bn", "avg+max"))
    together = extract(lively, pixels, *taps)
    for tap, rows in zip(taps, together, strict=True):
        (alone,) = extract(lively, pixels, tap)
        assert rows.tobytes() == alone.tobytes(), tap


def test_tokens_and_vectors_are_tapped_as_well(pixels: NDArray[np.uint8]) -> None:
    keras = import_keras()
    image = keras.Input((16, 16, 3))
    tokens = keras.layers.Reshape((256, 3), name="tokens")(image)
    vector = keras.layers.Dense(5, name="vector")(keras.layers.Flatten()(tokens))
    network = keras.Model(image, vector)
    mean, same = extract(network, pixels, Tap("tokens", "avg"), Tap("last", "avg"))
    scaled = (pixels.astype(np.float32) - 127.5) / 127.5
    np.testing.assert_allclose(mean, scaled.reshape(BATCH, 256, 3).mean(axis=1), atol=1e-5)
    assert same.shape == (BATCH, 5)


def test_a_normalisation_behind_the_pooling_is_applied_there(pixels: NDArray[np.uint8]) -> None:
    keras = import_keras()
    image = keras.Input((16, 16, 3))
    convolved = keras.layers.Conv2D(8, 3)(image)
    network = keras.Model(image, keras.layers.LayerNormalization(epsilon=1e-6)(convolved))
    network.layers[-1].set_weights([np.linspace(1, 2, 8), np.linspace(-1, 1, 8)])
    avg, largest = extract(
        network, pixels, Tap("last", "avg"), Tap("last", "max"), backbone=replace(TINY, norm_after_pooling=True)
    )
    scaled = (pixels.astype(np.float32) - 127.5) / 127.5
    values = np.asarray(keras.Model(image, convolved)(scaled))
    np.testing.assert_allclose(avg, np.asarray(network.layers[-1](values.mean(axis=(1, 2)))), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(largest, np.asarray(network.layers[-1](values.max(axis=(1, 2)))), rtol=1e-4, atol=1e-4)


def test_names_are_those_of_a_fresh_process_whatever_was_built_before() -> None:
    keras = import_keras()

    def build() -> Any:
        image = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(4, 3)(image)
        x = keras.layers.Conv2D(4, 3)(x)
        return keras.Model(image, keras.layers.ReLU()(x))

    first, second = build(), build()
    assert [layer.name for layer in first.layers] != [layer.name for layer in second.layers]
    names = [layer.name for layer in list_layers(second)]
    assert names == ["conv2d", "conv2d_1", "re_lu"] == [layer.name for layer in list_layers(first)]


def test_the_list_has_shapes_and_everything_on_it_can_be_tapped(lively: Any, pixels: NDArray[np.uint8]) -> None:
    layers = list_layers(lively)
    assert [(layer.name, layer.shape) for layer in layers] == [(name, (16, 16, 8)) for name in ("conv", "bn", "relu")]
    rows = extract(lively, pixels, *(Tap(layer.name, "avg") for layer in layers))
    assert [each.shape for each in rows] == [(BATCH, layer.shape[-1]) for layer in layers]


def test_what_cannot_be_tapped_is_told(lively: Any, pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(
        UnknownLayer, match="tiny has no layer 'block9' that can be tapped: see the same command with --layer list"
    ):
        extract(lively, pixels, Tap("block9"))
    with pytest.raises(UnsuitableSetting, match=r"no pooling 'mean': expected one of avg, max, avg\+max, none"):
        Tap("last", "mean")


# Narrower arithmetic.


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_narrower_type_is_near_repeats_and_pools_in_float32(precision: str, pixels: NDArray[np.uint8]) -> None:
    network, digest = load_extractor(TINY, LocatedWeights(None, 3), precision=precision)
    exact, exact_digest = load_extractor(TINY, LocatedWeights(None, 3))
    assert digest == exact_digest
    assert exact.compute_dtype == "float32"
    assert network.get_layer("conv").compute_dtype == precision
    taps = (Tap("last", "avg"), Tap("last", "none"))
    (rows, whole), (expected, _) = extract(network, pixels, *taps), extract(exact, pixels, *taps)
    assert rows.dtype == np.float32
    assert not np.array_equal(rows, expected)
    np.testing.assert_allclose(rows, expected, atol=0.02 * np.abs(expected).max())
    np.testing.assert_allclose(rows, whole.reshape(BATCH, -1, 8).mean(axis=1), rtol=1e-5)
    again = make_engine(TINY, network, batch_size=BATCH, taps=taps)
    for index in range(BATCH):
        assert again.extract(pixels[index : index + 1])[0].tobytes() == rows[index : index + 1].tobytes()


def test_what_overflows_in_float16_is_an_error_and_not_a_feature(pixels: NDArray[np.uint8]) -> None:
    from demijohn.models import ModelError

    network, _ = load_extractor(TINY, LocatedWeights(None, 3), precision="float16")
    network.get_layer("bn").gamma.assign(np.full(8, 1e6))
    with pytest.raises(ModelError, match=r"not finite .* compute in --precision float32"):
        extract(network, pixels, Tap())
