"""From a name, a file or a preset to its record."""

from pathlib import Path
from typing import Any

import pytest
from demijohn.models import BACKBONES, MissingWeights, UnknownBackbone, UnsuitableSetting
from demijohn.models.backbones.resolving import resolve_backbone
from demijohn.models.backend import import_keras


def test_a_name_of_the_catalogue_is_its_record() -> None:
    assert resolve_backbone("xception") is BACKBONES["xception"]
    larger = resolve_backbone("xception", input_size=(331, 299))
    assert (larger.name, larger.input_size) == ("xception", (331, 299))
    assert BACKBONES["xception"].input_size == (299, 299)
    with pytest.raises(UnknownBackbone, match="did you mean xception"):
        resolve_backbone("xeption")


@pytest.mark.parametrize("name", ["model.keras", "folder/model.keras"])
def test_a_model_file_is_ones_own_model(
    guard: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingWeights, match=f"no model {name}: expected a file that Keras saved"):
        resolve_backbone(name, preprocessing="unit")
    keras = import_keras()
    image = keras.Input((None, None, 3))
    Path(name).parent.mkdir(exist_ok=True)
    keras.Model(image, keras.layers.Conv2D(4, 3)(image)).save("saved.keras")
    Path("saved.keras").rename(name)
    backbone = resolve_backbone(name, input_size=(8, 9), preprocessing="torch")
    assert (backbone.name, backbone.input_size, backbone.width) == ("own-model", (8, 9), 4)


def test_a_preset_is_asked_of_kerashub(monkeypatch: pytest.MonkeyPatch) -> None:
    def hub_backbone(preset: str, **options: Any) -> tuple[str, Any]:
        return preset, options

    monkeypatch.setattr("demijohn.models.backbones.resolving.hub_backbone", hub_backbone)
    for preset in ("resnet_50_imagenet", "folder/of.keras/presets", "hf://timm/resnet18.a1_in1k"):
        assert resolve_backbone(f"hub:{preset}") == (preset, {"input_size": None})
    assert resolve_backbone("hub:vit", input_size=(8, 8)) == ("vit", {"input_size": (8, 8)})


@pytest.mark.parametrize("name", ["xception", "hub:resnet_50_imagenet"])
def test_preprocessing_travels_with_the_backbone(name: str) -> None:
    with pytest.raises(UnsuitableSetting, match=f"preprocessing of {name} travels with it: leave --preprocessing"):
        resolve_backbone(name, preprocessing="torch")
