"""The page: whole, fetches nothing, shows names as what they are, and does without what is not there."""

import base64
import hashlib
import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from demijohn.cache import FeatureStore
from demijohn.pipeline import report_heads, train_head
from demijohn.pipeline.reporting.page import tell_sureness
from support.outline import Outline
from support.reports import CLASSES, page_of, report_in


@pytest.fixture(scope="module")
def page(reported: Path) -> str:
    """Return the page's text."""
    return page_of(reported).read_text()


@pytest.fixture
def copied(reported: Path, tmp_path: Path) -> Path:
    """Return a copy of the store, to be changed."""
    return Path(shutil.copytree(reported, tmp_path / "store"))


def outline_of(page: str) -> Outline:
    outline = Outline()
    outline.feed(page)
    return outline


def test_it_is_whole_and_fetches_nothing(page: str) -> None:
    outline = outline_of(page)
    assert outline.open == []
    allowed = ("data:image/jpeg;base64,", "data:image/png;base64,", "#", "audit.html")
    assert all(address.startswith(allowed) for address in outline.addresses)
    assert {address for address in outline.addresses if address.startswith("#")} <= outline.targets
    for word in ("http://", "https://", "url(", "@import", "fetch(", "XMLHttpRequest", "innerHTML", "eval("):
        assert word not in page, word
    assert len(page) < 1_000_000


def test_its_policy_lets_only_its_own_script_run(page: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page


def test_names_are_data_everywhere(page: str) -> None:
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "{{" not in page.replace("{{ e }}", "")
    for name in CLASSES:
        assert name in unescape(page), name
    data = re.search(r'<script type="application/json" id="map-data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert "<" not in data[1]
    value = json.loads(data[1])
    assert value["classes"] == sorted(CLASSES)
    assert any("onerror" in point["path"] for point in value["points"])


def test_every_part_is_there_and_named_in_the_navigation(page: str) -> None:
    parts = [
        "runs",
        "cost",
        "pictures",
        "map",
        "curves",
        "confusion",
        "classes",
        "reliability",
        "data",
        "skipped",
        "again",
    ]
    places = [page.index(f'<h2 id="{part}">') for part in parts]
    assert places == sorted(places)
    navigation = page[page.index("<nav") : page.index("</nav>")]
    assert re.findall(r'href="#([^"]+)"', navigation) == re.findall(r'<h2 id="([^"]+)">', page)


def test_every_picture_has_words(page: str) -> None:
    images = re.findall(r"<img [^>]*>", page)
    assert len(images) >= 20
    for image in images:
        assert re.search(r'alt="[^"]+"', image), image[:80]


def test_the_figures_are_those_of_the_run(reported: Path, page: str) -> None:
    report = json.loads((report_in(reported) / "report.json").read_text())
    best = report["runs"][0]
    test = best["metrics"]["test"]
    assert f'data-value="{test["accuracy"]}"' in page
    wrong = round((1 - test["accuracy"]) * test["images"])
    assert wrong > 0
    assert f"{wrong} of {test['images']} pictures are predicted wrong" in page
    matrix = page[page.index('<table class="confusion') :]
    matrix = matrix[: matrix.index("</table>")]
    cells = [int(cell) for cell in re.findall(r">(\d+)</td>", matrix)]
    assert sum(cells) == test["images"]
    assert sum(cells[::4]) == test["images"] - wrong


def test_what_the_audit_found_and_what_was_skipped_are_told(page: str) -> None:
    assert "likely label errors" in page
    assert "a text file, not a picture" in page
    assert "broken &lt;i&gt;.png" in page


def test_it_tells_how_to_do_it_again(reported: Path, page: str) -> None:
    text = unescape(page)
    store = FeatureStore(reported)
    for run in store.runs():
        assert run.record["features_digest"] in text
        assert f"train-head --head {run.record['head']} --features" in text
    assert "extract-features" in text
    assert store.find_dataset().digest in text
    assert '"preprocessing":' in text


@pytest.mark.slow
def test_pictures_that_have_moved_are_still_shown(copied: Path, page: str) -> None:
    about = copied / "datasets" / "photos.json"
    (described,) = (copied / "datasets").glob("*.json")
    value = json.loads(described.read_text())
    described.write_text(json.dumps({**value, "root": str(about.parent / "nowhere")}))
    report_heads(store=copied)
    moved = page_of(copied).read_text()
    assert "no picture on this disk" not in moved
    assert moved.count("<img") == page.count("<img")
    (report_in(copied) / "thumbnails.zip").unlink()
    report_heads(store=copied)
    assert "no picture on this disk" in page_of(copied).read_text()


def test_features_that_are_gone_leave_a_reason_for_the_map(copied: Path) -> None:
    shutil.rmtree(report_in(copied) / "maps")
    page = render(copied, {"features_digest": "0" * 64})
    assert f"No map: {copied} has no features 000000000000 any more" in page
    assert 'id="map-data"' not in page


def test_scores_that_are_no_probabilities_claim_nothing(copied: Path) -> None:
    shutil.rmtree(copied / "runs")
    train_head("svm", store=copied)
    report_heads(store=copied)
    page = page_of(copied).read_text()
    said = re.findall(r'<span class="said">([^<]*)</span>', page)
    assert said
    assert not any("%" in words for words in said)
    assert '<h2 id="reliability">' not in page


def test_without_validation_no_run_is_marked(copied: Path) -> None:
    report = json.loads((report_in(copied) / "report.json").read_text())
    assert 'class="best"' in render(copied, {}, best=report["best"])
    assert 'class="best"' not in render(copied, {}, best=None)


def render(store: Path, changes: dict[str, Any], **report: Any) -> str:
    """Return the page of a report whose first run has another record."""
    from dataclasses import replace

    from demijohn.pipeline.reporting.page import render_report

    kept = FeatureStore(store)
    value = json.loads((kept.report_folder(kept.find_dataset().name) / "report.json").read_text())
    runs = [kept.find_run(each["run"]) for each in value["runs"]]
    first = replace(runs[0], record={**runs[0].record, **changes})
    return render_report(
        {**value, **report},
        [first, *runs[1:]],
        store=kept,
        table=kept.find_dataset(),
        folder=kept.report_folder(kept.find_dataset().name),
    ).decode()


@pytest.mark.parametrize("probability", [0.0, 0.5, 0.99, 0.9995, 1.0])
def test_nothing_is_said_to_be_certain(probability: float) -> None:
    assert tell_sureness(probability).strip() not in ("100\N{NO-BREAK SPACE}%", "0\N{NO-BREAK SPACE}%")
