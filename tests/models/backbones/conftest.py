"""What the tests of backbones share."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def saved(lively: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights of the stand-in, in Keras' current format."""
    file = tmp_path_factory.mktemp("weights") / "tiny.weights.h5"
    lively.save_weights(file)
    return file
