"""Files of heads: they give the same scores anywhere, hold no code, and are refused where they are damaged."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models import HEADS, BadWeights, load_head
from demijohn.models.backend import import_keras
from demijohn.models.heads.estimator import scores_of
from sklearn.base import BaseEstimator, ClassifierMixin
from support.heads import Rows, every_case, every_head, fit_small


@pytest.mark.slow
@every_case
def test_saved_and_loaded_it_gives_the_same_scores(
    trained: Any, rows: Callable[[int], Rows], tmp_path: Path, case: str, classes: int
) -> None:
    head = trained(case, classes)
    file = tmp_path / f"head{head.suffix}"
    head.save(file)
    features = rows(classes)["test"][0]
    np.testing.assert_allclose(load_head(file)(features), scores_of(head, features)[0], rtol=1e-5, atol=1e-6)


@every_case
def test_the_file_holds_no_pickle(trained: Any, tmp_path: Path, case: str, classes: int) -> None:
    head = trained(case, classes)
    file = tmp_path / f"head{head.suffix}"
    head.save(file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert {Path(name).suffix for name in members} <= {".json", ".npy", ".h5"}
    for name, content in members.items():
        if name.endswith(".npy"):
            np.load(io.BytesIO(content), allow_pickle=False)
        elif name.endswith(".json"):
            json.loads(content)
        else:
            assert content.startswith(b"\x89HDF")


LOAD = """
import sys, numpy as np
from pathlib import Path
from demijohn.models import load_head
folder = Path(sys.argv[1])
for file in sorted(folder.glob("head.*")):
    np.save(folder / f"{file.name}.npy", load_head(file)(np.load(folder / "features.npy")))
print(*sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras", "torch"}))
"""


def run(script: str, *arguments: str | Path) -> str:
    result = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [pytest.param(".keras", marks=pytest.mark.slow), ".skops"])
def test_it_loads_in_another_process(trained: Any, rows: Callable[[int], Rows], tmp_path: Path, suffix: str) -> None:
    features = rows(5)["test"][0]
    np.save(tmp_path / "features.npy", features)
    head = trained("dense, batch norm" if suffix == ".keras" else "logistic", 5)
    head.save(tmp_path / f"head{suffix}")
    imported = run(LOAD, tmp_path)
    assert imported == ("keras tensorflow" if suffix == ".keras" else "")
    scores = np.load(tmp_path / f"head{suffix}.npy")
    np.testing.assert_allclose(scores, scores_of(head, features)[0], rtol=1e-5, atol=1e-6)


TRAIN = """
import sys, numpy as np
from pathlib import Path
from demijohn.models import HEADS, find_head, load_head
from demijohn.models.heads.estimator import scores_of
X, y = np.random.default_rng(0).normal(size=(60, 5)).astype("f4"), np.arange(60) % 3
for name, settings in [(name, {}) for name in HEADS if name != "dense"] + [("svm", {"kernel": "rbf"})]:
    head = find_head(name).make(settings, seed=0).fit(X, y, validation=(X, y))
    scores_of(head, X)
    head.predict(X)
    head.save(Path(sys.argv[1]) / "head.skops")
    load_head(Path(sys.argv[1]) / "head.skops")(X)
print(*sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras", "torch"}))
"""


@pytest.mark.slow
def test_heads_of_scikit_learn_train_save_and_load_without_tensorflow(tmp_path: Path) -> None:
    assert run(TRAIN, tmp_path) == ""


# Damage and attacks.


@pytest.fixture(scope="module")
def saved(rows: Callable[[int], Rows], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a sound file of every head; it is not to be changed."""
    folder = tmp_path_factory.mktemp("heads")
    files = {}
    for name in HEADS:
        head = fit_small(name, *rows(2)["train"])
        files[name] = folder / f"{name}{head.suffix}"
        head.save(files[name])
        load_head(files[name])
    return files


def refuse(file: Path) -> None:
    with pytest.raises(BadWeights, match="cannot be loaded as a head") as caught:
        load_head(file)
    assert str(file) in str(caught.value)
    assert "train it again with --force" in str(caught.value)


@pytest.mark.parametrize("suffix", [".skops", ".keras", ".txt", ""])
@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"PK\x03\x04garbage", bytes(range(256)) * 20, b"\x89HDF\r\n\x1a\n"]
)
def test_garbage_is_refused(guard: None, tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"head{suffix}"
    file.write_bytes(content)
    refuse(file)


@pytest.mark.parametrize("suffix", [".skops", ".keras"])
def test_a_missing_file_is_refused(guard: None, tmp_path: Path, suffix: str) -> None:
    refuse(tmp_path / f"head{suffix}")


@pytest.mark.parametrize("suffix", [".skops", ".keras"])
@pytest.mark.parametrize(
    "members",
    [
        {},
        {"a": "b"},
        {"schema.json": "{}", "config.json": "{}"},
        {"schema.json": "[", "config.json": "["},
    ],
)
def test_a_zip_of_something_else_is_refused(guard: None, tmp_path: Path, suffix: str, members: dict[str, str]) -> None:
    file = tmp_path / f"head{suffix}"
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    refuse(file)


@every_head
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_cut_file_is_refused(saved: dict[str, Path], tmp_path: Path, name: str, share: float) -> None:
    content = saved[name].read_bytes()
    file = tmp_path / saved[name].name
    file.write_bytes(content[: int(len(content) * share)])
    refuse(file)


@every_head
def test_a_file_without_one_of_its_members_is_refused(saved: dict[str, Path], tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(saved[name]) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    file = tmp_path / saved[name].name
    for missing in set(members) - {"metadata.json"}:
        with zipfile.ZipFile(file, "w") as archive:
            for each, content in members.items():
                if each != missing:
                    archive.writestr(each, content)
        refuse(file)


class Stranger(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of somebody's own, which skops knows nothing about."""

    def predict(self, X: Any) -> Any:
        raise AssertionError("this must not run")


def tamper(source: Path, target: Path, member: str, change: Callable[[Any], Any]) -> None:
    """Write a copy of a zip whose JSON member has been changed."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as changed:
        for name in archive.namelist():
            content = archive.read(name)
            changed.writestr(name, json.dumps(change(json.loads(content))) if name == member else content)


def test_an_untrusted_type_is_refused(tmp_path: Path) -> None:
    import skops.io

    file = tmp_path / "head.skops"
    skops.io.dump(Stranger(), file)
    refuse(file)


@pytest.fixture
def spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a module `spy` on the path that creates the returned file when it is imported."""
    marker = tmp_path / "marker"
    (tmp_path / "spy.py").write_text(
        f"open({str(marker)!r}, 'w').close()\nclass Spy:\n    from_config = classmethod(lambda cls, *_: cls())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "spy", raising=False)
    return marker


CODE = [("spy", "Spy"), ("os", "system"), ("builtins", "eval"), ("subprocess", "Popen")]


@pytest.mark.parametrize(("module", "name"), [*CODE, ("sklearn.base", "clone"), ("numpy", "load")])
@pytest.mark.parametrize("wanted", ["Pipeline", "LogisticRegression"])
def test_a_skops_file_that_names_other_code_is_refused(
    saved: dict[str, Path], tmp_path: Path, spy: Path, module: str, name: str, wanted: str
) -> None:
    def change(node: Any) -> Any:
        if isinstance(node, list):
            return [change(each) for each in node]
        if not isinstance(node, dict):
            return node
        other = {"__module__": module, "__class__": name} if node.get("__class__") == wanted else {}
        return {key: change(value) for key, value in node.items()} | other

    file = tmp_path / "head.skops"
    tamper(saved["logistic"], file, "schema.json", change)
    refuse(file)
    assert not spy.exists()
    assert "spy" not in sys.modules


@pytest.mark.parametrize(("module", "name"), CODE)
def test_a_keras_file_that_names_other_code_is_refused(
    saved: dict[str, Path], tmp_path: Path, spy: Path, module: str, name: str
) -> None:
    def change(config: Any) -> Any:
        layer = config["config"]["layers"][1]
        layer.update(module=module, class_name=name, registered_name=name, config={"command": f"touch {spy}"})
        return config

    file = tmp_path / "head.keras"
    tamper(saved["dense"], file, "config.json", change)
    refuse(file)
    assert not spy.exists()
    assert "spy" not in sys.modules


def test_a_keras_file_with_a_lambda_is_refused(guard: None, tmp_path: Path) -> None:
    keras = import_keras()
    marker, file = tmp_path / "marker", tmp_path / "head.keras"
    path = str(marker)
    features = keras.Input((3,))
    layer = keras.layers.Lambda(lambda x: (open(path, "w").close(), x)[1])
    keras.Model(features, layer(features)).save(file)
    marker.unlink()
    refuse(file)
    assert not marker.exists()
    keras.saving.load_model(file, safe_mode=False)
    assert marker.exists(), "the attack is real"
