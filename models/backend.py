"""Keras and TensorFlow as demijohn needs them: imported late, quiet, in float32, channels last.

A `keras.json` in somebody's home folder may name another backend, float width or image layout;
each of them would change features without a word. TF32 and automatic bfloat16 would too.
"""

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from importlib.metadata import version
from typing import Any

_policy = ContextVar("policy", default="float32")
"""Keras' dtype policy for layers that are built now."""


def keras_version() -> str:
    """Return the version of Keras without importing it."""
    return version("keras")


def import_tensorflow() -> Any:
    """Return the module `tensorflow`, set to IEEE float32 and, on a GPU, to operations that repeat exactly."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Some images for ARM machines set this to BF16, which changes features without a word.
    os.environ["ONEDNN_DEFAULT_FPMATH_MODE"] = "STRICT"
    # TensorFlow leaves its faster kernels alone on processors without AVX-512, where they are faster all the same.
    if platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Its C++ writes before its own log level counts.
    with nullcontext() if "tensorflow" in sys.modules else quiet_libraries(explain=True):
        import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)
    if tf.config.list_physical_devices("GPU"):
        # There, convolutions are otherwise chosen by timing, and another choice gives other bytes.
        # It holds for the whole process; random operations without a seed are refused from then on.
        tf.config.experimental.enable_op_determinism()
    return tf


def import_keras() -> Any:
    """Return the module `keras` on TensorFlow, channels last, in float32 unless `computing_in` says otherwise."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import_tensorflow()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"demijohn needs Keras on TensorFlow, but this process has imported it on {keras.backend.backend()}: "
            "import demijohn first, or set KERAS_BACKEND=tensorflow"
        )
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(_policy.get())
    keras.config.set_image_data_format("channels_last")
    return keras


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Have layers that are built within compute in a precision; their weights stay float32."""
    token = _policy.set(precision if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        _policy.reset(token)
        import_keras()


@contextmanager
def quiet_libraries(*, explain: bool = False) -> Iterator[None]:
    """Hold back what libraries write to stderr past Python; with `explain`, write it where an error came of it."""
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            # What went wrong may stand only there.
            held.seek(0)
            os.write(saved, held.read() if explain else b"")
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
