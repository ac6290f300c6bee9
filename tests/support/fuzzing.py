"""Mutated picture files against the decoder, in a process of its own: a crash there is a failed test here.

    python tests/support/fuzzing.py COUNT

Prints one JSON object: how many files were read and refused, the slowest in seconds, and by how
many bytes the process grew. A file that takes longer than `LIMIT_SECONDS` ends the process with
the stack of where it hangs; one that takes more memory than `LIMIT_BYTES` cannot get it.
"""

import faulthandler
import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demijohn.pipeline.errors import UnreadableImage
from demijohn.pipeline.images import ReadingPolicy, decode_image, quiet_decoders
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


def peak() -> int:
    """Return the most memory that this process has had so far, in bytes."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def main(count: int) -> None:
    """Decode `count` mutated files."""
    faulthandler.enable()
    outcomes: Counter[str] = Counter()
    slowest = 0.0

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
        nonlocal slowest
        policy = ReadingPolicy(truncated, MAX_PIXELS)  # type: ignore[arg-type]
        faulthandler.dump_traceback_later(LIMIT_SECONDS, exit=True)
        started = time.perf_counter()
        reason = None
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
        slowest = max(slowest, time.perf_counter() - started)
        faulthandler.cancel_dump_traceback_later()

    with quiet_decoders(ReadingPolicy(max_pixels=MAX_PIXELS)):
        for content in KINDS.values():
            decode_image(content, SIZE, WAYS[0])
        before = peak()
        read()
    print(json.dumps({**outcomes, "slowest": round(slowest, 3), "grown": peak() - before}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
