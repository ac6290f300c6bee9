"""An S3 server on this machine, which writes down what it is asked; and a web server of files, likewise.

`S3` is moto's server: the protocol is real, the buckets are in memory.
"""

import _socket
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

BUCKET = "pictures"


@contextmanager
def reaching(host: str, port: int) -> Iterator[None]:
    """Let connections to one server of this machine through the tests' guard."""
    guarded = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[:2] == (host, port):
            return _socket.socket.connect(self, address)
        return guarded(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        yield


class S3:
    """A running server, and a client of its own beside the one that is tested."""

    def __init__(self, server: Any) -> None:
        import boto3

        host, port = server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        self.requests: list[tuple[str, str]] = []
        """Method and path (with the query) of every request since the last `forget`."""
        self.client = boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1")

    def forget(self) -> None:
        """Forget what was asked."""
        self.requests.clear()

    def fetched(self, prefix: str = "") -> list[str]:
        """Return the keys of the objects whose bytes were sent, in the order of the requests."""
        names = [path.partition("?")[0].lstrip("/").partition("/")[2] for kind, path in self.requests if kind == "GET"]
        return [name for name in names if name and name.startswith(prefix)]

    def sent(self) -> list[str]:
        """Return the keys of the objects that were written."""
        return [path.partition("?")[0].lstrip("/").partition("/")[2] for kind, path in self.requests if kind == "PUT"]

    def put_folder(self, folder: Path, prefix: str, bucket: str = BUCKET) -> str:
        """Upload a folder; return its URL."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes(), bucket)
        return f"s3://{bucket}/{prefix}"

    def put(self, key: str, content: bytes, bucket: str = BUCKET) -> None:
        """Write one object."""
        self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def names(self, prefix: str = "", bucket: str = BUCKET) -> list[str]:
        """Return the keys of all objects below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [each["Key"] for page in pages for each in page.get("Contents", [])]


@contextmanager
def running_s3() -> Iterator[S3]:
    """Run a server with an empty bucket, and the environment that leads fsspec to it."""
    from demijohn.cache.remote import forget_filesystems
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch, reaching(host, port):
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        # A line per request would hide what a failing test has to say.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        s3 = S3(server)
        application = server._server.app

        def noting(environ: dict[str, Any], start_response: Any) -> Any:
            query = environ["QUERY_STRING"]
            s3.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"] + (f"?{query}" if query else "")))
            return application(environ, start_response)

        server._server.app = noting
        s3.client.create_bucket(Bucket=BUCKET)
        s3.forget()
        try:
            yield s3
        finally:
            forget_filesystems()
            s3.client.close()
            server.stop()


class Web:
    """A web server of a folder."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.requests: list[tuple[str, str]] = []
        """Method and path."""
        self.failures: dict[str, list[int]] = {}
        """Statuses with which the next requests for a path are answered."""


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, web: list[Web], **options: Any) -> None:
        self.web = web
        super().__init__(*arguments, **options)

    def send_head(self) -> Any:
        self.web[0].requests.append((self.command, self.path))
        if statuses := self.web[0].failures.get(self.path):
            self.send_error(statuses.pop(0))
            return None
        return super().send_head()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running_web(folder: Path) -> Iterator[Web]:
    """Serve a folder."""
    from demijohn.cache.remote import forget_filesystems

    webs: list[Web] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, web=webs, directory=str(folder)))
    webs.append(Web(server))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with reaching("127.0.0.1", server.server_port):
        try:
            yield webs[0]
        finally:
            forget_filesystems()
            server.shutdown()
            server.server_close()
            thread.join()
