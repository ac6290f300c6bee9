"""A feature set goes on with the engine and the batch that it was begun with, wherever that can be had."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from demijohn.cache import FeatureStore
from demijohn.models import UnsuitableEngine, UnsuitableSetting
from demijohn.models.engines.engines import ENGINES
from demijohn.models.engines.openvino_engine import OpenVINOEngine
from support.commands import run
from support.extractions import NOTHING_HEAVY, Listening, extract, rows_of, run_watched


def begun_with(store: Path) -> tuple[str, int]:
    begun = FeatureStore(store).find_feature_set().begun
    assert begun is not None
    return begun.provenance["engine"], begun.provenance["batch_size"]


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "other"), [("tensorflow", "openvino"), ("openvino", "tensorflow")])
def test_a_set_is_continued_with_the_engine_and_the_batch_of_the_one_who_began(
    tiny: str, photos: Path, tmp_path: Path, engine: str, other: str
) -> None:
    store = tmp_path / "store"
    extract(photos / "red", store, dataset="a", engine=engine, batch_size=5)
    again = extract(photos / "blue", store, dataset="b")
    assert (again.engine, again.batch_size, again.cached) == (engine, 5, 0)
    # Another one only on request, and within the probe's tolerance.
    asked = extract(photos / "green", store, dataset="c", engine=other)
    assert (asked.engine, asked.digest) == (other, again.digest)
    assert begun_with(store) == (engine, 5)


@pytest.mark.slow
def test_a_set_goes_on_where_its_engine_is_not_installed(
    tiny: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    extract(photos / "red", store, dataset="a", engine="openvino")
    monkeypatch.setitem(ENGINES, "openvino", replace(ENGINES["openvino"], package="not_installed"))
    told: list[str] = []
    again = extract(photos / "blue", store, dataset="b", progress=Listening(told))
    assert again.engine == "tensorflow"
    assert "these features were begun with openvino; tensorflow goes on, if its numbers agree" in told
    with pytest.raises(UnsuitableSetting, match=r"openvino is not installed: pip install 'demijohn\[cpu\]'"):
        extract(photos / "green", store, dataset="c", engine="openvino")


@pytest.mark.slow
def test_what_openvino_cannot_take_goes_to_tensorflow(
    tiny: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise UnsuitableEngine("OpenVINO cannot take tiny: an odd layer")

    monkeypatch.setattr(OpenVINOEngine, "compile", staticmethod(refuse))
    told: list[str] = []
    done = extract(photos, tmp_path / "store", progress=Listening(told))
    assert (done.engine, done.rows) == ("tensorflow", 36)
    assert begun_with(tmp_path / "store") == ("tensorflow", ENGINES["tensorflow"].batch_size)
    assert "OpenVINO cannot take tiny: an odd layer; tensorflow takes its place" in told
    with pytest.raises(UnsuitableEngine, match="an odd layer; choose --engine tensorflow"):
        extract(photos, tmp_path / "other", engine="openvino")


@pytest.mark.slow
def test_ten_more_pictures_need_no_tensorflow(photos: Path, tmp_path: Path) -> None:
    arguments = ("extract-features", photos, "--backbone", "tiny", "--weights", "random", "--store", tmp_path / "s")
    whole = run(*arguments, "--store", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    held = photos.rename(tmp_path / "held")
    shutil.copytree(held / "red", photos / "red")
    shutil.copytree(held / "blue", photos / "blue")
    assert run(*arguments).returncode == 0
    shutil.copytree(held / "green", photos / "green")
    watched = run_watched(*arguments, after=f"assert 'openvino' in sys.modules; {NOTHING_HEAVY}")
    assert watched.returncode == 0, watched.stderr
    assert "24 cached, 12 extracted" in watched.stdout
    one, other = (rows_of(FeatureStore(tmp_path / name).find_feature_set().path) for name in ("s", "whole"))
    assert one == other, "kept and compiled now are the same"
