"""What made a number: versions, machine, date. Kept beside every result, never part of a key."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_LIBRARIES = ("demijohn", "tensorflow", "keras", "scikit-learn", "numpy", "h5py", "pillow", "openvino")


def describe_environment() -> dict[str, Any]:
    """Return date, versions and machine as JSON values; no library is imported for it."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _LIBRARIES}},
        "machine": {"system": platform.platform(), "processor": platform.machine()},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
