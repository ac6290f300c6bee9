"""Do features carry meaning? Real weights, real pictures, a real head; and a wrong preprocessing shows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from demijohn.models import BACKBONES
from demijohn.models.backbones.backbone import CAFFE, INSIDE, Preprocessing
from demijohn.pipeline import extract_features, train_head

MOBILENET = BACKBONES["mobilenet-0.25"]


def accuracy(pictures: Path, store: Path, **request: Any) -> float:
    """Return the test accuracy of a logistic head; the given validation split is the test split."""
    extract_features(pictures, store=store, **request)
    metrics = train_head("logistic", store=store).record["metrics"]
    assert metrics["test"]["images"] == 600
    return float(metrics["test"]["accuracy"])


@pytest.mark.slow
def test_weights_of_keras_from_a_file_tell_cats_from_dogs(real_weights: Path, real_data: Path, tmp_path: Path) -> None:
    file = real_weights / "mobilenet_2_5_224_tf_no_top.h5"
    assert accuracy(real_data / "cats-dogs", tmp_path, backbone=MOBILENET.name, weights=str(file)) >= 0.94


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [INSIDE, CAFFE], ids=["without scaling", "caffe"])
def test_with_another_preprocessing_they_hardly_do(
    real_weights: Path, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Preprocessing
) -> None:
    monkeypatch.setitem(BACKBONES, MOBILENET.name, replace(MOBILENET, preprocessing=wrong))
    file = real_weights / "mobilenet_2_5_224_tf_no_top.h5"
    assert accuracy(real_data / "cats-dogs", tmp_path, backbone=MOBILENET.name, weights=str(file)) < 0.8
