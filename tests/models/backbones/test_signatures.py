"""A file is told by what stands in it, whatever it is called."""

import io
import pickle
import zipfile
from pathlib import Path

import h5py
import pytest
from demijohn.models.backbones.signatures import HDF5, KERAS_ARCHIVE, PICKLE, kind_of_file


def hdf5() -> bytes:
    buffer = io.BytesIO()
    h5py.File(buffer, "w").close()
    return buffer.getvalue()


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name in names:
            target.writestr(name, "x")
    return buffer.getvalue()


KINDS = [
    (hdf5(), HDF5),
    (archive("config.json", "model.weights.h5"), KERAS_ARCHIVE),
    (archive("archive/data.pkl"), "zipped PyTorch"),
    (archive("arr_0.npy"), "NumPy"),
    (archive("word/document.xml"), "without model.weights.h5"),
    (archive(), "without model.weights.h5"),
    (archive("model.weights.h5")[:-30], "damaged"),
    (pickle.dumps(0x1950A86A20F9469CFC6C, 2), PICKLE),
    (b"", "empty"),
    (b"\n <!DOCTYPE html>\n<html>404: not found</html>\n", "web page"),
    (b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 91884032\n", "git lfs pull"),
    (b"\x1f\x8b\x08\0\0\0\0\0", "gzip"),
    (b"\x1c\0\0\0TFL3\x14\0 \0", "TensorFlow Lite"),
    ((12).to_bytes(8, "little") + b'{"a":1}     ' + b"\0" * 4, "safetensors"),
    (b'model_checkpoint_path: "model.ckpt"\n', "TensorFlow checkpoint"),
    (b"\0\0\x01\x02" * 20 + bytes.fromhex("57fb808b247547db"), "TensorFlow checkpoint"),
    (b"some text\n", "nothing that is known"),
    (b"\xff\xd8\xff\xe0", "nothing that is known"),
]


@pytest.mark.parametrize(("content", "kind"), KINDS, ids=[kind for _, kind in KINDS])
@pytest.mark.parametrize("name", ["x.weights.h5", "x"])
def test_what_stands_in_a_file_decides(tmp_path: Path, content: bytes, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind in kind_of_file(tmp_path / name)


def test_numbers_of_a_tensorflow_checkpoint_are_known_by_name_alone(tmp_path: Path) -> None:
    (tmp_path / "variables.data-00000-of-00001").write_bytes(b"\0" * 64)
    assert "TensorFlow checkpoint" in kind_of_file(tmp_path / "variables.data-00000-of-00001")


def test_folders(tmp_path: Path) -> None:
    assert kind_of_file(tmp_path) == "a folder"
    (tmp_path / "saved_model.pb").touch()
    assert "SavedModel" in kind_of_file(tmp_path)
