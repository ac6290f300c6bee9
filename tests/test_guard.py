"""The guard that keeps tests off the home folder and the network works."""

import socket
from pathlib import Path

import pytest


def test_nothing_can_be_created_below_home() -> None:
    with pytest.raises(OSError, match="Not a directory"):
        (Path.home() / ".keras").mkdir()


def test_connections_are_refused() -> None:
    with socket.socket() as connection, pytest.raises(OSError, match="a test tried to reach"):
        connection.connect(("127.0.0.1", 80))
