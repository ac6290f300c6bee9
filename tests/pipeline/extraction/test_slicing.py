"""Every picture is dealt once, neighbours together, however slices go and come back."""

from pathlib import Path

from demijohn.pipeline.extraction import slicing as module
from demijohn.pipeline.extraction.slicing import Slicer
from demijohn.pipeline.pictures.feed import Picture
from hypothesis import given, settings
from hypothesis import strategies as st


def pictures(count: int) -> list[Picture]:
    return [Picture(Path(str(number)), str(number), b"", ()) for number in range(count)]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000), st.integers(1, 9), st.randoms(use_true_random=False))
def test_every_picture_is_done_once(count: int, workers: int, chance: "object") -> None:
    every = pictures(count)
    slicer = Slicer(every, workers)
    done: list[Picture] = []
    for start, dealt in slicer.deal():
        assert list(dealt) == every[start : start + len(dealt)]
        assert 0 < len(dealt) <= module.LARGEST
        taken = chance.randint(1, len(dealt))  # type: ignore[attr-defined]
        done += dealt[:taken]
        slicer.take_back(start, len(dealt), done=taken, seconds=chance.random())  # type: ignore[attr-defined]
    assert sorted(done, key=lambda each: int(each.name)) == every


def test_slices_follow_the_speed_and_shrink_towards_the_end() -> None:
    sizes = []
    slicer = Slicer(pictures(30_000), 2)
    for start, dealt in slicer.deal():
        sizes.append(len(dealt))
        slicer.take_back(start, len(dealt), done=len(dealt), seconds=len(dealt) / 100)
    assert sizes[0] == module.FIRST
    assert max(sizes) == 100 * module.AIM_SECONDS
    assert sizes[-1] <= module.SMALLEST
    assert sizes[1:] == sorted(sizes[1:], reverse=True)


def test_a_closed_deck_deals_no_more() -> None:
    slicer = Slicer(pictures(1000), 1)
    dealing = slicer.deal()
    next(dealing)
    slicer.close()
    assert list(dealing) == []
