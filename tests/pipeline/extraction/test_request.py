"""A request is complete, possible, and says the same from any folder."""

from pathlib import Path

import pytest
from demijohn.pipeline.extraction.request import USUAL, complete, options_of
from demijohn.pipeline.pictures.images import ReadingPolicy


def test_what_is_left_out_is_as_usual_and_needs_no_option() -> None:
    assert complete({}) == USUAL
    assert options_of(complete({})) == []


def test_options_say_what_is_not_usual() -> None:
    request = complete(
        {
            "weights": "random:3",
            "layers": ("last", "block3"),
            "pooling": "max",
            "input_size": (96, 128),
            "views": 4,
            "augment": "flip",
            "reading": ReadingPolicy("accept"),
        }
    )
    assert " ".join(options_of(request)) == (
        "--weights random:3 --pooling max --input-size 96x128 --views 4 --augment flip "
        "--layer last --layer block3 --truncated accept"
    )


def test_files_are_kept_by_their_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("w.h5", "imagenet"):
        Path(name).write_bytes(b"")
    request = complete({"weights": "w.h5", "backbones": ("own.keras", "./own.keras", "xception")})
    assert request["weights"] == str(tmp_path / "w.h5")
    assert request["backbones"] == (str(tmp_path / "own.keras"), "xception")
    # A word that means something is no file, whatever lies in the folder.
    assert complete({"weights": "imagenet"})["weights"] == "imagenet"
    assert complete({"weights": "x" * 5000})["weights"] == "x" * 5000


def test_a_name_that_nobody_knows_is_an_error_as_python_makes_it() -> None:
    with pytest.raises(TypeError, match="takes no pool, weigths: expected some of backbones, weights"):
        complete({"weigths": "random", "pool": "max"})  # type: ignore[typeddict-unknown-key]
