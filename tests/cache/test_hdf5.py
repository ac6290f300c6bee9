"""A disk that is full is an error, not a crash, and costs nothing that was stored."""

import subprocess
import sys
from pathlib import Path

from support.rows import feature_set, rows

SCRIPT = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.rows import feature_set, rows
from demijohn.cache import StoreNotWritable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
features = feature_set(Path(sys.argv[2]))
with features.writer() as writer:
    writer.add(*rows(range(20)))
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.RLIM_INFINITY))
try:
    with features.writer() as writer:
        writer.add(*rows(range(20, 2000)))
except StoreNotWritable as error:
    assert "File too large" in str(error) and "free some space" in str(error), error
else:
    raise AssertionError("the limit was not felt")
assert len(features.keys()) == 20
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with features.writer() as writer:
    writer.add(*rows(range(20, 2000)))
"""


def test_a_full_disk_is_told_and_work_goes_on_when_there_is_room(tmp_path: Path) -> None:
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tests), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    keys, values = rows(range(2000))
    assert feature_set(tmp_path).read(keys).tobytes() == values.tobytes()
    assert not list(tmp_path.rglob("*.partial"))
