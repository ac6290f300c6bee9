"""Where the time of an extraction went, and what bound it."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Breakdown:
    """Seconds of an extraction's pass over its pictures.

    Reading, decoding, forward passes and writing are done by several threads at once: their seconds
    add up to more than the wall time.
    """

    seconds: float = 0.0
    """Wall time."""
    pictures: int = 0
    """That were decoded."""
    read: float = 0.0
    """Reading and hashing files."""
    decode: float = 0.0
    """Bytes to pixels of the input size."""
    wait: float = 0.0
    """In which no picture was ready for the engines."""
    forward: float = 0.0
    """In the engines."""
    write: float = 0.0
    """Storing rows."""
    full: float = 0.0
    """In which pictures were ready and every engine was busy."""

    @property
    def images_per_second(self) -> float:
        """Pictures by wall time."""
        return self.pictures / self.seconds if self.seconds else 0.0

    @property
    def bound(self) -> str:
        """What the others waited for: `computing` or `decoding`."""
        return "decoding" if self.wait > self.full else "computing"

    def waiting(self, decoded: Iterable[Any]) -> Iterator[Any]:
        """Give what another iterator gives, and count how long it took to."""
        iterator = iter(decoded)
        while True:
            started = time.perf_counter()
            each = next(iterator, None)
            self.wait += time.perf_counter() - started
            if each is None:
                return
            yield each

    def __add__(self, other: "Breakdown") -> "Breakdown":
        """Return both together."""
        return Breakdown(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        seconds = {name: round(getattr(self, name), 3) for name in ("read", "decode", "wait", "forward", "write")}
        return {"seconds": round(self.seconds, 3), **seconds, "bound": self.bound}

    def __str__(self) -> str:
        """Return it in a line."""
        return (
            f"bound by {self.bound}: {self.seconds:.1f} s, of which {self.wait:.1f} s without a picture ready; "
            f"threads spent reading {self.read:.1f} s, decoding {self.decode:.1f} s, computing {self.forward:.1f} s, "
            f"writing {self.write:.1f} s"
        )
