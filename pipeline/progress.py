"""How a stage tells what it is doing: a few lines, and a count while pictures pass."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Counter(Protocol):
    """Is told of pictures as they are done; of several workers also how fast each is, in words."""

    def __call__(self, *, extracted: int = 0, skipped: int = 0, speeds: str = "") -> None: ...


class Progress(Protocol):
    """What a stage needs of whoever watches it."""

    def say(self, text: str) -> None:
        """Tell one fact."""

    def warn(self, text: str) -> None:
        """Tell something that the reader of the result must know."""

    def count(self, total: int, *, cached: int) -> AbstractContextManager[Counter]:
        """Return a context that gives a `Counter` for `total` pictures."""


class Silent:
    """Says nothing; what functions use unless they are told otherwise."""

    def say(self, text: str) -> None:
        """Keep quiet."""

    def warn(self, text: str) -> None:
        """Keep quiet."""

    @contextmanager
    def count(self, total: int, *, cached: int) -> Iterator[Counter]:  # noqa: ARG002
        """Count nothing."""

        def ignore(*, extracted: int = 0, skipped: int = 0, speeds: str = "") -> None:
            pass

        yield ignore


SILENT: Progress = Silent()
