"""A worker keeps to its threads and its GPU, and what goes to it is small."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from demijohn.models.errors import UnsuitableSetting
from demijohn.pipeline.extraction import workers as module
from demijohn.pipeline.extraction.survey import survey_images
from demijohn.pipeline.extraction.workers import Place, claim_gpu, process_name, settle


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be a worker that has not settled yet."""
    monkeypatch.setattr(module, "_bench", module._Bench())
    for name in ("LOKY_MAX_CPU_COUNT", "TF_NUM_INTRAOP_THREADS", "CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH"):
        monkeypatch.setenv(name, "before")


def test_workers_claim_a_gpu_each_and_free_it_when_they_end(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from demijohn.pipeline.extraction.workers import claim_gpu;"
    code += "gpu, held = claim_gpu(('3', '5'), Path(sys.argv[1])); print(gpu, flush=True); sys.stdin.read()"
    first, held = claim_gpu(("3", "5"), tmp_path)
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert (first, other.stdout.readline()) == ("3", "5\n")
    with pytest.raises(UnsuitableSetting, match="no GPU is free: expected one of 3, 5"):
        claim_gpu(("3", "5"), tmp_path, seconds=0)
    other.kill()
    other.communicate()
    assert claim_gpu(("3", "5"), tmp_path)[0] == "5"
    held.release()


def test_a_worker_settles_once(fresh: None, tmp_path: Path) -> None:
    from joblib import cpu_count

    settle(Place("elsewhere-1", 1, ("7", "8"), tmp_path))
    assert (os.environ["LOKY_MAX_CPU_COUNT"], os.environ["TF_NUM_INTRAOP_THREADS"]) == ("1", "1")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    assert cpu_count() == 1
    settle(Place("elsewhere-1", 4, ("7", "8"), tmp_path))
    assert os.environ["LOKY_MAX_CPU_COUNT"] == "1"


def test_the_driver_itself_is_left_as_it_is(fresh: None, tmp_path: Path) -> None:
    settle(Place(process_name(), 1, ("7",), tmp_path))
    assert os.environ["LOKY_MAX_CPU_COUNT"] == os.environ["CUDA_VISIBLE_DEVICES"] == "before"


def test_families_travel_without_weights_or_rows(swift: str, photos: Path, tmp_path: Path) -> None:
    from demijohn.pipeline import extract_features

    request: dict[str, Any] = {"weights": "random", "store": tmp_path / "store"}
    extract_features(photos, backbone="tiny", **request)
    family = survey_images(photos, backbones=("tiny",), **request).families[0]
    assert len(family.first.features.keys()) == 36
    content = pickle.dumps((family.frozen, family.first.features))
    assert len(content) < 4000
    frozen, features = pickle.loads(content)
    assert frozen.digest == family.frozen.digest
    assert features.folder == family.first.features.folder
    assert features.keys() == family.first.features.keys()
