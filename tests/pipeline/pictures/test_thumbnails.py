"""Thumbnails are small and upright, and outlive the pictures that they were made of."""

import io
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache import FeatureStore
from demijohn.pipeline import extract_features
from demijohn.pipeline.pictures.facts import FileFacts
from demijohn.pipeline.pictures.thumbnails import KEPT, SIDE, as_address, keep_thumbnails, read_thumbnails
from PIL import Image
from support.pictures import encode, picture
from support.scenes import scene


@pytest.mark.parametrize("on_its_side", [False, True])
def test_they_are_small_upright_and_keep_their_aspect(on_its_side: bool, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6 if on_its_side else 1
    (tmp_path / "a.jpg").write_bytes(encode(scene(1, size=(640, 320)), "JPEG", exif=exif))
    facts = FileFacts(1, 640, 320, "JPEG", 75, on_its_side)
    found = read_thumbnails(tmp_path, {"a.jpg": facts, "gone.jpg": facts})
    assert list(found) == ["a.jpg"]
    with Image.open(io.BytesIO(found["a.jpg"])) as image:
        assert image.size == ((SIDE // 2, SIDE) if on_its_side else (SIDE, SIDE // 2))
        assert np.asarray(image).std() > 5


def test_an_address_holds_the_bytes() -> None:
    assert as_address(b"abc") == "data:image/jpeg;base64,YWJj"


@pytest.fixture
def store(swift: str, photos: Path, tmp_path: Path) -> FeatureStore:
    """Return a store with a data set."""
    extract_features(photos, backbone=swift, weights="random", store=tmp_path / "store")
    return FeatureStore(tmp_path / "store")


def test_they_are_there_when_the_pictures_have_moved(store: FeatureStore, photos: Path, tmp_path: Path) -> None:
    table = store.find_dataset()
    wanted = [row.key for row in table.rows[:5]]
    before = keep_thumbnails(store, table, wanted[:4], folder=tmp_path / "report")
    assert len(before) == 4
    photos.rename(tmp_path / "moved")
    assert keep_thumbnails(store, table, wanted, folder=tmp_path / "report") == before


def test_a_changed_picture_does_not_stand_for_the_one_that_was_judged(
    store: FeatureStore, photos: Path, tmp_path: Path
) -> None:
    table = store.find_dataset()
    (photos / table.rows[0].path).write_bytes(encode(picture(5)))
    keys = [row.key for row in table.rows[:2]]
    assert set(keep_thumbnails(store, table, keys, folder=tmp_path)) == {keys[1]}


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_a_damaged_archive_is_made_anew(damage: bytes | None, store: FeatureStore, tmp_path: Path) -> None:
    table = store.find_dataset()
    wanted = [row.key for row in table.rows[:3]]
    first = keep_thumbnails(store, table, wanted, folder=tmp_path)
    whole = (tmp_path / KEPT).read_bytes()
    # A byte of a picture that is not what it was is found by the archive's checksum.
    broken = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:] if damage is None else damage
    (tmp_path / KEPT).write_bytes(broken)
    assert keep_thumbnails(store, table, wanted, folder=tmp_path) == first
    assert (tmp_path / KEPT).read_bytes() == whole


def test_those_of_pictures_that_no_data_set_has_are_forgotten(
    store: FeatureStore, swift: str, photos: Path, tmp_path: Path
) -> None:
    table = store.find_dataset()
    gone, *others = [row.key for row in table.rows]
    keep_thumbnails(store, table, [gone], folder=tmp_path)
    (photos / table.rows[0].path).unlink()
    extract_features(photos, backbone=swift, weights="random", store=store.folder)
    keep_thumbnails(store, store.find_dataset(), others[:1], folder=tmp_path)
    assert not keep_thumbnails(store, store.find_dataset(), [gone], folder=tmp_path)
