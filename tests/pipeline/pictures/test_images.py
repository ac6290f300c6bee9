"""One decoder: content decides, the right way up, whole or refused, and never more pixels than are allowed."""

import contextlib
import io
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from demijohn.pipeline.errors import InvalidRequest, UnreadableImage
from demijohn.pipeline.pictures.images import MAX_PIXELS, ReadingPolicy, decode_image, quiet_decoders
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.kinds import png_of_size, smooth, turned
from support.pictures import encode, picture

SIZE = (20, 24)
PHOTO = picture(0, size=(24, 20))
ACCEPT = ReadingPolicy(truncated="accept")


def decode(
    content: bytes,
    size: tuple[int, int] = SIZE,
    resize: str = "squash-bilinear",
    policy: ReadingPolicy | None = None,
) -> np.ndarray:
    policy = policy or ReadingPolicy()
    with quiet_decoders(policy):
        return decode_image(content, size, resize, policy)


def test_the_pixels_of_a_picture_that_needs_no_resize_are_its_own() -> None:
    assert (decode(encode(PHOTO)) == np.asarray(PHOTO)).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000"])
def test_every_kind_is_read(kind: str) -> None:
    pixels = decode(encode(PHOTO, kind), (10, 12))
    assert pixels.shape == (10, 12, 3)
    assert pixels.dtype == np.uint8
    assert abs(pixels.astype(float).mean() - np.asarray(PHOTO).mean()) < 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_once(orientation: int, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    assert (decode(turned(PHOTO, orientation, kind, **options)) == np.asarray(PHOTO)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
def test_exif_orientation_is_applied_where_pixels_are_not_exact(orientation: int, kind: str) -> None:
    image = smooth((96, 80))
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"quality": 95, "subsampling": "4:4:4"}
    apart = decode(turned(image, orientation, kind, **options), (80, 96)).astype(int) - np.asarray(image)
    assert np.abs(apart).mean() < 2


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("resize", ["squash-bicubic", "crop-bicubic", "pad-bicubic"])
def test_a_turned_picture_gives_the_pixels_of_the_upright_one(orientation: int, resize: str) -> None:
    image = picture(1, size=(57, 31))
    upright = decode(encode(image), (16, 15), resize)
    assert (decode(turned(image, orientation), (16, 15), resize) == upright).all()


def test_a_jpeg_is_decoded_at_a_fraction_only_where_enough_is_left() -> None:
    image = smooth((640, 480))
    whole = np.asarray(image.resize((24, 20), Image.Resampling.BICUBIC)).astype(int)
    for orientation in (1, 6):
        pixels = decode(turned(image, orientation, "JPEG", quality=95, subsampling=0), resize="squash-bicubic")
        assert np.abs(pixels - whole).max() <= 6
    content = encode(picture(0, size=(640, 480)), "JPEG")
    with Image.open(io.BytesIO(content)) as jpeg:
        jpeg.load()
        exact = {size: np.asarray(jpeg.resize(size, Image.Resampling.BICUBIC)) for size in ((24, 20), (330, 250))}
    # Of noise a scaled decoder gives other pixels, so that it is seen at work, and at rest.
    assert (decode(content, resize="squash-bicubic") != exact[24, 20]).any()
    assert (decode(content, (250, 330), "squash-bicubic") == exact[330, 250]).all()


def test_progressive_is_as_baseline() -> None:
    image = smooth((64, 48))
    assert (decode(encode(image, "JPEG", progressive=True)) == decode(encode(image, "JPEG"))).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_garbage_after_the_end_changes_nothing(kind: str) -> None:
    content = encode(PHOTO, kind)
    for policy in (ReadingPolicy(), ACCEPT):
        assert (decode(content + b"garbage\xff\xd8\xff" * 40, policy=policy) == decode(content)).all()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (encode(picture(0, size=(200, 160)), "JPEG")[:-2000], "truncated: the file ends before the picture does"),
        (encode(PHOTO)[:60], "truncated: the file ends before the picture does"),
        (encode(PHOTO, "BMP")[:200], "truncated: the file ends before the picture does"),
        (encode(PHOTO, "JPEG")[:30], "truncated or damaged within its header"),
        (encode(PHOTO, "JPEG2000")[:400], "damaged"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_broken_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        decode(content)


def test_the_same_cause_is_the_same_reason() -> None:
    content = encode(picture(0, size=(200, 160)), "JPEG")
    reasons = set()
    for cut in (2000, 4000, 5000):
        with pytest.raises(UnreadableImage) as caught:
            decode(content[:-cut])
        reasons.add(str(caught.value))
    assert len(reasons) == 1


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_read_on_request(progressive: bool) -> None:
    image = smooth((200, 160))
    content = encode(image, "JPEG", quality=95, subsampling=0, progressive=progressive)
    cut = content[: len(content) * 3 // 4]
    with pytest.raises(UnreadableImage, match="truncated"):
        decode(cut, (160, 200))
    pixels = decode(cut, (160, 200), policy=ACCEPT).astype(int)
    # What was there is there: the upper half of a baseline JPEG, a rough view of a progressive one.
    assert np.abs(pixels[:64] - np.asarray(image)[:64]).mean() < (12 if progressive else 2)
    assert (decode(content, (160, 200), policy=ACCEPT) == decode(content, (160, 200))).all()


def test_a_truncated_png_is_refused_even_then() -> None:
    with pytest.raises(UnreadableImage, match="truncated"):
        decode(encode(PHOTO)[:-60], policy=ACCEPT)


def test_a_jpeg_without_a_single_row_is_refused_even_then() -> None:
    content = encode(PHOTO, "JPEG")
    scan = content.index(b"\xff\xda")
    length = 2 + int.from_bytes(content[scan + 2 : scan + 4], "big")
    with pytest.raises(UnreadableImage, match="truncated: the file ends before its first row"):
        decode(content[: scan + length], policy=ACCEPT)
    with pytest.raises(UnreadableImage):
        decode(content[: content.index(b"\xff\xc0")], policy=ACCEPT)


def test_a_jpeg_that_the_decoder_mends_is_read() -> None:
    content = encode(smooth((200, 160)), "JPEG")
    cut = content[: len(content) * 3 // 4] + b"\xff\xd9"
    assert decode(cut).shape == (20, 24, 3)


def test_a_broken_exif_block_does_not_cost_the_picture() -> None:
    content = encode(PHOTO, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert decode(content).shape == (20, 24, 3)


@pytest.mark.parametrize("allowed", [480, 479])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_more_pixels_than_allowed_are_refused(allowed: int, kind: str) -> None:
    policy = ReadingPolicy(max_pixels=allowed)
    if allowed == 480:
        assert decode(encode(PHOTO, kind), policy=policy).shape == (20, 24, 3)
    else:
        with pytest.raises(UnreadableImage, match=r"more than the 479 pixels that --max-pixels allows \(24 x 20\)"):
            decode(encode(PHOTO, kind), policy=policy)


@pytest.mark.parametrize("size", [(12_000, 10_001), (65_000, 65_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1)])
def test_a_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    started = time.perf_counter()
    with pytest.raises(UnreadableImage, match="more than the 120,000,000 pixels that --max-pixels allows"):
        decode(png_of_size(*size))
    assert time.perf_counter() - started < 1


def test_the_limit_may_be_above_that_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode(encode(PHOTO)).shape == (20, 24, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.slow
def test_large_pictures_are_read_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode(encode(Image.new("1", (10_000, 9_000))), policy=ReadingPolicy(max_pixels=90_000_000))


def test_compressed_metadata_do_not_unpack_without_end() -> None:
    from PIL import PngImagePlugin

    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "a" * 3_000_000, zip=True)
    with pytest.raises(UnreadableImage, match="metadata unpack to more than a megabyte"):
        decode(encode(PHOTO, pnginfo=text))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        "encode(Image.new('RGBA', SIZE, (1, 2, 3, 99)), 'PNG', icc_profile=rgb_profile(order='grb'))",
        "encode(Image.new('CMYK', SIZE), 'TIFF', icc_profile=cmyk_profile())",
        "encode(Image.fromarray(np.zeros(SIZE[::-1], np.uint16)))",
        "encode(Image.new('RGB', SIZE), 'WEBP', lossless=True, method=0)",
        "encode(Image.new('RGB', SIZE), 'JPEG', progressive=True, subsampling=0)",
        "encode(Image.new('RGB', SIZE), 'AVIF', speed=10)",
        "encode(Image.new('RGB', SIZE), 'GIF')",
        "encode(Image.new('RGB', SIZE), 'JPEG2000', irreversible=True)",
    ],
)
def test_memory_is_bounded_by_the_number_of_pixels(kind: str) -> None:
    script = f"""
import resource, sys
import numpy as np
from PIL import Image
from support.pictures import encode
from support.profiles import cmyk_profile, rgb_profile
from demijohn.pipeline.pictures.images import decode_image, quiet_decoders
SIZE = (24, 20)
small = {kind}
SIZE = (4000, 3000)
content = {kind}
Image.core.clear_cache()
with quiet_decoders():
    decode_image(small, (9, 9), "squash-bicubic")
    before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    open("/proc/self/clear_refs", "w").write("5")
    decode_image(content, (224, 224), "crop-bicubic")
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print((int(peak.split()[1]) * 1024 - before) / (SIZE[0] * SIZE[1]))
"""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system does not tell the peak of a process")
    tests = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=tests, capture_output=True, text=True, check=False)
    if "Permission" in done.stderr:
        pytest.skip("this system does not let a process forget its peak")
    assert done.returncode == 0, done.stderr
    # Bytes per pixel; 16 is what docs/reading.md states.
    assert float(done.stdout) < 16, done.stdout


def test_a_policy_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="expected refuse or accept"):
        ReadingPolicy(truncated="maybe")  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="expected a number above 0"):
        ReadingPolicy(max_pixels=0)


def test_what_changes_pixels_stands_in_the_recipe_and_what_refuses_in_the_policy() -> None:
    usual, accept, small = ReadingPolicy(), ACCEPT, ReadingPolicy(max_pixels=9)
    assert usual.max_pixels == MAX_PIXELS
    assert usual.decoder == small.decoder != accept.decoder
    assert len({usual.outcome, accept.outcome, small.outcome}) == 3


@given(st.data())
def test_damaged_bytes_are_read_or_refused_and_never_anything_else(data: st.DataObject) -> None:
    content = bytearray(encode(PHOTO, data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnreadableImage):
        assert decode(bytes(content)).shape == (20, 24, 3)
