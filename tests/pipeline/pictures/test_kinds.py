"""What a file is decides its content; what is no picture is called by its name."""

import io
import sys

import numpy as np
import pytest
from demijohn.pipeline.errors import UnreadableImage
from demijohn.pipeline.pictures import kinds
from demijohn.pipeline.pictures.images import decode_image, decoder_version, quiet_decoders
from PIL import Image
from support.kinds import every_kind, smooth
from support.pictures import encode

SIZE = (20, 24)
KINDS = every_kind()
HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(100)


def reason_for(content: bytes) -> str:
    with quiet_decoders(), pytest.raises(UnreadableImage) as caught:
        decode_image(content, SIZE, "squash-bilinear")
    return str(caught.value)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read(name: str) -> None:
    with quiet_decoders():
        assert decode_image(KINDS[name], SIZE, "squash-bilinear").shape == (*SIZE, 3)


def test_heic_is_read_where_the_extra_is_installed() -> None:
    pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
    with quiet_decoders():
        pixels = decode_image(KINDS["heic"], SIZE, "squash-bilinear").astype(int)
    assert abs(pixels.mean() - decode_image(encode(smooth()), SIZE, "squash-bilinear").mean()) < 4
    assert "pillow-heif" in decoder_version()


def test_a_turned_heic_is_read_upright() -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
    image = smooth((96, 64))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    heif.from_pillow(image.transpose(Image.Transpose.ROTATE_90)).save(buffer, quality=95, exif=exif.tobytes())
    with quiet_decoders():
        pixels = decode_image(buffer.getvalue(), (64, 96), "squash-bilinear").astype(int)
    assert np.abs(pixels - np.asarray(image)).mean() < 4


def test_heic_names_the_extra_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "heif_version", lambda: None)
    kinds._register_heif.cache_clear()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "pip install 'demijohn[heif]'" in reason_for(HEIC)
    kinds._register_heif.cache_clear()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"this is a text", "a text file"),
        ("Maße und Gewichte: ".encode() * 100, "a text file"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "an HTML page"),
        (b'<?xml version="1.0"?><svg width="3"/>', "an SVG drawing"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript document"),
        (b"PK\x03\x04" + bytes(90), "a ZIP archive"),
        (b"\0\0\0\x18ftypmp42" + bytes(90), "a video"),
        (b"\xff\xd8\xff\xe0\x00\x04ab" + bytes(90), "a JPEG whose header cannot be understood"),
        (b"\x89PNG\r\n\x1a\n" + bytes(90), "a PNG whose header cannot be understood"),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "not a picture, or of an unknown kind"),
        (b"SIMPLE  =                    T\n" + bytes(90), "not a picture, or of an unknown kind"),
        (encode(smooth(), "TGA"), "not a picture, or of an unknown kind"),
        (encode(smooth(), "EPS"), "a PostScript document"),
        (bytes(300), "not a picture, or of an unknown kind"),
        (bytes(range(128, 256)) * 3, "not a picture, or of an unknown kind"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(content: bytes, reason: str) -> None:
    assert reason in reason_for(content)


def test_a_lossless_jpeg_is_refused_as_such() -> None:
    content = encode(smooth(), "JPEG").replace(b"\xff\xc0", b"\xff\xc3", 1)
    assert "lossless" in reason_for(content)


def test_a_progressive_jpeg_of_endless_scans_is_refused_before_it_is_decoded() -> None:
    content = encode(smooth((200, 160)), "JPEG", progressive=True)
    scan = content.rindex(b"\xff\xda")
    assert "more than 500 scans" in reason_for(content[:scan] + content[scan:-2] * 500 + b"\xff\xd9")
