"""Findings: what follows from the records, and JSON that is plain."""

import json
from pathlib import Path

from demijohn.pipeline.auditing.findings import Range
from support.audits import ROWS, made_audit


def test_what_follows_from_the_findings(tmp_path: Path) -> None:
    found = made_audit(tmp_path)
    assert found.conflicts == found.leaks == found.duplicates
    assert found.near_leaks == found.near_duplicates[:1]
    assert found.near_duplicates[0].two_labels
    assert not found.near_duplicates[1].two_labels
    assert [each.row for each in found.sure_errors] == [ROWS[1]]
    assert found.counts == {
        "": {"": 1},
        "cats": {"train": 1, "validation": 0, "test": 1},
        "dogs": {"train": 1, "validation": 0, "test": 0},
    }
    assert found.kinds == {"JPEG": 1, "PNG": 1}
    assert found.ranges["aspect"] == Range(0.5, 1.25, 2.0)
    assert found.ranges["jpeg_quality"] == Range(80, 80, 80)


def test_the_json_names_everything(tmp_path: Path) -> None:
    value = made_audit(tmp_path).to_json()
    json.dumps(value, allow_nan=False)
    assert (value["format"], value["images"], value["distinct"], value["files_examined"]) == (1, 4, 3, 2)
    assert value["near_duplicates"][0] == {
        "paths": ["test/cats/1.jpg", "train/dogs/1.jpg"],
        "labels": ["cats", "dogs"],
        "splits": ["test", "train"],
        "cosine": 0.98,
        "correlation": 0.999,
        "mirrored": True,
        "across_splits": True,
        "two_labels": True,
    }
    assert value["near_duplicates"][1]["correlation"] is None
    assert value["label_errors"][0] == {
        "path": "train/cats/2.jpg",
        "label": "cats",
        "split": "train",
        "suggested": "dogs",
        "given_probability": 0.01,
        "suggested_probability": 0.99,
        "confident": True,
    }
    assert value["file_size"] == {"min": 1000, "median": 1500.0, "max": 2000}
    assert value["skipped"] == [{"path": "train/cats/x.jpg", "reason": "the file is empty"}]


def test_the_documented_json_is_the_one_that_is_given(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "audit.md").read_text()
    described = text[text.index("## The JSON object") : text.index("## Limits")]
    for name in made_audit(tmp_path).to_json():
        assert f"`{name}`" in described, name
