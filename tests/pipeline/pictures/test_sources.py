"""Pictures by URL: fetched once, skipped with a reason where they fail, later on as good as those of a folder."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from demijohn.cache import FeatureStore, Unreachable, remote
from demijohn.cache.index import hash_bytes
from demijohn.cache.remote import forget_filesystems
from demijohn.pipeline import (
    Extraction,
    InvalidRequest,
    Labelling,
    NoImages,
    audit,
    extract_features,
    plan_features,
    predict,
    recompute_rows,
    report_heads,
    train_head,
)
from demijohn.pipeline.pictures import sources
from demijohn.pipeline.pictures.sources import list_elsewhere, read_file
from support.pictures import encode, picture, write_classes
from support.pools import stored
from support.reports import report_in
from support.s3 import BUCKET, S3, Web, running_web


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def web(tmp_path: Path, photos: Path) -> Any:
    """Serve a folder with `photos` in it, whose files are an hour old."""
    for path in photos.glob("*/*"):
        os.utime(path, (time.time() - 3600,) * 2)
    with running_web(tmp_path) as server:
        yield server


def extract(images: str | Path | None, store: Path, **arguments: Any) -> Extraction:
    return extract_features(images, **{"backbone": "tiny", "weights": "random", "store": store, **arguments})


def content_of(store: Path) -> dict[str, tuple[str, str, str]]:
    """Return key, label and split by path."""
    return {row.path: (row.key.hex(), row.label, row.split) for row in FeatureStore(store).find_dataset().rows}


def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.time, "sleep", lambda _: None)


def test_each_is_fetched_once_and_never_again_until_it_changes(swift: str, s3: S3, photos: Path, store: Path) -> None:
    url = s3.put_folder(photos, "photos")
    s3.put("photos/notes.txt", b"no picture")
    s3.put("photos/.hidden/x.png", b"hidden")
    s3.put("photos/.hidden/y.png", b"hidden")
    s3.forget()
    first = extract(url, store)
    assert (first.images, first.extracted, first.rows, first.skipped) == (36, 36, 36, ())
    assert {"hidden entries skipped: 1", "files of other kinds left alone: 1"} <= set(first.notes)
    names = sorted(f"photos/{path.relative_to(photos).as_posix()}" for path in photos.glob("*/*"))
    assert sorted(s3.fetched()) == names
    s3.forget()
    again = extract(url, store)
    assert (again.cached, again.extracted, s3.fetched()) == (36, 0, [])
    # Without a URL it is the data set that is known.
    assert (extract(None, store).cached, s3.fetched()) == (36, [])
    s3.put("photos/red/000.png", encode(picture(77)))
    s3.forget()
    changed = extract(url, store)
    assert (changed.cached, changed.extracted, s3.fetched()) == (35, 1, ["photos/red/000.png"])


@pytest.mark.slow
def test_they_are_listed_labelled_and_split_as_those_of_a_folder(
    swift: str, s3: S3, photos: Path, store: Path, tmp_path: Path
) -> None:
    for name in ("train", "test"):
        write_classes(tmp_path / "given" / name, per_class=4 if name == "train" else 2, classes=("red", "blue"))
    for folder in (photos, tmp_path / "given"):
        url = s3.put_folder(folder, f"some/{folder.name}")
        here, there = store / folder.name / "here", store / folder.name / "there"
        extract(folder, here)
        extract(url, there)
        assert content_of(here) == content_of(there)
        assert list(content_of(here)) == list(content_of(there))
        assert stored(here) == stored(there)
        about = json.loads((there / "datasets" / f"{folder.name}.json").read_text())
        assert (about["format"], about["root"]) == (3, url)


@pytest.mark.slow
def test_what_is_there_under_another_name_is_fetched_but_not_computed(
    swift: str, s3: S3, photos: Path, store: Path
) -> None:
    extract(photos, store, dataset="local")
    url = s3.put_folder(photos, "photos")
    s3.put("photos/red/copy.png", (photos / "red" / "000.png").read_bytes())
    done = extract(url, store)
    assert (done.images, done.cached, done.extracted, done.duplicates) == (37, 36, 0, 1)
    assert len(FeatureStore(store).find_feature_set().parts()) == 1
    # Nor after the index was lost.
    (store / "images.sqlite").unlink()
    assert extract(url, store).cached == 36


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(
    swift: str, s3: S3, photos: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from demijohn.pipeline.extraction import runner

    url = s3.put_folder(photos, "photos")
    s3.forget()
    note, noted = runner.Outcome.note, 0

    def stop(self: Any, decoded: Any, reading: Any) -> None:
        nonlocal noted
        note(self, decoded, reading)
        noted += 1
        if noted == 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner.Outcome, "note", stop)
        with pytest.raises(KeyboardInterrupt):
            extract(url, store, batch_size=2)
    # No table with keys that are none.
    assert FeatureStore(store).dataset_names() == []
    stored = len(FeatureStore(store).find_feature_set().keys())
    assert 2 <= stored <= 10
    s3.forget()
    done = extract(url, store)
    assert (done.rows, done.cached, done.skipped) == (36, stored, ())
    assert len(s3.fetched()) == 36 - stored
    keys = {hash_bytes(path.read_bytes()).hex() for path in photos.glob("*/*")}
    assert {key for key, _, _ in content_of(store).values()} == keys


@pytest.mark.slow
def test_a_sample_and_views_are_those_of_the_folder(swift: str, s3: S3, photos: Path, store: Path) -> None:
    url = s3.put_folder(photos, "photos")
    wanted = Labelling(limit=12)
    extract(photos, store / "here", labelling=wanted, views=2)
    done = extract(url, store / "there", labelling=wanted, views=2)
    assert content_of(store / "here") == content_of(store / "there")
    assert done.rows == 12
    extract(photos, store / "here", labelling=Labelling(limit=0), views=2)
    whole = extract(url, store / "there", labelling=Labelling(limit=0), views=2)
    assert content_of(store / "here") == content_of(store / "there")
    train = [split for _, _, split in content_of(store / "there").values()].count("train")
    assert whole.view_rows == train
    s3.forget()
    assert extract(url, store / "there", views=2).view_rows == train
    assert s3.fetched() == []


def test_what_vanishes_or_may_not_be_read_is_skipped_with_its_reason(
    swift: str, s3: S3, photos: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = s3.put_folder(photos, "photos")
    s3.put("photos/red/empty.png", b"")
    fetch = sources._fetch

    def vanishing(where: str, limit: int | None) -> bytes:
        if where.endswith("red/001.png"):
            s3.client.delete_object(Bucket=BUCKET, Key="photos/red/001.png")
        if where.endswith("red/002.png"):
            raise PermissionError(13, "no permission", where)
        return fetch(where, limit)

    monkeypatch.setattr(sources, "_fetch", vanishing)
    done = extract(url, store)
    reasons = {each.path: each.reason for each in done.skipped}
    assert reasons == {
        "red/001.png": "cannot be read: not there",
        "red/002.png": "cannot be read: no permission",
        "red/empty.png": "the file is empty",
    }
    assert done.rows == 34


@pytest.mark.slow
def test_a_table_of_urls_on_the_web(swift: str, web: Web, photos: Path, store: Path, tmp_path: Path) -> None:
    names = sorted(path.relative_to(tmp_path).as_posix() for path in photos.glob("*/*"))
    lines = [f"{web.url}/{name},{name.split('/')[1]}" for name in names]
    table = tmp_path / "here" / "labels.csv"
    table.parent.mkdir()
    table.write_text("\n".join(["path,label", *lines, f"{web.url}/photos/gone.png,red", ""]))
    done = extract(table, store)
    assert (done.images, done.rows) == (37, 36)
    assert [(each.path, each.reason.partition(":")[0]) for each in done.skipped] == [
        (f"{web.url}/photos/gone.png", "cannot be read")
    ]
    assert sum(kind == "GET" and name.endswith("0.png") for kind, name in web.requests) == 6
    web.requests.clear()
    assert extract(table, store).cached == 36
    assert not [name for kind, name in web.requests if kind == "GET" and "gone" not in name]
    (photos / "red" / "000.png").write_bytes(encode(picture(99)))
    os.utime(photos / "red" / "000.png", (time.time() - 1800,) * 2)
    web.requests.clear()
    assert extract(table, store).extracted == 1
    assert [name for kind, name in web.requests if kind == "GET" and "gone" not in name] == ["/photos/red/000.png"]


@pytest.mark.slow
def test_a_table_may_lie_on_the_web_itself_and_name_paths_beside_it(
    swift: str, web: Web, photos: Path, store: Path
) -> None:
    names = sorted(path.relative_to(photos).as_posix() for path in photos.glob("*/*"))
    lines = [f"{name},{name.split('/')[0]}" for name in names]
    (photos / "labels.csv").write_text("\n".join(["path,label", *lines, ""]))
    assert extract(f"{web.url}/photos/labels.csv", store).rows == 36
    assert extract(None, store).cached == 36
    with pytest.raises(NoImages, match=r"nothing.csv cannot be read: not there: expected a table"):
        extract(f"{web.url}/photos/nothing.csv", store)
    with pytest.raises(InvalidRequest, match="a web address, which lists no folder: expected a CSV table"):
        extract(f"{web.url}/photos", store)


def test_what_changed_a_moment_ago_is_not_trusted_by_its_time(
    swift: str, web: Web, photos: Path, store: Path, tmp_path: Path
) -> None:
    os.utime(photos / "red" / "000.png")
    lines = [f"{web.url}/photos/{name}/000.png,{name}" for name in ("red", "green", "blue")]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *lines, ""]))
    extract(tmp_path / "t.csv", store)
    web.requests.clear()
    assert extract(tmp_path / "t.csv", store).cached == 3
    assert [name for kind, name in web.requests if kind == "GET"] == ["/photos/red/000.png"]


@pytest.mark.slow
def test_a_server_that_stumbles_is_asked_again_and_one_that_fails_is_told(
    swift: str, web: Web, photos: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in photos.glob("*/*"))
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *(f"{web.url}/{n},{n.split('/')[1]}" for n in names), ""]))
    # A look is a HEAD, and a GET where that fails.
    web.failures["/photos/red/000.png"] = [503, 503, 500, 429]
    web.failures["/photos/red/001.png"] = [503] * 100
    done = extract(tmp_path / "t.csv", store)
    (skipped,) = done.skipped
    assert skipped.path.endswith("red/001.png")
    assert skipped.reason.startswith("cannot be reached (503")
    assert done.rows == 35


@pytest.mark.slow
def test_an_outage_ends_the_run_instead_of_skipping_everything(
    swift: str, s3: S3, photos: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    url = s3.put_folder(photos, "photos")

    def fail(where: str, limit: int | None) -> bytes:
        raise Unreachable(f"{where} cannot be read in 4 attempts: no route")

    with monkeypatch.context() as patch:
        patch.setattr(sources, "_fetch", fail)
        with pytest.raises(Unreachable, match=f"{sources.PATIENCE} pictures one after the other cannot be reached"):
            extract(url, store)
    assert FeatureStore(store).dataset_names() == []
    assert extract(url, store).rows == 36


def test_no_bucket_no_folder_no_permission_no_picture(
    swift: str, s3: S3, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoImages, match="s3://nowhere is not there: expected a bucket"):
        extract("s3://nowhere", store)
    with pytest.raises(NoImages, match=r"is not there|no pictures in"):
        extract(f"s3://{BUCKET}/nothing", store)
    files, _ = remote.open_filesystem(f"s3://{BUCKET}")

    def forbid(*_: Any, **__: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(files, "find", forbid)
    with pytest.raises(Unreachable, match="may not be listed with the credentials of this environment: set those"):
        extract(f"s3://{BUCKET}/photos", store)
    assert not store.exists()


def test_other_schemes_are_read_alike(swift: str, photos: Path, store: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for path in photos.glob("*/*"):
        memory.pipe_file(f"/photos/{path.relative_to(photos).as_posix()}", path.read_bytes())
        os.utime(path, (1, 1))
    try:
        forget_filesystems()
        assert extract("memory://photos", store / "memory").rows == 36
        assert extract(f"file://{photos}", store / "file").rows == 36
        assert extract(f"file://{photos}", store / "file").cached == 36
        assert content_of(store / "memory") == content_of(store / "file")
    finally:
        memory.rm("/photos", recursive=True)


def test_too_large_is_refused_before_it_is_fetched(s3: S3) -> None:
    from demijohn.pipeline.errors import UnreadableImage
    from demijohn.pipeline.pictures.images import ReadingPolicy

    s3.put("x.png", b"x" * 10)
    s3.forget()
    with pytest.raises(UnreadableImage, match="larger than any picture"):
        read_file(f"s3://{BUCKET}/x.png", ReadingPolicy(max_pixels=1), size=1 << 30)
    assert s3.requests == []
    assert read_file(f"s3://{BUCKET}/x.png") == b"x" * 10
    assert len(s3.requests) == 1


def test_hidden_entries_count_once_each(s3: S3) -> None:
    for name in (".a/1.png", ".a/.b/2.png", "c/.d.png", "c/e.PNG", "c/f.txt", "c/", "g/.h/i/j.png"):
        s3.put(f"odd/{name}", b"x" if not name.endswith("/") else b"")
    found = list_elsewhere(f"s3://{BUCKET}/odd")
    assert (found.walk.paths, found.walk.hidden, found.walk.others) == (["c/e.PNG"], 3, 1)


@pytest.mark.slow
def test_the_plan_fetches_no_more_than_it_times(swift: str, s3: S3, photos: Path, store: Path) -> None:
    url = s3.put_folder(photos, "photos")
    s3.forget()
    plan = plan_features(url, backbones=("tiny",), weights="random", store=store)
    assert "36 to be fetched" in str(plan)
    assert plan.survey.images == 36
    assert not (store / "datasets").exists()


@pytest.mark.slow
def test_all_that_follows_sees_them(swift: str, s3: S3, photos: Path, store: Path) -> None:
    cut = encode(picture(7, size=(200, 160)), "JPEG")[:-2000]
    (photos / "red" / "cut.jpg").write_bytes(cut)
    shutil.copy(photos / "red" / "001.png", photos / "red" / "twin.png")
    url = s3.put_folder(photos, "photos")
    extract(url, store)
    train_head("logistic", store=store)
    report = report_heads(store=store)
    assert [each.path for each in report.skipped] == ["red/cut.jpg"]
    # What remains of the cut picture is drawn.
    assert list((report_in(store) / "figures").glob("skipped-*.png"))
    s3.forget()
    found = audit(store=store)
    assert len(found.facts) == 38
    assert {each.kind for each in found.facts.values()} == {"PNG", "JPEG"}
    assert [len(each.rows) for each in found.duplicates] == [2]
    assert "data:image/jpeg;base64," in found.page.read_text()
    (again,) = recompute_rows(3, store=store)
    assert (again.rows, again.gone, again.greatest_difference) == (3, 0, 0.0)
    s3.put("photos/red/002.png", b"changed")
    s3.client.delete_object(Bucket=BUCKET, Key="photos/red/003.png")
    notes = " ".join(audit(store=store).notes)
    assert "files that are not there any more, or cannot be read: 1" in notes
    assert "files that have changed since they were extracted, left out here: 1" in notes


@pytest.mark.slow
def test_what_is_predicted_may_lie_elsewhere(swift: str, s3: S3, photos: Path, store: Path, tmp_path: Path) -> None:
    url = s3.put_folder(photos, "photos")
    extract(photos, store)
    run = train_head("logistic", store=store)
    s3.put("new/1.png", encode(picture(501)))
    s3.put("new/2.png", b"no picture")
    s3.put("new/labels.csv", b"path\n1.png\ngone.png\n")
    s3.forget()
    there = list(predict([url, f"{url.replace('photos', 'new')}/1.png"], run=run.id, store=store))
    here = {each.path.removeprefix(f"{photos}/"): each for each in predict(photos, run=run.id, store=store)}
    assert len(there) == 37
    for each in there[:36]:
        assert each.label == here[each.path.removeprefix(f"{url}/")].label
    s3.forget()
    listed = list(predict(f"s3://{BUCKET}/new/labels.csv", run=run.id, store=store))
    assert [each.path.rpartition("/")[2] for each in listed] == ["1.png", "gone.png"]
    assert "cannot be read: not there" in str(listed[1])
    # What was predicted before is in the store.
    assert s3.fetched("new/") == ["new/labels.csv"]


def test_nothing_of_the_credentials_is_kept(
    swift: str, s3: S3, photos: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = s3.put_folder(photos, "photos")
    extract(url, store)
    with pytest.raises(Unreachable, match="credentials in the environment"):
        extract("https://me:word@127.0.0.1/labels.csv", store)
    kept = [path.read_bytes() for path in store.rglob("*") if path.is_file()]
    assert not any(secret.encode() in content for content in kept for secret in ("testing", s3.endpoint, "word@"))
