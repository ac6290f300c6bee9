"""A skipped picture is shown beside its reason as far as it can be seen, and only then."""

import io
from pathlib import Path

import numpy as np
import pytest
from demijohn.pipeline import extract_features, report_heads, train_head
from demijohn.pipeline.pictures.remains import SIDE, draw_remains
from PIL import Image
from support.pictures import encode, picture
from support.reports import report_in


def cut(path: Path, share: float) -> Path:
    content = encode(picture(1, colour=(200, 30, 30), size=(64, 64)), "JPEG", quality=95)
    path.write_bytes(content[: int(len(content) * share)])
    return path


def test_a_truncated_picture_shows_its_upper_part(tmp_path: Path) -> None:
    content = draw_remains(cut(tmp_path / "cut.jpg", 0.6))
    assert content is not None
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    assert pixels.shape == (SIDE, SIDE, 3)
    assert pixels[:20, :, 0].mean() > 150
    assert pixels[-15:, :, 0].mean() < 150


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff"])
def test_nothing_is_shown_of_what_is_no_picture(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    assert draw_remains(tmp_path / "x.jpg") is None
    assert draw_remains(tmp_path / "gone.jpg") is None


def test_the_report_shows_it_and_forgets_it_when_it_is_mended(swift: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    broken = cut(photos / "red" / "cut.jpg", 0.6)
    (photos / "red" / "text.jpg").write_bytes(b"no picture")
    extract_features(photos, backbone=swift, weights="random", store=store)
    train_head("logistic", store=store)
    report_heads(store=store)
    shown = list((report_in(store) / "figures").glob("skipped-*.png"))
    assert len(shown) == 1
    markdown = (report_in(store) / "report.md").read_text()
    assert f"![what can be seen of red/cut.jpg](figures/{shown[0].name})" in markdown
    broken.unlink()
    extract_features(photos, backbone=swift, weights="random", store=store)
    report_heads(store=store)
    assert not list((report_in(store) / "figures").glob("skipped-*.png"))
