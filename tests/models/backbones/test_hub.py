"""Presets of KerasHub: small ones, made here, give the features that KerasHub gives, from the same pixels."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models import (
    Backbone,
    BadWeights,
    MissingWeights,
    UnknownBackbone,
    UnsuitableSetting,
    load_classifier,
    load_extractor,
    locate_weights,
)
from demijohn.models.backbones.hub import hub_backbone
from demijohn.models.backbones.taps import Tap, list_layers
from demijohn.models.backend import import_keras
from demijohn.models.engines.engines import make_engine
from numpy.typing import NDArray

SIDE = 16
PIXELS = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
MEAN, DEVIATION = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
IMAGENET = {"scale": list(1 / DEVIATION), "offset": list(-MEAN / DEVIATION)}
TRANSFORMER = {"patch_size": 4, "num_layers": 2, "num_heads": 2, "hidden_dim": 16}


def vit(models: Any, **others: Any) -> Any:
    return models.ViTBackbone(image_shape=(SIDE, SIDE, 3), mlp_dim=32, **TRANSFORMER, **others)


def make_dinov2(models: Any) -> Any:
    shape = (SIDE, SIDE, 3)
    return models.DINOV2Backbone(
        image_shape=shape, position_embedding_shape=shape, intermediate_dim=32, num_register_tokens=2, **TRANSFORMER
    )


def make_resnet(models: Any) -> Any:
    stacks = {"stackwise_num_filters": [64, 64], "stackwise_num_blocks": [1, 1], "stackwise_num_strides": [1, 2]}
    stem = {"input_conv_filters": [64], "input_conv_kernel_sizes": [3]}
    return models.ResNetBackbone(block_type="basic_block", **stem, **stacks)


def make_efficientnet(models: Any) -> Any:
    ones = ("kernel_sizes", "num_repeats", "expansion_ratios", "strides", "squeeze_and_excite_ratios")
    blocks = {f"stackwise_{name}": [1] for name in ones}
    return models.EfficientNetBackbone(
        stackwise_input_filters=[8],
        stackwise_output_filters=[8],
        stackwise_block_types=["v1"],
        width_coefficient=1.0,
        depth_coefficient=1.0,
        **blocks,
    )


def vision(kind: Any) -> Any:
    return kind(image_shape=(SIDE, SIDE, 3), intermediate_dim=32, **TRANSFORMER)


def text(kind: Any, **others: Any) -> Any:
    sizes = {"vocabulary_size": 9, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1, "num_heads": 2}
    return kind(**sizes, intermediate_dim=32, max_sequence_length=4, **others)


def make_siglip(models: Any) -> Any:
    return models.SigLIPBackbone(vision(models.SigLIPVisionEncoder), text(models.SigLIPTextEncoder, projection_dim=16))


def make_clip(models: Any) -> Any:
    return models.CLIPBackbone(vision(models.CLIPVisionEncoder), text(models.CLIPTextEncoder), projection_dim=8)


def make_metaclip2(models: Any) -> Any:
    encoders = vision(models.MetaCLIP2VisionEncoder), text(models.MetaCLIP2TextEncoder)
    return models.MetaCLIP2Backbone(*encoders, projection_dim=8)


pytestmark = pytest.mark.slow
NETWORKS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "ResNet": (make_resnet, lambda network, pixels: np.mean(network(pixels), axis=(1, 2))),
    "EfficientNet": (make_efficientnet, lambda network, pixels: np.mean(network(pixels), axis=(1, 2))),
    "ViT": (vit, lambda network, pixels: network(pixels)[:, 0]),
    "DINOV2": (make_dinov2, lambda network, pixels: network({"images": pixels})[:, 0]),
    "SigLIP": (make_siglip, lambda network, pixels: network.get_vision_embeddings(pixels)),
    "CLIP": (make_clip, lambda network, pixels: network.vision_encoder({"images": pixels})[:, 0]),
    "MetaCLIP2": (
        make_metaclip2,
        lambda network, pixels: network.vision_post_layer_norm(network.vision_encoder({"images": pixels})[:, 0]),
    ),
}
"""What makes a small network of a kind, and what KerasHub itself makes of prepared pixels with it."""

Save = Callable[..., Path]


@pytest.fixture(scope="session")
def hub(guard: None) -> Any:
    import_keras()
    return pytest.importorskip("keras_hub", reason="KerasHub is not installed: pip install 'demijohn[hub]'")


@pytest.fixture
def save(hub: Any, tmp_path: Path) -> Save:
    """Return what saves a network and its image converter as a preset."""

    def save(network: Any, **converter: Any) -> Path:
        folder = tmp_path / "Small Preset"
        network.save_to_preset(folder)
        kind = getattr(hub.layers, type(network).__name__.replace("Backbone", "ImageConverter"))
        kind(**{"image_size": (SIDE, SIDE), **IMAGENET, **converter}).save_to_preset(folder)
        return folder

    return save


def extract(backbone: Backbone, *taps: Tap, pixels: Any = PIXELS) -> Any:
    network, _ = load_extractor(backbone, locate_weights(backbone))
    return make_engine(backbone, network, batch_size=len(pixels), taps=taps or (Tap(),)).extract(pixels)


def prepare(pixels: Any = PIXELS) -> NDArray[np.float32]:
    return ((pixels - MEAN) / DEVIATION).astype(np.float32)


@pytest.mark.parametrize("kind", list(NETWORKS))
def test_features_are_those_of_kerashub(hub: Any, save: Save, kind: str) -> None:
    make, compute = NETWORKS[kind]
    import_keras().utils.set_random_seed(1)
    network = make(hub.models)
    backbone = hub_backbone(str(save(network)))
    expected = np.asarray(compute(network, prepare()))
    (found,) = extract(backbone)
    assert (backbone.name, backbone.input_size) == ("hub-small-preset", (SIDE, SIDE))
    assert found.shape == (len(PIXELS), backbone.width)
    assert np.ptp(found, axis=0).max() > 1e-3, "pictures differ"
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["ViT", "MetaCLIP2", "EfficientNet"])
def test_every_layer_that_is_listed_can_be_tapped(hub: Any, save: Save, kind: str) -> None:
    backbone = hub_backbone(str(save(NETWORKS[kind][0](hub.models))))
    network, _ = load_extractor(backbone, locate_weights(backbone))
    taps = [Tap(layer.name) for layer in list_layers(network)]
    assert len(taps) > 1
    assert all(np.isfinite(values).all() for values in extract(backbone, *taps))


def test_a_vit_without_class_token_gives_its_tokens(hub: Any, save: Save) -> None:
    network = vit(hub.models, use_class_token=False)
    (found,) = extract(hub_backbone(str(save(network))))
    np.testing.assert_allclose(found, np.mean(network(prepare()), axis=1), rtol=1e-3, atol=1e-4)


# Pixels.


@pytest.mark.parametrize(
    "arithmetic",
    [
        IMAGENET,
        {"scale": 1 / 127.5, "offset": -1.0},
        {"scale": 1 / 255, "offset": None},
        {"scale": None, "offset": None},
        {"scale": None, "offset": (-1.0, 2.0, 3.5)},
    ],
)
def test_pixels_are_prepared_as_the_converter_does(hub: Any, save: Save, arithmetic: dict[str, Any]) -> None:
    folder = save(vit(hub.models), **arithmetic)
    preprocessing = hub_backbone(str(folder)).preprocessing
    # Pictures that have the size already, so that only the arithmetic is left.
    expected = np.asarray(hub.layers.ImageConverter.from_preset(str(folder))(PIXELS.astype(np.float32)))
    mean, scale = np.asarray(preprocessing.mean, np.float32), np.asarray(preprocessing.scale, np.float32)
    assert preprocessing.channels == "rgb"
    np.testing.assert_allclose((PIXELS - mean) / scale, expected, rtol=1e-6, atol=1e-5)


def test_published_numbers_read_as_published(hub: Any, save: Save) -> None:
    preprocessing = hub_backbone(str(save(vit(hub.models)))).preprocessing
    assert str(preprocessing) == "(rgb - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]"


@pytest.mark.parametrize(
    ("options", "resize"),
    [
        ({}, "crop-bilinear"),
        ({"interpolation": "bicubic", "antialias": True}, "crop-bicubic"),
        ({"crop_to_aspect_ratio": False}, "squash-bilinear"),
    ],
)
def test_the_way_to_resize_is_that_of_the_converter(hub: Any, save: Save, options: dict[str, Any], resize: str) -> None:
    assert hub_backbone(str(save(vit(hub.models), **options))).resize == resize


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"pad_to_aspect_ratio": True, "crop_to_aspect_ratio": False}, "pads pictures with black"),
        ({"interpolation": "lanczos3"}, "resizes with lanczos3: expected bilinear or bicubic"),
        ({"scale": (1.0, 0.0, 1.0)}, "expected a number per channel"),
    ],
)
def test_what_cannot_be_translated_is_refused(hub: Any, save: Save, options: dict[str, Any], told: str) -> None:
    folder = save(vit(hub.models), **options)
    with pytest.raises(UnsuitableSetting, match=told):
        hub_backbone(str(folder))


# Input size, weights, precision.


def test_another_input_size_where_the_architecture_allows(hub: Any, save: Save) -> None:
    network = make_resnet(hub.models)
    pixels = np.repeat(np.repeat(PIXELS, 2, axis=1), 2, axis=2)
    backbone = hub_backbone(str(save(network)), input_size=(32, 32))
    np.testing.assert_allclose(
        extract(backbone, pixels=pixels)[0], np.mean(network(prepare(pixels)), axis=(1, 2)), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("make", [vit, make_siglip])
def test_another_input_size_where_it_does_not(hub: Any, save: Save, make: Any) -> None:
    backbone = hub_backbone(str(save(make(hub.models))), input_size=(32, 32))
    with pytest.raises(UnsuitableSetting, match=r"32x32|own size only"):
        load_extractor(backbone, locate_weights(backbone))


def test_a_preset_that_states_no_size_needs_one(hub: Any, save: Save) -> None:
    folder = str(save(make_resnet(hub.models), image_size=None))
    with pytest.raises(UnsuitableSetting, match="states no input size"):
        hub_backbone(folder)
    assert hub_backbone(folder, input_size=(SIDE, SIDE)).input_size == (SIDE, SIDE)


def test_equal_arrays_in_another_network_are_another_recipe(hub: Any, save: Save) -> None:
    folder = save(vit(hub.models))

    def digest() -> str:
        backbone = hub_backbone(str(folder))
        return load_extractor(backbone, locate_weights(backbone))[1]

    before = digest()
    assert digest() == before
    config = json.loads((folder / "config.json").read_text())
    config["config"]["layer_norm_epsilon"] = 0.1
    (folder / "config.json").write_text(json.dumps(config))
    assert digest() != before


def test_precision_is_that_which_is_asked_or_refused(hub: Any, save: Save) -> None:
    backbone = hub_backbone(str(save(vit(hub.models))))
    network, _ = load_extractor(backbone, locate_weights(backbone), precision="bfloat16")
    assert {layer.compute_dtype for layer in network.layers if layer.weights} == {"bfloat16"}
    backbone = hub_backbone(str(save(make_siglip(hub.models))))
    with pytest.raises(UnsuitableSetting, match=r"computes in float32.*received bfloat16"):
        load_extractor(backbone, locate_weights(backbone), precision="bfloat16")


def test_other_weights_and_a_classifier_are_refused(hub: Any, save: Save) -> None:
    backbone = hub_backbone(str(save(vit(hub.models))))
    with pytest.raises(UnsuitableSetting, match="has its own weights"):
        locate_weights(backbone, "random")
    with pytest.raises(UnsuitableSetting, match="no ImageNet classifier"):
        load_classifier(backbone, locate_weights(backbone))


# What is not there.


def test_a_folder_that_is_no_preset_is_told(hub: Any, save: Save, tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match=r"no preset of an image backbone .*expected what save_to_preset writes"):
        hub_backbone(str(tmp_path))
    folder = save(vit(hub.models))
    (folder / "model.weights.h5").write_bytes(b"")
    backbone = hub_backbone(str(folder))
    with pytest.raises(BadWeights, match="no preset of an image backbone"):
        load_extractor(backbone, locate_weights(backbone))
    (folder / "image_converter.json").unlink()
    with pytest.raises(BadWeights, match=r"image_converter\.json"):
        hub_backbone(str(folder))


def test_a_network_for_something_else_is_refused(hub: Any, tmp_path: Path) -> None:
    models = hub.models
    sizes = {"vocabulary_size": 9, "num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 8}
    models.BertBackbone(**sizes).save_to_preset(tmp_path)
    with pytest.raises(UnsuitableSetting, match=r"is a BertBackbone.*expected one of CSPNet, "):
        hub_backbone(str(tmp_path))


def test_presets_that_cannot_be_had(hub: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    with pytest.raises(UnknownBackbone, match="did you mean resnet_50_imagenet"):
        hub_backbone("resnet_50_imagene")
    with pytest.raises(MissingWeights, match="there is no preset folder presets/vit"):
        hub_backbone("presets/vit")
    with pytest.raises(MissingWeights, match=r"cannot be downloaded .*--backbone hub:FOLDER"):
        hub_backbone("resnet_50_imagenet")


def test_without_kerashub_the_remedy_is_named(guard: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demijohn.models.backbones.hub.find_spec", lambda _: None)
    with pytest.raises(MissingWeights, match=r"pip install 'demijohn\[hub\]'"):
        hub_backbone("resnet_50_imagenet")
