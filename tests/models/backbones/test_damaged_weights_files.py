"""Weights files that are damaged or made to harm are refused in one line, and nothing of them is loaded."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from demijohn.models.backbones.weights import digest_weights
from demijohn.models.backbones.weights_files import load_keras_weights
from support.standin import build
from support.weights import LAYOUTS, refuse, save, save_keras2

each_layout = pytest.mark.parametrize("layout", LAYOUTS)
pytestmark = pytest.mark.filterwarnings(
    # Keras 3 about the layout of Keras 2.
    "ignore:You are saving your model as an HDF5 file"
)


@each_layout
def test_cut_files_are_refused(lively: Any, tmp_path: Path, layout: str) -> None:
    file = save(lively, tmp_path, layout)
    content = file.read_bytes()
    for share in (0.001, 0.1, 0.5, 0.9, 0.999):
        file.write_bytes(content[: int(len(content) * share)])
        message = refuse(build(top=False), file)
        assert "cut off" in message or share == 0.001


@pytest.mark.parametrize("layout", [".h5", ".weights.h5"])
@pytest.mark.parametrize("way", ["soft", "external", "raw", "virtual"])
def test_numbers_of_other_files_are_not_read(lively: Any, tmp_path: Path, layout: str, way: str) -> None:
    save_keras2(lively, tmp_path / "other.h5")
    file = save(lively, tmp_path, layout)
    with h5py.File(file, "a") as content:
        path = "conv/conv/bias" if layout == ".h5" else "layers/conv2d/vars/1"
        assert path in content
        content.move(path, "kept")
        if way == "soft":
            content[path] = h5py.SoftLink("/kept")
        elif way == "external":
            content[path] = h5py.ExternalLink("other.h5", "conv/conv/bias")
        elif way == "raw":
            content.create_dataset(path, (8,), "<f4", external=[(str(tmp_path / "other.h5"), 0, 32)])
        else:
            virtual = h5py.VirtualLayout((8,), "<f4")
            virtual[:] = h5py.VirtualSource("other.h5", "conv/conv/bias", (8,))
            content.create_virtual_dataset(path, virtual)
    message = refuse(build(top=False), file)
    assert "not in it" in message or "in another file" in message or "expects kernel, bias, found 1 array" in message


@pytest.mark.parametrize("values", [np.zeros(8, "S4"), np.zeros(8, "V2"), np.zeros(8, complex)])
def test_what_is_no_number_is_refused(lively: Any, tmp_path: Path, values: Any) -> None:
    file = save(lively, tmp_path, ".weights.h5")
    with h5py.File(file, "a") as content:
        del content["layers/conv2d/vars/1"]
        content["layers/conv2d/vars/1"] = values
    assert "expected float32" in refuse(build(top=False), file)


def test_a_larger_array_is_refused_unread(lively: Any, tmp_path: Path) -> None:
    file = save(lively, tmp_path, ".weights.h5")
    with h5py.File(file, "a") as content:
        del content["layers/conv2d/vars/1"]
        # Takes no room in the file and four terabytes in memory.
        content.create_dataset("layers/conv2d/vars/1", (10**12,), "<f4", chunks=(10**6,))
    assert "expects bias (8,), found (1000000000000,)" in refuse(build(top=False), file)


@pytest.mark.parametrize("names", [3, [1, 2], ["no"], [b"\xff"], ["/"]])
def test_odd_names_of_layers_are_refused(guard: None, tmp_path: Path, names: Any) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as content:
        content.attrs["layer_names"] = names
    refuse(build(top=False), tmp_path / "x.h5")


@pytest.mark.parametrize("path", ["3", "layers", "layers/conv2d/x", "layers/conv2d/vars/x", "layers/conv2d/vars/7"])
def test_other_contents_of_an_hdf5_file_are_refused(guard: None, tmp_path: Path, path: str) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as content:
        content[path] = np.zeros(8, np.float32)
    refuse(build(top=False), tmp_path / "x.h5")


def rewrite(file: Path, change: Callable[[str, bytes], bytes], method: int = zipfile.ZIP_STORED) -> None:
    """Write an archive anew, each file of it changed."""
    with zipfile.ZipFile(file) as source:
        contents = {name: change(name, source.read(name)) for name in source.namelist()}
    with zipfile.ZipFile(file, "w", method) as target:
        for name, content in contents.items():
            target.writestr(name, content)


def test_the_network_that_an_archive_describes_is_not_built(lively: Any, tmp_path: Path) -> None:
    file = save(lively, tmp_path, ".keras")
    rewrite(file, lambda name, content: b"[" * 100_000 if name == "config.json" else content, zipfile.ZIP_DEFLATED)
    network = build(top=False)
    load_keras_weights(network, file)
    assert digest_weights(network) == digest_weights(lively)


def test_an_archive_that_unpacks_to_much_more_is_refused(lively: Any, tmp_path: Path) -> None:
    file = save(lively, tmp_path, ".keras")
    rewrite(file, lambda _, content: content + bytes(10**7), zipfile.ZIP_DEFLATED)
    assert "announces" in refuse(build(top=False), file)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_is_refused(lively: Any, tmp_path: Path, method: int) -> None:
    file = save(lively, tmp_path, ".keras")
    rewrite(file, lambda _, content: content, method)
    content = bytearray(file.read_bytes())
    middle = content.index(b"model.weights.h5") + 1000
    content[middle : middle + 64] = bytes(64)[::-1] if method else b"\x55" * 64
    file.write_bytes(content)
    refuse(build(top=False), file)


def test_an_archive_with_a_password_is_refused(lively: Any, tmp_path: Path) -> None:
    file = save(lively, tmp_path, ".keras")
    content = file.read_bytes()
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.rindex(header) + flags
        content = content[:start] + b"\x01" + content[start + 1 :]
    file.write_bytes(content)
    assert "password" in refuse(build(top=False), file)


def test_a_file_that_may_not_be_read(lively: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save(lively, tmp_path, ".h5")
    network = build(top=False)

    def refuse_to_open(self: Path, *_: object) -> io.BytesIO:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse_to_open)
    assert refuse(network, file) == "Permission denied"
