"""Memory that goes back to the system when it is freed, while graphs are copied.

A graph is copied several times on its way to an engine, and its weights are blocks of some megabytes. What glibc
has handed out from its heap stays there when it is freed, between blocks that are still used: with Xception half
a gigabyte, on top of which the first batch is computed.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""As `malloc.h` numbers them."""
_SMALL, _LARGE = 1 << 20, 32 << 20
"""Bytes from which a block lies outside the heap: for graphs, and where glibc itself arrives once it has freed blocks
that large. It is less costly for what is allocated again with every batch: training a network is 7 % faster."""


@contextmanager
def giving_back() -> Iterator[None]:
    """Have blocks of a megabyte or more lie outside the heap, where the C library is glibc."""
    # Whoever sets the variable knows better.
    if "MALLOC_MMAP_THRESHOLD_" in os.environ or sys.platform != "linux":
        yield
        return
    libc = ctypes.CDLL(None)
    # musl has neither.
    if not (hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")):
        yield
        return
    libc.malloc_trim(0)
    libc.mallopt(_MMAP_THRESHOLD, _SMALL)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGE)
        libc.malloc_trim(0)
