"""What reading is for: the same photo gives the same features, whatever kind of file holds it.

The photo is China, Summer Palace, from scikit-learn; the backbone has its real weights.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from demijohn.models import BACKBONES, load_extractor, locate_weights
from demijohn.models.engines.engines import make_engine
from demijohn.pipeline.pictures.images import decode_image, quiet_decoders
from numpy.typing import NDArray
from PIL import Image, ImageCms
from sklearn.datasets import load_sample_images
from support.kinds import png, turned
from support.pictures import encode
from support.profiles import cmyk_profile

pytestmark = pytest.mark.slow

Features = Callable[[list[bytes]], NDArray[np.float64]]


@pytest.fixture(scope="module")
def features_of() -> Features:
    """Return a function from files to unit vectors of efficientnet-lite0."""
    backbone = BACKBONES["efficientnet-lite0"]
    network, _ = load_extractor(backbone, locate_weights(backbone, "imagenet"))
    engine = make_engine(backbone, network, batch_size=8)

    def extract(contents: list[bytes]) -> NDArray[np.float64]:
        with quiet_decoders():
            pixels = [decode_image(content, backbone.input_size, backbone.resize) for content in contents]
        parts = [engine.extract(np.stack(pixels[start : start + 8]))[0] for start in range(0, len(pixels), 8)]
        rows = np.concatenate(parts).astype(np.float64)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    return extract


@pytest.fixture(scope="module", params=[0, pytest.param(1, marks=pytest.mark.slow)], ids=["palace", "flower"])
def photo(request: pytest.FixtureRequest) -> Image.Image:
    return Image.fromarray(load_sample_images().images[request.param])


def least(rows: NDArray[np.float64]) -> float:
    """Return the least cosine of any two rows."""
    return float((rows @ rows.T).min())


def test_eight_orientations_of_one_photo(features_of: Features, photo: Image.Image) -> None:
    files = [turned(photo, orientation, "JPEG", quality=95) for orientation in range(1, 9)]
    assert least(features_of(files)) >= 0.995


def test_sixteen_bits_and_eight(features_of: Features, photo: Image.Image) -> None:
    gray = np.asarray(photo.convert("L"))
    # The lower bits are filled as well.
    deep_gray = png(np.minimum(gray.astype(np.uint32) * 257 + 60, 65_535), colour=0)
    deep_colour = png(np.asarray(photo).astype(np.uint16) * 257, colour=2)
    assert least(features_of([deep_gray, encode(Image.fromarray(gray))])) >= 0.999
    assert least(features_of([deep_colour, encode(photo)])) >= 0.999


def test_inks_and_their_colours(features_of: Features, photo: Image.Image) -> None:
    for profile in (b"", cmyk_profile(grid=9)):
        inks = encode(photo.convert("CMYK"), "JPEG", quality=95, icc_profile=profile)
        assert least(features_of([inks, encode(photo, "JPEG", quality=95)])) >= 0.95


def test_inks_of_a_real_press(features_of: Features, photo: Image.Image, real_data: Path) -> None:
    # This RGB file carries the profile of a press by mistake; here it is put to use.
    source = real_data / "messy" / "cmyk_jpeg" / "cco-illegalargument-rgb-coated-fogra27.jpg"
    with Image.open(source) as image:
        profile = image.info["icc_profile"]
    inks = ImageCms.profileToProfile(
        photo, ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(profile)), outputMode="CMYK"
    )
    assert inks is not None
    with_profile = encode(inks, "JPEG", quality=95, icc_profile=profile)
    without = encode(inks, "JPEG", quality=95, icc_profile=b"")
    rows = features_of([encode(photo, "JPEG", quality=95), with_profile, without])
    assert rows[0] @ rows[1] >= 0.95
    assert rows[0] @ rows[1] > rows[0] @ rows[2]


@pytest.mark.parametrize("name", ["Landscape", "Portrait"])
def test_public_examples_of_orientations(features_of: Features, real_data: Path, name: str) -> None:
    paths = sorted((real_data / "messy" / "exif_rotated").glob(f"{name}_?.jpg"))
    assert len(paths) >= 4
    assert least(features_of([path.read_bytes() for path in paths])) >= 0.93


def whole(content: bytes) -> bytes:
    """Return the same pixels in a kind that is always decoded at full size."""
    with Image.open(io.BytesIO(content)) as image:
        return encode(image)


@pytest.mark.parametrize("tiles", [2, 4])
def test_a_jpeg_decoded_at_a_fraction_has_the_features_of_the_whole(
    features_of: Features, photo: Image.Image, tiles: int
) -> None:
    # Side by side rather than enlarged, so that no detail is invented: 1280 and 2560 pixels wide.
    larger = Image.fromarray(np.tile(np.asarray(photo), (tiles, tiles, 1)))
    content = encode(larger, "JPEG", quality=90)
    assert least(features_of([content, whole(content)])) >= 0.999


def test_public_photos_decoded_at_a_fraction_have_the_features_of_the_whole(
    features_of: Features, real_data: Path
) -> None:
    for path in sorted((real_data / "messy" / "exif_rotated").glob("*_1.jpg")):
        assert least(features_of([path.read_bytes(), whole(path.read_bytes())])) >= 0.999
