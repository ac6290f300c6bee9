"""The frozen extractor: the network's own features, bit for bit the same whatever else is in the batch."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from demijohn.models import BACKBONES, Backbone, LocatedWeights, ModelError, Preprocessing, load_extractor
from demijohn.models.backbones.weights import digest_weights
from demijohn.models.backend import import_keras
from demijohn.models.engines.engine import Engine
from demijohn.models.engines.engines import ENGINES, make_engine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.standin import TINY

BATCH = 4
Pixels = NDArray[np.uint8]

PREPROCESSINGS = {
    "symmetric": Preprocessing((127.5,) * 3, (127.5,) * 3),
    "caffe": Preprocessing((103.939, 116.779, 123.68), (1.0,) * 3, "bgr"),
    "torch": Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "inside": Preprocessing((0.0,) * 3, (1.0,) * 3),
}

OF_EVERY_KIND = (
    "efficientnet-lite0",
    "xception",
    "vgg16",
    "resnet50",
    "resnet50-v2",
    "inception-v3",
    "mobilenet",
    "mobilenet-v2",
    "mobilenet-v3-small",
    "densenet121",
    "nasnet-mobile",
    "efficientnet-b0",
    "efficientnet-v2-b0",
    "convnext-tiny",
)
"""The smallest of each architecture; all of them would take hours."""


def draw_pixels(count: int, size: tuple[int, int] = TINY.input_size, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def preprocess(pixels: Pixels, preprocessing: Preprocessing) -> NDArray[np.float32]:
    image = pixels.astype(np.float32)
    if preprocessing.channels == "bgr":
        image = image[..., ::-1]
    return (image - np.asarray(preprocessing.mean, np.float32)) / np.asarray(preprocessing.scale, np.float32)


@pytest.fixture(scope="module", params=ENGINES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def engine(lively: Any, name: str) -> Engine:
    return make_engine(TINY, lively, engine=name, batch_size=BATCH)


@pytest.fixture(scope="module")
def pool() -> Pixels:
    pixels = draw_pixels(6)
    pixels[0], pixels[1] = 0, 255
    return pixels


@pytest.fixture(scope="module")
def alone(engine: Engine, pool: Pixels) -> NDArray[np.float32]:
    """Return the features of each picture of the pool, extracted by itself."""
    return np.concatenate([engine.extract(pool[index : index + 1])[0] for index in range(len(pool))])


# The numbers.


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind == "caffe" else pytest.mark.slow) for kind in PREPROCESSINGS]
)
def test_features_are_those_of_the_network_in_inference(lively: Any, pool: Pixels, kind: str, name: str) -> None:
    backbone = replace(TINY, preprocessing=PREPROCESSINGS[kind])
    features = make_engine(backbone, lively, engine=name, batch_size=len(pool)).extract(pool)[0]
    inputs = preprocess(pool, backbone.preprocessing)
    expected = np.asarray(lively(inputs, training=False)).mean(axis=(1, 2))
    assert features.dtype == np.float32
    assert features.shape == (len(pool), TINY.width)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_training_mode_would_give_other_numbers(lively: Any, engine: Engine, pool: Pixels) -> None:
    spare = import_keras().models.clone_model(lively)
    spare.set_weights(lively.get_weights())
    trained = np.asarray(spare(preprocess(pool[:BATCH], TINY.preprocessing), training=True)).mean(axis=(1, 2))
    assert np.abs(engine.extract(pool[:BATCH])[0] - trained).max() > 0.1


@pytest.mark.slow
def test_the_order_of_channels_is_honoured(lively: Any, pool: Pixels) -> None:
    def extract(channels: str, pixels: Pixels) -> NDArray[np.float32]:
        preprocessing = Preprocessing((100.0, 110.0, 120.0), (50.0, 60.0, 70.0), channels)
        return make_engine(replace(TINY, preprocessing=preprocessing), lively, batch_size=6).extract(pixels)[0]

    swapped = np.ascontiguousarray(pool[..., ::-1])
    assert extract("bgr", swapped).tobytes() == extract("rgb", pool).tobytes()
    assert np.abs(extract("bgr", pool) - extract("rgb", pool)).max() > 0.01


# The batch.


@given(st.lists(st.integers(0, 5), min_size=1, max_size=BATCH))
@settings(deadline=None)
def test_features_do_not_depend_on_the_batch(
    engine: Engine, pool: Pixels, alone: NDArray[np.float32], chosen: list[int]
) -> None:
    features = engine.extract(pool[chosen])[0]
    assert features.shape == (len(chosen), TINY.width)
    assert features.tobytes() == alone[chosen].tobytes()


def test_two_passes_give_the_same_bytes(lively: Any, engine: Engine, name: str, pool: Pixels) -> None:
    first = engine.extract(pool[:BATCH])[0]
    assert engine.extract(pool[:BATCH])[0].tobytes() == first.tobytes()
    again = make_engine(TINY, lively, engine=name, batch_size=BATCH)
    assert again.extract(pool[:BATCH])[0].tobytes() == first.tobytes(), "another engine of the same shape"


def test_the_layout_in_memory_does_not_count(engine: Engine, pool: Pixels, alone: NDArray[np.float32]) -> None:
    assert engine.extract(np.asfortranarray(pool[:BATCH]))[0].tobytes() == alone[:BATCH].tobytes()
    assert engine.extract(pool[5:1:-1])[0].tobytes() == alone[5:1:-1].tobytes()


def test_pictures_and_earlier_features_stay_as_they_are(engine: Engine, pool: Pixels) -> None:
    before, first = pool.copy(), engine.extract(pool[:3])[0]
    kept = first.copy()
    engine.extract(pool[3:])[0]
    assert (pool == before).all()
    assert (first == kept).all(), "a later batch does not write over an earlier one's features"


def assert_independent(engine: Engine, pixels: Pixels) -> NDArray[np.float32]:
    """Return the features of some batches; who shares a batch, and which threads are busy, changes nothing."""
    size = engine.batch_size
    starts = range(0, len(pixels), size)
    features = np.concatenate([engine.extract(pixels[start : start + size])[0] for start in starts])
    backwards = [engine.extract(pixels[start : start + size][::-1])[0][::-1] for start in starts]
    assert np.concatenate(backwards).tobytes() == features.tobytes()
    for index in (0, 1, len(pixels) // 2, len(pixels) - 1):
        assert engine.extract(pixels[index : index + 1])[0].tobytes() == features[index : index + 1].tobytes()
    with ThreadPoolExecutor(engine.streams) as threads:
        at_once = list(threads.map(lambda start: engine.extract(pixels[start : start + size])[0], starts))
    assert np.concatenate(at_once).tobytes() == features.tobytes()
    return features


@pytest.mark.slow
def test_real_features_do_not_depend_on_the_batch(lite: Backbone, lite_extractor: Any, name: str) -> None:
    real = make_engine(lite, lite_extractor, engine=name)
    pixels = draw_pixels(24, lite.input_size)
    features = assert_independent(real, pixels)
    assert features.shape == (24, 1280)
    assert len(np.unique(features.round(3), axis=0)) == 24, "pictures differ"
    maps = np.asarray(lite_extractor(preprocess(pixels, lite.preprocessing), training=False))
    expected = maps.mean(axis=(1, 2))
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("backbone", OF_EVERY_KIND)
def test_no_kind_of_backbone_depends_on_the_batch(guard: None, backbone: str) -> None:
    record = BACKBONES[backbone]
    network, _ = load_extractor(record, LocatedWeights(None, 0))
    pixels = draw_pixels(24, record.input_size)
    made = {}
    for name in ENGINES:
        made[name] = assert_independent(make_engine(record, network, engine=name), pixels)
        assert made[name].shape == (24, record.width)
    apart = np.abs(made["openvino"] - made["tensorflow"]).max()
    assert apart <= 1e-4 * np.abs(made["tensorflow"]).max(), "engines agree, so that one goes on where another began"
    if not record.norm_after_pooling:
        expected = np.asarray(network(preprocess(pixels, record.preprocessing), training=False)).mean(axis=(1, 2))
        np.testing.assert_allclose(made["tensorflow"], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


# What stays, and what is refused.


def test_the_network_is_not_changed(lively: Any, pool: Pixels) -> None:
    before = digest_weights(lively)
    flags = [layer.trainable for layer in lively.layers]
    make_engine(TINY, lively, batch_size=2).extract(pool[:2])[0]
    assert digest_weights(lively) == before
    assert [layer.trainable for layer in lively.layers] == flags


def test_the_engine_keeps_the_weights_that_it_was_made_with(pool: Pixels) -> None:
    network, _ = load_extractor(TINY, LocatedWeights(None, 1))
    frozen = make_engine(TINY, network, batch_size=2)
    before = frozen.extract(pool[2:4])[0]
    network.set_weights([weight * 2 for weight in network.get_weights()])
    assert frozen.extract(pool[2:4])[0].tobytes() == before.tobytes()


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_features_that_are_not_finite_are_an_error(pool: Pixels, poison: float) -> None:
    network, _ = load_extractor(TINY, LocatedWeights(None, 1))
    network.get_layer("conv").bias.assign(np.where(np.arange(TINY.width) == 3, poison, 0))
    with pytest.raises(ModelError, match=r"tiny gave a feature that is not finite \(last avg\): check its weights"):
        make_engine(TINY, network, batch_size=2).extract(pool[:1])[0]


def test_what_only_the_padding_would_give_is_no_error(pool: Pixels) -> None:
    keras = import_keras()
    image = keras.Input((16, 16, 3))
    # Black, which the padding is, has an infinite logarithm.
    x = keras.layers.GlobalAveragePooling2D()(
        keras.ops.log(keras.ops.max(image, axis=(1, 2, 3), keepdims=True) + image * 0)
    )
    backbone = replace(TINY, preprocessing=PREPROCESSINGS["inside"], width=3)
    features = make_engine(backbone, keras.Model(image, x), batch_size=BATCH).extract(pool[2:3])[0]
    assert np.isfinite(features).all()


def test_it_says_what_it_is(engine: Engine, name: str) -> None:
    assert engine.name == name
    assert engine.batch_size == BATCH
    assert engine.device
