"""What the tests of pipeline/ share."""

import pytest


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask fewer trees what the facts of files tell; a report asks them time and again."""
    monkeypatch.setattr("demijohn.models.heads.probes.TREES", 5)
