"""Holding libraries to one thread."""

import subprocess
import sys

import pytest

CODE = """
from threadpoolctl import threadpool_info
from demijohn.models.threads import one_thread

def threads():
    return {each["filepath"]: each["num_threads"] for each in threadpool_info()}

import numpy
with one_thread():
    early = threads()
    assert early and set(early.values()) == {1}, early
import sklearn.svm
free = threads()
assert set(early) < set(free) and set(free.values()) == {2}, free
with one_thread():
    assert set(threads().values()) == {1}, threads()
with one_thread(blas_alone=True):
    assert sorted(set(threads().values())) == [1, 2], threads()
assert threads() == free
"""


@pytest.mark.slow
def test_those_loaded_later_are_held_as_well() -> None:
    several = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", CODE], env=several, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
