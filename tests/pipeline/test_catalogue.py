"""The catalogue: sorted, filtered, in any spelling; layers listed."""

import pytest
from demijohn.models import BACKBONES, UnknownBackbone, UnsuitableSetting
from demijohn.models.engines import precisions
from demijohn.pipeline.catalogue import describe_backbone, list_backbones, list_taps
from support.verdicts import VERDICT


def names(**arguments: object) -> list[str]:
    return [facts["name"] for facts in list_backbones(**arguments)]  # type: ignore[arg-type]


def test_all_architectures_of_keras_and_our_own_are_there() -> None:
    whole = list_backbones()
    architectures = {facts["keras_name"] for facts in whole if facts["keras_name"]}
    assert len(architectures) == 40
    assert [facts["name"] for facts in whole if not facts["keras_name"]] == [
        "efficientnet-lite0",
        "efficientnet-lite1",
        "efficientnet-lite2",
    ]
    assert names() == list(BACKBONES)


@pytest.mark.parametrize(
    ("sort", "fact", "descending"),
    [("top-1", "top1", True), ("top-5", "top5", True), ("mb", "megabytes", False), ("depth", "depth", False)],
)
def test_sorted_by_a_column_with_the_unknown_last(sort: str, fact: str, descending: bool) -> None:
    values = [facts[fact] for facts in list_backbones(sort=sort)]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=descending)
    assert values[: len(known)] == known
    assert len(values) == len(BACKBONES)


def test_filtered_by_size_and_by_what_is_here() -> None:
    small = list_backbones(max_mb=50, sort="top-1")
    assert {"mobilenet-v2", "efficientnet-v2-b2"} < {facts["name"] for facts in small}
    assert max(facts["megabytes"] for facts in small) <= 50
    here = names(here=True)
    assert "efficientnet-lite0" in here
    assert "xception" not in here


@pytest.mark.parametrize(
    "spelling", ["EfficientNetV2B0", "efficientnetv2-b0", "efficientnet_v2_b0", "EFFICIENTNET-V2-B0"]
)
def test_the_spelling_of_keras_is_understood(spelling: str) -> None:
    assert describe_backbone(spelling)["name"] == "efficientnet-v2-b0"


def test_what_narrower_types_lose_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precisions, "_measured", lambda: (VERDICT,))
    assert describe_backbone("efficientnet-lite0")["narrower_types"] == [str(VERDICT)]
    assert describe_backbone("xception")["narrower_types"] == []


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(UnknownBackbone, match="did you mean xception"):
        describe_backbone("exception")


def test_layers_have_names_shapes_and_follow_the_input_size() -> None:
    (layers,) = list_taps(["mobilenet-0.25"]).values()
    assert layers[-1].shape == (7, 7, 256)
    assert {"conv_pw_6_relu", "conv1"} < {layer.name for layer in layers}
    (smaller,) = list_taps(["mobilenet-0.25"], input_size=(96, 128)).values()
    assert smaller[-1].shape == (3, 4, 256)
    with pytest.raises(UnsuitableSetting, match="xception cannot be built for pictures of 32x32"):
        list_taps(["xception"], input_size=(32, 32))
