"""What is unfrozen is what was asked for; the cut leaves nothing that passes by it; what should not move is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from demijohn.models import BACKBONES, ModelError, UnknownLayer, UnsuitableSetting, load_extractor, locate_weights
from demijohn.models.backbones.taps import Tap
from demijohn.models.backend import import_keras
from demijohn.models.networks.network import build_core, build_stem
from demijohn.models.networks.unfreezing import check_moves, copy_weights, is_batch_norm, unfreeze
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from support.standin import TINY

SIDE = 8


def residual() -> Any:
    """Return two residual blocks: the second one's shortcut passes by its convolutions."""
    layers = import_keras().layers
    image = import_keras().Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem_conv")(image)
    for number in range(2):
        shortcut = x
        for part in "ab":
            x = layers.Conv2D(4, 3, padding="same", name=f"block{number}_{part}_conv")(x)
            x = layers.BatchNormalization(name=f"block{number}_{part}_bn")(x)
            x = layers.ReLU(name=f"block{number}_{part}_relu")(x)
        x = layers.Add(name=f"block{number}_add")([x, shortcut])
    x = layers.Conv2D(4, 1, name="block10_conv")(x)
    return import_keras().Model(image, x)


@pytest.fixture
def network(tmp_path: Path) -> tuple[Any, Any]:
    """Return core and extractor."""
    extractor = residual()
    X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    skops.io.dump(make_pipeline(RidgeClassifier()).fit(X, np.arange(30) % 3), tmp_path / "head.skops")
    return build_core(TINY, extractor, tmp_path / "head.skops"), extractor


def trained(core: Any) -> list[str]:
    return [layer.name for layer in core.layers if layer.trainable_weights]


@pytest.mark.parametrize(
    ("request_", "layers", "cut"),
    [
        ("0", 0, Tap()),
        pytest.param("1", 1, Tap("block1_add", "none"), marks=pytest.mark.slow),
        ("block10", 1, Tap("block1_add", "none")),
        ("block1", 8, Tap("block0_add", "none")),
        ("block1_b_conv", 5, Tap("block0_add", "none")),
        pytest.param("block0_a_conv", 15, Tap("stem_conv", "none"), marks=pytest.mark.slow),
        ("all", 16, None),
        pytest.param("16", 16, None, marks=pytest.mark.slow),
    ],
)
def test_it_is_cut_where_nothing_passes_by(
    network: tuple[Any, Any], request_: str, layers: int, cut: Tap | None
) -> None:
    core, extractor = network
    unfrozen = unfreeze(core, extractor, request_, tap=Tap())
    assert len(unfrozen.layers) == layers
    assert unfrozen.tap == cut
    images = np.random.default_rng(0).normal(size=(3, SIDE, SIDE, 3)).astype(np.float32)
    through = images if unfrozen.trunk is None else unfrozen.trunk(images, training=False)
    np.testing.assert_allclose(
        unfrozen.top(through, training=False), core(images, training=False), rtol=1e-5, atol=1e-6
    )
    behind = {layer.name for layer in unfrozen.top.layers}
    assert set(unfrozen.layers) <= behind
    assert set(trained(core)) <= behind


def test_layers_without_weights_are_nothing_to_train(network: tuple[Any, Any]) -> None:
    core = network[0]
    extractor = import_keras().Model(network[1].input, network[1].get_layer("block1_add").output)
    with pytest.raises(UnsuitableSetting, match="3 layers without weights to train"):
        unfreeze(core, extractor, "block1_b_bn", tap=Tap())


def test_batch_normalisations_stay_frozen_unless_they_are_asked_for(network: tuple[Any, Any]) -> None:
    core, extractor = network
    unfreeze(core, extractor, "block1", tap=Tap())
    assert trained(core) == ["block1_a_conv", "block1_b_conv", "block10_conv", "classifier_logits"]
    assert not any(layer.trainable for layer in core.layers if is_batch_norm(layer))
    unfreeze(core, extractor, "block1", tap=Tap(), train_batch_norm=True)
    assert [name for name in trained(core) if name.endswith("bn")] == ["block1_a_bn", "block1_b_bn"]


@pytest.mark.parametrize(
    ("asked", "kind", "told"),
    [
        ("17", UnsuitableSetting, "16 layers"),
        ("block", UnknownLayer, "block"),
        ("block1_a_cov", UnknownLayer, "did you mean block1_a_conv"),
        ("-1", UnknownLayer, "a number of layers"),
    ],
)
def test_what_is_not_there_is_told(network: tuple[Any, Any], asked: str, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        unfreeze(*network, asked, tap=Tap())


@pytest.mark.parametrize("fault", ["none", "frozen moved", "statistics moved", "nothing moved"])
def test_what_moved_is_seen(network: tuple[Any, Any], fault: str) -> None:
    core, extractor = network
    unfreeze(core, extractor, "block1", tap=Tap())
    before = copy_weights(core)
    for variable in core.trainable_variables:
        if not (fault == "nothing moved" and variable.path.startswith("block10")):
            variable.assign(variable + 1)
    if fault == "frozen moved":
        core.get_layer("stem_conv").bias.assign([0, 0, 0, 1])
    if fault == "statistics moved":
        core.get_layer("block1_a_bn").moving_mean.assign([0, 0, 0, 1])
    if fault == "none":
        check_moves(core, before)
        return
    told = {"frozen moved": "stem_conv", "statistics moved": "moving_mean", "nothing moved": "did not change block10"}
    with pytest.raises(ModelError, match=told[fault]):
        check_moves(core, before)


def test_statistics_may_move_where_they_are_trained(network: tuple[Any, Any]) -> None:
    core, extractor = network
    unfreeze(core, extractor, "block1", tap=Tap(), train_batch_norm=True)
    before = copy_weights(core)
    for variable in core.trainable_variables:
        variable.assign(variable + 1)
    core.get_layer("block1_a_bn").moving_mean.assign([0, 0, 0, 1])
    check_moves(core, before)
    core.get_layer("block0_a_bn").moving_mean.assign([0, 0, 0, 1])
    with pytest.raises(ModelError, match="block0_a_bn"):
        check_moves(core, before)


def test_the_stem_is_preprocessing_and_trunk(network: tuple[Any, Any]) -> None:
    core, extractor = network
    trunk = unfreeze(core, extractor, "block1", tap=Tap()).trunk
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.float32)
    scaled = (pixels - 127.5) / 127.5
    np.testing.assert_allclose(build_stem(TINY, core, trunk)(pixels), trunk(scaled), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(build_stem(TINY, core, None)(pixels), scaled, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "block", "cut"),
    [
        ("efficientnet-lite0", "block15", "block14_add"),
        ("xception", "block14", "add_11"),
        ("resnet50", "conv5_block3", "conv5_block2_out"),
        ("mobilenet-v2", "block_16", "block_15_add"),
        ("densenet121", "conv5_block16", "conv5_block15_concat"),
    ],
)
def test_real_architectures_are_cut_at_their_blocks(name: str, block: str, cut: str, tmp_path: Path) -> None:
    backbone = BACKBONES[name]
    extractor, _ = load_extractor(backbone, locate_weights(backbone, "random"))
    X = np.random.default_rng(0).normal(size=(30, backbone.width)).astype(np.float32)
    skops.io.dump(make_pipeline(RidgeClassifier()).fit(X, np.arange(30) % 3), tmp_path / "head.skops")
    core = build_core(backbone, extractor, tmp_path / "head.skops")
    unfrozen = unfreeze(core, extractor, block, tap=Tap())
    assert unfrozen.tap == Tap(cut, "none")
    pixels = np.random.default_rng(5).normal(size=(2, *backbone.input_size, 3)).astype(np.float32)
    expected = core(pixels, training=False)
    np.testing.assert_allclose(unfrozen.top(unfrozen.trunk(pixels), training=False), expected, rtol=1e-4, atol=1e-4)
