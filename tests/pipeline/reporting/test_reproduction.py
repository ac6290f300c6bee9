"""What the report says for doing it again is what was done."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from demijohn.cache import FeatureStore
from demijohn.pipeline import Labelling, extract_features, train_head
from demijohn.pipeline.cli import demijohn
from demijohn.pipeline.reporting.reproduction import tell_again


@pytest.mark.slow
def test_the_commands_make_the_same_run_in_an_empty_store(swift: str, photos: Path, tmp_path: Path) -> None:
    labelling = Labelling(limit=30, shares=(60, 20, 20))
    first = tmp_path / "first"
    extract_features(photos, backbone=swift, weights="random", store=first, labelling=labelling, seed=7)
    run = train_head("logistic", store=first)
    store = FeatureStore(first)
    again = tell_again([run], store=store, table=store.find_dataset())
    assert [shlex.split(command)[0] for command in again.commands] == ["extract-features", "train-head", "report-heads"]
    first.rename(tmp_path / "aside")
    for command in again.commands:
        outcome = CliRunner().invoke(demijohn, shlex.split(command), catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output
    assert [each.id for each in FeatureStore(first).runs()] == [run.id]
