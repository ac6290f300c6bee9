"""Extractions that are killed at random instants lose nothing that was committed, and the next one completes them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killing.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
@pytest.mark.parametrize("rounds", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_random_instants(tmp_path: Path, rounds: int, record_property: Callable[[str, object], None]) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), str(rounds)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    print(summary)
    record_property("summary", summary)
    assert summary["rounds"] == rounds
    assert summary["kills"] >= rounds // 2
    assert summary["rows_checked"] > 50 * rounds
    assert (summary["rows_lost_after_commit"], summary["rows_wrong"]) == (0, 0)
    # The kills fell into the work, not only before or after it.
    assert summary["stores_found_partly_filled"] > rounds // 5
