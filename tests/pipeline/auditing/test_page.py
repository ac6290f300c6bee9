"""The page: self-contained, every finding with its picture, readable in light and dark and on a phone."""

import re
import shutil

import pytest
from demijohn.models.backbones.backbones import BACKBONES
from demijohn.pipeline import Audit, audit, extract_features
from support.outline import Outline
from support.pictures import COLOURS, encode
from support.scenes import scene
from support.standin import TINY


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """Return an audit with findings of every kind."""
    folder = tmp_path_factory.mktemp("audited")
    root = folder / "photos"
    for number, (name, colour) in enumerate(COLOURS.items()):
        for split in ("train", "test"):
            (root / split / name).mkdir(parents=True)
        for index in range(12):
            content = encode(scene(100 * number + index, colour=colour))
            (root / "train" / name / f"{index}.png").write_bytes(content)
    shutil.copy(root / "train" / "red" / "0.png", root / "test" / "red" / "leak.png")
    shutil.copy(root / "train" / "red" / "1.png", root / "train" / "blue" / "conflict.png")
    for index in range(3):
        twin = encode(scene(200 + index, colour=COLOURS["blue"]), "JPEG", quality=70)
        (root / "test" / "blue" / f"twin{index}.jpg").write_bytes(twin)
    (root / "train" / "green" / "wrong.png").write_bytes(encode(scene(7, colour=COLOURS["blue"])))
    (root / "train" / "green" / "broken.png").write_bytes(b"no picture")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, TINY.name, TINY)
        patch.setattr("demijohn.models.heads.probes.TREES", 5)
        extract_features(root, backbone=TINY.name, weights="random", store=folder / "store")
        return audit(store=folder / "store", top=2)


def test_it_is_whole_and_fetches_nothing(found: Audit) -> None:
    page = found.page.read_text()
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in outline.addresses)
    assert {address for address in outline.addresses if address.startswith("#")} <= outline.targets
    assert "url(" not in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in page


def test_every_kind_of_finding_is_shown_with_pictures(found: Audit) -> None:
    page = found.page.read_text()
    for text in (
        "<b>green</b> or rather <b>blue</b>?",
        "across splits",
        "train/blue/conflict.png",
        "test/red/leak.png",
        "a text file, not a picture",
        "train/green/broken.png",
        "balanced accuracy",
    ):
        assert text in page, text
    assert f"<strong>{len(found.near_leaks)}</strong>of them across splits" in page
    section = page[page.index('<h2 id="near">') : page.index('<h2 id="outliers">')]
    assert section.count("<img") == 4
    assert f"The first 2 of {len(found.near_duplicates)} pairs" in section


def test_the_shortcut_warning_stands_at_the_top(found: Audit) -> None:
    page = found.page.read_text()
    assert found.shortcuts is not None
    warned = re.search(r'<p class="warning">', page)
    assert bool(warned) == found.shortcuts.above_chance
