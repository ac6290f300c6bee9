"""Extractions that are killed at random instants lose nothing that was committed, and the next one completes them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killing.py")
ROUNDS = 200


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
def test_killed_at_random_instants(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), str(ROUNDS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    print(summary)
    record_property("summary", summary)
    assert summary["rounds"] == ROUNDS
    assert summary["kills"] >= ROUNDS // 2
    assert summary["rows_checked"] > 50 * ROUNDS
    assert (summary["rows_lost_after_commit"], summary["rows_wrong"]) == (0, 0)
    # The kills fell into the work, not only before or after it.
    assert summary["stores_found_partly_filled"] > ROUNDS // 5
