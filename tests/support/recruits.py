"""The swift engine in every process that works on an extraction: it comes with the record of the backbone.

Run as a script it is `demijohn` with that engine, for tests of workers that need a driver of their own.
DEMIJOHN_TEST_DELAY makes every batch take so many seconds longer; DEMIJOHN_TEST_OTHER makes a worker's numbers
others, as another library would; DEMIJOHN_TEST_SLICE makes it return after so many seconds.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from support.standin import TINY
from support.standin import build as build_tiny


def build(**arguments: Any) -> Any:
    """Return the network of the stand-in; whoever has this function has imported this module."""
    return build_tiny(**arguments)


RECRUIT = replace(TINY, build=build)


def enlist() -> None:
    """Put the engine into its place in this process, for good."""
    from demijohn.pipeline.extraction import workers
    from support import swift

    workers.SLICE_SECONDS = float(os.environ.get("DEMIJOHN_TEST_SLICE") or workers.SLICE_SECONDS)
    swift.use_swift_engine()
    if os.environ.get("DEMIJOHN_TEST_OTHER"):
        extract = swift.SwiftEngine.extract
        swift.SwiftEngine.extract = lambda self, images: tuple(  # type: ignore[method-assign]
            1.01 * rows for rows in extract(self, images)
        )
    swift.BACKBONES[RECRUIT.name] = RECRUIT


def main() -> None:
    """Run `demijohn`."""
    from demijohn.pipeline import cli
    from support import recruits

    # Whoever was started in the background of a shell is deaf to Ctrl-C, and so are its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    recruits.enlist()
    cli.main()


if __name__ == "__main__":
    main()
elif os.environ.get("DEMIJOHN_TEST_WORKERS"):
    # A worker, to whom a record came.
    enlist()
