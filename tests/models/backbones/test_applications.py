"""The networks of Keras: the very graph, file and arithmetic that Keras itself uses with its ImageNet weights."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from demijohn.models import Backbone, LocatedWeights, UnsuitableSetting, load_extractor
from demijohn.models.backbones.applications import APPLICATIONS
from demijohn.models.backbones.backbone import INSIDE
from demijohn.models.backbones.taps import Tap
from demijohn.models.backbones.weights import digest_weights
from demijohn.models.backend import import_keras
from demijohn.models.engines.engines import make_engine
from numpy.typing import NDArray

BY_NAME = {backbone.name: backbone for backbone in APPLICATIONS}
QUICK = {"mobilenet-0.25", "mobilenet-v3-small-0.75"}
ODD_SIZES = {"efficientnet-b0"}
"""Keras states 29 MB for 5.3 million parameters."""

every = pytest.mark.parametrize("backbone", APPLICATIONS, ids=lambda backbone: backbone.name)


def quick(*names: str) -> pytest.MarkDecorator:
    """Run for all backbones, and in the default suite for some."""
    return pytest.mark.parametrize(
        "backbone",
        [
            pytest.param(each, id=each.name, marks=() if each.name in names else pytest.mark.slow)
            for each in APPLICATIONS
        ],
    )


@pytest.fixture
def memory() -> Iterator[None]:
    """Let go of the networks of a test, of which some have a gigabyte."""
    yield
    import_keras().utils.clear_session()
    gc.collect()


def module_of(backbone: Backbone) -> str:
    """Return the name of Keras' module with the architecture."""
    return str(getattr(import_keras().applications, str(backbone.keras_name)).__module__).rpartition(".")[2]


@pytest.mark.slow
def test_all_architectures_of_keras_are_there(guard: None) -> None:
    names = {name for name in vars(import_keras().applications) if name[0].isupper()}
    assert len(names) == 40
    assert {backbone.keras_name for backbone in APPLICATIONS} == names


# The network and its files.


@pytest.mark.parametrize("top", [False, pytest.param(True, marks=pytest.mark.slow)])
@quick("mobilenet-0.25")
def test_network_and_file_are_those_that_keras_itself_takes_with_its_weights(
    guard: None, memory: None, monkeypatch: pytest.MonkeyPatch, backbone: Backbone, top: bool
) -> None:
    keras = import_keras()
    asked = []

    def get_file(fname: str, origin: str, **options: Any) -> str:
        asked.append((fname, origin, options.get("cache_subdir"), options.get("file_hash")))
        return fname

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_, **__: None)
    options: dict[str, Any] = {"minimalistic": True} if backbone.name.endswith("minimalistic") else {}
    if "." in (last := backbone.name.rpartition("-")[2]):
        options = {"alpha": float(last)}
    make = getattr(keras.applications, str(backbone.keras_name))
    theirs = make(weights="imagenet", include_top=top, input_shape=(*backbone.input_size, 3), **options)

    published = backbone.weights_top if top else backbone.weights
    assert published is not None
    assert asked == [(published.name, published.url, "models", published.checksum)]

    ours = backbone.build(top=top, input_size=backbone.input_size)
    assert describe(ours) == describe(theirs)
    assert [variable.shape for variable in ours.weights] == [variable.shape for variable in theirs.weights]
    assert ours.input_shape == (None, *backbone.input_size, 3)
    assert ours.compute_dtype == "float32"
    if top:
        assert ours.output_shape == (None, 1000)
        assert ours.layers[-1].get_config().get("activation", "softmax") == "softmax"
        assert ours.count_params() / 1e6 == pytest.approx(backbone.parameters, abs=0.1)
        if backbone.name not in ODD_SIZES:
            assert ours.count_params() * 4e-6 == pytest.approx(backbone.megabytes, rel=0.1)
    else:
        assert len(ours.output_shape) == 4
        assert ours.output_shape[-1] == backbone.width


def describe(network: Any) -> list[Any]:
    """Return kinds, settings and shapes of a network's layers; names are made anew for every network."""
    return [(type(layer).__name__, _unnamed(layer.get_config()), layer.output.shape) for layer in network.layers]


def _unnamed(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _unnamed(value) for key, value in config.items() if key != "name"}
    return [_unnamed(value) for value in config] if isinstance(config, list | tuple) else config


@pytest.mark.parametrize(
    ("name", "side", "least"), [("xception", 32, 71), ("inception-v3", 74, 75), ("convnext-tiny", 16, 32)]
)
def test_a_size_that_an_architecture_cannot_take_is_refused_in_one_line(
    guard: None, name: str, side: int, least: int
) -> None:
    small = replace(BY_NAME[name], input_size=(side, side))
    with pytest.raises(
        UnsuitableSetting, match=f"{name} cannot .* {side}x{side}: .*at least {least}x{least}"
    ) as caught:
        load_extractor(small, LocatedWeights(None, 0))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet-0.25", "mobilenet-v3-small-0.75"])
def test_another_size_that_it_can_take_needs_no_other_file(guard: None, name: str) -> None:
    network = BY_NAME[name].build(top=False, input_size=(96, 64))
    assert network.output_shape == (None, 3, 2, BY_NAME[name].width)
    assert "224" in BY_NAME[name].weights.name  # type: ignore[union-attr]


# EfficientNet: a layer that Keras builds only together with its weights.


@pytest.fixture(scope="module")
def b0(guard: None) -> Backbone:
    """Return EfficientNetB0 for small pictures."""
    return replace(BY_NAME["efficientnet-b0"], input_size=(64, 64))


@pytest.fixture(scope="module")
def b0_file(b0: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights as Keras publishes them: in the format of Keras 2, with the statistics of ImageNet."""
    keras = import_keras()
    from keras.src.legacy.saving import legacy_h5_format

    keras.utils.set_random_seed(0)
    network = keras.applications.EfficientNetB0(weights=None, include_top=False, input_shape=(64, 64, 3))
    random = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, each.shape) for each in layer.get_weights()])
    set_statistics(network)
    file = tmp_path_factory.mktemp("weights") / "efficientnetb0_notop.h5"
    with h5py.File(file, "w") as target:
        legacy_h5_format.save_weights_to_hdf5_group(target, network)
    return file


def set_statistics(network: Any) -> None:
    """Give an EfficientNet's normalisation what the published files have: the deviation in the variance's place."""
    keras = import_keras()
    (layer,) = (each for each in network.layers if isinstance(each, keras.layers.Normalization))
    layer.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), np.array(0)])
    layer.finalize_state()


@pytest.fixture(scope="module")
def b0_network(b0: Backbone, b0_file: Path) -> Any:
    """Return EfficientNetB0 as we build and load it."""
    return load_extractor(b0, LocatedWeights(b0_file, None))[0]


@pytest.mark.slow
def test_efficientnet_gives_what_keras_gives(
    b0: Backbone, b0_file: Path, b0_network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras = import_keras()
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: str(b0_file))
    theirs = keras.applications.EfficientNetB0(weights="imagenet", include_top=False, input_shape=(64, 64, 3))
    assert digest_weights(b0_network) == digest_weights(theirs)
    inside = "block2a_expand_conv"
    pixels = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    features = make_engine(b0, b0_network, batch_size=2, taps=(Tap(), Tap(inside, "max"))).extract(pixels)
    both = keras.Model(theirs.input, [theirs.output, theirs.get_layer(inside).output])
    last, first = (np.asarray(each) for each in both(pixels.astype(np.float32), training=False))
    for values, expected in zip(features, (last.mean(axis=(1, 2)), first.max(axis=(1, 2))), strict=True):
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_random_weights_of_efficientnet_hang_on_the_seed(b0: Backbone) -> None:
    first, second, other = (load_extractor(b0, LocatedWeights(None, seed))[0] for seed in (7, 7, 8))
    assert digest_weights(first) == digest_weights(second) != digest_weights(other)


# ConvNeXt: its last layer belongs behind the pooling.


@pytest.mark.slow
def test_convnext_normalises_behind_the_pooling_as_keras_does(guard: None) -> None:
    backbone = replace(BY_NAME["convnext-tiny"], input_size=(64, 64))
    ours = backbone.build(top=False, input_size=backbone.input_size)
    random = np.random.default_rng(0)
    # So that the normalisation scales and shifts, and the blocks count, whose share is a millionth at first.
    weights = [random.normal(each, 0.1) for each in ours.get_weights()]
    ours.set_weights(weights)
    pixels = random.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    taps = (Tap(pooling="avg"), Tap(pooling="max"))
    features = make_engine(backbone, ours, batch_size=3, taps=taps).extract(pixels)
    normalised = np.asarray(ours(pixels.astype(np.float32), training=False))
    in_front = (normalised.mean(axis=(1, 2)), normalised.max(axis=(1, 2)))
    for tap, values, other in zip(taps, features, in_front, strict=True):
        theirs = import_keras().applications.ConvNeXtTiny(
            weights=None, include_top=False, pooling=tap.pooling, input_shape=(64, 64, 3)
        )
        theirs.set_weights(weights)
        expected = np.asarray(theirs(pixels.astype(np.float32), training=False))
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
        assert np.abs(other - expected).max() > 0.01 * np.abs(expected).max(), "the order counts"


# What reaches the first convolution, against the original definitions.

PICTURE = np.array([[[0, 128, 255], [255, 10, 60]]], dtype=np.uint8)
"""Two pixels, red first."""

# x / 127.5 - 1
SLIM = [[-1.0, 0.00392157, 1.0], [1.0, -0.92156863, -0.52941176]]
# x / 128 - 1
BY_128 = [[-1.0, 0.0, 0.9921875], [0.9921875, -0.921875, -0.53125]]
# Blue, green, red, minus 103.939, 116.779, 123.68
CAFFE = [[151.061, 11.221, -123.68], [-43.939, -106.779, 131.32]]
# (x / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
TORCH = [[-2.1179039, 0.2051821, 2.64], [2.2489083, -1.8606443, -0.7586928]]

DEFINITIONS = {
    "xception": SLIM,
    "vgg16": CAFFE,
    "vgg19": CAFFE,
    "resnet": CAFFE,
    "resnet_v2": SLIM,
    "inception_v3": SLIM,
    "inception_resnet_v2": SLIM,
    "mobilenet": SLIM,
    "mobilenet_v2": SLIM,
    "mobilenet_v3": SLIM,
    "densenet": TORCH,
    "nasnet": SLIM,
    "efficientnet": TORCH,
    "efficientnet_v2": TORCH,
    "convnext": TORCH,
}
"""By Keras' module with the architecture."""

outside = [backbone for backbone in APPLICATIONS if backbone.preprocessing != INSIDE]
inside = [backbone for backbone in APPLICATIONS if backbone.preprocessing == INSIDE]
EARLY = {"mobilenet-v3-small"}


def definition(backbone: Backbone) -> list[list[float]]:
    """Return what the two pixels are to the network's authors."""
    return (
        BY_128
        if backbone.keras_name in ("EfficientNetV2S", "EfficientNetV2M", "EfficientNetV2L")
        else (DEFINITIONS[module_of(backbone)])
    )


def reaching(backbone: Backbone, network: Any) -> NDArray[np.float32]:
    """Return what a network's own first layers, and what is done before, make of the picture."""
    keras = import_keras()
    scaled = network.input
    for layer in network.layers[1:]:
        if not isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization | keras.layers.Identity):
            break
        scaled = layer.output
    height, width = network.input_shape[1:3]
    picture = np.zeros((1, height, width, 3), dtype=np.uint8)
    picture[:, :1, :2] = PICTURE
    plain = replace(backbone, norm_after_pooling=False)
    engine = make_engine(plain, keras.Model(network.input, scaled), batch_size=1, taps=(Tap(pooling="none"),))
    return engine.extract(picture)[0].reshape(height, width, 3)[0, :2]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", outside, ids=lambda backbone: backbone.name)
def test_preprocessing_is_that_of_the_original(guard: None, backbone: Backbone) -> None:
    keras = import_keras()
    image = keras.Input((1, 2, 3))
    nothing = keras.Model(image, keras.layers.Identity()(image))
    np.testing.assert_allclose(reaching(backbone, nothing), definition(backbone), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone",
    [pytest.param(each, id=each.name, marks=() if each.name in EARLY else pytest.mark.slow) for each in inside],
)
def test_preprocessing_within_the_network_is_that_of_the_original(
    guard: None, memory: None, backbone: Backbone
) -> None:
    network = backbone.build(top=False, input_size=(32, 32))
    if module_of(backbone) == "efficientnet":
        set_statistics(network)
    np.testing.assert_allclose(reaching(backbone, network), definition(backbone), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_preprocessing_within_efficientnet_with_its_weights_is_that_of_the_original(
    b0: Backbone, b0_network: Any
) -> None:
    np.testing.assert_allclose(reaching(b0, b0_network), TORCH, rtol=1e-5, atol=1e-6)


@every
def test_preprocessing_is_that_of_keras(guard: None, backbone: Backbone) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 7, 5, 3)).astype(np.float32)
    module = getattr(import_keras().applications, module_of(backbone))
    preprocessing = backbone.preprocessing
    image = pixels[..., ::-1] if preprocessing.channels == "bgr" else pixels
    np.testing.assert_allclose(
        (image - np.asarray(preprocessing.mean, np.float32)) / np.asarray(preprocessing.scale, np.float32),
        # Keras works in place.
        module.preprocess_input(pixels.copy()),
        rtol=1e-5,
        atol=1e-5,
    )
