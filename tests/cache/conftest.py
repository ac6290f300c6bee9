"""What the tests of the cache share: a process that works on a store, to be watched or killed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ADDING = Path(__file__).with_name("adding.py")
Adding = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def adding(tmp_path: Path) -> Iterator[Adding]:
    """Give a function that starts `adding.py` on a store below `tmp_path`; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(ADDING), str(tmp_path), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
