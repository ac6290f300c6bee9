"""Compiled backbones: found while nothing that they are made of has changed, and made anew otherwise."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from demijohn.cache.compiled import CompiledForms

MADE: dict[str, Any] = {"engine": "x", "weights": "ab", "taps": [["last", "avg"]], "versions": {"x": "1.0"}}


class Compiler:
    """Writes two files and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> None:
        assert not list(folder.iterdir()), "into an empty folder"
        self.times += 1
        (folder / "graph").write_bytes(b"graph" * 1000)
        (folder / "facts.json").write_text("{}")


def contents(forms: CompiledForms, made: dict[str, Any], compiler: Any, *, keep: bool = True) -> dict[str, bytes]:
    with forms.provide(made, compiler, keep=keep) as folder:
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


WHOLE = {"graph": b"graph" * 1000, "facts.json": b"{}"}


def test_what_was_compiled_is_found_again(tmp_path: Path) -> None:
    compiler = Compiler()
    for _ in range(2):
        assert contents(CompiledForms(tmp_path / "engines"), MADE, compiler) == WHOLE
    assert compiler.times == 1
    # In whatever order it is told.
    assert contents(CompiledForms(tmp_path / "engines"), dict(reversed(MADE.items())), compiler) == WHOLE
    assert compiler.times == 1


@pytest.mark.parametrize("change", [{"weights": "cd"}, {"taps": [["last", "max"]]}, {"versions": {"x": "1.1"}}])
def test_whatever_it_is_made_of_counts(tmp_path: Path, change: dict[str, Any]) -> None:
    forms, compiler = CompiledForms(tmp_path), Compiler()
    with forms.provide(MADE, compiler) as folder:
        old = time.time() - 100_000
        os.utime(folder / "manifest.json", (old, old))
    contents(forms, MADE | change, compiler)
    assert compiler.times == 2
    # Of another version nothing is kept for long; what is made of something else stays.
    assert (forms.find(MADE) is None) == ("versions" in change)


@pytest.mark.parametrize("name", ["graph", "facts.json", "manifest.json"])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_changed_bytes_are_made_anew(tmp_path: Path, name: str, how: str) -> None:
    forms, compiler = CompiledForms(tmp_path), Compiler()
    with forms.provide(MADE, compiler) as folder:
        path = folder / name
    content = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content if how == "flipped" else content[: len(content) // 2])
    assert contents(forms, MADE, compiler) == WHOLE
    if not (name == "manifest.json" and how == "flipped"):
        # What a flipped bit changes there may be what is only for people to read.
        assert compiler.times == 2
    assert forms.find(MADE) is not None


def test_a_store_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    compiler = Compiler()
    for _ in range(2):
        assert contents(CompiledForms(tmp_path / "store" / "engines"), MADE, compiler) == WHOLE
    assert compiler.times == 2


def test_nothing_is_kept_unless_it_is_wanted(tmp_path: Path) -> None:
    compiler = Compiler()
    assert contents(CompiledForms(tmp_path / "engines"), MADE, compiler, keep=False) == WHOLE
    assert not (tmp_path / "engines").exists()


def test_a_folder_that_another_process_has_just_made_is_left_to_it(tmp_path: Path) -> None:
    forms = CompiledForms(tmp_path)
    contents(forms, MADE, Compiler())
    (folder,) = tmp_path.iterdir()
    (folder / "graph").rename(tmp_path / "graph")
    for path in folder.iterdir():
        path.unlink()
    assert forms.find(MADE) is None
    assert folder.is_dir()
    (tmp_path / "graph").rename(folder / "graph")
    assert forms.find(MADE) is None
    assert not folder.exists(), "without a manifest nobody can say what it is"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "graph").write_bytes(b"half")
        raise ValueError("an odd layer")

    forms = CompiledForms(tmp_path)
    with pytest.raises(ValueError, match="an odd layer"):
        contents(forms, MADE, fail)
    assert not list(tmp_path.iterdir())


def test_of_two_processes_at_once_the_first_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forms, inner = CompiledForms(tmp_path), Compiler()

    def late(folder: Path) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("demijohn.cache.compiled.partial_name", lambda path: path.with_name("of-another.partial"))
            contents(forms, MADE, inner)
        (folder / "graph").write_bytes(b"the second")

    assert contents(forms, MADE, late) == WHOLE
    assert len(list(tmp_path.iterdir())) == 1


def test_the_manifest_says_what_it_was_made_of(tmp_path: Path) -> None:
    with CompiledForms(tmp_path).provide(MADE, Compiler()) as folder:
        manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["made_of"] == MADE
    assert set(manifest["files"]) == set(WHOLE)
    assert os.listdir(tmp_path) == [folder.name]


def test_pruning_leaves_what_is_used_and_what_is_young(tmp_path: Path) -> None:
    forms, compiler = CompiledForms(tmp_path), Compiler()
    made = [MADE | {"weights": name} for name in ("used", "unused", "young", "broken")]
    for each in made:
        with forms.provide(each, compiler) as folder:
            if each["weights"] == "broken":
                (folder / "manifest.json").write_text("{")
            if each["weights"] != "young":
                os.utime(folder / "manifest.json", (0, 0))
    count, size = forms.prune(lambda made: made["weights"] == "used")
    assert count == 2
    assert size > 2 * 5000
    assert [forms.find(each) is not None for each in made] == [True, False, True, False]
    assert not list(tmp_path.glob("*.partial"))
    assert CompiledForms(tmp_path / "none").prune(bool) == (0, 0)
