"""EfficientNet-Lite0: its shapes, its real weights, and that it sees what is in a picture."""

from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models import BACKBONES, BadWeights
from demijohn.models.checkpoint import read_checkpoint
from demijohn.models.efficientnet_lite import _torch_name, build_efficientnet_lite0, load_efficientnet_lite0
from demijohn.pipeline.checking import check_backbone, imagenet_classes
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Encoder = Callable[[Arrays], bytes]


@pytest.fixture(scope="module")
def state(lite0_file: Path) -> Arrays:
    return read_checkpoint(lite0_file)


@pytest.fixture(scope="module")
def spare(lite0_classifier: Any) -> Any:
    """Return a network whose weights may be spoiled."""
    return build_efficientnet_lite0(top=True)


def test_shapes(lite0: Any, lite0_classifier: Any) -> None:
    assert lite0.input_shape == lite0_classifier.input_shape == (None, 224, 224, 3)
    assert lite0.output_shape == (None, 7, 7, 1280)
    assert lite0_classifier.output_shape == (None, 1000)


def test_it_has_as_many_parameters_as_published(lite0_classifier: Any) -> None:
    # 4.652 million in the paper's repository, which counts no statistics.
    trainable = sum(int(np.prod(variable.shape)) for variable in lite0_classifier.trainable_variables)
    assert trainable == pytest.approx(4.65e6, rel=0.002)
    assert BACKBONES["efficientnet-lite0"].parameters == pytest.approx(lite0_classifier.count_params() / 1e6, abs=0.06)


def test_every_array_of_the_checkpoint_is_in_the_network_once(lite0_classifier: Any, state: Arrays) -> None:
    def fingerprint(array: NDArray[Any]) -> tuple[tuple[int, ...], bytes]:
        return tuple(sorted(array.shape)), np.sort(array, axis=None).tobytes()

    expected = Counter(fingerprint(array) for name, array in state.items() if not name.endswith("num_batches_tracked"))
    assert Counter(fingerprint(array) for array in lite0_classifier.get_weights()) == expected


def test_every_layer_has_the_arrays_of_its_name(lite0_classifier: Any, state: Arrays) -> None:
    for layer in lite0_classifier.layers:
        if layer.name.endswith("_bn"):
            name = _torch_name(layer.name)
            fields = ("weight", "bias", "running_mean", "running_var")
            for array, field in zip(layer.get_weights(), fields, strict=True):
                assert (array == state[f"{name}.{field}"]).all(), f"{layer.name} {field}"
            assert layer.epsilon == 1e-3
    stem = lite0_classifier.get_layer("stem_conv").get_weights()[0]
    assert stem[0, 1, 2, 5] == state["_conv_stem.weight"][5, 2, 0, 1]
    depthwise = lite0_classifier.get_layer("block3_depthwise_conv").get_weights()[0]
    assert depthwise[0, 4, 7, 0] == state["_blocks.3._depthwise_conv.weight"][7, 0, 0, 4]
    assert lite0_classifier.get_layer("predictions").get_weights()[0][3, 5] == state["_fc.weight"][5, 3]


def test_the_extractor_is_the_classifier_without_its_last_layer(lite0: Any, lite0_classifier: Any) -> None:
    image = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
    features = np.asarray(lite0(image, training=False), np.float64)
    kernel, bias = lite0_classifier.get_layer("predictions").get_weights()
    logits = features @ kernel + bias
    expected = np.exp(logits - logits.max())
    probabilities = np.asarray(lite0_classifier(image, training=False))
    np.testing.assert_allclose(probabilities, expected / expected.sum(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("picture", "sensible"),
    [
        ("china.jpg", {"bell cote", "monastery", "palace", "castle", "stupa", "triumphal arch"}),
        ("flower.jpg", {"daisy", "bee"}),
    ],
)
def test_the_classifier_sees_what_is_in_a_picture(guard: None, picture: str, sensible: set[str]) -> None:
    guesses = check_backbone("efficientnet-lite0", Path(str(files("sklearn.datasets.images") / picture)))
    assert len(guesses) == 5
    labels = [guess.label for guess in guesses]
    assert labels[0] in sensible, labels
    assert len(sensible & set(labels)) >= 2, labels
    probabilities = [guess.probability for guess in guesses]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0.1 < probabilities[0] <= 1


def test_there_are_a_thousand_class_names() -> None:
    names = imagenet_classes()
    assert len(names) == 1000
    assert all(name == name.strip() and name for name in names)
    assert (names[0], names[985], names[999]) == ("tench", "daisy", "toilet tissue")


# Checkpoints of something else.


@pytest.mark.parametrize(
    "missing",
    [
        "_conv_stem.weight",
        "_bn0.running_mean",
        "_blocks.3._depthwise_conv.weight",
        "_bn1.bias",
        "_fc.weight",
        "_fc.bias",
    ],
)
def test_a_missing_array_is_named(
    tmp_path: Path, spare: Any, state: Arrays, arrays_to_checkpoint: Encoder, missing: str
) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(arrays_to_checkpoint({name: array for name, array in state.items() if name != missing}))
    with pytest.raises(BadWeights) as caught:
        load_efficientnet_lite0(spare, file)
    assert missing in str(caught.value)
    assert str(file) in str(caught.value)
    assert "efficientnet-lite0" in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "shape"),
    [
        ("_conv_stem.weight", (32, 1, 3, 3)),
        ("_bn0.running_var", (31,)),
        ("_blocks.2._depthwise_conv.weight", (144, 1, 5, 5)),
        ("_blocks.15._bn2.weight", (319,)),
        ("_fc.weight", (21843, 1280)),
        ("_fc.bias", (999,)),
    ],
)
def test_an_array_of_another_shape_is_named(
    tmp_path: Path, spare: Any, state: Arrays, arrays_to_checkpoint: Encoder, changed: str, shape: tuple[int, ...]
) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(arrays_to_checkpoint({**state, changed: np.zeros(shape, np.float32)}))
    with pytest.raises(BadWeights) as caught:
        load_efficientnet_lite0(spare, file)
    assert changed.rpartition(".")[0] in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, spare: Any) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(BadWeights):
        load_efficientnet_lite0(spare, file)
