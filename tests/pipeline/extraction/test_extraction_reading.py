"""Reading, as a folder of pictures meets it: what is skipped and why, what is tried again, what a recipe says."""

import json
import os
from pathlib import Path
from typing import get_args

import click
import pytest
from demijohn.cache import FeatureStore
from demijohn.models.backbones.backbones import BACKBONES
from demijohn.pipeline import Extraction, InvalidRequest, cli, extract_features, train_head
from demijohn.pipeline.commands.answers import print_skipped
from demijohn.pipeline.pictures import images
from demijohn.pipeline.pictures.images import ReadingPolicy
from demijohn.pipeline.pictures.resizing import MODES
from support.commands import run
from support.kinds import frames, png_of_size, smooth
from support.pictures import encode, picture, write_classes
from support.standin import SIZE

CUT = encode(picture(7, size=(200, 160)), "JPEG")[:-2000]
ACCEPT = ReadingPolicy(truncated="accept")


def extract(root: Path, store: Path, **arguments: object) -> Extraction:
    return extract_features(root, backbone="tiny", weights="random", store=store, **arguments)  # type: ignore[arg-type]


def reasons(done: Extraction) -> dict[str, str]:
    return {each.path: each.reason for each in done.skipped}


@pytest.fixture
def mess(photos: Path) -> Path:
    """Return class folders with everything among them that is no picture, or not quite."""
    red = photos / "red"
    (red / "empty.jpg").write_bytes(b"")
    (red / "text.jpg").write_bytes(b"this is a text")
    (red / "page.jpg").write_bytes(b"<html>404</html>")
    (red / "cut.jpg").write_bytes(CUT)
    (red / "cut2.jpg").write_bytes(CUT[:-500])
    (red / "bomb.png").write_bytes(png_of_size(60_000, 60_000))
    (red / "bomb2.png").write_bytes(png_of_size(70_000, 70_000))
    (red / "folder.jpg").mkdir()
    os.mkfifo(red / "pipe.jpg")
    (red / "broken.jpg").symlink_to("nowhere.jpg")
    (red / "circle.jpg").symlink_to("circle.jpg")
    (red / "png in disguise.jpg").write_bytes(encode(picture(1)))
    (red / "animation.jpg").write_bytes(frames("GIF"))
    (red / os.fsdecode(b"caf\xe9 \xff.JPG")).write_bytes(encode(smooth(), "JPEG"))
    return photos


@pytest.mark.slow
def test_every_file_is_read_or_skipped_with_its_reason(tiny: str, mess: Path, tmp_path: Path) -> None:
    done = extract(mess, tmp_path / "store")
    assert done.rows == 36 + 3
    found = reasons(done)
    expected = {
        "empty.jpg": "the file is empty",
        "text.jpg": "a text file, not a picture",
        "page.jpg": "an HTML page, not a picture",
        "cut.jpg": "truncated: the file ends before the picture does",
        "cut2.jpg": "truncated: the file ends before the picture does",
        "bomb.png": "more than the 120,000,000 pixels that --max-pixels allows (3,600,000,000 pixels)",
        "bomb2.png": "more than the 120,000,000 pixels that --max-pixels allows (4,900,000,000 pixels)",
        "pipe.jpg": "not a regular file",
        "broken.jpg": "a broken link",
        "circle.jpg": "a broken link",
    }
    assert found == {f"red/{name}": reason for name, reason in expected.items()}


@pytest.mark.slow
def test_skipped_files_are_grouped_by_reason(
    tiny: str, mess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_skipped(extract(mess, tmp_path / "store"))
    shown = capsys.readouterr().out.splitlines()
    cut = "skipped 2, truncated: the file ends before the picture does: red/cut.jpg, red/cut2.jpg"
    bombs = "red/bomb.png (3,600,000,000 pixels), red/bomb2.png (4,900,000,000 pixels)"
    assert cut in shown
    assert f"skipped 2, more than the 120,000,000 pixels that --max-pixels allows: {bombs}" in shown


@pytest.mark.slow
def test_a_refusal_holds_for_the_same_policy_only(tiny: str, photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "cut.jpg").write_bytes(CUT)
    refusals = tmp_path / "store" / "refusals.csv"
    for _ in range(2):
        assert len(extract(photos, tmp_path / "store").skipped) == 1
        assert len(refusals.read_text().splitlines()) == 2
    small = ReadingPolicy(max_pixels=24 * 20 - 1)
    assert len(extract(photos, tmp_path / "store", reading=small).skipped) == 1
    accepted = extract(photos, tmp_path / "store", reading=ACCEPT)
    assert (len(accepted.skipped), accepted.rows) == (0, 37)


@pytest.mark.slow
def test_what_was_refused_is_tried_again_on_request(
    tiny: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "red" / "new.png").write_bytes(encode(picture(77)))
    read = []
    with monkeypatch.context() as patch:

        def refuse(content: bytes, *rest: object, **more: object) -> object:
            from demijohn.pipeline.errors import UnreadableImage

            read.append(content)
            raise UnreadableImage("a bad day")

        patch.setattr("demijohn.pipeline.pictures.feed.decode_views", refuse)
        assert len(extract(photos, tmp_path / "store").skipped) == 37
        assert len(extract(photos, tmp_path / "store").skipped) == len(read) == 37
        assert len(extract(photos, tmp_path / "store", retry=True).skipped) == 37
        assert len(read) == 74
    # On a better day all are read, but only when that is asked for; and stay read.
    assert len(extract(photos, tmp_path / "store").skipped) == 37
    done = extract(photos, tmp_path / "store", retry=True)
    assert (len(done.skipped), done.extracted) == (0, 37)
    again = extract(photos, tmp_path / "store")
    assert (len(again.skipped), again.cached) == (0, 37)


@pytest.mark.slow
def test_training_leaves_out_what_was_refused_under_any_policy(tiny: str, photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "large.png").write_bytes(encode(picture(5, size=(60, 60))))
    done = extract(photos, tmp_path / "store", reading=ReadingPolicy(max_pixels=1000))
    assert reasons(done) == {"red/large.png": "more than the 1,000 pixels that --max-pixels allows (3,600 pixels)"}
    record = train_head("logistic", store=tmp_path / "store").record
    assert sum(metrics["images"] for metrics in record["metrics"].values()) == 36


@pytest.mark.slow
def test_the_recipe_tells_how_pictures_were_read(tiny: str, photos: Path, tmp_path: Path) -> None:
    digests = {}
    for name, arguments in {
        "usual": {},
        "the same": {"resize": "squash"},
        "fewer pixels": {"reading": ReadingPolicy(max_pixels=1000)},
        "crop": {"resize": "crop"},
        "pad": {"resize": "pad"},
        "accept": {"reading": ACCEPT},
    }.items():
        digests[name] = extract(photos, tmp_path / "store", **arguments).digest
    assert digests["usual"] == digests["the same"] == digests["fewer pixels"]
    assert len(set(digests.values())) == 4
    store = FeatureStore(tmp_path / "store")
    recipes = {each.digest: each.recipe for each in store.feature_sets()}
    assert recipes[digests["crop"]].resize == "crop-bilinear"
    assert recipes[digests["accept"]].decoder == recipes[digests["usual"]].decoder + ", truncated jpeg accepted"
    assert "icc" in recipes[digests["usual"]].colour
    assert BACKBONES[tiny].input_size == (SIZE, SIZE)


@pytest.mark.slow
def test_another_way_to_resize_gives_other_features(tiny: str, tmp_path: Path) -> None:
    root = write_classes(tmp_path / "photos", per_class=2)
    wide = picture(3, size=(60, 20))
    wide.paste("white", (0, 0, 15, 20))
    (root / "red" / "wide.png").write_bytes(encode(wide))
    rows = {}
    for mode in ("squash", "crop", "pad"):
        done = extract(root, tmp_path / "store", resize=mode)
        store = FeatureStore(tmp_path / "store")
        features = next(each for each in store.feature_sets() if each.digest == done.digest)
        rows[mode] = features.read(sorted(features.keys())).tobytes()
    assert len(set(rows.values())) == 3


def test_a_mode_that_is_none_is_an_error(tiny: str, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="expected one of squash, crop, pad"):
        extract(photos, tmp_path / "store", resize="stretch")
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_the_options_of_the_command_line(mess: Path, tmp_path: Path) -> None:
    arguments = ("extract-features", mess, "--backbone", "tiny", "--weights", "random", "--store", tmp_path / "store")
    options = ("--truncated", "accept", "--max-pixels", "4000000000", "--resize", "crop", "--retry", "--json")
    done = run(*arguments, *options)
    assert done.returncode == 0, done.stderr
    skipped = {each["path"]: each["reason"] for each in json.loads(done.stdout)["skipped"]}
    assert "red/cut.jpg" not in skipped
    assert skipped["red/bomb.png"].startswith("truncated")
    assert skipped["red/bomb2.png"].startswith("more than the 4,000,000,000 pixels")
    assert run(*arguments, "--resize", "stretch").returncode == 2
    assert run(*arguments, "--max-pixels", "0").returncode == 2


@pytest.mark.parametrize("command", [cli.job_command, cli.extract_features_command])
def test_the_options_are_those_of_the_functions(command: click.Command) -> None:
    options = {option.name: option for option in command.params}
    assert options["max_pixels"].default == images.MAX_PIXELS
    assert options["truncated"].default == images.DEFAULT_POLICY.truncated
    assert tuple(options["truncated"].type.choices) == get_args(images.Truncated)  # type: ignore[attr-defined]
    assert tuple(options["resize"].type.choices) == MODES  # type: ignore[attr-defined]
