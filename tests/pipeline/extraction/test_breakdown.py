"""Where the time went: seconds add up, and what bound a run is what the others waited for."""

import time
from collections.abc import Iterator

import pytest
from demijohn.pipeline.extraction.breakdown import Breakdown


def test_waiting_for_pictures_is_counted_and_work_on_them_is_not() -> None:
    def slowly() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.02)
            yield number

    breakdown = Breakdown()
    for _ in breakdown.waiting(slowly()):
        time.sleep(0.05)
    assert 0.06 <= breakdown.wait < 0.14


@pytest.mark.parametrize(("wait", "full", "bound"), [(2.0, 1.0, "decoding"), (1.0, 2.0, "computing")])
def test_what_was_waited_for_bound_the_run(wait: float, full: float, bound: str) -> None:
    breakdown = Breakdown(seconds=4.0, pictures=10, wait=wait, full=full)
    assert breakdown.bound == bound
    assert breakdown.to_json()["bound"] == bound
    assert str(breakdown).startswith(f"bound by {bound}: 4.0 s, of which {wait:.1f} s without a picture ready")
    assert breakdown.images_per_second == 2.5


def test_passes_add_up() -> None:
    both = Breakdown(seconds=1.0, pictures=2, read=0.5) + Breakdown(seconds=2.0, pictures=3, write=0.25)
    assert both == Breakdown(seconds=3.0, pictures=5, read=0.5, write=0.25)
    assert Breakdown().images_per_second == 0
