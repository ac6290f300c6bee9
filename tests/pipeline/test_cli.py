"""The command line: exit statuses, JSON alone on stdout, one line per error, nothing heavy for --help."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from demijohn.models import HEADS
from demijohn.pipeline import cli
from support.commands import command, environment, run
from support.pictures import write_classes
from support.reports import report_in
from support.swift import start

TINY = ("--backbone", "tiny", "--weights", "random")
HELP = Path(__file__).with_name("help")
CACHE = cli.demijohn.commands["cache"]
assert isinstance(CACHE, click.Group)
COMMANDS = [
    (),
    *((name,) for name in sorted(cli.demijohn.commands)),
    *(("cache", name) for name in sorted(CACHE.commands)),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_is_golden(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """To renew after a change: DEMIJOHN_GOLDEN=write pytest tests/pipeline/test_cli.py."""
    # click keeps the option --help of each command as it was when it was first asked for.
    current: click.Command = cli.demijohn
    for word in ("", *words):
        current = current.commands[word] if word and isinstance(current, click.Group) else current
        monkeypatch.setattr(current, "_help_option", None, raising=False)
    shown = CliRunner().invoke(cli.demijohn, [*words, "--help"], prog_name="demijohn", terminal_width=100)
    text = shown.stdout
    golden = HELP / f"{'-'.join(['demijohn', *words])}.txt"
    if os.environ.get("DEMIJOHN_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_every_option_and_command_has_help() -> None:
    for name, each in {**cli.demijohn.commands, **CACHE.commands}.items():
        assert each.help, name
        for parameter in each.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.name}"


def test_the_defaults_in_the_help_are_those_of_the_heads() -> None:
    shown = {
        parameter.name: parameter.help.rpartition("[")[2].rstrip("]")
        for parameter in cli.train_head_command.params
        if isinstance(parameter, click.Option) and parameter.help and parameter.help.endswith("]")
    }
    for head in HEADS.values():
        for name, default in head.settings.items():
            if name in shown:
                expected = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
                assert shown[name] == expected, f"{head.name} {name}"
            else:
                assert default in (None, False), f"{head.name} {name} has no default in the help"


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom demijohn.pipeline import cli\nsys.argv = ['demijohn', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit as error:\n    assert error.code == 0\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'h5py', 'matplotlib', 'numpy', 'scipy', 'PIL', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_the_whole_way_with_json_alone_on_stdout(photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "broken.jpg").write_bytes(b"no picture")

    def ask(*words: str | Path) -> tuple[Any, int, str]:
        process = start(*words, "--store", tmp_path / "store", "--json")
        out, err = process.communicate()
        return json.loads(out), process.returncode, err

    extracted, _, _ = ask("extract-features", photos, *TINY)
    assert {name: extracted[name] for name in ("images", "cached", "extracted", "rows", "width", "duplicates")} == {
        "images": 37,
        "cached": 0,
        "extracted": 36,
        "rows": 36,
        "width": 8,
        "duplicates": 0,
    }
    assert extracted["skipped"] == [{"path": "red/broken.jpg", "reason": "a text file, not a picture"}]
    assert Path(extracted["features"]).name == "features.h5"
    assert extracted["seconds"] > 0
    assert extracted["images_per_second"] > 0
    trained, _, _ = ask("train-head", "--head", "svm")
    assert (trained["backbone"], trained["head"]) == ("tiny", "svm")
    assert trained["metrics"]["test"]["log_loss"] is None
    assert len(trained["metrics"]["test"]["accuracy_interval"]) == 2
    report, status, told = ask("report-heads", "--assert", "test.images >= 1000")
    assert report["best"] == trained["run"]
    assert [each["run"] for each in report["runs"]] == [trained["run"]]
    assert status == 1
    assert "test.images of tiny+svm is " in told


@pytest.mark.slow
def test_the_whole_job_for_a_person(photos: Path, tmp_path: Path) -> None:
    done = run("run", photos, *TINY, "--heads", "logistic,svm", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "photos on tiny, 2 runs. tiny+" in done.stdout
    assert " is best by validation, with " in done.stdout
    assert "36 images: 0 cached, 36 new" in done.stderr
    assert (report_in(tmp_path / "bottlenecks") / "report.md").is_file()
    quiet = run("run", photos, *TINY, "--heads", "logistic,svm", "--quiet", cwd=tmp_path)
    assert quiet.stderr == ""
    assert quiet.stdout == done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("extract-features", "nowhere", *TINY), 1, "expected a folder of pictures"),
        (("extract-features", "photos", "--backbone", "xcepton"), 1, "did you mean xception?"),
        (("extract-features", "photos", *TINY[:2], "--weights", "none.h5"), 1, "no weights file none.h5"),
        (("extract-features", "photos", *TINY, "--max-bad", "half"), 2, "a percentage such as 0.5%"),
        (("extract-features", "photos", *TINY, "--dataset", "a/b"), 1, "--dataset NAME"),
        (("train-head",), 1, "run extract-features IMAGES first"),
        (("train-head", "--head", "denser"), 1, "did you mean dense?"),
        (("train-head", "--head", "svm", "--dropout", "0.1"), 1, "it belongs to dense"),
        (("train-head", "--head", "dense", "--hidden", "wide"), 2, "widths such as 256,128"),
        (("train-head", "--dropout", "1.5"), 2, "a share from 0 to below 1"),
        (("train-head", "--c", "nan"), 2, "a number above 0"),
        (("train-head", "--seed", "-1"), 2, "not in the range"),
        (("extract-features", "photos", *TINY[:2], "--weights", "random:99999999999"), 1, "no weights file"),
        (("report-heads",), 1, "run extract-features IMAGES first"),
        (("report-heads", "--assert", "test.accurcy > 1"), 2, "expected flags, or one of train, validation, test"),
        (("report-heads", "--split", "train"), 2, "validation"),
        (("report-heads", "--equivalence", "0"), 2, "a number above 0"),
        (("backbones", "--check", "x.jpg"), 2, "needs the NAME"),
        (("backbones", "efficientnet-lite0", "--check", "x.jpg"), 1, "cannot read x.jpg"),
        (("unknown",), 2, "No such command"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes_are_told_in_one_line(words: tuple[str, ...], status: int, message: str, tmp_path: Path) -> None:
    write_classes(tmp_path / "photos", per_class=1)
    done = run(*words, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    if status == 1:
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "bottlenecks").exists()


@pytest.mark.slow
def test_too_many_unreadable_is_status_one_with_the_json_and_the_rows_kept(photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "broken.jpg").write_bytes(b"no picture")
    words = ("extract-features", photos, *TINY, "--store", tmp_path / "s", "--json", "--quiet", "--max-bad", "0.5%")
    done = run(*words)
    assert done.returncode == 1
    assert json.loads(done.stdout)["rows"] == 36
    assert done.stderr.startswith("error: 1 of 37 pictures were skipped")


@pytest.mark.slow
def test_a_store_that_cannot_be_written_is_an_error(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    done = run("extract-features", photos, *TINY, "--store", tmp_path / "store")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: cannot write")


def test_the_unexpected_is_status_three_with_its_traceback(photos: Path, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom demijohn.pipeline import cli\nfrom demijohn.pipeline.extraction import survey\n"
        "def broken(*_, **__): raise ZeroDivisionError\nsurvey.list_images = broken\n"
        f"sys.argv = ['demijohn', 'extract-features', {str(photos)!r}]\ncli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 3
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.slow
def test_interrupted_is_status_130_in_one_line(tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "photos", per_class=60)
    words = ("extract-features", photos, *TINY, "--store", tmp_path / "s")
    process = subprocess.Popen(command(*words), env=environment(delay=0.4), stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "s").glob("features/*/recipe.json")) and process.poll() is None:
        time.sleep(0.02)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.splitlines()[-1] == "interrupted; what was finished is stored, the same command continues"
    assert "Traceback" not in told


def test_version() -> None:
    assert run("--version").stdout.startswith("demijohn, version ")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["backbones", "heads"])
def test_catalogues(what: str) -> None:
    done = run(what, "--json")
    names = [each["name"] for each in json.loads(done.stdout)[what]]
    assert {"backbones": "efficientnet-lite0", "heads": "dense"}[what] in names
    table = run(what).stdout
    assert all(name in table for name in names)


@pytest.mark.slow
def test_the_care_of_a_store_with_json_alone_on_stdout(photos: Path, tmp_path: Path) -> None:
    def answer(*words: str | Path, status: int = 0) -> Any:
        process = start(*words, "--store", tmp_path / "store", "--json")
        out, err = process.communicate(timeout=120)
        assert process.returncode == status, err
        return json.loads(out)

    assert answer("extract-features", photos, *TINY, "--plan")["new"] == 36
    assert not (tmp_path / "store").exists()
    assert answer("extract-features", photos, *TINY)["extracted"] == 36
    explained = answer("extract-features", photos, *TINY[:2], "--weights", "random:1", "--explain")
    assert explained["others"][0]["differences"][0].startswith("weights: random:0")
    (listed,) = answer("cache", "list")["feature_sets"]
    assert (listed["backbone"], listed["rows"], listed["problem"]) == ("tiny", 36, None)
    verified = answer("cache", "verify", "--recompute", "3")
    assert (verified["feature_sets"][0]["rows"], verified["recomputed"][0]["greatest_difference"]) == (36, 0)
    assert answer("cache", "compact")["feature_sets"][0]["done"] is True
    assert answer("cache", "prune")["feature_sets"][0]["rows"] == 0
    assert answer("cache", "export", "--to", tmp_path / "x.h5")["rows"] == 36
    part = next((tmp_path / "store").glob("features/*/parts/*.h5"))
    part.write_bytes(part.read_bytes()[:-1])
    assert len(answer("cache", "verify", status=1)["feature_sets"][0]["damaged"]) == 1
    assert answer("cache", "verify", "--repair")["feature_sets"][0]["repaired"] is True
    assert answer("cache", "remove", "--backbone", "tiny", "--yes")["feature_sets"][0]["rows"] == 0
    assert answer("cache", "list") == {"feature_sets": []}


CARE = [
    (("cache", "remove", "--yes"), 1, "--backbone NAME or --features DIGEST"),
    (("cache", "remove", "--backbone", "tiny"), 2, "give --yes where nobody can be asked"),
    (("cache", "remove", "--backbone", "xception", "--yes"), 1, "expected one of tiny-"),
    (("cache", "export", "--to", "x.csv"), 1, "ends in .h5 or .npz"),
    (("cache", "export", "--to", "x.h5", "--dataset", "none"), 1, "expected one of photos"),
    (("cache", "verify", "--recompute", "0"), 2, "not in the range"),
    (("extract-features", "photos", *TINY, "--plan", "--new"), 2, "exclude one another"),
]


@pytest.mark.slow
def test_mistakes_in_the_care_of_a_store(tmp_path: Path) -> None:
    write_classes(tmp_path / "photos", per_class=2)
    start("extract-features", "photos", *TINY, cwd=tmp_path).communicate(timeout=120)
    for words, status, message in CARE:
        process = start(*words, cwd=tmp_path, stdin=subprocess.DEVNULL)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, message in err, out, "Traceback" in err) == (status, True, "", False), err


@pytest.mark.parametrize("name", ["extract-features", "train-head", "run"])
def test_every_option_is_told_once_whatever_its_section(name: str) -> None:
    command = cli.demijohn.commands[name]
    words = CliRunner().invoke(cli.demijohn, [name, "--help"]).output.split()
    for param in command.params:
        if isinstance(param, click.Option):
            assert words.count(param.opts[0]) >= 1, param.opts
    assert words.count("--store") == 1
