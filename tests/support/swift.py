"""Extraction without TensorFlow: the stand-in backbone on an engine of plain NumPy, ready in milliseconds.

Everything else is real: the walk, the index, decoding, the writer, the store. For tests that start
hundreds of extractions, or fork. Run as a script it is `demijohn` with that engine.
DEMIJOHN_TEST_DELAY makes every batch take so many seconds longer.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from demijohn.models.backbones.backbones import BACKBONES
from demijohn.models.backbones.taps import Tap
from demijohn.models.engines.engines import EngineChoice
from numpy.typing import NDArray
from support.standin import SIZE, TINY, WIDTH


class SwiftEngine:
    """Mean brightness of eight bands: deterministic, whatever the batch."""

    name = "tensorflow"
    device = "CPU"
    streams = 2

    def __init__(self, batch_size: int, taps: Sequence[Tap] = (Tap(),)) -> None:
        self.batch_size = batch_size
        self.taps = tuple(taps)
        self.input_size = (SIZE, SIZE)
        self.shapes = ((WIDTH,),) * len(self.taps)

    def extract(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """Return (b, 8) float32, the same for every tap."""
        time.sleep(float(os.environ.get("DEMIJOHN_TEST_DELAY", "0")))
        bands = images.reshape(len(images), WIDTH, -1).astype(np.int64).sum(axis=2)
        return ((bands / 1000.0).astype(np.float32),) * len(self.taps)


def use_swift_engine(patch: Any = None) -> None:
    """Put the engine into its place, for good, or for as long as a pytest `MonkeyPatch` lasts."""
    from demijohn.pipeline.extraction import frozen, survey, workers

    def put(owner: Any, name: str, value: Any) -> None:
        if patch is None:
            setattr(owner, name, value)
        else:
            patch.setattr(owner, name, value)

    def start(_frozen: Any, choice: EngineChoice, taps: Sequence[Tap], *, keep: bool = True) -> SwiftEngine:
        return SwiftEngine(choice.batch_size, taps)

    def choose(*_: Any, **asked: Any) -> EngineChoice:
        return EngineChoice("tensorflow", asked["batch_size"] or 24)

    put(survey, "choose_engine", choose)
    put(workers, "choose_engine", choose)
    put(frozen.FrozenBackbone, "start", start)
    put(frozen, "load_extractor", lambda _backbone, located, **_: (None, located.identity))
    if patch is None:
        BACKBONES[TINY.name] = TINY
    else:
        patch.setitem(BACKBONES, TINY.name, TINY)


def start(*arguments: str | Path, delay: float = 0, **options: Any) -> subprocess.Popen[str]:
    """Start `demijohn` with the swift engine in a process of its own; stdout and stderr are text."""
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)],
        env={**os.environ, "DEMIJOHN_TEST_DELAY": str(delay)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def main() -> None:
    """Run `demijohn`."""
    from demijohn.pipeline import cli

    use_swift_engine()
    cli.main()


if __name__ == "__main__":
    main()
