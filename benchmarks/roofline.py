"""What this machine gives, and the least that ridge in folds asks of it.

    python benchmarks/roofline.py

Printed are operations a second in products of large matrices, one on each core at the same time, and
bytes a second, read and written, in copies larger than any cache; the best of several.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Rates:
    """What all cores give together."""

    doubles: float
    """Operations a second in products, 64 bits."""
    singles: float
    """The same in 32 bits."""
    copied: float
    """Bytes a second, those read and those written."""


def measure_rates(*, repeats: int = 5, width: int = 2048) -> Rates:
    """Measure them."""
    from threadpoolctl import threadpool_limits

    cores = os.cpu_count() or 1

    def best(work: Any, arrays: list[Any]) -> float:
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            list(pool.map(work, arrays))
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cores) as pool:
        random = np.random.default_rng(0)
        products = []
        for kind in (np.float64, np.float32):
            squares = [random.standard_normal((width, width)).astype(kind) for _ in range(cores)]
            products.append(2 * width**3 * cores / best(lambda square: square @ square, squares))
        pairs = [(np.ones(2**25), np.empty(2**25)) for _ in range(cores)]
        copied = 2 * 8 * 2**25 * cores / best(lambda pair: np.copyto(pair[1], pair[0]), pairs)
    return Rates(*products, copied)


def bound_ridge(n: int, d: int, *, strengths: int, folds: int, band: int) -> dict[str, tuple[float, float]]:
    """Return operations in 64 bits, and bytes moved, of ridge in folds with a refit, by way of doing it.

    Only what grows with the cube of a side counts, and a symmetric product by its half. n is larger
    than d here: sums of all rows once (n d^2), for the folds and for the refit, which is a factorisation.
    A reduction to a band reads and writes half of what is left of the matrix once per `band` columns;
    a tridiagonal one reads it once per column; in an eigendecomposition vectors come on top (Golub and
    Van Loan 2013, Matrix Computations, section 8.3: 9 d^3). A factorisation stays in cache.
    """
    sums, refit = n * d**2, d**3 / 3
    return {
        "a factorisation per strength": (sums + folds * strengths * d**3 / 3 + refit, 0),
        "eigenvectors": (sums + folds * 9 * d**3 + refit, folds * 8 * d**3 / 6),
        "tridiagonal": (sums + folds * 4 / 3 * d**3 + refit, folds * 8 * d**3 / 6),
        "a band": (sums + folds * 4 / 3 * d**3 + refit, folds * 2 * 8 * d**3 / 6 / band),
    }


if __name__ == "__main__":
    for name, rate in asdict(measure_rates()).items():
        print(f"{name}: {rate / 1e9:.1f} * 10^9 a second")
