"""Thirty backbones from pictures to a trained head, each with random weights."""

import gc
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache import FeatureStore
from demijohn.models import BACKBONES
from demijohn.models.backend import import_keras
from demijohn.pipeline import extract_features, train_head

THIRTY = sorted(BACKBONES.values(), key=lambda backbone: backbone.parameters)[:30]


@pytest.mark.slow
@pytest.mark.parametrize("name", [backbone.name for backbone in THIRTY])
def test_from_pictures_to_a_head(guard: None, photos: Path, tmp_path: Path, name: str) -> None:
    # Small pictures, so that it takes seconds; every architecture allows them.
    done = extract_features(photos, backbone=name, weights="random", input_size=(96, 96), store=tmp_path)
    assert (done.rows, done.width, done.skipped) == (36, BACKBONES[name].width, ())
    features = FeatureStore(tmp_path).find_feature_set(name)
    rows = features.read(sorted(features.keys()))
    assert np.ptp(rows, axis=0).max() > 0, "all pictures look alike to it"
    record = train_head("logistic", store=tmp_path).record
    assert record["backbone"] == name
    assert record["metrics"]["test"]["accuracy"] is not None
    import_keras().utils.clear_session(free_memory=True)
    gc.collect()
