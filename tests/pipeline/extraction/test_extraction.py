"""Stage one: every picture once, under the key of the bytes that were decoded; killed, changed or broken."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from demijohn.cache import DamagedFile, FeatureStore
from demijohn.cache.index import hash_bytes
from demijohn.models import BACKBONES, MissingWeights, load_extractor, locate_weights
from demijohn.models.engines.engines import make_engine
from demijohn.pipeline import DatasetClash, NoImages, TooManyUnreadable, extract_features, report_heads, train_head
from demijohn.pipeline.extraction import runner as module
from demijohn.pipeline.pictures.images import decode_image
from support.commands import command, environment, run
from support.extractions import NOTHING_HEAVY, extract, rows_of, run_watched
from support.pictures import encode, picture, write_classes
from support.standin import WIDTH


@pytest.mark.slow
def test_every_picture_gets_the_row_of_its_own_bytes(tiny: str, photos: Path, tmp_path: Path) -> None:
    done = extract(photos, tmp_path / "store")
    backbone = BACKBONES[tiny]
    network, _ = load_extractor(backbone, locate_weights(backbone, "random"))
    assert done.engine is not None
    engine = make_engine(backbone, network, engine=done.engine)
    rows = rows_of(done.features)
    paths = sorted(photos.glob("*/*.png"))
    assert (done.images, done.extracted, done.rows, done.width) == (36, 36, 36, WIDTH)
    assert len(rows) == 36
    for path in paths:
        content = path.read_bytes()
        pixels = decode_image(content, backbone.input_size, backbone.resize)
        assert rows[hash_bytes(content)] == engine.extract(pixels[None])[0][0].tobytes()


@pytest.mark.slow
def test_the_second_run_reads_nothing_and_loads_nothing(photos: Path, tmp_path: Path) -> None:
    arguments = ("extract-features", photos, "--backbone", "tiny", "--weights", "random", "--store", tmp_path / "s")
    old = time.time() - 60
    for path in photos.glob("*/*"):
        os.utime(path, (old, old))
    assert run(*arguments).returncode == 0
    second = run_watched(
        *arguments,
        before="opened = []\n"
        "sys.addaudithook(lambda event, details: opened.append(str(details[0])) if event == 'open' else None)",
        after=f"assert not [path for path in opened if path.endswith('.png')]; {NOTHING_HEAVY}",
    )
    assert second.returncode == 0, second.stderr
    assert "36 cached, 0 extracted" in second.stdout
    assert "36 cached, 0 new" in second.stderr


@pytest.mark.slow
def test_renaming_costs_nothing_and_changed_bytes_are_extracted_anew(tiny: str, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    extract(photos, store)
    moved = photos.rename(tmp_path / "elsewhere") / "red" / "000.png"
    moved.rename(moved.with_name("renamed.png"))
    again = extract(tmp_path / "elsewhere", store)
    assert (again.cached, again.extracted) == (36, 0)
    changed = moved.with_name("renamed.png")
    changed.write_bytes(encode(picture(4711)))
    once_more = extract(tmp_path / "elsewhere", store)
    assert (once_more.cached, once_more.extracted, once_more.rows) == (35, 1, 36)


@pytest.mark.slow
def test_a_batch_and_an_order_change_no_byte(tiny: str, photos: Path, tmp_path: Path) -> None:
    whole = rows_of(extract(photos, tmp_path / "whole").features)
    few = tmp_path / "photos2"
    shutil.copytree(photos / "green", few / "green")
    extract(few, tmp_path / "piecemeal", dataset="x")
    shutil.copytree(photos, few, dirs_exist_ok=True)
    assert rows_of(extract(few, tmp_path / "piecemeal", dataset="x").features) == whole


@pytest.mark.slow
def test_unreadable_pictures_are_listed_and_not_tried_again(
    tiny: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "red" / "broken.jpg").write_bytes(b"no picture")
    (photos / "red" / "empty.jpg").write_bytes(b"")
    first = extract(photos, tmp_path / "store")
    listed = {each.path: each.reason for each in first.skipped}
    assert set(listed) == {"red/broken.jpg", "red/empty.jpg"}
    assert "empty" in listed["red/empty.jpg"]
    assert (first.images, first.extracted, first.rows) == (38, 36, 36)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("decoded again")

    with monkeypatch.context() as patch:
        patch.setattr("demijohn.pipeline.pictures.feed.decode_views", fail)
        second = extract(photos, tmp_path / "store")
    assert set(second.skipped) == set(first.skipped)
    assert second.extracted == 0
    monkeypatch.setattr("demijohn.pipeline.pictures.images.decoder_version", lambda: "pillow of tomorrow")
    assert set(extract(photos, tmp_path / "store").skipped) == set(first.skipped)
    assert (tmp_path / "store" / "refusals.csv").read_text().count("of tomorrow") == 2


@pytest.mark.slow
def test_max_bad(tiny: str, photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "broken.jpg").write_bytes(b"no picture")
    allowed = extract(photos, tmp_path / "store", max_bad=0.03)
    allowed.check()
    strict = extract(photos, tmp_path / "store", max_bad=0.02)
    assert strict.rows == 36
    with pytest.raises(TooManyUnreadable, match=r"1 of 37 .* 2\.00% .*red/broken\.jpg"):
        strict.check()


@pytest.mark.slow
def test_same_bytes_count_once(tiny: str, photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "red" / "000.png", photos / "red" / "copy.png")
    done = extract(photos, tmp_path / "store")
    assert (done.images, done.extracted, done.duplicates) == (37, 36, 1)


@pytest.mark.slow
def test_a_picture_that_changes_or_goes_between_planning_and_reading(
    tiny: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed, gone = photos / "red" / "000.png", photos / "red" / "001.png"
    shutil.copy(changed, photos / "red" / "twin.png")
    content = encode(picture(815))
    decoding_ahead = module.decoding_ahead

    def meddle(*arguments: object, **options: object) -> object:
        changed.write_bytes(content)
        gone.unlink(missing_ok=True)
        return decoding_ahead(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "decoding_ahead", meddle)
    done = extract(photos, tmp_path / "store")
    assert [(each.path, "cannot be read" in each.reason) for each in done.skipped] == [("red/001.png", True)]
    assert done.rows == 36
    table = FeatureStore(tmp_path / "store").find_dataset()
    assert {row.path: row.key for row in table.rows}["red/000.png"] == hash_bytes(content)
    assert set(rows_of(done.features)) == {row.key for row in table.rows}
    assert [each.path for each in table.skipped] == ["red/001.png"]


@pytest.mark.slow
def test_without_images_the_known_data_set_is_taken(
    tiny: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoImages, match="extract-features photos/"):
        extract(None, tmp_path / "store")
    extract(photos, tmp_path / "store")
    assert extract(None, tmp_path / "store").cached == 36
    write_classes(tmp_path / "images", per_class=2)
    assert extract(None, tmp_path / "other").dataset == "images"


@pytest.mark.slow
def test_another_folder_of_the_same_name_is_an_error(tiny: str, photos: Path, tmp_path: Path) -> None:
    extract(photos, tmp_path / "store")
    other = write_classes(tmp_path / "deep" / "photos", per_class=2)
    with pytest.raises(DatasetClash, match="--dataset"):
        extract(other, tmp_path / "store")
    assert extract(other, tmp_path / "store", dataset="others").dataset == "others"
    shutil.rmtree(photos)
    assert extract(other, tmp_path / "store", dataset="photos").rows == 6


def test_missing_weights_leave_no_half_made_store(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="xception_weights"):
        extract_features(photos, backbone="xception", store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_a_flat_folder_is_extracted_and_said_to_have_no_labels(tiny: str, photos: Path, tmp_path: Path) -> None:
    done = extract(photos / "red", tmp_path / "store")
    assert done.rows == 12
    assert any("no class folder" in note for note in done.notes)


@pytest.mark.slow
def test_a_lost_or_stale_view_is_made_anew(tiny: str, photos: Path, tmp_path: Path) -> None:
    done = extract(photos, tmp_path / "store")
    assert done.features is not None
    done.features.unlink()
    assert len(rows_of(extract(photos, tmp_path / "store").features)) == 36
    features = FeatureStore(tmp_path / "store").find_feature_set()
    features.commit([b"k" * 32], np.ones((1, WIDTH), np.float32))
    assert len(rows_of(extract(photos, tmp_path / "store").features)) == 37


@pytest.mark.slow
def test_nothing_but_broken_pictures(tiny: str, tmp_path: Path) -> None:
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "1.jpg").write_bytes(b"x")
    done = extract(tmp_path / "photos", tmp_path / "store")
    assert (done.rows, done.features, len(done.skipped)) == (0, None, 1)
    assert FeatureStore(tmp_path / "store").feature_sets() == []


@pytest.mark.slow
def test_a_class_whose_training_picture_is_broken_gets_another(tiny: str, tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "photos", per_class=4)
    for split in ("train", "val"):
        (photos / split).mkdir()
    for name in ("red", "green"):
        (photos / name).rename(photos / "train" / name)
    (photos / "blue").rename(photos / "val" / "blue")
    (photos / "train" / "blue").mkdir()
    (photos / "train" / "blue" / "broken.png").write_bytes(b"x")
    extract(photos, tmp_path / "store")
    splits = [row.split for row in FeatureStore(tmp_path / "store").find_dataset().rows if "val/blue" in row.path]
    assert sorted(splits) == ["test", "test", "test", "train"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [b"caf\xe9", b"a\rb", b"a\nb", "猫🐈".encode(), b'<script>,"'])
def test_class_names_of_any_bytes(tiny: str, photos: Path, tmp_path: Path, name: bytes) -> None:
    label = os.fsdecode(name)
    (photos / "red").rename(photos / label)
    extract(photos, tmp_path / "store")
    assert label in FeatureStore(tmp_path / "store").find_dataset().classes
    train_head("logistic", store=tmp_path / "store")
    assert label in report_heads(store=tmp_path / "store").runs[0].record["classes"]


@pytest.mark.slow
def test_a_damaged_table_is_written_anew(tiny: str, photos: Path, tmp_path: Path) -> None:
    extract(photos, tmp_path / "store")
    table = tmp_path / "store" / "datasets" / "photos.csv"
    table.write_text("path,key\n")
    with pytest.raises(DamagedFile, match="run extract-features"):
        FeatureStore(tmp_path / "store").find_dataset()
    extract(photos, tmp_path / "store")
    table.unlink()
    assert extract(photos, tmp_path / "store").cached == 36


@pytest.mark.slow
def test_the_seed_stays_until_another_is_asked_for(tiny: str, photos: Path, tmp_path: Path) -> None:
    def splits() -> list[str]:
        return [row.split for row in FeatureStore(tmp_path / "store").find_dataset().rows]

    extract(photos, tmp_path / "store", seed=3)
    first = splits()
    extract(photos, tmp_path / "store")
    assert splits() == first
    extract(photos, tmp_path / "store", seed=4)
    assert splits() != first


@pytest.mark.slow
def test_warning_filters_are_left_as_they_were(tiny: str, photos: Path, tmp_path: Path) -> None:
    before = list(warnings.filters)
    extract(photos, tmp_path / "store")
    assert warnings.filters == before


@pytest.mark.slow
def test_random_numbers_of_the_user_still_work(tiny: str, photos: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    extract(photos, tmp_path / "store")
    assert tf.random.uniform((2,)).shape == (2,)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_in_the_middle_and_run_again_gives_the_same_bytes(
    number: signal.Signals, tiny: str, tmp_path: Path
) -> None:
    photos = write_classes(tmp_path / "photos", per_class=100)
    whole = rows_of(extract(photos, tmp_path / "whole").features)
    store = tmp_path / "store"
    arguments = ("extract-features", photos, "--backbone", "tiny", "--weights", "random", "--store", store)
    process = subprocess.Popen(
        command(*arguments), env=environment(delay=0.5), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    parts = store / "features"
    while not list(parts.glob("*/parts/*.h5")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    status = process.wait(timeout=60)
    assert status == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    features = FeatureStore(store).find_feature_set()
    kept = features.keys()
    assert 0 < len(kept) < 300
    again = extract(photos, store)
    assert (again.cached, again.extracted, again.rows) == (len(kept), 300 - len(kept), 300)
    assert rows_of(again.features) == whole


@pytest.mark.slow
def test_two_processes_at_once_lose_nothing(tiny: str, tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "photos", per_class=60)
    whole = rows_of(extract(photos, tmp_path / "whole").features)
    arguments = ("extract-features", photos, "--backbone", "tiny", "--weights", "random", "--store", tmp_path / "s")
    both = [
        subprocess.Popen(command(*arguments), env=environment(delay=0.2), stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told
    assert rows_of(FeatureStore(tmp_path / "s").find_feature_set().path) == whole


@pytest.mark.slow
def test_where_the_time_went_is_told(tiny: str, photos: Path, tmp_path: Path) -> None:
    done = extract(photos, tmp_path / "store")
    told = done.to_json()["breakdown"]
    assert set(told) == {"seconds", "read", "decode", "wait", "forward", "write", "bound"}
    assert all(told[name] >= 0 for name in told if name != "bound")
    assert told["forward"] > 0
    assert told["bound"] in ("computing", "decoding")
    again = extract(photos, tmp_path / "store").to_json()
    assert again["breakdown"] is again["engine"] is again["device"] is again["batch_size"] is None


def test_memory_is_bounded_by_what_is_decoded_ahead(tiny: str, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from demijohn.pipeline.pictures import feed

    decoded = 0
    decode = feed._decode

    def counting(*arguments: object, **options: object) -> object:
        nonlocal decoded
        decoded += 1
        return decode(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(feed, "_decode", counting)
    frames = (feed.Frame((16, 16), "squash-bilinear"),)
    pictures = [feed.Picture(path, path.name, b"", frames) for path in sorted(photos.glob("*/*.png"))]
    with feed.decoding_ahead(pictures, ahead=5) as stream:
        first = next(stream)
        with contextlib.suppress(TimeoutError):
            time.sleep(0.3)
        assert decoded <= 7
        assert [first.name, *(each.name for each in stream)] == [each.name for each in pictures]
