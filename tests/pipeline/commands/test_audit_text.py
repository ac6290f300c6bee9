"""The audit for the terminal: every kind of finding, cut at --top, nothing about features where there are none."""

from dataclasses import replace
from pathlib import Path

import pytest
from demijohn.pipeline.commands.audit_text import print_audit
from support.audits import made_audit

EXPECTED = """\
kinds: JPEG 1, PNG 1
under two labels: 1 picture
  test/cats/1.jpg, train/dogs/1.jpg
exact copies across given splits: 1 picture
  test/cats/1.jpg, train/dogs/1.jpg
other exact copies: 0 pictures
near-duplicates across splits: 1 pair
  test/cats/1.jpg, train/dogs/1.jpg (cosine 0.980, mirrored, labels cats and dogs, test and train)
other near-duplicates: 1 pair
  train/cats/2.jpg, loose.jpg (cosine 0.950)
predicted otherwise: 2 pictures; likely label errors (*): 1
  * train/cats/2.jpg: cats 1.0%, rather dogs 99.0%
  and 1 more (--top, --json)
outliers of their class: 1 picture
  train/cats/2.jpg: cats, score 4.2
skipped, the file is empty: 1 file
  train/cats/x.jpg
note: another note
note: a note
"""


def test_every_finding_has_its_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_audit(made_audit(tmp_path), top=1)
    printed = capsys.readouterr().out
    assert printed.startswith("pets: 4 images, 3 distinct\n")
    assert EXPECTED in printed
    assert printed.endswith(f"page with pictures: {tmp_path / 'audit.html'}\n")


def test_without_features_and_files_there_is_nothing_about_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = replace(made_audit(tmp_path), features=None, facts={}, near_duplicates=(), label_errors=(), outliers=())
    print_audit(bare, top=5)
    printed = capsys.readouterr().out
    for word in ("near-duplicates", "predicted", "outliers", "kinds"):
        assert word not in printed
