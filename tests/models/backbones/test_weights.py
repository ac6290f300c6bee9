"""Weights: located without Keras, loaded or refused in one line, and named by what their arrays hold."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from demijohn.models import (
    BACKBONES,
    Backbone,
    BadWeights,
    LocatedWeights,
    MissingWeights,
    ModelError,
    Preprocessing,
    load_classifier,
    load_extractor,
    locate_weights,
)
from demijohn.models.backbones.weights import digest_weights
from demijohn.models.backend import import_keras, keras_version
from demijohn.models.engines.engines import make_engine
from demijohn.models.heads.heads import HEADS
from demijohn.pipeline.pictures.images import decode_image
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from support.cases import quick
from support.standin import TINY
from support.weights import LAYOUTS, PUBLISHED


def load(file: Path) -> tuple[Any, str]:
    return load_extractor(TINY, locate_weights(TINY, str(file)))


# Locating.


@pytest.mark.parametrize(
    ("request_", "seed"),
    [("random", 0), ("random:0", 0), ("random:7", 7), ("random:007", 7), ("random:4294967295", 2**32 - 1)],
)
def test_random_weights_are_named_by_seed_and_version(request_: str, seed: int) -> None:
    located = locate_weights(TINY, request_)
    assert located == LocatedWeights(None, seed)
    assert located.identity == f"random:{seed}:keras-{keras_version()}"


@pytest.mark.parametrize(
    "request_",
    [
        "random:x",
        "random:-1",
        "random:1.5",
        "random:²",
        "random:4294967296",
        "Random",
        "image-net",
        "no/such.h5",
    ],
)
def test_what_is_no_file_is_missing(request_: str) -> None:
    with pytest.raises(MissingWeights) as caught:
        locate_weights(TINY, request_)
    message = str(caught.value)
    assert request_ in message
    assert all(word in message for word in ("`imagenet`", "`random`", "`random:SEED`", "path of a file"))
    assert "\n" not in message
    assert isinstance(caught.value, LookupError)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match="is a folder: expected a file with weights"):
        locate_weights(TINY, str(tmp_path))


def test_the_prefix_of_a_tensorflow_checkpoint_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt.index").touch()
    with pytest.raises(BadWeights, match=r"model\.ckpt is the prefix of a TensorFlow checkpoint: expected a file"):
        locate_weights(TINY, str(tmp_path / "model.ckpt"))


@pytest.mark.parametrize("request_", ["x" * 300 + ".h5", "~nobody-of-that-name/x.h5"])
def test_what_cannot_be_the_path_of_a_file(request_: str) -> None:
    with pytest.raises(BadWeights, match=r"cannot be looked at: \w+"):
        locate_weights(TINY, request_)


def test_a_file_is_located_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.h5"
    file.write_bytes(b"not weights at all")
    monkeypatch.setenv("HOME", str(tmp_path))
    for request_ in (str(file), "~/x.h5"):
        located = locate_weights(TINY, request_)
        assert located == LocatedWeights(file, None)
        assert located.identity is None, "only its digest names a file"


@pytest.mark.parametrize("top", [False, True])
def test_installed_weights_are_located(lite0_file: Path, top: bool) -> None:
    assert locate_weights(BACKBONES["efficientnet-lite0"], top=top) == LocatedWeights(lite0_file, None)


def test_weights_in_the_folder_of_keras_are_found_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: Path, lively: Any
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert locate_weights(PUBLISHED) == LocatedWeights(None, None)
    file = tmp_path / "models" / "tiny.weights.h5"
    file.parent.mkdir()
    file.write_bytes(saved.read_bytes())
    located = locate_weights(PUBLISHED)
    assert located == LocatedWeights(file, None)
    assert load_extractor(PUBLISHED, located)[1] == digest_weights(lively)


# Random weights.


def test_a_seed_decides_random_weights(guard: None) -> None:
    def digest(seed: int) -> str:
        network, identity = load_extractor(TINY, LocatedWeights(None, seed))
        assert identity == f"random:{seed}:keras-{keras_version()}"
        return digest_weights(network)

    first = digest(7)
    assert digest(8) != first
    assert digest(0) != first
    assert digest(7) == first


@pytest.mark.slow
def test_a_seed_gives_the_same_weights_in_another_process() -> None:
    script = (
        "from support.standin import TINY; from demijohn.models import *; "
        "from demijohn.models.backbones.weights import *; "
        "print(digest_weights(load_extractor(TINY, LocatedWeights(None, 7))[0]))"
    )
    path = str(Path(__file__).parents[2])
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [digest_weights(load_extractor(TINY, LocatedWeights(None, 7))[0])]


# Files.


def test_the_digest_is_of_the_arrays_and_not_of_the_file(tmp_path: Path, saved: Path) -> None:
    copy = tmp_path / "renamed.weights.h5"
    copy.write_bytes(saved.read_bytes())
    with h5py.File(copy, "a") as file:
        file.attrs["note"] = "other bytes"
    assert hashlib.sha256(copy.read_bytes()).digest() != hashlib.sha256(saved.read_bytes()).digest()
    assert load(copy)[1] == load(saved)[1]


def test_another_number_is_another_digest(tmp_path: Path, saved: Path) -> None:
    network, digest = load(saved)
    bias = network.get_layer("conv").bias
    bias.assign(np.nextafter(np.asarray(bias), np.inf))
    network.save_weights(tmp_path / "x.weights.h5")
    assert load(tmp_path / "x.weights.h5")[1] != digest


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html>\n<html>404: not found</html>\n", "a web page"),
        (b"PK\x03\x04" + bytes(100), "a zip archive that is damaged"),
        ((8).to_bytes(8, "little") + b'{"a": 1}', "a safetensors file"),
    ],
)
@pytest.mark.parametrize(
    "backbone", quick(1, [TINY, BACKBONES["efficientnet-lite0"]]), ids=lambda backbone: backbone.name
)
def test_a_file_of_another_kind_is_refused_in_one_line(
    guard: None, tmp_path: Path, backbone: Backbone, content: bytes, kind: str
) -> None:
    file = tmp_path / "x.h5"
    file.write_bytes(content)
    with pytest.raises(BadWeights) as caught:
        load_extractor(backbone, locate_weights(backbone, str(file)))
    message = str(caught.value)
    assert message.startswith(str(file))
    assert f"it looks like {kind}" in message
    assert message.endswith("; name another file with --weights")
    assert "\n" not in message
    assert isinstance(caught.value, ValueError)


def test_a_damaged_download_is_told_from_a_wrong_file(
    guard: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    for file, mend in ((tmp_path / "models" / "tiny.weights.h5", "remove it"), (tmp_path / "x.h5", "--weights")):
        file.write_bytes(bytes(4096))
        with pytest.raises(BadWeights, match=f"; .*{mend}"):
            load(file)


@pytest.mark.parametrize("layout", [".h5", pytest.param(".weights.h5", marks=pytest.mark.slow)])
def test_the_classifier_is_left_out_and_the_features_are_the_same(guard: None, tmp_path: Path, layout: str) -> None:
    whole, alone = tmp_path / f"whole{layout}", tmp_path / f"alone{layout}"
    network = load_classifier(TINY, LocatedWeights(None, 3))
    LAYOUTS[layout](network, whole)
    LAYOUTS[layout](import_keras().Model(network.inputs, network.get_layer("relu").output), alone)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    features = [make_engine(TINY, load(file)[0], batch_size=4).extract(pixels)[0] for file in (whole, alone)]
    assert (features[0] == features[1]).all()
    assert load(whole)[1] == load(alone)[1]


def test_a_checkpoint_of_torch_is_no_file_for_a_network_of_keras(lite0_file: Path, guard: None) -> None:
    with pytest.raises(BadWeights, match=r"looks like a pickle, as PyTorch writes .*; expected .* Keras saved"):
        load(lite0_file)


@pytest.mark.slow
@pytest.mark.parametrize(
    "layout", [".weights.h5", *(pytest.param(each, marks=pytest.mark.slow) for each in (".h5", ".model.h5", ".keras"))]
)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_lite0_takes_files_of_keras_as_well(lite0: Any, tmp_path: Path, layout: str) -> None:
    backbone = BACKBONES["efficientnet-lite0"]
    classifier = load_classifier(backbone, locate_weights(backbone))
    LAYOUTS[layout](classifier, tmp_path / "x.pth")
    located = locate_weights(backbone, str(tmp_path / "x.pth"))
    assert load_extractor(backbone, located)[1] == digest_weights(lite0)
    assert digest_weights(load_classifier(backbone, located)) == digest_weights(classifier)


def test_weights_of_another_network_are_no_file_for_lite0(saved: Path) -> None:
    backbone = BACKBONES["efficientnet-lite0"]
    with pytest.raises(BadWeights, match=r"layer 1 \(stem_conv\) expects kernel"):
        load_extractor(backbone, locate_weights(backbone, str(saved)))


def test_a_network_of_another_width_is_refused(guard: None) -> None:
    with pytest.raises(ModelError, match=r"gives \(None, 16, 16, 8\), expected 9 features"):
        load_extractor(replace(TINY, width=9), LocatedWeights(None, 0))


@pytest.mark.slow
def test_the_installed_weights_have_a_digest(lite0_file: Path, lite0: Any) -> None:
    backbone = BACKBONES["efficientnet-lite0"]
    network, digest = load_extractor(backbone, locate_weights(backbone))
    assert digest == digest_weights(lite0) == digest_weights(network)
    assert len(bytes.fromhex(digest)) == 32


# The digest.


def model_of(*weights: NDArray[Any]) -> Any:
    return SimpleNamespace(weights=weights)


plain = arrays.arrays(
    st.sampled_from([np.float32, np.float16, np.int32]),
    arrays.array_shapes(min_dims=0, max_dims=3, max_side=3),
    elements=st.integers(-9, 9),
)


@given(st.lists(plain, max_size=4), st.lists(plain, max_size=4))
def test_digests_are_equal_where_the_arrays_are(first: list[NDArray[Any]], second: list[NDArray[Any]]) -> None:
    def facts(weights: list[NDArray[Any]]) -> list[tuple[Any, ...]]:
        # An array without axes counts as one with a single element.
        return [(each.shape or (1,), each.dtype, each.tobytes()) for each in weights]

    assert (digest_weights(model_of(*first)) == digest_weights(model_of(*second))) == (facts(first) == facts(second))


@given(plain)
def test_the_layout_in_memory_does_not_count(array: NDArray[Any]) -> None:
    assert digest_weights(model_of(np.asfortranarray(array))) == digest_weights(model_of(array))


def test_where_one_array_ends_counts() -> None:
    numbers = np.arange(4, dtype=np.float32)
    splits = [
        (numbers,),
        (numbers[:1], numbers[1:]),
        (numbers[:2], numbers[2:]),
        (numbers[::-1],),
        (numbers.reshape(2, 2),),
    ]
    assert len({digest_weights(model_of(*split)) for split in splits}) == len(splits)


def test_names_do_not_count(guard: None) -> None:
    keras = import_keras()

    def network(name: str) -> Any:
        layer = keras.layers.Dense(2, kernel_initializer="ones", name=name)
        return keras.Sequential([keras.Input((3,)), layer], name=f"model_{name}")

    assert digest_weights(network("one")) == digest_weights(network("other"))


# Real weights of a network that the registry does not know.


def build_mobilenet(*, top: bool, input_size: tuple[int, int]) -> Any:
    keras = import_keras()
    return keras.applications.MobileNet(alpha=0.25, weights=None, include_top=top, input_shape=(*input_size, 3))


MOBILENET = Backbone(
    name="mobilenet-0.25",
    build=build_mobilenet,
    load=TINY.load,
    input_size=(224, 224),
    width=256,
    preprocessing=Preprocessing((127.5,) * 3, (127.5,) * 3),
    resize="squash-bilinear",
    megabytes=2,
    parameters=0.5,
    source="https://keras.io/api/applications/mobilenet",
    licence="Apache 2.0",
)


@pytest.mark.slow
def test_real_weights_of_keras_tell_cats_from_dogs(real_weights: Path, real_data: Path) -> None:
    network, digest = load_extractor(
        MOBILENET, locate_weights(MOBILENET, str(real_weights / "mobilenet_2_5_224_tf_no_top.h5"))
    )
    assert digest == digest_weights(network)
    engine = make_engine(MOBILENET, network, batch_size=50)

    def extract(split: str, per_class: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        rows, labels = [], []
        for label in ("cats", "dogs"):
            files = sorted((real_data / "cats-dogs" / split / label).iterdir())[:per_class]
            pixels = np.stack([decode_image(file.read_bytes(), (224, 224), MOBILENET.resize) for file in files])
            rows += [engine.extract(pixels[start : start + 50])[0] for start in range(0, per_class, 50)]
            labels += [label] * per_class
        return np.concatenate(rows), np.array(labels)

    head = HEADS["logistic"].make({"c": 0.01}, seed=0).fit(*extract("train", 100))
    features, labels = extract("validation", 50)
    assert (head.predict(features) == labels).mean() > 0.9
