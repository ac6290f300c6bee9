"""Rows on their way into a feature set: kept for a moment, committed as parts, merged at the end."""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .errors import StoreNotWritable
from .features import FeatureSet
from .merging import merge_parts
from .part import Key

COMMIT_ROWS = 512
COMMIT_BYTES = 64 << 20
"""Rows may be whole maps."""
COMMIT_SECONDS = 2.0
SHARED_ROWS = 4096
SHARED_SECONDS = 10.0
"""Where many fill a set, their parts are fewer, since whoever plans opens them all."""
_KEY_BYTES = 32


class FeatureWriter:
    """Adds rows to a feature set: committed every 512 rows, 64 MiB or 2 seconds, and whenever it is left.

    Whether the block ends well, with an error or with an interrupt, rows that were added are
    committed. A block that ends well also merges its parts.

    One that is not `alone` is among several that fill the set for somebody else, who merges at the end: it
    commits every 4,096 rows, 64 MiB or 10 seconds, and merges nothing.
    """

    def __init__(
        self, features: FeatureSet, clock: Callable[[], float] = time.monotonic, *, alone: bool = True
    ) -> None:
        self._features = features
        self._clock = clock
        self._alone = alone
        self._keys: list[Key] = []
        self._rows: list[NDArray[np.float32]] = []
        self._names: list[str] = []
        self._width = features.width
        self._last = clock()

    def __enter__(self) -> Self:
        return self

    def add(self, keys: Sequence[Key], rows: NDArray[np.float32]) -> None:
        """Add rows of shape (b, d), float32, one per key; finite, or the set would be poisoned.

        Raises
        ------
        ValueError
            Not one row per key, rows of another width than those that are there, a key that is no
            SHA-256, or a value that is not finite.
        StoreNotWritable
            A commit did not succeed; what was committed before is intact.
        """
        # A copy, since the caller may use its array again before the commit.
        rows = np.array(rows, dtype=np.float32)
        if rows.ndim != 2 or len(keys) != len(rows):
            raise ValueError(f"expected one row per key, found {len(keys)} keys and rows of shape {rows.shape}")
        if not len(rows):
            return
        if self._width not in (0, rows.shape[1]):
            raise ValueError(f"expected rows of {self._width} features, as those stored, found {rows.shape[1]}")
        if any(len(key) != _KEY_BYTES for key in keys):
            raise ValueError(f"expected keys of {_KEY_BYTES} bytes, found one of {min(map(len, keys))} or more")
        if not np.isfinite(rows).all():
            raise ValueError("features must be finite, found NaN or infinity")
        self._width = rows.shape[1]
        self._keys.extend(keys)
        self._rows.append(rows)
        limit, seconds = (COMMIT_ROWS, COMMIT_SECONDS) if self._alone else (SHARED_ROWS, SHARED_SECONDS)
        large = len(self._keys) >= limit or len(self._keys) * rows[0].nbytes >= COMMIT_BYTES
        if large or self._clock() - self._last >= seconds:
            self.commit()

    def commit(self) -> None:
        """Make the rows added so far durable."""
        if self._keys:
            self._names.append(self._features.commit(self._keys, np.concatenate(self._rows)))
            self._keys, self._rows = [], []
        self._last = self._clock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, StoreNotWritable):
            return
        self.commit()
        if error is None and self._alone:
            merge_parts(self._features, self._names)
