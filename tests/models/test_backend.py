"""Keras as demijohn needs it, whatever somebody's settings say; imported late and without noise."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from demijohn.models import backend


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_version_is_that_of_keras(guard: None) -> None:
    assert backend.keras_version() == backend.import_keras().__version__


def test_the_catalogue_imports_nothing_heavy() -> None:
    script = (
        "import sys, demijohn.models as m; m.find_backbone('xception').to_json(); m.find_head('svm');"
        "m.locate_weights(m.BACKBONES['xception'], 'random:3').identity;"
        "print(*{n.split('.')[0] for n in sys.modules} & {'tensorflow', 'keras', 'sklearn', 'torch', 'h5py'})"
    )
    result = run(script)
    assert (result.returncode, result.stdout, result.stderr) == (0, "\n", "")


@pytest.mark.slow
def test_settings_in_the_home_folder_change_nothing(tmp_path: Path) -> None:
    settings = {"backend": "numpy", "floatx": "float16", "image_data_format": "channels_first", "dtype_policy": "x"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    script = (
        "from demijohn.models.backend import import_keras, import_tensorflow\n"
        "keras, tf = import_keras(), import_tensorflow()\n"
        "print(keras.backend.backend(), keras.config.floatx(), keras.config.image_data_format(),"
        "keras.config.dtype_policy().name, tf.config.experimental.tensor_float_32_execution_enabled())"
    )
    result = run(script, KERAS_HOME=str(tmp_path), KERAS_BACKEND="numpy")
    assert result.stdout.split() == ["tensorflow", "float32", "channels_last", "float32", "False"], result.stderr
    assert result.stderr == "", "nothing that C++ says at import reaches the terminal"


def test_a_dtype_policy_set_before_is_put_right(guard: None) -> None:
    keras = backend.import_keras()
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float16")
    assert backend.import_keras() is keras
    assert keras.config.dtype_policy().name == "float32"
    assert keras.config.image_data_format() == "channels_last"
    assert keras.config.floatx() == "float32"


def test_keras_on_another_backend_is_an_error_that_says_so(guard: None, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("keras")
    other.backend = SimpleNamespace(backend=lambda: "jax")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keras", other)
    with pytest.raises(RuntimeError, match="imported it on jax"):
        backend.import_keras()


def test_what_a_failing_import_wrote_is_shown_and_stderr_comes_back(tmp_path: Path) -> None:
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text("import os; os.write(2, b'from below; '); raise ImportError('broken')")
    script = (
        "import os\nfrom demijohn.models.backend import import_tensorflow\n"
        "try: import_tensorflow()\nexcept ImportError as error: os.write(2, b'caught; ')\n"
    )
    result = run(script, PYTHONPATH=str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "from below; caught; ")


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="of these processors only")
@pytest.mark.parametrize(("asked", "found"), [(None, "1"), ("0", "0")])
def test_the_faster_kernels_are_used_unless_they_are_switched_off(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, found: str
) -> None:
    if asked is None:
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    else:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", asked)
    backend.import_tensorflow()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == found


@pytest.mark.parametrize("level", ["0", None])
def test_a_log_level_that_is_set_stays(monkeypatch: pytest.MonkeyPatch, level: str | None) -> None:
    if level is None:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    else:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    backend.import_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == (level or "3")
