"""Public files that decoders trip over: each is read, or refused with the right reason."""

from pathlib import Path

import numpy as np
import pytest
from demijohn.pipeline.errors import UnreadableImage
from demijohn.pipeline.pictures.images import ReadingPolicy, decode_image, quiet_decoders

HEADER = "truncated or damaged within its header"
TRUNCATED = "truncated: the file ends before the picture does"
UNDECODABLE = "damaged: its data cannot be decoded"
REFUSED = {
    "bmp/l2rgb_read.bmp": "more than the 120,000,000 pixels that --max-pixels allows (3,158,064 x 48)",
    "broken_jpeg/110115680-6d6dce80-7d84-11eb-99df-4cb21df3b09f.jpeg": "damaged: a JPEG whose header cannot be "
    "understood",
    "broken_jpeg/51432b02-02a8-11e7-9203-b42b1c43c0c3.jpg": HEADER,
    "broken_jpeg/514b20dc-02a8-11e7-92c6-d4fed7b4ebb1.jpg": HEADER,
    "broken_jpeg/515e763c-02a8-11e7-85fb-573b41201f05.jpg": HEADER,
    "broken_jpeg/broken-bogus-data-prepended-real-jfif-start-at-4801.jpg": UNDECODABLE,
    "broken_jpeg/broken-no-sof-ascii-transfer-mode.jpg": HEADER,
    "broken_jpeg/truncated_jpeg.jpg": TRUNCATED,
    "odd_jpeg/24_ls.jpg": "a lossless or hierarchical JPEG, which is not read",
    "odd_jpeg/ultrahdr.jpg": "truncated: the file ends before its first row",
    "other/balloon_eciRGBv2_aware.jp2": UNDECODABLE,
    "png_broken/broken.png": "damaged: a PNG whose header cannot be understood",
    "png_broken/png_decompression_dos.png": "its metadata unpack to more than a megabyte",
    "png_broken/truncated_image.png": TRUNCATED,
}


@pytest.fixture(scope="module")
def messy(real_data: Path) -> dict[str, bytes]:
    """Return name -> content of all files."""
    root = real_data / "messy"
    if not root.is_dir():
        pytest.skip("there is no folder messy/ among the real pictures")
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def reason_for(content: bytes, policy: ReadingPolicy) -> str:
    try:
        decode_image(content, (64, 64), "squash-bicubic", policy)
    except UnreadableImage as error:
        return str(error)
    return "read"


def test_every_file_is_read_or_refused_with_the_right_reason(messy: dict[str, bytes]) -> None:
    with quiet_decoders():
        outcomes = {name: reason_for(content, ReadingPolicy()) for name, content in messy.items()}
    expected = {name: REFUSED.get(name, "read") for name in messy}
    heic = [name for name in messy if name.endswith(".heic")]
    for name in heic:
        # Where the extra is not installed, the reason names it.
        assert outcomes[name] == "read" or "demijohn[heif]" in outcomes[name]
        del outcomes[name], expected[name]
    assert len(messy) >= 70
    assert outcomes == expected


def test_what_is_only_truncated_is_read_on_request(messy: dict[str, bytes]) -> None:
    accept = ReadingPolicy(truncated="accept")
    with quiet_decoders(accept):
        read = {name for name in REFUSED if name in messy and reason_for(messy[name], accept) == "read"}
    assert read == {"broken_jpeg/truncated_jpeg.jpg"}


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ("bmp/hopper.bmp", "webp/hopper.webp", 4),
        ("bmp/hopper.bmp", "exif_rotated/hopper_orientation_6.webp", 4),
        ("bmp/hopper.bmp", "tiff/hopper.Lab.tif", 4),
        ("bmp/hopper.bmp", "other/hopper.psd", 2),
        ("webp/transparent.webp", "png_rgba/transparent.png", 2),
    ],
)
def test_twins_are_alike(messy: dict[str, bytes], first: str, second: str, apart: float) -> None:
    with quiet_decoders():
        one, other = (decode_image(messy[name], (64, 64), "squash-bicubic").astype(int) for name in (first, second))
    assert np.abs(one - other).mean() <= apart
