"""Files that Keras writes: each layout loads as Keras loads it; what does not fit is told by its first difference."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from demijohn.models import BACKBONES
from demijohn.models.backbones.taps import LAST, find_tensor
from demijohn.models.backbones.weights import digest_weights
from demijohn.models.backbones.weights_files import load_keras_weights
from demijohn.models.backend import import_keras
from support.cases import quick
from support.standin import build
from support.weights import LAYOUTS, refuse, save, save_keras3, scatter

each_layout = pytest.mark.parametrize("layout", LAYOUTS)
pytestmark = pytest.mark.filterwarnings(
    # Keras 3 about the layout of Keras 2.
    "ignore:You are saving your model as an HDF5 file"
)


@pytest.fixture(scope="module")
def layers(guard: None) -> Any:
    """Return the module `keras.layers`."""
    return import_keras().layers


def sequence(*steps: Any, size: tuple[int, ...] = (16, 16, 3), name: str = "other") -> Any:
    keras = import_keras()
    image = x = keras.Input(size)
    for step in steps:
        x = step(x)
    return keras.Model(image, x, name=name)


# What fits.


@each_layout
@pytest.mark.parametrize("top", quick(1, [False, True]))
def test_a_file_loads_whatever_it_is_called(lively: Any, tmp_path: Path, layout: str, top: bool) -> None:
    saved = scatter(build(top=top))
    file = save(saved, tmp_path, layout)
    for suffix in ("", ".h5", ".weights.h5", ".keras", ".pth"):
        file = file.rename(tmp_path / f"renamed{suffix}")
        network = build(top=top)
        load_keras_weights(network, file)
        assert digest_weights(network) == digest_weights(saved)


@pytest.mark.parametrize("layout", quick(2, LAYOUTS))
def test_every_kind_of_layer_loads_as_keras_loads_it(layers: Any, tmp_path: Path, layout: str) -> None:
    def make() -> Any:
        inner = import_keras().Sequential([layers.Conv2D(4, 1), layers.BatchNormalization(), layers.Conv2D(4, 1)])
        return sequence(
            layers.Normalization(),
            layers.Dropout(0.5),
            layers.SeparableConv2D(6, 3),
            layers.BatchNormalization(scale=False),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, use_bias=False),
            inner,
            layers.LayerNormalization(),
            layers.GroupNormalization(2),
            layers.PReLU(),
            layers.Conv2D(3, 1),
        )

    file = save(scatter(make()), tmp_path, layout)
    ours, theirs = make(), make()
    load_keras_weights(ours, file)
    theirs.load_weights(file)
    assert digest_weights(ours) == digest_weights(theirs)
    image = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype(np.float32)
    assert (np.asarray(ours(image)) == np.asarray(theirs(image))).all(), "Normalization keeps copies"


@each_layout
def test_a_classifier_is_left_out(layers: Any, tmp_path: Path, layout: str) -> None:
    base = scatter(build(top=False))
    ends = [
        [layers.GlobalAveragePooling2D(), layers.Dense(1000)],
        [layers.Flatten(), layers.Dense(4), layers.Dropout(0.5), layers.BatchNormalization(), layers.Dense(2)],
        [layers.GlobalAveragePooling2D(keepdims=True), layers.Dropout(0.1), layers.Conv2D(5, 1), layers.Flatten()],
    ]
    for end in ends:
        file = save(sequence(*base.layers[1:], *end), tmp_path, layout)
        network = build(top=False)
        load_keras_weights(network, file)
        assert digest_weights(network) == digest_weights(base)


@each_layout
def test_names_of_layers_do_not_count(layers: Any, tmp_path: Path, layout: str) -> None:
    # The convolution's name comes after the other's in the alphabet, in which HDF5 lists them.
    other = scatter(sequence(layers.Conv2D(8, 3, name="z"), layers.BatchNormalization(name="a")))
    network = build(top=False)
    load_keras_weights(network, save(other, tmp_path, layout))
    assert digest_weights(network) == digest_weights(other)


def test_a_long_list_of_names_lies_in_pieces(lively: Any, tmp_path: Path) -> None:
    file = save(lively, tmp_path, ".h5")
    with h5py.File(file, "a") as content:
        names = content.attrs.pop("layer_names")
        content.attrs["layer_names0"], content.attrs["layer_names1"] = names[:2], names[2:]
    network = build(top=False)
    load_keras_weights(network, file)
    assert digest_weights(network) == digest_weights(lively)


def test_a_file_of_keras_2_13(lively: Any, tmp_path: Path) -> None:
    file = save(lively, tmp_path, ".weights.h5")
    with h5py.File(file, "a") as content:
        content.move("layers", "_layer_checkpoint_dependencies")
    network = build(top=False)
    load_keras_weights(network, file)
    assert digest_weights(network) == digest_weights(lively)


def test_numbers_of_another_width_are_converted(lively: Any, tmp_path: Path) -> None:
    file = save(lively, tmp_path, ".weights.h5")
    for dtype in (">f4", "<f8"):
        with h5py.File(file, "a") as content:
            values = content["layers/conv2d/vars/0"][()]
            del content["layers/conv2d/vars/0"]
            content["layers/conv2d/vars/0"] = values.astype(dtype)
        network = build(top=False)
        load_keras_weights(network, file)
        assert digest_weights(network) == digest_weights(lively)


# What does not fit.


@pytest.mark.parametrize("layout", quick(1, LAYOUTS))
@pytest.mark.parametrize(
    ("steps", "difference"),
    [
        (
            lambda layers: [layers.Conv2D(16, 3), layers.BatchNormalization()],
            r"layer 1 \(conv\) expects kernel \(3, 3, 3, 8\), found \(3, 3, 3, 16\) in 'conv2d",
        ),
        (
            lambda layers: [layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization()],
            r"layer 1 \(conv\) expects kernel, bias, found 1 array in 'conv2d",
        ),
        (
            lambda layers: [layers.Conv2D(8, 3), layers.BatchNormalization(center=False)],
            r"layer 2 \(bn\) expects gamma, beta, moving_mean, moving_variance, found 3 arrays in 'batch_normalization",
        ),
        (
            lambda layers: [layers.Conv2D(8, 3)],
            r"layer 2 \(bn\) is missing in the file; layers with weights: 1 in the file, 2 in the network",
        ),
        (lambda layers: [layers.Flatten()], r"layer 1 \(conv\) is missing in the file"),
        # Keras ignores what stands behind, in its newer layouts.
        (
            lambda layers: [layers.Conv2D(8, 3), layers.BatchNormalization(), layers.Conv2D(8, 3, name="conv2")],
            r"it holds 'conv2(d_1)?' \(3, 3, 8, 8\) and \(8,\) besides, which is of no classifier; layers",
        ),
        (
            lambda layers: [layers.Conv2D(8, 3), layers.BatchNormalization(), layers.BatchNormalization()],
            r"it holds 'batch_normalization\w*' .* is of no classifier",
        ),
        (
            lambda layers: [*build(top=False).layers[1:], layers.Dense(5), layers.Conv2DTranspose(2, 3)],
            r"it holds 'conv2d_transpose\w*' .* is of no classifier",
        ),
        (
            lambda layers: [build(top=False), layers.GlobalAveragePooling2D(), layers.Dense(2)],
            r"layer 1 \(conv\) .*save the weights of the inner one alone",
        ),
        # A file of Keras 3 does not tell that this layer stands in front.
        (
            lambda layers: [layers.Normalization(), *build(top=False).layers[1:], layers.Flatten(), layers.Dense(2)],
            r"normalization",
        ),
    ],
)
def test_the_first_difference_is_named(
    layers: Any, tmp_path: Path, layout: str, steps: Callable[[Any], list[Any]], difference: str
) -> None:
    file = save(sequence(*steps(layers)), tmp_path, layout)
    message = refuse(build(top=False), file)
    assert re.search(difference, message), message
    # The layouts of Keras 3 tell what the network was called.
    assert ("'other'" in message) == (layout in (".weights.h5", ".keras"))


@each_layout
def test_a_file_without_a_classifier_is_told_where_one_is_needed(lively: Any, tmp_path: Path, layout: str) -> None:
    message = refuse(build(top=True), save(lively, tmp_path, layout))
    assert message.startswith("layer 3 (dense")
    assert "it seems to be of the network without its classifier" in message


def test_a_head_behind_the_classifier_is_no_classifier(layers: Any, tmp_path: Path) -> None:
    whole = sequence(*build(top=True).layers[1:], layers.Dense(3))
    assert "besides" in refuse(build(top=True), save(whole, tmp_path, ".weights.h5"))


# Real networks.


@pytest.mark.slow
def test_the_published_mobilenet_loads_as_keras_loads_it(guard: None, real_weights: Path) -> None:
    file = real_weights / "mobilenet_2_5_224_tf_no_top.h5"
    mobilenet = import_keras().applications.MobileNet

    def make(alpha: float) -> Any:
        return mobilenet(alpha=alpha, weights=None, include_top=False, input_shape=(224, 224, 3))

    ours, theirs = make(0.25), make(0.25)
    load_keras_weights(ours, file)
    theirs.load_weights(file)
    assert digest_weights(ours) == digest_weights(theirs)
    message = refuse(make(0.5), file)
    assert message.startswith("layer 1 (conv1) expects kernel (3, 3, 3, 16), found (3, 3, 3, 8) in 'conv1'")


# Of each kind of network one; the others are larger or deeper, of the same layers.
KINDS = (
    "convnext-tiny",
    "densenet121",
    "efficientnet-b0",
    "efficientnet-v2-b0",
    "inception-resnet-v2",
    "inception-v3",
    "mobilenet-0.25",
    "mobilenet-v2-0.35",
    "mobilenet-v3-small",
    "nasnet-mobile",
    "resnet50",
    "resnet50-v2",
    "vgg16",
    "xception",
)


@pytest.mark.slow
@each_layout
@pytest.mark.parametrize("name", KINDS)
def test_each_network_takes_its_file_with_the_classifier(guard: None, tmp_path: Path, name: str, layout: str) -> None:
    backbone = BACKBONES[name]
    whole = scatter(backbone.build(top=True, input_size=backbone.input_size))
    digest = digest_weights(whole)
    file = save(whole, tmp_path, layout)
    network = backbone.build(top=False, input_size=backbone.input_size)
    load_keras_weights(network, file)
    # ConvNeXt has its classifier's pooling in front of the last layer.
    values, norm = find_tensor(backbone, network, LAST)
    classifier = whole.layers[len(network.layers) - (norm is not None) :]
    Model = import_keras().Model
    features, expected = Model(network.input, values), Model(whole.input, classifier[0].input)
    image = np.random.default_rng(0).uniform(-1, 1, (1, *backbone.input_size, 3)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(features(image)), np.asarray(expected(image)))
    if norm is not None:
        for ours, theirs in zip(norm.get_weights(), classifier[1].get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    scatter(whole, seed=1)
    load_keras_weights(whole, file)
    assert digest_weights(whole) == digest
    save_keras3(network, tmp_path / "alone")
    file.unlink()
    alone = scatter(backbone.build(top=False, input_size=backbone.input_size), seed=1)
    load_keras_weights(alone, tmp_path / "alone")
    assert digest_weights(alone) == digest_weights(network)
