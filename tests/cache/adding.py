"""Add rows to a feature set in a process of its own: `python adding.py FOLDER COMMAND ...`.

    add FIRST STOP BATCH   rows of the keys FIRST to STOP, committed BATCH at a time, then merged
    endlessly              the same without an end, in sessions that merge; to be killed
    full                   rows on a disk that has no room for them, then with room again

Key and row number N are `key(N)` and `row(key(N))`.
"""

import hashlib
import itertools
import sys
from pathlib import Path

import numpy as np
from demijohn.cache import FeatureSet, Key, StoreNotWritable
from numpy.typing import NDArray


def key(number: int) -> Key:
    """Return a key."""
    return hashlib.sha256(str(number).encode()).digest()


def row(of: Key) -> NDArray[np.float32]:
    """Return the row of a key, (64,) float32."""
    return np.frombuffer(hashlib.shake_256(of).digest(64), np.uint8).astype(np.float32)


def add(features: FeatureSet, first: int, stop: int, batch: int) -> None:
    """Add rows in one session."""
    with features.writer() as writer:
        for start in range(first, stop, batch):
            keys = [key(number) for number in range(start, min(start + batch, stop))]
            writer.add(keys, np.stack([row(each) for each in keys]))
            writer.commit()


def add_endlessly(features: FeatureSet) -> None:
    """Add rows in session after session."""
    for session in itertools.count():
        add(features, 40 * session, 40 * (session + 1), 8)


def fill_the_disk(features: FeatureSet) -> None:
    """Let files grow to some size only, whatever is written to them; then to any size."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    keys = [key(number) for number in range(200)]
    rows = np.stack([row(each) for each in keys])
    features.commit(keys[:100], rows[:100])
    size = next((features.folder / "parts").iterdir()).stat().st_size
    refused = 0
    # Before the file's first byte, in its head, in its rows, in what is written last.
    for limit in (0, 1, 96, 1000, 2048, 4096, 5000, size // 2, size - 5000, size - 100, size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            features.commit(keys[100:], rows[100:])
        except StoreNotWritable as error:
            refused += "free some space" in str(error).lower()
        present = features.keys()
        assert present == set(keys[:100])
    assert (features.read(keys[:100]) == rows[:100]).all()
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    features.commit(keys[100:], rows[100:])
    features.merge([])
    assert (features.read(keys) == rows).all()
    print("refused", refused)


def main() -> None:
    """Do what the command line says, once a line has been read from stdin."""
    features = FeatureSet.load(Path(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    command, *numbers = sys.argv[2:]
    if command == "add":
        first, stop, batch = map(int, numbers)
        add(features, first, stop, batch)
    elif command == "endlessly":
        add_endlessly(features)
    elif command == "full":
        fill_the_disk(features)


if __name__ == "__main__":
    main()
