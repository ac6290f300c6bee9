"""One thread for the libraries that compute, where the threads are ours or where several would wait for each other."""

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread(*, blas_alone: bool = False) -> AbstractContextManager[Any]:
    """Hold the libraries of this process to one thread each, from now until the end of the `with`.

    Parameters
    ----------
    blas_alone : bool
        Leave OpenMP as it is.
    """
    held: AbstractContextManager[Any]
    held = _libraries(len(sys.modules)).limit(limits=1, user_api="blas" if blas_alone else None)
    return held


@lru_cache(maxsize=1)
def _libraries(_modules: int) -> ThreadpoolController:
    # To look for them takes milliseconds where TensorFlow is loaded, more than many a fit. New ones come with modules.
    return ThreadpoolController()
