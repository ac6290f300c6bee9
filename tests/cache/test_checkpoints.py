"""A checkpoint comes back as it was written, or is told to be damaged; there is never half of one."""

import os
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache import DamagedFile
from demijohn.cache.checkpoints import Checkpoint, read_checkpoint, write_checkpoint

ARRAYS = {
    "top/0": np.arange(12, dtype=np.float32).reshape(3, 4),
    "top/10": np.float32(2.5),
    "optimizer0/0": np.array(7, dtype=np.int64),
    "seed": np.array([1, 2], dtype=np.uint32),
    "empty": np.zeros((0, 3), dtype=np.float32),
}
FACTS = {"epoch": 3, "history": [{"epoch": 1, "loss": 0.5}]}


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "run.h5"
    assert read_checkpoint(path) is None
    write_checkpoint(path, Checkpoint({}, {}))
    write_checkpoint(path, Checkpoint({name: np.asarray(array) for name, array in ARRAYS.items()}, FACTS))
    found = read_checkpoint(path)
    assert found is not None
    assert found.facts == FACTS
    assert set(found.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(found.arrays[name], array)
    assert os.listdir(path.parent) == ["run.h5"]


@pytest.mark.parametrize("fault", ["cut", "flipped", "another file"])
def test_damage_is_told(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    write_checkpoint(path, Checkpoint({"weights": np.arange(1000, dtype=np.float32)}, FACTS))
    content = bytearray(path.read_bytes())
    if fault == "flipped":
        at = content.find(np.arange(1000, dtype=np.float32).tobytes())
        content[at + 100] ^= 1
    path.write_bytes({"cut": content[:-500], "flipped": content, "another file": b"nothing"}[fault])
    with pytest.raises(DamagedFile, match="begins anew"):
        read_checkpoint(path)
