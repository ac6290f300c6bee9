"""Mutated picture files against the decoder, in a process of its own: a crash there is a failed test here.

    python tests/support/fuzzing.py COUNT

Prints one JSON object: how many files were read and refused, the slowest in seconds of processor
time, and the most bytes by which the process grew for one file. A file that takes longer than
`LIMIT_SECONDS` ends the process with the stack of where it hangs.
"""

import faulthandler
import json
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demijohn.pipeline.errors import UnreadableImage
from demijohn.pipeline.pictures.images import ReadingPolicy, decode_image, quiet_decoders
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.kinds import every_kind

LIMIT_SECONDS = 20
MAX_PIXELS = 4_000_000
LIMIT_BYTES = 16 * MAX_PIXELS + (64 << 20)
"""What reading one file may take: 16 bytes for each pixel that is allowed, and 64 MB for the decoder's own tables."""
SIZE = (16, 16)
WAYS = ("squash-bicubic", "crop-bilinear", "pad-bicubic")
KINDS = every_kind((64, 48))
NUMBERS = (b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80\0", b"\xff\xd9", b"\xff\xda")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a picture file with a few changes: bytes, numbers, cuts, repeats, and pieces of another kind."""
    content = bytearray(KINDS[draw(st.sampled_from(sorted(KINDS)))])
    for _ in range(draw(st.integers(1, 3))):
        # Headers are short and decide everything, so a fourth of the changes are made there.
        last = len(content) - 1
        at = draw(st.integers(0, max(0, min(last, 64 if draw(st.integers(0, 3)) == 0 else last))))
        length = draw(st.integers(1, 32))
        change = draw(st.sampled_from(["byte", "bit", "number", "remove", "repeat", "cut", "splice"]))
        if change == "byte":
            content[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif change == "bit":
            content[at : at + 1] = bytes([byte ^ 1 << draw(st.integers(0, 7)) for byte in content[at : at + 1]])
        elif change == "number":
            number = draw(st.sampled_from(NUMBERS))
            content[at : at + len(number)] = number
        elif change == "remove":
            del content[at : at + length]
        elif change == "repeat":
            content[at:at] = content[at : at + length] * draw(st.integers(1, 8))
        elif change == "cut":
            del content[at:]
        else:
            other = KINDS[draw(st.sampled_from(sorted(KINDS)))]
            start = draw(st.integers(0, len(other) - 1))
            content[at : at + length] = other[start : start + length]
    return bytes(content)


class Peak:
    """What a block takes beyond what the process had before, in bytes; None where the system does not tell."""

    grown: int | None = None

    def __enter__(self) -> "Peak":
        self._before = None
        try:
            # Linux forgets the peak of a process that writes a 5 there.
            Path("/proc/self/clear_refs").write_text("5")
            self._before = _status("VmRSS")
        except OSError:
            pass
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            self.grown = _status("VmHWM") - self._before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def main(count: int) -> None:
    """Decode `count` mutated files."""
    faulthandler.enable()
    outcomes: Counter[str] = Counter()
    slowest, grown = 0.0, 0

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(), st.sampled_from(WAYS), st.sampled_from(["refuse", "accept"]))
    def read(content: bytes, resize: str, truncated: str) -> None:
        nonlocal slowest, grown
        policy = ReadingPolicy(truncated, MAX_PIXELS)  # type: ignore[arg-type]
        faulthandler.dump_traceback_later(LIMIT_SECONDS, exit=True)
        started = time.process_time()
        reason = None
        with Peak() as peak:
            try:
                pixels = decode_image(content, SIZE, resize, policy)
            except UnreadableImage as error:
                reason = str(error)
        if reason is None:
            assert pixels.shape == (*SIZE, 3)
            outcomes["read"] += 1
        else:
            assert reason.strip()
            assert "\n" not in reason
            outcomes["refused"] += 1
        slowest = max(slowest, time.process_time() - started)
        grown = max(grown, peak.grown or 0)
        faulthandler.cancel_dump_traceback_later()

    with quiet_decoders(ReadingPolicy(max_pixels=MAX_PIXELS)):
        for content in KINDS.values():
            decode_image(content, SIZE, WAYS[0])
        read()
    print(json.dumps({**outcomes, "slowest": round(slowest, 3), "grown": grown}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
