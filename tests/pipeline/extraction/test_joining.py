"""Several backbones and layers from one pass, and their features joined."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.cache import FeatureStore, MissingFeatures, UnknownFeatures
from demijohn.pipeline import (
    InvalidRequest,
    extract_feature_sets,
    extract_features,
    recompute_rows,
    report_heads,
    train_head,
)
from demijohn.pipeline.runs.inputs import choose_inputs
from support.extractions import extract
from support.pictures import encode, picture
from support.standin import WIDTH


def test_one_command_decodes_once_for_backbones_that_share_a_size(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from demijohn.models import BACKBONES
    from demijohn.pipeline.pictures import feed
    from support.standin import TINY

    monkeypatch.setitem(BACKBONES, "twin", replace(TINY, name="twin"))
    monkeypatch.setitem(BACKBONES, "other", replace(TINY, name="other", resize="crop-bicubic"))
    decoded, decode = [], feed.decode_views

    def count(*arguments: Any, **options: Any) -> Any:
        decoded.append(arguments[2])
        return decode(*arguments, **options)

    monkeypatch.setattr(feed, "decode_views", count)
    names = ("tiny", "twin", "other")
    done = extract_feature_sets(photos, backbones=names, weights="random", store=tmp_path / "store", views=2)
    assert sorted(set(decoded)) == ["crop-bicubic", "squash-bilinear"]
    assert len(decoded) == 2 * 36
    assert [each.backbone for each in done] == list(names)
    monkeypatch.setattr(feed, "decode_views", decode)
    for each in done:
        alone = tmp_path / each.backbone
        extract_features(photos, backbone=each.backbone, weights="random", store=alone, views=2)
        together, single = FeatureStore(tmp_path / "store"), FeatureStore(alone)
        keys = sorted(single.find_feature_set().keys())
        assert single.find_feature_set().read(keys).tobytes() == (
            together.find_feature_set(each.backbone).read(keys).tobytes()
        )


@pytest.mark.slow
def test_layers_are_sets_of_their_own_from_one_pass(tiny: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    request = {"backbones": ("tiny",), "weights": "random", "store": store}
    last, conv = extract_feature_sets(photos, layers=("last", "conv"), **request)  # type: ignore[arg-type]
    assert (last.layer, conv.layer, last.extracted, conv.extracted) == ("last", "conv", 36, 36)
    (maps,) = extract_feature_sets(photos, layers=("conv",), pooling="none", **request)  # type: ignore[arg-type]
    assert maps.width == 16 * 16 * WIDTH
    kept = FeatureStore(store)
    keys = sorted(kept.feature_sets()[0].keys())
    whole = kept.find_feature_set(digest=maps.digest).read(keys).reshape(len(keys), 256, WIDTH)
    np.testing.assert_allclose(whole.mean(axis=1), kept.find_feature_set(digest=conv.digest).read(keys), rtol=1e-4)
    # Whole maps are taken only where they are named.
    with pytest.raises(UnknownFeatures, match=r"2 feature sets .*conv avg.* --features DIGEST"):
        train_head(store=store)
    assert train_head(store=store, features=conv.digest[:12]).record["inputs"] == "tiny (conv avg)"
    # What another request has added already is not made again.
    extract_feature_sets(photos, layers=("bn", "last"), **request)  # type: ignore[arg-type]
    assert len(kept.feature_sets()) == 4


@pytest.mark.slow
def test_joined_backbones_are_side_by_side(
    swift: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from demijohn.models import BACKBONES
    from support.standin import TINY

    store = tmp_path / "store"
    monkeypatch.setitem(BACKBONES, "other", replace(TINY, name="other", resize="crop-bicubic"))
    extract_feature_sets(photos, backbones=("tiny", "other"), weights="random", store=store, views=2)
    inputs = choose_inputs(FeatureStore(store), "tiny+other")
    keys = sorted(inputs.keys())
    both = inputs.read(keys)
    assert both.shape == (36, 2 * WIDTH)
    kept = FeatureStore(store)
    assert both[:, :WIDTH].tobytes() == kept.find_feature_set("tiny").read(keys).tobytes()
    assert both[:, WIDTH:].tobytes() == kept.find_feature_set("other").read(keys).tobytes()
    joined = train_head(store=store, backbone="tiny+other").record
    assert joined["backbone"] == joined["inputs"] == "tiny+other"
    assert joined["views"] == 2
    assert joined["run"].startswith("logistic-tiny+other-")
    report = report_heads(store=store)
    assert [each.id for each in report.runs] == [joined["run"]]
    with pytest.raises(InvalidRequest, match="joined with itself"):
        train_head(store=store, backbone="tiny+tiny")
    with pytest.raises(UnknownFeatures, match="no features of xception"):
        train_head(store=store, backbone="tiny+xception")
    (photos / "red" / "new.png").write_bytes(encode(picture(900)))
    extract(photos, store, views=2)
    with pytest.raises(MissingFeatures, match="of other"):
        train_head(store=store, backbone="tiny+other")


@pytest.mark.slow
def test_an_input_size_and_a_precision_are_sets_of_their_own(tiny: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    usual = extract(photos, store)
    large = extract(photos, store, input_size=(24, 32))
    narrow = extract(photos, store, precision="bfloat16")
    assert len({usual.digest, large.digest, narrow.digest}) == 3
    # OpenVINO takes it where the processor has it.
    assert narrow.precision in ("bfloat16 on tensorflow", "bfloat16 on openvino")
    kept = FeatureStore(store)
    assert kept.find_feature_set(digest=large.digest).recipe.input_size == (24, 32)
    keys = sorted(kept.feature_sets()[0].keys())
    rows = [kept.find_feature_set(digest=each.digest).read(keys) for each in (usual, narrow)]
    assert not np.array_equal(*rows)
    np.testing.assert_allclose(*rows, atol=0.02 * np.abs(rows[0]).max())
    told = recompute_rows(3, store=store)
    assert {each.greatest_difference for each in told} == {0.0}
    assert "--input-size 24x32" in kept.find_feature_set(digest=large.digest).command()
