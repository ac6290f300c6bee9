"""Products of many problems at once with the rows of X, each problem standardised by its own rows.

A problem of fold f sees Z = (X - mean_f) / scale_f. Z is never made: with V = W / scale_f,
    Z W = X V - mean_f . V        and       Z' S = (X' S - mean_f sum(S)) / scale_f
so all folds share one product with X, as wide as all their columns together.

Two threads of the BLAS lose most of their gain in waiting on products this thin. Here the rows are
cut into as many blocks as there are threads, and each block does its products and everything that
happens on margins on one thread, with a BLAS that is told to use no others.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float32]
T = TypeVar("T")

SMALL = 2**21
"""Elements of X below which a second thread costs more than it gives."""


class Design:
    """The rows of X in blocks, one thread each, while it is open.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Features, in rows; not copied where they are contiguous.
    mean, scale : ndarray of shape (f, d)
        Each fold's standardisation. A feature whose scale is 0 or not finite is left out: its
        coefficient is 0, as it is for a feature that is constant.
    threads : int
        At most this many blocks.
    """

    def __init__(self, X: Floats, *, mean: NDArray[np.floating], scale: NDArray[np.floating], threads: int) -> None:
        self.X = X
        usable = np.isfinite(scale) & (scale > 0)
        self.inverse: Floats = np.divide(1, scale, out=np.zeros(scale.shape), where=usable).astype(np.float32)
        self.mean: Floats = np.asarray(mean, dtype=np.float32)
        count = max(1, min(threads, len(X))) if X.size > SMALL else 1
        edges = np.linspace(0, len(X), count + 1).astype(int)
        self.blocks = [slice(int(start), int(end)) for start, end in pairwise(edges)]

    def __enter__(self) -> Self:
        self._limits = threadpool_limits(1, user_api="blas")
        self._pool = ThreadPoolExecutor(len(self.blocks)) if len(self.blocks) > 1 else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self._limits.restore_original_limits()

    def each(self, work: Callable[[int], T], count: int | None = None) -> list[T]:
        """Return work(0), work(1), ...: one for each block of rows, or `count` of them, side by side."""
        numbers: Sequence[int] = range(len(self.blocks) if count is None else count)
        if self._pool is None or len(numbers) < 2:
            return [work(number) for number in numbers]
        return list(self._pool.map(work, numbers))

    def pull(self, coefficients: Floats, intercepts: Floats, folds: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return coefficients (p, k, d) and intercepts (p, k) as they are for X itself, not for Z."""
        raw = coefficients * self.inverse[folds][:, None]
        return raw, intercepts - np.matmul(raw, self.mean[folds][:, :, None])[:, :, 0]

    def margins(self, raw: Floats, intercepts: Floats, block: int) -> Floats:
        """Return the margins of a block of rows, (p, k, rows), for raw coefficients and intercepts."""
        rows = self.X[self.blocks[block]]
        product = (raw.reshape(-1, raw.shape[2]) @ rows.T).reshape(*intercepts.shape, len(rows))
        product += intercepts[:, :, None]
        return product

    def gather(self, slopes: Floats, block: int) -> tuple[Floats, Floats]:
        """Return X' S, (p, k, d), and the sums of S, (p, k), over a block of rows."""
        p, k, rows = slopes.shape
        product = slopes.reshape(p * k, rows) @ self.X[self.blocks[block]]
        return product.reshape(p, k, -1), slopes.sum(axis=2, dtype=np.float64).astype(np.float32)

    def push(self, parts: list[tuple[Floats, Floats]], folds: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return Z' S, (p, k, d), and the sums of S, (p, k), from the `gather` of every block."""
        product, total = parts[0]
        for other, sums in parts[1:]:
            product += other
            total = total + sums
        product -= total[:, :, None] * self.mean[folds][:, None]
        product *= self.inverse[folds][:, None]
        return product, total
