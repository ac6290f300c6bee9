"""The device: no GPU is passed over in silence, and none is invented."""

from typing import Any

import numpy as np
import pytest
from demijohn.models import UnsuitableSetting
from demijohn.models.backend import import_tensorflow
from demijohn.models.engines import devices as module
from demijohn.models.engines.devices import CPU, Device, find_device, gpu_driver, list_gpus
from demijohn.models.engines.engines import make_engine
from support.standin import TINY

A100 = Device("NVIDIA A100", "/GPU:0")


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize("driver", ["/dev/nvidiactl", "/dev/dxg", "/dev/kfd"])
def test_a_driver_tells_of_a_gpu(linux: None, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu_driver(lambda path: path == driver) == driver
    assert gpu_driver(lambda _: False) is None
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert gpu_driver(lambda path: path == driver) is None


def test_without_a_driver_tensorflow_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "gpu_driver", lambda: None)
    monkeypatch.setattr(module, "_gpus", None)
    assert find_device() == find_device("cpu") == CPU


def test_the_first_gpu_is_taken_unless_another_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    second = Device("NVIDIA T4", "/GPU:1")
    monkeypatch.setattr(module, "gpu_driver", lambda: "/dev/nvidiactl")
    monkeypatch.setattr(module, "_gpus", lambda: [A100, second])
    assert find_device() == find_device("gpu") == find_device("gpu:0") == A100
    assert find_device("gpu:1") == second
    assert find_device("cpu") == CPU
    with pytest.raises(UnsuitableSetting, match=r"--device gpu:2 is not there: TensorFlow sees 2 GPUs \(NVIDIA A100, "):
        find_device("gpu:2")


def test_a_gpu_that_tensorflow_does_not_see_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "gpu_driver", lambda: "/dev/nvidiactl")
    monkeypatch.setattr(module, "_gpus", list)
    found = find_device()
    assert (found.name, found.address) == ("CPU", "/CPU:0")
    assert found.note.startswith("there is a GPU (/dev/nvidiactl), but TensorFlow sees none, so the CPU computes: ")
    with pytest.raises(UnsuitableSetting, match=r"--device gpu is not there: .* or compute with --device cpu"):
        find_device("gpu")


@pytest.mark.parametrize("request_", ["tpu", "gpu:", "gpu:x", "GPU", "cpu:1", ""])
def test_there_are_no_other_devices(request_: str) -> None:
    with pytest.raises(UnsuitableSetting, match="expected auto, cpu, gpu or gpu:1"):
        find_device(request_)


def test_an_engine_computes_on_the_device_that_it_is_given(lively: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tf = import_tensorflow()
    asked: list[str] = []
    device = tf.device
    monkeypatch.setattr(tf, "device", lambda name: asked.append(name) or device("/CPU:0"))
    engine = make_engine(TINY, lively, batch_size=2, device=A100)
    assert (engine.device, engine.streams) == ("NVIDIA A100", 2)
    engine.extract(np.zeros((2, 16, 16, 3), np.uint8))
    assert set(asked) == {"/GPU:0"}


@pytest.mark.parametrize(
    ("visible", "files", "expected"),
    [
        (None, [], ()),
        (None, ["/dev/nvidia10", "/dev/nvidia2", "/dev/nvidiactl", "/dev/nvidia-uvm"], ("2", "10")),
        ("1,GPU-8932f937", ["/dev/nvidia0"], ("1", "GPU-8932f937")),
        ("-1", ["/dev/nvidia0"], ()),
        ("", ["/dev/nvidia0"], ()),
    ],
)
def test_gpus_are_listed_as_cuda_calls_them(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, files: list[str], expected: tuple[str, ...]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert list_gpus(lambda _: files) == expected
