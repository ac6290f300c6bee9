"""Products of many problems at once with the rows of X, each problem standardised by its own rows.

A problem of fold f sees Z = (X - mean_f) / scale_f. Z is never made: with V = W / scale_f,
    Z W = X V - mean_f . V        and       Z' S = (X' S - mean_f sum(S)) / scale_f
so all folds share one product with X, as wide as all their columns together.

Two threads of the BLAS lose most of their gain in waiting on products this thin. Here the rows are
cut into as many blocks as there are threads, and each block does its products and everything that
happens on margins on one thread, with a BLAS that is told to use no others. Of rows that are
streamed, a block is gone through in pieces; what a round does with a piece it does while it is there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from demijohn.models.threads import one_thread
from numpy.typing import NDArray

from .streaming import Matrix, pieces_of

Floats = NDArray[np.float32]
T = TypeVar("T")

SMALL = 2**21
"""Elements of X below which a second thread costs more than it gives."""


class Design:
    """The rows of X in blocks, one thread each, while it is open.

    Parameters
    ----------
    X : ndarray or StreamedRows of shape (n, d), float32
        Features, in rows; not copied where they are contiguous.
    mean, scale : ndarray of shape (f, d)
        Each fold's standardisation. A feature whose scale is 0 or not finite is left out: its
        coefficient is 0, as it is for a feature that is constant.
    threads : int
        At most this many blocks.
    """

    def __init__(self, X: Matrix, *, mean: NDArray[np.floating], scale: NDArray[np.floating], threads: int) -> None:
        self.X = X
        usable = np.isfinite(scale) & (scale > 0)
        self.inverse: Floats = np.divide(1, scale, out=np.zeros(scale.shape), where=usable).astype(np.float32)
        self.mean: Floats = np.asarray(mean, dtype=np.float32)
        count = max(1, min(threads, len(X))) if X.size > SMALL else 1
        edges = np.linspace(0, len(X), count + 1).astype(int)
        self.blocks = [slice(int(start), int(end)) for start, end in pairwise(edges)]

    def __enter__(self) -> Self:
        self._held = ExitStack()
        self._held.enter_context(one_thread(blas_alone=True))
        count = len(self.blocks)
        self._pool = self._held.enter_context(ThreadPoolExecutor(count)) if count > 1 else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

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

    def pieces(self, block: int) -> Iterator[tuple[slice, Floats]]:
        """Yield the rows of a block, and where in it they are."""
        return pieces_of(self.X, self.blocks[block])

    def margins(self, raw: Floats, intercepts: Floats, block: int) -> Floats:
        """Return the margins of a block of rows, (p, k, rows), for raw coefficients and intercepts."""
        flat = raw.reshape(-1, raw.shape[2])
        product: Floats = np.empty((len(flat), self._count(block)), np.float32)
        for where, rows in self.pieces(block):
            np.matmul(flat, rows.T, out=product[:, where])
        result = product.reshape(*intercepts.shape, -1)
        result += intercepts[:, :, None]
        return result

    def gather(self, slopes: Floats, block: int) -> tuple[Floats, Floats]:
        """Return X' S, (p, k, d), and the sums of S, (p, k), over a block of rows."""
        p, k, count = slopes.shape
        flat = slopes.reshape(p * k, count)
        product = _total(flat[:, where] @ rows for where, rows in self.pieces(block))
        return product.reshape(p, k, -1), slopes.sum(axis=2, dtype=np.float64).astype(np.float32)

    def bounce(
        self, raw: Floats, intercepts: Floats, block: int, bend: Callable[[Floats, slice], Floats]
    ) -> tuple[Floats, tuple[Floats, Floats]]:
        """Return margins M as `margins` does, and what `gather` gives for bend(M), with one look at the rows.

        `bend` takes margins (p, k, rows) of some rows, and where in the block these are.
        """
        p, k, d = raw.shape
        flat = raw.reshape(p * k, d)
        margins: Floats = np.empty((p, k, self._count(block)), np.float32)
        rising = margins.reshape(p * k, -1)
        sums = np.zeros((p, k))

        def go_there_and_back() -> Iterator[Floats]:
            for where, rows in self.pieces(block):
                np.matmul(flat, rows.T, out=rising[:, where])
                there = margins[:, :, where]
                there += intercepts[:, :, None]
                bent = bend(there, where)
                np.add(sums, bent.sum(axis=2, dtype=np.float64), out=sums)
                yield bent.reshape(p * k, -1) @ rows

        product = _total(go_there_and_back()).reshape(p, k, d)
        return margins, (product, sums.astype(np.float32))

    def _count(self, block: int) -> int:
        return self.blocks[block].stop - self.blocks[block].start

    def push(self, parts: list[tuple[Floats, Floats]], folds: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return Z' S, (p, k, d), and the sums of S, (p, k), from the `gather` of every block."""
        product, total = parts[0]
        for other, sums in parts[1:]:
            product += other
            total = total + sums
        product -= total[:, :, None] * self.mean[folds][:, None]
        product *= self.inverse[folds][:, None]
        return product, total


def _total(products: Iterable[Floats]) -> Floats:
    """Return the sum of at least one product, in the place of the first."""
    each = iter(products)
    total = next(each)
    for other in each:
        total += other
    return total
