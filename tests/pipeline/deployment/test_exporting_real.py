"""Real networks on real pictures, in every format."""

import shutil
from pathlib import Path

import pytest
from demijohn.pipeline import export, extract_features, train_head

FORMATS = ("keras", "savedmodel", "onnx", "litert")


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["efficientnet-lite0", "mobilenet-0.25"])
def test_a_real_network_in_every_format(
    backbone: str, real_data: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    weights = "imagenet"
    if backbone == "mobilenet-0.25":
        weights = str(request.getfixturevalue("real_weights") / "mobilenet_2_5_224_tf_no_top.h5")
    photos = tmp_path / "photos"
    for name in ("ant", "lobster", "scorpion"):
        shutil.copytree(real_data / "caltech" / name, photos / name)
    extract_features(photos, backbone=backbone, weights=weights, store=tmp_path / "store")
    train_head("logistic", store=tmp_path / "store", calibrated=True)
    exported = export(to=tmp_path / "out", formats=FORMATS, store=tmp_path / "store")
    for each in exported.record["artefacts"]:
        assert each["same_class"] == each["pictures"] >= 5
        assert each["greatest_difference"] <= (2e-2 if "float16" in each["artefact"] else 1e-4)
    assert "The backbone's weights: Apache 2.0" in (tmp_path / "out" / "README.md").read_text()
