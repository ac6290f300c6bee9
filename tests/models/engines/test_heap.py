"""Memory goes back to the system while graphs are copied."""

import os
import subprocess
import sys

import pytest

# In a process of its own: a heap that others have used has free blocks that large.
FREEING = """
import os
from pathlib import Path
import numpy as np
from demijohn.models.engines.heap import giving_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

# From then on glibc takes blocks that large from its heap.
np.ones(30 << 17)
with giving_back():
    small, large = [], []
    for _ in range(30):
        large.append(np.ones(1 << 18))
        small.append(np.ones(1 << 10))
    full = resident()
    large.clear()
    print(full - resident())
"""


@pytest.mark.skipif(sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="needs glibc")
def test_large_blocks_between_small_ones_do_not_stay() -> None:
    done = subprocess.run([sys.executable, "-c", FREEING], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 50e6
