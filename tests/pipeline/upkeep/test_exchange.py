"""A team shares one cache: what one has extracted, another trains on, without the pictures."""

import json
from pathlib import Path
from typing import Any

import pytest
from demijohn.cache import DamagedFile, FeatureStore, UnknownDataset, UnknownFeatures, Unreachable
from demijohn.pipeline import (
    InvalidRequest,
    Labelling,
    cli,
    extract_features,
    list_features,
    pull_cache,
    push_cache,
    train_head,
)
from support.pictures import encode, picture
from support.s3 import BUCKET, S3

URL = f"s3://{BUCKET}/team/cache/"
CUT = encode(picture(7, size=(200, 160)), "JPEG")[:-2000]


def extract(photos: Path, store: Path, **arguments: Any) -> None:
    extract_features(photos, **{"backbone": "tiny", "weights": "random", "store": store, **arguments})


@pytest.fixture
def mine(swift: str, s3: S3, photos: Path, tmp_path: Path) -> Path:
    """Return a store with features, one picture that cannot be read, and the server empty."""
    (photos / "red" / "cut.jpg").write_bytes(CUT)
    extract(photos, tmp_path / "mine")
    return tmp_path / "mine"


def test_another_trains_on_what_was_pushed(mine: Path, s3: S3, tmp_path: Path) -> None:
    sent = push_cache(URL, store=mine)
    assert (sent.url, sent.datasets, sent.refusals) == (URL.rstrip("/"), {"photos": "moved"}, 1)
    assert sent.to_json()["bytes"] == sent.feature_sets[0].bytes > 36 * 8 * 4
    s3.forget()
    again = push_cache(URL, store=mine)
    assert (again.to_json()["bytes"], again.datasets, again.refusals) == (0, {"photos": "same"}, 0)
    assert s3.sent() == []
    theirs = tmp_path / "theirs"
    got = pull_cache(URL, store=theirs)
    assert (got.feature_sets[0].rows, got.datasets, got.refusals) == (36, {"photos": "moved"}, 1)
    s3.forget()
    assert pull_cache(URL, store=theirs).to_json()["bytes"] == 0
    assert not [name for name in s3.fetched() if name.endswith((".h5", ".keys"))]
    metrics = [train_head("logistic", store=store).record["metrics"]["test"] for store in (mine, theirs)]
    assert metrics[0] == metrics[1]
    # What travels, and nothing else: no run, no index, no compiled backbone.
    kinds = {name.removeprefix("team/cache/").partition("/")[0] for name in s3.names("team/cache/")}
    assert kinds == {"features", "datasets", "refusals"}
    assert {path.name for path in theirs.iterdir()} == {"features", "datasets", "refusals.csv", "runs"}


@pytest.mark.slow
def test_a_damaged_part_is_refused_and_the_rest_installed(mine: Path, photos: Path, s3: S3, tmp_path: Path) -> None:
    extract(photos, mine, weights="random:1")
    push_cache(URL, store=mine)
    name = next(name for name in s3.names() if name.endswith(".h5"))
    content = bytearray(s3.client.get_object(Bucket=BUCKET, Key=name)["Body"].read())
    content[len(content) // 2] ^= 1
    s3.put(name, bytes(content))
    got = pull_cache(URL, store=tmp_path / "theirs")
    assert sorted(each.rows for each in got.feature_sets) == [0, 36]
    with pytest.raises(DamagedFile, match=f"refused: 1, the first: s3://{BUCKET}/{name} is damaged"):
        got.check()
    assert sorted(each.rows for each in list_features(store=tmp_path / "theirs")) == [0, 36]
    # As the message says: removed there and pushed again, all is well.
    s3.client.delete_object(Bucket=BUCKET, Key=name)
    push_cache(URL, store=mine).check()
    pull_cache(URL, store=tmp_path / "theirs").check()
    assert {each.rows for each in list_features(store=tmp_path / "theirs")} == {36}


@pytest.mark.slow
def test_a_table_that_differs_is_left_unless_it_is_to_be_replaced(mine: Path, photos: Path, tmp_path: Path) -> None:
    push_cache(URL, store=mine)
    pull_cache(URL, store=tmp_path / "theirs")
    extract(photos, mine, labelling=Labelling(shares=(50, 25, 25)))
    assert push_cache(URL, store=mine).datasets == {"photos": "kept"}
    assert pull_cache(URL, store=mine).datasets == {"photos": "kept"}
    assert push_cache(URL, store=mine, replace=True).datasets == {"photos": "moved"}
    theirs = FeatureStore(tmp_path / "theirs")
    assert pull_cache(URL, store=theirs.folder).datasets == {"photos": "kept"}
    assert theirs.find_dataset().digest != FeatureStore(mine).find_dataset().digest
    assert pull_cache(URL, store=theirs.folder, replace=True).datasets == {"photos": "moved"}
    assert theirs.find_dataset() == FeatureStore(mine).find_dataset()


@pytest.mark.slow
def test_sets_and_tables_are_chosen_as_by_the_other_commands(mine: Path, photos: Path, tmp_path: Path) -> None:
    extract(photos, mine, weights="random:1", dataset="second")
    digests = [each.digest for each in list_features(store=mine)]
    sent = push_cache(URL, store=mine, features=digests[0][:8], dataset="second")
    assert ([each.rows for each in sent.feature_sets], list(sent.datasets)) == ([36], ["second"])
    push_cache(URL, store=mine)
    got = pull_cache(URL, store=tmp_path / "theirs", features=digests[1], dataset="photos")
    assert [each.name.rpartition("-")[2] for each in got.feature_sets] == [digests[1][:12]]
    assert FeatureStore(tmp_path / "theirs").dataset_names() == ["photos"]
    for move in (push_cache, pull_cache):
        with pytest.raises(UnknownFeatures, match=r"holds no such features: expected one of tiny-"):
            move(URL, store=mine, backbone="xception")
        with pytest.raises(UnknownDataset, match="holds no data set third: expected one of photos, second"):
            move(URL, store=mine, dataset="third")


def test_a_set_travels_with_its_views_in_both_directions(swift: str, photos: Path, tmp_path: Path) -> None:
    mine, url = tmp_path / "mine", f"file://{tmp_path}/shared"
    extract(photos, mine, weights="random:1")
    [other] = FeatureStore(mine).feature_sets()
    extract(photos, mine, views=2)
    family = [each for each in FeatureStore(mine).feature_sets() if each.digest != other.digest]
    assert sorted(each.recipe.view for each in family) == [0, 1]
    for each in family:
        sent = push_cache(url, store=mine, features=each.digest)
        assert {one.name for one in sent.feature_sets} == {one.folder.name for one in family}
    push_cache(url, store=mine)
    for each in family:
        got = pull_cache(url, store=tmp_path / each.digest, features=each.digest[:8])
        assert {one.name: one.rows for one in got.feature_sets} == {one.folder.name: len(one.keys()) for one in family}
    # A recipe that cannot be read hides no other set, and is told where it is asked for.
    (tmp_path / "shared" / "features" / other.folder.name / "recipe.json").write_text("{")
    assert len(pull_cache(url, store=tmp_path / "last", features=family[0].digest).feature_sets) == 2
    with pytest.raises(DamagedFile, match=r"refused: 1, the first: .*recipe\.json is damaged"):
        pull_cache(url, store=tmp_path / "last").check()


def test_what_cannot_be_used_is_told(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequest, match="expected one such as s3://bucket/cache"):
        push_cache("/mnt/cache", store=mine)
    for move in (push_cache, pull_cache):
        with pytest.raises((Unreachable, UnknownFeatures), match=r"not there|holds no features"):
            move("s3://no-such-bucket/cache", store=mine)
        with pytest.raises(Unreachable, match="credentials in the environment"):
            move("https://me:word@host/cache", store=mine)
    from demijohn.cache.remote import open_filesystem

    files, _ = open_filesystem(URL)

    def forbid(*_: Any, **__: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(files, "put_file", forbid)
    with pytest.raises(Unreachable, match="may not be used with the credentials of this environment: set those"):
        push_cache(URL, store=mine)


def test_the_commands_tell_counts_and_bytes(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from demijohn.pipeline.commands.console import _run

    def run(*words: str | Path) -> tuple[int, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["demijohn", *map(str, words)])
            status = _run(cli.demijohn, "demijohn")
        return status, capsys.readouterr().out

    status, told = run("cache", "push", URL, "--store", mine, "--quiet")
    assert status == 0
    assert "36 rows sent in 1 parts" in told
    assert "0 rows were there" in told
    assert "data set photos: sent" in told
    assert "pictures that cannot be read: 1 sent" in told
    status, told = run("cache", "pull", URL, "--store", tmp_path / "theirs", "--json", "--quiet")
    answer = json.loads(told)
    assert status == 0
    assert answer["bytes"] == answer["feature_sets"][0]["bytes"] > 0
    assert list(answer) == ["url", "feature_sets", "datasets", "refusals", "bytes"]
