"""How pictures are dealt to workers: slices of neighbours, as large as a worker does in half a minute.

Neighbours, since files of one folder lie close to each other. Towards the end slices become smaller, so that
all workers are done at about the same time. What a worker did not reach in its time goes back.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence

from ..pictures.feed import Picture

LARGEST = 4096
FIRST = 256
"""Before anything is known of the speed."""
SMALLEST = 64
AIM_SECONDS = 30.0
"""In which a worker should do a slice."""


class Slicer:
    """Pictures that wait to be dealt; several threads may ask at once.

    Parameters
    ----------
    pictures : sequence of Picture
        In the order of their places.
    workers : int
    """

    def __init__(self, pictures: Sequence[Picture], workers: int) -> None:
        self._pictures = pictures
        self._workers = workers
        self._waiting = deque([(0, len(pictures))] if pictures else [])
        self._count = len(pictures)
        self._speed = FIRST / AIM_SECONDS
        self._lock = threading.Lock()
        self._closed = False

    def deal(self) -> Iterator[tuple[int, Sequence[Picture]]]:
        """Give slice after slice, each with the place of its first picture, until none waits."""
        while True:
            with self._lock:
                if not self._waiting or self._closed:
                    return
                start, stop = self._waiting.popleft()
                middle = min(stop, start + self._size())
                if middle < stop:
                    self._waiting.appendleft((middle, stop))
                self._count -= middle - start
                dealt = start, self._pictures[start:middle]
            yield dealt

    def take_back(self, start: int, count: int, *, done: int, seconds: float) -> None:
        """Learn of a slice from place `start` that `done` of its `count` pictures were done, in how many seconds."""
        with self._lock:
            if done and seconds > 0:
                self._speed = done / seconds
            if done < count:
                self._waiting.appendleft((start + done, start + count))
                self._count += count - done

    def close(self) -> None:
        """Deal no more."""
        self._closed = True

    def _size(self) -> int:
        share = self._count // (2 * self._workers)
        return max(SMALLEST, min(share, int(min(LARGEST, self._speed * AIM_SECONDS))))
