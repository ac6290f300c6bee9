"""Cases of a test, of which the default suite runs a few and CI all."""

from collections.abc import Iterable
from typing import Any

import pytest


def quick(count: int, cases: Iterable[Any]) -> list[Any]:
    """Return the cases for `parametrize`, those after the first `count` marked as slow."""
    rows = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*row, marks=() if number < count else pytest.mark.slow) for number, row in enumerate(rows)]
