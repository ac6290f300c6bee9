"""What all tests share: a guard around the home folder and the network, a small backbone, small pictures."""

import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import hypothesis  # as it starts it asks the collector about objects that `settled` would hide
import pytest
from demijohn.models.backbones.backbones import BACKBONES
from support.pictures import write_classes
from support.s3 import BUCKET, S3, running_s3
from support.standin import TINY
from support.swift import use_swift_engine


def pytest_configure(config: pytest.Config) -> None:
    """Draw fewer examples where slow tests are left out; give each of several workers, started later, one thread."""
    if config.option.markexpr == "not slow":
        hypothesis.settings.register_profile("quick", max_examples=30, deadline=None)
        hypothesis.settings.load_profile("quick")
    if getattr(config.option, "numprocesses", None):
        for name in ("OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ.setdefault(name, "1")


SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make everything below the home folder, and every connection off this machine, raise."""
    folder = tmp_path_factory.mktemp("guard")
    home = folder / "home"
    home.write_text("a file, so that nothing can be created below it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("USERPROFILE", str(home))
        patch.setenv("KERAS_HOME", str(folder / "keras"))
        patch.setenv("MPLCONFIGDIR", str(folder / "matplotlib"))
        patch.setenv("NO_COLOR", "1")
        patch.delenv("COLUMNS", raising=False)
        connect = socket.socket.connect

        def refuse(self: socket.socket, address: object) -> None:
            if self.family == socket.AF_UNIX:
                return connect(self, address)  # type: ignore[arg-type]
            raise OSError(f"a test tried to reach {address}")

        patch.setattr(socket.socket, "connect", refuse)
        yield


@pytest.fixture(scope="module", autouse=True)
def settled() -> None:
    """Let the collector pass over what is there for good, such as TensorFlow: it took a fifth of the suite's time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """Register the three-layer stand-in backbone; use it with weights="random"."""
    monkeypatch.setitem(BACKBONES, TINY.name, TINY)
    return TINY.name


@pytest.fixture
def swift(monkeypatch: pytest.MonkeyPatch) -> str:
    """Register the stand-in backbone on an engine without TensorFlow; use it with weights="random"."""
    monkeypatch.setitem(BACKBONES, TINY.name, TINY)
    use_swift_engine(monkeypatch)
    return TINY.name


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with three class folders of twelve small pictures each."""
    return write_classes(tmp_path / "photos")


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a report on pictures whose names are markup; to be looked at, not changed."""
    # It needs scikit-learn, which the process that starts the workers has no use for.
    from support.reports import write_report

    return write_report(tmp_path_factory.mktemp("reported"))


def _beside(name: str, variable: str, what: str) -> Path:
    """Return a folder that some machines have beside the checkout, or skip."""
    folder = Path(os.environ.get(variable, SHARED / name))
    if not folder.is_dir():
        pytest.skip(f"no real {name} on this machine: set {variable} to a folder with {what}")
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real pictures that some machines have beside the checkout, or skip."""
    return _beside("data", "DEMIJOHN_DATA", "cats-dogs/")


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """Return the folder of real weights that some machines have beside the checkout, or skip."""
    return _beside("weights", "DEMIJOHN_WEIGHTS", "Keras' weights files")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """Run an S3 server on this machine for all tests that ask for it."""
    with running_s3() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3) -> S3:
    """Return the server with its bucket empty and nothing asked yet."""
    for key in s3_server.names():
        s3_server.client.delete_object(Bucket=BUCKET, Key=key)
    s3_server.forget()
    return s3_server
