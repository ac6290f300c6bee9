"""Every picture is dealt once, neighbours together, however slices go and come back."""

from pathlib import Path

from demijohn.pipeline.extraction import slices as module
from demijohn.pipeline.extraction.slices import Deck
from demijohn.pipeline.pictures.feed import Picture
from hypothesis import given, settings
from hypothesis import strategies as st


def pictures(count: int) -> list[Picture]:
    return [Picture(Path(str(number)), str(number), b"", ()) for number in range(count)]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000), st.integers(1, 9), st.randoms(use_true_random=False))
def test_every_picture_is_done_once(count: int, workers: int, chance: "object") -> None:
    every = pictures(count)
    deck = Deck(every, workers)
    done: list[Picture] = []
    for start, dealt in deck.deal():
        assert list(dealt) == every[start : start + len(dealt)]
        assert 0 < len(dealt) <= module.LARGEST
        taken = chance.randint(1, len(dealt))  # type: ignore[attr-defined]
        done += dealt[:taken]
        deck.take_back(start, len(dealt), done=taken, seconds=chance.random())  # type: ignore[attr-defined]
    assert sorted(done, key=lambda each: int(each.name)) == every


def test_slices_follow_the_speed_and_shrink_towards_the_end() -> None:
    sizes = []
    deck = Deck(pictures(30_000), 2)
    for start, dealt in deck.deal():
        sizes.append(len(dealt))
        deck.take_back(start, len(dealt), done=len(dealt), seconds=len(dealt) / 100)
    assert sizes[0] == module.FIRST
    assert max(sizes) == 100 * module.AIM_SECONDS
    assert sizes[-1] <= module.SMALLEST
    assert sizes[1:] == sorted(sizes[1:], reverse=True)


def test_a_closed_deck_deals_no_more() -> None:
    deck = Deck(pictures(1000), 1)
    dealing = deck.deal()
    next(dealing)
    deck.close()
    assert list(dealing) == []
