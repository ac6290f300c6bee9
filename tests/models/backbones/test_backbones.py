"""The registry of backbones: plain facts, found by any spelling of their names."""

import dataclasses
import json
from pathlib import Path

import pytest
from demijohn.models import BACKBONES, Backbone, Preprocessing, UnknownBackbone, find_backbone
from demijohn.models.backbones.backbone import keras_folder
from support.standin import TINY

OURS = [backbone for backbone in BACKBONES.values() if backbone.keras_name is None]
KERAS = [backbone for backbone in BACKBONES.values() if backbone.keras_name is not None]


def test_our_own_networks_stand_first() -> None:
    assert list(BACKBONES.values()) == [*OURS, *KERAS]
    assert all(name == record.name for name, record in BACKBONES.items())


# The network; for those of Keras see test_applications.


@pytest.mark.parametrize(
    "backbone", [pytest.param(each, id=each.name, marks=[pytest.mark.slow] * (each != OURS[0])) for each in OURS]
)
@pytest.mark.parametrize("top", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_network_is_as_its_record_says(guard: None, backbone: Backbone, top: bool) -> None:
    network = backbone.build(top=top, input_size=backbone.input_size)
    assert network.input_shape == (None, *backbone.input_size, 3)
    assert network.output_shape[-1] == (1000 if top else backbone.width)
    assert len(network.output_shape) == (2 if top else 4)
    assert network.compute_dtype == "float32"
    if top:
        # Some sources count the statistics of batch normalisation, some do not.
        assert network.count_params() / 1e6 == pytest.approx(backbone.parameters, abs=0.08)
        assert network.count_params() * 4e-6 == pytest.approx(backbone.megabytes, rel=0.1)
        assert network.layers[-1].activation.__name__ == "softmax"


# The record.


def test_facts_are_plausible() -> None:
    for backbone in BACKBONES.values():
        assert 0 < backbone.width <= 8192
        assert all(32 <= side <= 1024 for side in backbone.input_size)
        assert 1 <= backbone.megabytes <= 2000
        assert 0.4 <= backbone.parameters <= 1000
        # Four bytes a parameter, but Keras states 29 MB for an EfficientNetB0.
        assert (
            backbone.megabytes == pytest.approx(4 * backbone.parameters, rel=0.1) or backbone.name == "efficientnet-b0"
        )
        assert backbone.depth is None or backbone.depth > 10
        assert backbone.top1 is None or 50 < backbone.top1 < 95
        assert backbone.top5 is None or (backbone.top1 or 0) < backbone.top5 < 100
        assert "https://" in backbone.source
        assert backbone.resize in ("crop-bilinear", "crop-bicubic")
        assert backbone.preprocessing.channels in ("rgb", "bgr")
        assert all(scale > 0 for scale in backbone.preprocessing.scale)
        assert (backbone.weights is None) == (backbone.weights_top is None) == (backbone.installed is not None)


def test_files_are_named_once_and_fetched_over_https() -> None:
    for backbone in BACKBONES.values():
        for published in filter(None, (backbone.weights, backbone.weights_top)):
            assert published.url.startswith("https://")
            # NASNet's are spelt differently in Keras' folder.
            assert published.url.lower().replace("-", "_").endswith(published.name.replace("-", "_"))
            assert published.checksum is None or len(bytes.fromhex(published.checksum)) in (16, 32)


def test_no_two_backbones_share_a_file() -> None:
    files = [file for each in BACKBONES.values() for file in (each.weights, each.weights_top) if file]
    assert len({file.name for file in files}) == len({file.url for file in files}) == len(files)


def test_a_record_is_plain_json() -> None:
    for backbone in BACKBONES.values():
        facts = backbone.to_json()
        assert json.loads(json.dumps(facts, allow_nan=False)) == facts
        assert facts["name"] == backbone.name
        assert facts["width"] == backbone.width
        assert facts["preprocessing"] == str(backbone.preprocessing)


def test_a_record_cannot_be_changed() -> None:
    for backbone in BACKBONES.values():
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


def test_a_backbone_is_found_by_any_spelling_of_its_name() -> None:
    for backbone in BACKBONES.values():
        name = backbone.name
        for spelling in (name, name.upper(), name.replace("-", "_"), name.replace("-", ""), f" {name.title()} "):
            assert find_backbone(spelling) is backbone


def test_a_backbone_is_found_by_the_name_of_keras() -> None:
    for backbone in KERAS:
        found = find_backbone(str(backbone.keras_name))
        assert found.keras_name == backbone.keras_name
        assert backbone.name.startswith(found.name), "the plain one of several"


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("xeption", "xception"),
        ("resnet", "resnet50"),
        ("ResNet50V3", "resnet50-v2"),
        ("MobileNetV3", "mobilenet-v3-small"),
        ("mobilenet-0.24", "mobilenet-0.25"),
        ("efficientnet_lite", "efficientnet-lite0"),
        ("convnext", "convnext-tiny"),
    ],
)
def test_a_name_that_is_nearly_right_is_put_right(wrong: str, meant: str) -> None:
    with pytest.raises(UnknownBackbone, match=f"did you mean .*{meant}") as caught:
        find_backbone(wrong)
    assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize("wrong", ["", "?", "-.-", "quite another thing"])
def test_a_name_like_none_is_told_where_the_names_are(wrong: str) -> None:
    with pytest.raises(UnknownBackbone, match=f"{len(BACKBONES)} others .*see: demijohn backbones$") as caught:
        find_backbone(wrong)
    assert len(str(caught.value)) < 120
    assert isinstance(caught.value, LookupError)


# Weights on this machine.


def test_installed_weights_are_here(lite0_file: Path) -> None:
    backbone = BACKBONES["efficientnet-lite0"]
    assert lite0_file.is_file()
    assert backbone.weights_here(top=True) == backbone.weights_here() == lite0_file
    assert backbone.to_json()["weights_here"] == str(lite0_file)


@pytest.mark.parametrize("backbone", KERAS[::17], ids=lambda backbone: backbone.name)
def test_weights_are_here_once_they_lie_in_the_folder_of_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: Backbone
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
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
