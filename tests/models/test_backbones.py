"""The registry of backbones: every record agrees with the network it describes and with what Keras publishes."""

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models import BACKBONES, Backbone, Preprocessing, UnknownBackbone, find_backbone
from demijohn.models.backbone import keras_folder
from support.standin import TINY

MODULES = {
    "xception": ("xception", "Xception"),
    "mobilenet-v2": ("mobilenet_v2", "MobileNetV2"),
    "resnet50": ("resnet", "ResNet50"),
    "efficientnet-v2-b0": ("efficientnet_v2", "EfficientNetV2B0"),
}
"""Where Keras keeps each backbone's network and its preprocessing; every record but our own networks'."""
OWN = {"efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"}

every = pytest.mark.parametrize("backbone", BACKBONES.values(), ids=lambda backbone: backbone.name)
from_keras = pytest.mark.parametrize("name", MODULES)


def application(name: str) -> Any:
    """Return the module of `keras.applications` with the network's own constants and preprocessing."""
    from demijohn.models.backend import import_keras

    import_keras()
    return importlib.import_module(f"keras.src.applications.{MODULES[name][0]}")


def test_the_table_covers_the_registry() -> None:
    assert set(BACKBONES) == OWN | set(MODULES)
    assert all(name == record.name for name, record in BACKBONES.items())


# The network.


@every
@pytest.mark.parametrize("top", [False, True])
def test_the_network_is_as_its_record_says(guard: None, backbone: Backbone, top: bool) -> None:
    network = backbone.build(top=top, input_size=backbone.input_size)
    assert network.input_shape == (None, *backbone.input_size, 3)
    assert network.output_shape[-1] == (1000 if top else backbone.width)
    assert len(network.output_shape) == (2 if top else 4)
    assert network.compute_dtype == "float32"
    if top:
        # Some sources count the statistics of batch normalisation, some do not.
        assert network.count_params() / 1e6 == pytest.approx(backbone.parameters, abs=0.08)
        assert network.count_params() * 4 / 2**20 == pytest.approx(backbone.megabytes, rel=0.1)
        assert network.layers[-1].activation.__name__ == "softmax"


@from_keras
def test_preprocessing_is_that_of_keras(guard: None, name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 7, 5, 3)).astype(np.float32)
    # Keras works in place.
    expected = application(name).preprocess_input(pixels.copy())
    preprocessing = BACKBONES[name].preprocessing
    image = pixels[..., ::-1] if preprocessing.channels == "bgr" else pixels
    np.testing.assert_allclose(
        (image - np.asarray(preprocessing.mean, np.float32)) / np.asarray(preprocessing.scale, np.float32),
        expected,
        rtol=1e-5,
        atol=1e-5,
    )


class _Asked(Exception):
    """Ends a build when Keras asks for its file."""


@from_keras
@pytest.mark.parametrize("top", [False, True])
def test_the_file_is_the_one_that_keras_itself_asks_for(
    guard: None, monkeypatch: pytest.MonkeyPatch, name: str, top: bool
) -> None:
    module = application(name)

    def get_file(fname: str, origin: str, **options: Any) -> None:
        raise _Asked(fname, origin, options.get("cache_subdir"), options.get("file_hash"))

    monkeypatch.setattr(module.file_utils, "get_file", get_file)
    with pytest.raises(_Asked) as asked:
        getattr(module, MODULES[name][1])(
            weights="imagenet", include_top=top, input_shape=(*BACKBONES[name].input_size, 3)
        )
    published = BACKBONES[name].weights_top if top else BACKBONES[name].weights
    assert published is not None
    assert (published.name, published.url, "models", published.md5) == asked.value.args


# The record.


@every
def test_facts_are_plausible(backbone: Backbone) -> None:
    assert 0 < backbone.width <= 8192
    assert all(32 <= side <= 1024 for side in backbone.input_size)
    assert 1 <= backbone.megabytes <= 2000
    assert 1 <= backbone.parameters <= 1000
    # Four bytes a parameter.
    assert backbone.megabytes == pytest.approx(4 * backbone.parameters, rel=0.1)
    assert backbone.depth is None or backbone.depth > 10
    assert backbone.top1 is None or 50 < backbone.top1 < 95
    assert backbone.top5 is None or (backbone.top1 or 0) < backbone.top5 < 100
    assert "https://" in backbone.source
    assert backbone.resize in ("crop-bilinear", "crop-bicubic")
    assert backbone.preprocessing.channels in ("rgb", "bgr")
    assert all(scale > 0 for scale in backbone.preprocessing.scale)
    assert (backbone.weights is None) == (backbone.weights_top is None) == (backbone.installed is not None)


@every
def test_files_are_named_once_and_fetched_over_https(backbone: Backbone) -> None:
    for published in filter(None, (backbone.weights, backbone.weights_top)):
        assert published.url.startswith("https://")
        assert published.url.endswith(f"/{published.name}")
        assert published.md5 is None or len(bytes.fromhex(published.md5)) == 16


@every
def test_a_record_is_plain_json(backbone: Backbone) -> None:
    facts = backbone.to_json()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["name"] == backbone.name
    assert facts["width"] == backbone.width
    assert facts["preprocessing"] == str(backbone.preprocessing)


@every
def test_a_record_cannot_be_changed(backbone: Backbone) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        backbone.width = 3  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        backbone.preprocessing.mean = (0.0, 0.0, 0.0)  # type: ignore[misc]


def test_preprocessings_that_differ_read_differently() -> None:
    kinds = {
        Preprocessing((127.5,) * 3, (127.5,) * 3),
        Preprocessing((127.0,) * 3, (128.0,) * 3),
        Preprocessing((127.5,) * 3, (127.5,) * 3, "bgr"),
        Preprocessing((127.5, 127.5, 127.0), (127.5,) * 3),
        Preprocessing((127.5,) * 3, (127.5, 127.5, 127.0)),
    }
    assert len({str(kind) for kind in kinds}) == len(kinds)


# Finding.


@every
def test_a_backbone_is_found_by_name(backbone: Backbone) -> None:
    assert find_backbone(backbone.name) is backbone


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("Xception", "xception"),
        ("xeption", "xception"),
        ("ResNet-50", "resnet50"),
        ("resnet", "resnet50"),
        ("MobileNetV2", "mobilenet-v2"),
        ("efficientnet_lite0", "efficientnet-lite0"),
        ("EfficientNetV2B0", "efficientnet-v2-b0"),
    ],
)
def test_a_name_that_is_nearly_right_is_put_right(wrong: str, meant: str) -> None:
    with pytest.raises(UnknownBackbone, match=f"did you mean .*{meant}") as caught:
        find_backbone(wrong)
    assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize("wrong", ["", "?", "quite another thing"])
def test_a_name_like_none_gets_the_whole_list(wrong: str) -> None:
    with pytest.raises(UnknownBackbone) as caught:
        find_backbone(wrong)
    assert all(name in str(caught.value) for name in BACKBONES)
    assert isinstance(caught.value, LookupError)


# Weights on this machine.


def test_installed_weights_are_here(lite0_file: Path) -> None:
    backbone = BACKBONES["efficientnet-lite0"]
    assert lite0_file.is_file()
    assert backbone.weights_here(top=True) == backbone.weights_here() == lite0_file
    assert backbone.to_json()["weights_here"] == str(lite0_file)


@from_keras
def test_weights_are_here_once_they_lie_in_the_folder_of_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    backbone = BACKBONES[name]
    assert keras_folder() == tmp_path / "models"
    assert backbone.weights_here() is None
    assert backbone.to_json()["weights_here"] is None
    assert backbone.weights is not None
    assert backbone.weights_top is not None
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / backbone.weights.name).touch()
    assert backbone.weights_here() == tmp_path / "models" / backbone.weights.name
    assert backbone.weights_here(top=True) is None, "the file without classifier is not that with it"
    (tmp_path / "models" / backbone.weights_top.name).mkdir()
    assert backbone.weights_here(top=True) is None, "a folder is no file"


def test_without_keras_home_the_folder_is_below_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert keras_folder() == tmp_path / ".keras" / "models"


def test_a_backbone_without_published_weights_has_none_here() -> None:
    assert TINY.weights_here() is None
    assert TINY.to_json()["weights_url"] is None
