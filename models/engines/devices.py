"""Which device computes; whether there can be a GPU is seen without TensorFlow, which takes seconds to ask."""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from glob import glob
from importlib.util import find_spec

from ..backend import import_tensorflow
from ..errors import UnsuitableSetting

_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Of NVIDIA, of Windows below Linux, of AMD."""


@dataclass(frozen=True, slots=True)
class Device:
    """What computes."""

    name: str
    """As people call it: `CPU`, or the name of a GPU."""
    address: str
    """As TensorFlow calls it."""
    note: str = ""
    """What should be said about it."""

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU."""
        return "GPU" in self.address


CPU = Device("CPU", "/CPU:0")


def find_device(request: str = "auto") -> Device:
    """Return the device that is asked for.

    Parameters
    ----------
    request : str
        `auto`, the first GPU that TensorFlow sees, else the CPU; `cpu`; `gpu`; or `gpu:1`, counted from 0.

    Raises
    ------
    UnsuitableSetting
        A GPU is asked for that is not there; or there is no such device.
    """
    wanted = re.fullmatch(r"auto|cpu|gpu(?::(\d+))?", request)
    if wanted is None:
        raise UnsuitableSetting(f"there is no device {request!r}: expected auto, cpu, gpu or gpu:1")
    if request == "cpu":
        return CPU
    driver = gpu_driver()
    found = _gpus() if driver or request != "auto" else []
    number = int(wanted[1] or 0)
    if number < len(found):
        return found[number]
    if request != "auto":
        seen = ", ".join(gpu.name for gpu in found) or "none"
        raise UnsuitableSetting(
            f"--device {request} is not there: TensorFlow sees {len(found)} GPUs ({seen}); {_REMEDY}, "
            "or compute with --device cpu"
        )
    note = f"there is a GPU ({driver}), but TensorFlow sees none, so the CPU computes: {_REMEDY}"
    return Device(CPU.name, CPU.address, note) if driver else CPU


_REMEDY = "install tensorflow[and-cuda] and see that its driver works"


def gpu_driver(exists: Callable[[str], bool] = os.path.exists) -> str | None:
    """Return the path of a GPU's driver, the name of a plug-in for GPUs, or None where there can be no GPU."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return None
    if sys.platform == "darwin":
        return "tensorflow-metal" if find_spec("tensorflow-plugins") else None
    return next((path for path in _DRIVERS if exists(path)), None)


def list_gpus(files: Callable[[str], list[str]] = glob) -> tuple[str, ...]:
    """Return NVIDIA's GPUs as `CUDA_VISIBLE_DEVICES` calls them, without asking TensorFlow."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1"))
    numbers = (re.fullmatch(r"/dev/nvidia(\d+)", path) for path in files("/dev/nvidia*"))
    return tuple(sorted((found[1] for found in numbers if found), key=int))


def _gpus() -> list[Device]:
    tf = import_tensorflow()
    found = []
    for number, gpu in enumerate(tf.config.list_physical_devices("GPU")):
        details = tf.config.experimental.get_device_details(gpu)
        found.append(Device(str(details.get("device_name", gpu.name)), f"/GPU:{number}"))
    return found
