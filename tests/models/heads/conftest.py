"""What the tests of heads share: clouds of rows, and heads trained on them once; neither is to be changed."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from demijohn.models import find_head
from support.heads import CASES, Blobs, Rows


@pytest.fixture(scope="session")
def rows(guard: None, blobs: Blobs) -> Callable[[int], Rows]:
    """Return the maker of three splits of clouds that can be told apart."""

    @cache
    def make(classes: int) -> Rows:
        sizes = {"train": 200, "validation": 100, "test": 200}
        return {
            split: blobs(size, classes=classes, seed=number) for number, (split, size) in enumerate(sizes.items(), 1)
        }

    return make


@pytest.fixture(scope="session")
def trained(rows: Callable[[int], Rows]) -> Callable[[str, int], Any]:
    """Return a function that trains a case once."""

    @cache
    def train(case: str, classes: int) -> Any:
        name, settings = CASES[case]
        data = rows(classes)
        return find_head(name).make(settings, seed=0).fit(*data["train"], validation=data["validation"])

    return train
