"""Damaged files of every kind: read or refused, without a crash, a hang, or more memory than is stated."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.fuzzing import LIMIT_BYTES

SCRIPT = Path(__file__).parents[2] / "support" / "fuzzing.py"


@pytest.mark.slow
def test_mutated_files_are_read_or_refused_and_nothing_else() -> None:
    count = 25_000
    done = subprocess.run([sys.executable, SCRIPT, str(count)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    outcome = json.loads(done.stdout)
    # Hypothesis leaves out what it has drawn before.
    assert outcome["read"] + outcome["refused"] >= count * 0.9
    assert outcome["read"] > count / 20
    assert outcome["refused"] > count / 20
    assert outcome["grown"] <= LIMIT_BYTES
