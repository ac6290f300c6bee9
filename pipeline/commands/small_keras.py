"""Keras without what it can use and demijohn does not use of it, for a process that is demijohn's alone.

It is imported in two thirds of the time and with 0.1 GB less (benchmarks/keras_alone.py). Keras takes no data frames
there, which is why the Python interface, beside which a person may use Keras as well, leaves it alone.
"""

import sys
from importlib.abc import MetaPathFinder
from types import FrameType

EXTRAS = frozenset({"matplotlib", "pandas", "sklearn"})


class _Finder(MetaPathFinder):
    """Finds no extras for the modules of Keras, which then do without."""

    def find_spec(self, name: str, *_: object) -> None:
        if name in EXTRAS and _importer().startswith("keras."):
            raise ModuleNotFoundError(f"Keras is imported without {name}", name=name)


def _importer() -> str:
    """Return the name of the module that is importing something."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and _module(frame).startswith("importlib."):
        frame = frame.f_back
    return "" if frame is None else _module(frame)


def _module(frame: FrameType) -> str:
    # Code that is run from a string may have no name.
    return str(frame.f_globals.get("__name__", ""))


_finder = _Finder()


def keep_keras_small() -> None:
    """Keep extras out of Keras wherever it is imported from now on."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
