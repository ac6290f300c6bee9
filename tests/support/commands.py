"""Run `demijohn` with the stand-in backbone in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

STANDIN = Path(__file__).with_name("standin.py")


def command(*arguments: str | Path) -> list[str]:
    """Return the command line."""
    return [sys.executable, str(STANDIN), *map(str, arguments)]


def run(*arguments: str | Path, delay: float = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run to the end; stdout and stderr are text."""
    return subprocess.run(
        command(*arguments), env=environment(delay), capture_output=True, text=True, cwd=cwd, check=False
    )


def environment(delay: float = 0) -> dict[str, str]:
    """Return the environment of a run in which every batch takes `delay` seconds longer."""
    return {**os.environ, "DEMIJOHN_TEST_DELAY": str(delay)}
