"""Broken or hostile checkpoints, weights, pictures and heads are refused, and never believed."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models import BACKBONES, BadWeights, LocatedWeights, ModelError, load_extractor, load_head, locate_weights
from demijohn.models.backbones.checkpoint import read_checkpoint
from demijohn.models.backbones.efficientnet_lite import load_efficientnet_lite
from demijohn.models.engines.engine import Engine
from demijohn.models.engines.engines import make_engine
from support.standin import TINY

Encoder = Callable[..., bytes]
HEADS_OF_FILE = b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
SIX = {"0": np.arange(6, dtype="<f4")}


def refuse(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(BadWeights):
        read_checkpoint(file)


def test_a_storage_that_is_not_in_the_file_is_not_read_from_memory(tmp_path: Path, to_checkpoint: Encoder) -> None:
    content = to_checkpoint({"0": np.arange(600, dtype="<f4")}, {"a": ("0", 0, (600,), (1,))})
    keys = pickle.dumps(["0"], 2)
    refuse(tmp_path / "x.pth", content[: content.index(keys)] + pickle.dumps([], 2))


@pytest.mark.parametrize("size", [2**63, 2**40, 2**64 - 1, 2**62])
def test_a_storage_that_announces_more_than_there_is(tmp_path: Path, to_checkpoint: Encoder, size: int) -> None:
    content = to_checkpoint(SIX, {"a": ("0", 0, (6,), (1,))})
    refuse(tmp_path / "x.pth", content[:-32] + size.to_bytes(8, "little") + content[-24:])


@pytest.mark.parametrize(
    ("shape", "strides"), [((10**12,), (0,)), ((2**70,), (0,)), ((1,), (2**70,)), ((1,), (2**62,))]
)
def test_a_tensor_of_absurd_size(tmp_path: Path, to_checkpoint: Encoder, shape: Any, strides: Any) -> None:
    refuse(tmp_path / "x.pth", to_checkpoint(SIX, {"a": ("0", 0, shape, strides)}))


@pytest.mark.parametrize("opcode", [b"\x8d", b"\x8e", b"\x95", b"\x96"])
@pytest.mark.parametrize("length", [2**63, 2**45])
def test_a_pickle_that_announces_more_than_there_is(tmp_path: Path, opcode: bytes, length: int) -> None:
    refuse(tmp_path / "x.pth", HEADS_OF_FILE + b"\x80\x05" + opcode + length.to_bytes(8, "little") + b".")


def test_a_file_cannot_change_how_the_next_one_is_read(tmp_path: Path, to_checkpoint: Encoder) -> None:
    evil = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x08\x00\x00\x00to_arrayccollections\nOrderedDict\ns\x86b."
    refuse(tmp_path / "x.pth", HEADS_OF_FILE + evil)
    (tmp_path / "y.pth").write_bytes(to_checkpoint(SIX, {"a": ("0", 0, (6,), (1,))}))
    assert (read_checkpoint(tmp_path / "y.pth")["a"] == np.arange(6)).all()


def test_empty_tensors_of_more_axes(tmp_path: Path, to_checkpoint: Encoder) -> None:
    (tmp_path / "x.pth").write_bytes(to_checkpoint({"0": np.zeros(0, "<f4")}, {"a": ("0", 0, (5, 0), (1, 1))}))
    assert read_checkpoint(tmp_path / "x.pth")["a"].shape == (5, 0)


@pytest.mark.slow
def test_weights_of_efficientnet_b0_are_not_taken_for_lite0(
    tmp_path: Path, lite0_file: Path, arrays_to_checkpoint: Encoder, lite0: Any
) -> None:
    # The port of B0 has every array of Lite0, of the same shape, and squeeze-and-excite besides.
    more = {f"_blocks.{n}._se_reduce.weight": np.zeros((8, 32, 1, 1), "<f4") for n in range(16)}
    (tmp_path / "x.pth").write_bytes(arrays_to_checkpoint({**read_checkpoint(lite0_file), **more}))
    with pytest.raises(BadWeights, match="_se_reduce"):
        load_efficientnet_lite(
            BACKBONES["efficientnet-lite0"].build(top=False, input_size=(224, 224)), tmp_path / "x.pth"
        )


@pytest.mark.parametrize("place", range(4))
def test_weights_that_are_not_finite_are_refused(guard: None, tmp_path: Path, place: int) -> None:
    network, _ = load_extractor(TINY, LocatedWeights(None, 0))
    weights = network.get_layer("bn").get_weights()
    weights[place][3] = np.nan
    network.get_layer("bn").set_weights(weights)
    network.save_weights(tmp_path / "x.weights.h5")
    with pytest.raises(BadWeights, match="not finite"):
        load_extractor(TINY, locate_weights(TINY, str(tmp_path / "x.weights.h5")))


@pytest.fixture(scope="module")
def engine(lively: Any) -> Engine:
    return make_engine(TINY, lively, batch_size=4)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((5, 16, 16, 3), np.uint8),
        np.zeros((4, 32, 32, 3), np.uint8),
        np.zeros((2, 16, 16, 1), np.uint8),
        np.zeros((2, 1, 1, 3), np.uint8),
        np.zeros((2, 16, 16, 3), np.float32),
        np.zeros((4, 16, 16, 3), np.float32),
    ],
)
def test_pictures_of_another_kind_are_refused(engine: Engine, images: Any) -> None:
    with pytest.raises(ModelError):
        engine.extract(images)


@pytest.mark.parametrize("error", [RuntimeError("h5py"), AttributeError(), IndexError("")])
def test_whatever_a_loader_stumbles_over_is_bad_weights(guard: None, tmp_path: Path, error: Exception) -> None:
    def load(model: Any, path: Path) -> None:
        raise error

    (tmp_path / "x.h5").touch()
    with pytest.raises(BadWeights):
        load_extractor(replace(TINY, load=load), LocatedWeights(tmp_path / "x.h5", None))


@pytest.mark.parametrize("suffix", [".skops", ".keras"])
@pytest.mark.parametrize("content", ["3", "[" * 100_000])
def test_odd_json_in_a_head_is_refused(guard: None, tmp_path: Path, suffix: str, content: str) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / f"x{suffix}", "w") as archive:
        for name in ("schema.json", "config.json"):
            archive.writestr(name, content)
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", "")
    with pytest.raises(BadWeights):
        load_head(tmp_path / f"x{suffix}")
