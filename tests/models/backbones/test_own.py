"""One's own model: its features are those that it computes itself, and what cannot be told of it is asked for."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models import (
    BACKBONES,
    Backbone,
    BadWeights,
    MissingWeights,
    UnsuitableSetting,
    load_classifier,
    load_extractor,
    locate_weights,
)
from demijohn.models.backbones.own import PREPROCESSINGS, own_backbone
from demijohn.models.backbones.taps import Tap, list_layers
from demijohn.models.backend import computing_in, import_keras
from demijohn.models.engines.engines import make_engine
from numpy.typing import NDArray

SIZE = (12, 10)
PIXELS = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), dtype=np.uint8)
Save = Callable[..., Path]


@pytest.fixture
def save(guard: None, tmp_path: Path) -> Save:
    """Return what makes a convolution with an end of one's own, and saves it."""

    def save(*end: Any, start: Any = (), shape: Any = (*SIZE, 3), file: str = "flowers.keras", **options: Any) -> Path:
        keras = import_keras()
        keras.utils.set_random_seed(options.pop("seed", 1))
        image = x = keras.Input(shape)
        for layer in (*start, keras.layers.Conv2D(5, 3, **options), *end):
            x = layer(x)
        keras.Model(image, x).save(tmp_path / file)
        return tmp_path / file

    return save


def layers() -> Any:
    return import_keras().layers


def extract(backbone: Backbone, *taps: Tap) -> Any:
    network, _ = load_extractor(backbone, locate_weights(backbone))
    return make_engine(backbone, network, batch_size=len(PIXELS), taps=taps or (Tap(),)).extract(PIXELS)


def digest(path: Path) -> str:
    backbone = own_backbone(path, preprocessing="unit")
    return load_extractor(backbone, locate_weights(backbone))[1]


def close(found: NDArray[np.float32], expected: Any) -> None:
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-4, atol=1e-5)


# The features.


def test_features_are_those_of_the_model(save: Save) -> None:
    path = save()
    backbone = own_backbone(path, preprocessing="symmetric")
    own = import_keras().saving.load_model(path)(PIXELS / 127.5 - 1.0)
    assert (backbone.name, backbone.input_size, backbone.width) == ("own-flowers", SIZE, 5)
    avg, most = extract(backbone, Tap(), Tap("last", "max"))
    close(avg, np.mean(own, axis=(1, 2)))
    close(most, np.max(own, axis=(1, 2)))


@pytest.mark.parametrize(
    "end", ["softmax", *(pytest.param(end, marks=pytest.mark.slow) for end in ("sigmoid", "activation", "layer"))]
)
def test_features_are_what_stands_before_the_classifier(save: Save, end: str) -> None:
    last = {
        "softmax": lambda: [layers().Dense(4, activation="softmax")],
        "sigmoid": lambda: [layers().Dense(1, activation="sigmoid")],
        "activation": lambda: [layers().Dense(4), layers().Activation("softmax")],
        "layer": lambda: [layers().Dense(4), layers().Softmax()],
    }[end]()
    path = save(layers().GlobalAveragePooling2D(), layers().Dropout(0.5), *last)
    backbone = own_backbone(path, preprocessing="unit")
    model = import_keras().saving.load_model(path)
    pooled = next(layer for layer in model.layers if "pooling" in layer.name)
    expected = import_keras().Model(model.input, pooled.output)(PIXELS / 255.0)
    assert backbone.width == 5
    close(extract(backbone)[0], expected)


def test_another_last_layer_belongs_to_the_features(save: Save) -> None:
    path = save(layers().GlobalAveragePooling2D(), layers().Dense(7))
    backbone = own_backbone(path, preprocessing="unit")
    assert backbone.width == 7
    close(extract(backbone)[0], import_keras().saving.load_model(path)(PIXELS / 255.0))


def test_layers_of_inner_models_can_be_tapped(save: Save, tmp_path: Path) -> None:
    keras = import_keras()
    image = keras.Input((*SIZE, 3))
    # As a model that was saved and loaded: names that stand outside as well.
    x = layers().Conv2D(6, 3, name="conv")(image)
    x = layers().BatchNormalization(name="norm")(x)
    inner = keras.Model(image, layers().ReLU(name="relu")(x), name="base")
    inner.get_layer("norm").set_weights([np.linspace(low, 3, 6) for low in (1, -1, 0, 2)])
    image = keras.Input((*SIZE, 3))
    x = keras.Sequential([layers().RandomFlip(), layers().Rescaling(1 / 255)], name="before")(image)
    x = layers().Conv2D(4, 1, name="conv")(inner(x, training=False))
    x = layers().GlobalMaxPooling2D()(x)
    model = keras.Model(image, keras.Sequential([layers().Dense(3, activation="softmax")])(x))
    model.save(tmp_path / "nested.keras")
    backbone = own_backbone(tmp_path / "nested.keras", preprocessing="inside")
    last, tapped = extract(backbone, Tap(), Tap("base.relu", "avg"))
    close(last, keras.Model(model.input, model.layers[-1].input)(PIXELS.astype(np.float32), training=False))
    close(tapped, np.mean(inner(PIXELS / 255.0, training=False), axis=(1, 2)))
    network, _ = load_extractor(backbone, locate_weights(backbone))
    assert {"before.rescaling", "base.conv", "conv"} <= {layer.name for layer in list_layers(network)}


def test_sequential_models_and_operations_are_networks_too(guard: None, tmp_path: Path) -> None:
    keras = import_keras()
    sequential = keras.Sequential([keras.Input((*SIZE, 3)), layers().Conv2D(5, 3), layers().GlobalMaxPooling2D()])
    image = keras.Input((*SIZE, 3))
    operations = keras.Model(image, keras.ops.mean(layers().Conv2D(5, 3)(image / 2.0), axis=1))
    for model in (sequential, operations):
        model.save(tmp_path / "model.keras")
        backbone = own_backbone(tmp_path / "model.keras", preprocessing="unit")
        expected = np.asarray(model(PIXELS / 255.0))
        close(extract(backbone)[0], expected.mean(axis=1) if expected.ndim == 3 else expected)


def test_what_a_layer_adapted_to_is_kept(save: Save) -> None:
    scaling = import_keras().layers.Normalization()
    scaling.adapt(PIXELS)
    path = save(start=[scaling])
    backbone = own_backbone(path)
    expected = import_keras().saving.load_model(path)(PIXELS.astype(np.float32))
    close(extract(backbone)[0], np.mean(expected, axis=(1, 2)))


def test_every_build_is_a_network_of_its_own(save: Save) -> None:
    backbone = own_backbone(save(), preprocessing="unit")
    one, other = (backbone.build(top=False, input_size=SIZE) for _ in range(2))
    before = [weight.copy() for weight in other.get_weights()]
    one.set_weights([weight * 0 for weight in one.get_weights()])
    assert all((old == new).all() for old, new in zip(before, other.get_weights(), strict=True))


# Input size and preprocessing.


def test_an_open_input_size_must_be_stated(save: Save) -> None:
    path = save(shape=(None, None, 3))
    with pytest.raises(UnsuitableSetting, match=r"own-flowers takes pictures of any size.*--input-size"):
        own_backbone(path, preprocessing="unit")
    backbone = own_backbone(path, input_size=SIZE, preprocessing="unit")
    expected = import_keras().saving.load_model(path)(PIXELS / 255.0)
    assert backbone.input_size == SIZE
    close(extract(backbone)[0], np.mean(expected, axis=(1, 2)))
    assert backbone.build(top=False, input_size=(20, 20)).input_shape == (None, 20, 20, 3)


def test_a_fixed_input_size_stays(save: Save) -> None:
    path = save()
    assert own_backbone(path, input_size=SIZE, preprocessing="unit").input_size == SIZE
    with pytest.raises(UnsuitableSetting, match="takes pictures of 12x10, received --input-size 16x16"):
        own_backbone(path, input_size=(16, 16), preprocessing="unit")
    backbone = replace(own_backbone(path, preprocessing="unit"), input_size=(16, 16))
    with pytest.raises(UnsuitableSetting, match="received --input-size 16x16"):
        load_extractor(backbone, locate_weights(backbone))


@pytest.mark.parametrize("start", ["Rescaling", pytest.param("Normalization", marks=pytest.mark.slow)])
def test_a_model_that_scales_the_pixels_itself_needs_no_preprocessing(save: Save, start: str) -> None:
    arguments = {"Rescaling": {"scale": 1 / 255}, "Normalization": {"mean": 120.0, "variance": 3600.0}}[start]
    assert own_backbone(save(start=[getattr(layers(), start)(**arguments)])).preprocessing == PREPROCESSINGS["inside"]


def test_preprocessing_must_be_stated_otherwise(save: Save) -> None:
    path = save()
    for wrong in (None, "imagenet"):
        with pytest.raises(UnsuitableSetting, match="symmetric, caffe, torch, unit, inside"):
            own_backbone(path, preprocessing=wrong)
    for name, preprocessing in PREPROCESSINGS.items():
        assert own_backbone(path, preprocessing=name).preprocessing == preprocessing


# The digest.


def test_equal_arrays_in_another_network_are_another_recipe(save: Save) -> None:
    one = digest(save())
    assert digest(save(file="again.keras")) == one, "names that Keras makes anew do not count"
    assert digest(save(strides=2)) != one, "the same arrays, another stride"
    assert digest(save(layers().ReLU())) != one, "the same arrays, one layer more"
    assert digest(save(seed=2)) != one, "other arrays"


def test_a_compiled_model_is_the_same_network(save: Save) -> None:
    path = save()
    before = digest(path)
    model = import_keras().saving.load_model(path)
    model.compile("adam", "mse")
    model.save(path)
    assert digest(path) == before


# What is refused.


def test_other_weights_are_refused(save: Save, tmp_path: Path) -> None:
    backbone = own_backbone(save(), preprocessing="unit")
    for request in ("random", "random:3", str(tmp_path)):
        with pytest.raises(UnsuitableSetting, match="own-flowers has its own weights"):
            locate_weights(backbone, request)


def test_weights_that_are_not_finite_are_refused(save: Save) -> None:
    path = save()
    model = import_keras().saving.load_model(path)
    model.layers[1].bias.assign([1, 2, np.nan, 4, 5])
    model.save(path)
    backbone = own_backbone(path, preprocessing="unit")
    with pytest.raises(BadWeights, match="not finite"):
        load_extractor(backbone, locate_weights(backbone))


def test_a_model_computes_in_what_it_was_saved_in(save: Save) -> None:
    plain = own_backbone(save(), preprocessing="unit")
    with pytest.raises(UnsuitableSetting, match=r"computes in float32.*received bfloat16"):
        load_extractor(plain, locate_weights(plain), precision="bfloat16")
    with computing_in("bfloat16"):
        path = save()
    mixed = own_backbone(path, preprocessing="unit")
    with pytest.raises(UnsuitableSetting, match=r"computes in bfloat16.*received float32"):
        load_extractor(mixed, locate_weights(mixed))
    load_extractor(mixed, locate_weights(mixed), precision="bfloat16")


def test_code_in_a_model_is_not_run(save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Custom(import_keras().layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs

    # A default argument is evaluated where code is unmarshalled and called.
    shouting = layers().Lambda(lambda x: (print("run"), x)[1], output_shape=(10, 8, 5))
    for layer in (shouting, Custom()):
        path = save(layer)
        capsys.readouterr()
        with pytest.raises(BadWeights, match=r"flowers.keras cannot be loaded: .*Lambda layers and custom classes"):
            own_backbone(path, preprocessing="unit")
        assert "run" not in capsys.readouterr().out


def test_a_file_that_is_none_is_told(save: Save, tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match=r"no model .*absent.keras"):
        own_backbone(tmp_path / "absent.keras")
    (tmp_path / "text.keras").write_text("no archive")
    with pytest.raises(BadWeights, match=r"no \.keras file, which is a zip archive"):
        own_backbone(tmp_path / "text.keras")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Functional"}))
    with pytest.raises(BadWeights, match="cannot be loaded"):
        own_backbone(tmp_path / "empty.keras")


@pytest.mark.parametrize("shape", [(12, 10, 4), (3, 12, 10), (12, 3)])
def test_an_input_that_is_no_picture_is_refused(guard: None, tmp_path: Path, shape: tuple[int, ...]) -> None:
    keras = import_keras()
    image = keras.Input(shape)
    keras.Model(image, layers().Flatten()(image)).save(tmp_path / "model.keras")
    with pytest.raises(UnsuitableSetting, match="expected one input of pictures"):
        own_backbone(tmp_path / "model.keras", preprocessing="unit")


def test_one_input_and_one_output(guard: None, tmp_path: Path) -> None:
    keras = import_keras()
    one, two = keras.Input((*SIZE, 3)), keras.Input((*SIZE, 3))
    map_ = layers().Conv2D(2, 3)(one)
    for model, told in (
        (keras.Model([one, two], layers().Add()([one, two])), "expected one input of pictures"),
        (keras.Model(one, [map_, layers().Flatten()(map_)]), "gives 2 outputs: expected one"),
        (keras.Model(one, layers().Reshape((1, 10, 8, 2))(map_)), r"expected a map \(None, h, w, c\)"),
    ):
        model.save(tmp_path / "model.keras")
        with pytest.raises(UnsuitableSetting, match=told):
            own_backbone(tmp_path / "model.keras", preprocessing="unit")


def test_only_a_classifier_of_imagenet_is_one(save: Save) -> None:
    pool = layers().GlobalAveragePooling2D
    thousand = own_backbone(save(pool(), layers().Dense(1000, activation="softmax")), preprocessing="unit")
    whole = load_classifier(thousand, locate_weights(thousand))
    np.testing.assert_allclose(np.asarray(whole(PIXELS / 255.0)).sum(axis=-1), 1, atol=1e-5)
    four = own_backbone(save(pool(), layers().Dense(4, activation="softmax")), preprocessing="unit")
    with pytest.raises(UnsuitableSetting, match="no ImageNet classifier"):
        load_classifier(four, locate_weights(four))


def test_names_cannot_be_those_of_the_catalogue() -> None:
    assert not any(name.startswith(("own-", "hub-", "hub:")) or name.endswith(".keras") for name in BACKBONES)


@pytest.mark.parametrize(
    ("scale", "offset", "fits"), [(1 / 255, 0.0, True), (1 / 127.5, -1.0, True), (2.0, -1.0, False)], ids=str
)
def test_a_scaling_layer_that_expects_other_pixels_is_not_taken_for_all_that_is_needed(
    guard: None, tmp_path: Path, scale: float, offset: float, fits: bool
) -> None:
    keras = import_keras()
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(scale, offset)(image))
    keras.Model(image, x).save(tmp_path / "x.keras")
    if fits:
        assert own_backbone(tmp_path / "x.keras").preprocessing == PREPROCESSINGS["inside"]
    else:
        with pytest.raises(UnsuitableSetting, match="as large as 509: it expects others; state which"):
            own_backbone(tmp_path / "x.keras")
        assert own_backbone(tmp_path / "x.keras", preprocessing="unit").preprocessing == PREPROCESSINGS["unit"]
