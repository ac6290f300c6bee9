"""How much memory there is, and sizes as people write them."""

import os
import re
from pathlib import Path

_UNKNOWN = 8 << 30
"""Where the system does not tell: as much as a small machine has."""
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_LIMIT = Path("/sys/fs/cgroup/memory.max")


def machine_memory() -> int:
    """Return the bytes that this machine has, or the container that this process is in."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = _UNKNOWN
    try:
        return min(memory, int(_LIMIT.read_text()))
    except (OSError, ValueError):
        # There is no container, or it may take all, "max".
        return memory


def parse_size(text: str) -> int | None:
    """Return the bytes that text such as 4G, 500M or 1.5GB means; None where it means none.

    >>> parse_size("4G"), parse_size("1.5 GB"), parse_size("500m"), parse_size("4 X"), parse_size("0")
    (4000000000, 1500000000, 500000000, None, None)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)B?", text.strip().upper())
    size = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    return size or None
