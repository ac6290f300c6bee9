"""Add rows to a feature set in a process of its own: `python adding.py STORE COMMAND ...`.

    add FIRST STOP    the rows of the numbers FIRST to STOP, three at a time, then merged
    endlessly FIRST   the rows from FIRST on, session after session; to be killed
    full              rows on a disk that has no room for them, then with room again

Says `ready` when it could begin and begins with a line on stdin. Every commit is told on stdout.
"""

import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from demijohn.cache import FeatureSet, StoreNotWritable
from demijohn.cache.writer import FeatureWriter
from support.rows import feature_set, rows


def add(features: FeatureSet, first: int, stop: int) -> None:
    """Add rows in one session."""
    with FeatureWriter(features) as writer:
        for start in range(first, stop, 3):
            writer.add(*rows(range(start, min(start + 3, stop))))
            writer.commit()
            print(min(start + 3, stop), flush=True)


def add_endlessly(features: FeatureSet, first: int) -> None:
    """Add rows in session after session."""
    for start in itertools.count(first, 12):
        add(features, start, start + 12)


def fill_the_disk(features: FeatureSet) -> None:
    """Let files grow to some size only, whatever is written to them; then to any size."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old, new = rows(range(200)), rows(range(200, 400))
    features.commit(*old)
    size = next((features.folder / "parts").iterdir()).stat().st_size
    # Before the first byte, in the head of the file, in its rows, and in what comes last.
    for limit in (0, 1, 96, 1000, 2048, 4096, size // 2, size - 3000, size - 100, size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with FeatureWriter(features) as writer:
                writer.add(*new)
        except StoreNotWritable as error:
            print(error, flush=True)
        assert features.keys() == set(old[0])
        assert (features.read(old[0]) == old[1]).all()
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with FeatureWriter(features) as writer:
        writer.add(*new)
    assert (features.read([*old[0], *new[0]]) == np.concatenate([old[1], new[1]])).all()


def main() -> None:
    """Do what the command line says."""
    folder, command, *numbers = sys.argv[1:]
    features = feature_set(Path(folder))
    print("ready", flush=True)
    sys.stdin.readline()
    commands = {"add": add, "endlessly": add_endlessly, "full": fill_the_disk}
    commands[command](features, *map(int, numbers))


if __name__ == "__main__":
    main()
