"""The options of labels and splits reach the stages, and mistakes are told before anything is done."""

import csv
import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from demijohn.pipeline.commands.labelling import labelling_options
from demijohn.pipeline.datasets.labelling import Labelling
from support.cases import quick
from support.commands import run
from support.pictures import encode, picture, write_classes

TINY = ("--backbone", "tiny", "--weights", "random")


def ask(*words: str) -> Labelling:
    given: list[Labelling] = []

    @click.command()
    @labelling_options
    def command(labelling: Labelling) -> None:
        given.append(labelling)

    result = CliRunner().invoke(command, words)
    assert result.exit_code == 0, result.output
    return given[0]


def test_nothing_asked_is_nothing_set() -> None:
    assert ask() == Labelling()


def test_every_option_is_a_setting() -> None:
    words = ["--label-level", "2", "--split", "60/20/20", "--group", "patient", "--limit", "50"]
    assert ask(*words) == Labelling(label_level=2, shares=(60.0, 20.0, 20.0), group="patient", limit=50)
    words = ["--label-pattern", "^(.)", "--group-pattern", "", "--limit", "0"]
    assert ask(*words) == Labelling(label_pattern="^(.)", group_pattern="", limit=0)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    quick(
        4,
        [
            (("--split", "70/30"), 2, "such as 70/15/15, found 70/30"),
            (("--label-pattern", "cat"), 2, "expected one in round brackets"),
            (("--label-level", "9"), 1, "--label-level 9 is deeper than every folder"),
            (("--group", "patient"), 1, "take groups from the paths with --group-pattern"),
            (("--split", "70/20/20"), 2, "add up to 100"),
            (("--label-pattern", "("), 2, "is no regular expression"),
            (("--label-level", "0"), 2, "not in the range"),
            (("--limit", "-5"), 2, "not in the range"),
            (("--label-level", "2", "--label-pattern", "^(.)"), 2, "contradict each other"),
            (("--label-pattern", "^(cat)"), 1, "is found in none of the 3 names"),
        ],
    ),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes_are_told_and_nothing_is_written(
    words: tuple[str, ...], status: int, message: str, tmp_path: Path
) -> None:
    write_classes(tmp_path / "photos", per_class=1)
    done = run("extract-features", "photos", *TINY, *words, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "bottlenecks").exists()


@pytest.mark.slow
def test_the_whole_job_on_a_flat_folder(tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "photos")
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in photos.glob("*/*.png"):
        path.rename(flat / f"{path.parent.name}.{int(path.stem)}.png")
    words = ("run", "flat", *TINY, "--heads", "logistic")
    untold = run(*words, cwd=tmp_path)
    assert untold.returncode == 1
    assert r"--label-pattern '^(.+)\.\d+\.' takes them" in untold.stderr.splitlines()[-1]
    done = run(*words, "--label-pattern", r"^(.+)\.\d+\.", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["report"]["runs"][0]["classes"] == ["blue", "green", "red"]
    with (tmp_path / "bottlenecks" / "datasets" / "flat.csv").open() as file:
        assert {row["path"].split(".")[0] == row["label"] for row in csv.DictReader(file)} == {True}


@pytest.mark.slow
def test_names_in_any_encoding_are_told_in_notes_and_errors(tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, name in enumerate([b"cat.1.png", b"dog.1.png", b"caf\xe9.png", "猫\n🐈.png".encode()]):
        (flat / os.fsdecode(name)).write_bytes(encode(picture(number)))
    done = run("extract-features", "flat", *TINY, "--label-pattern", r"^(\w+)\.1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert r"caf\udce9.png" in done.stderr
    assert "extracted but not trained on: 2" in done.stderr
    wrong = run("extract-features", "flat", *TINY, "--label-pattern", r"^(\d)", cwd=tmp_path)
    assert wrong.returncode == 1
    assert "Traceback" not in wrong.stderr
    assert len(wrong.stderr.splitlines()) == 1
