"""A cache that a team shares, at a URL: its files are listed, read and written whole.

A file that carries its final name is complete there as well. Object stores show an object when its
last byte has arrived; elsewhere it is written as `.partial` and renamed.
"""

from pathlib import Path

from .errors import Unreachable
from .files import PARTIAL, partial_name
from .remote import attempt, open_filesystem

_WHOLE_OR_NOT_AT_ALL = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss"}
"""Schemes whose stores show nothing of an object before all of it is there."""


class SharedCache:
    """The files below a URL; names are relative to it.

    Raises
    ------
    Unreachable
        Nothing that is installed reads such URLs; or, of every method, it failed again and again.
    PermissionError
        Of every method: the credentials of the environment do not allow it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._files, root = open_filesystem(url)
        self._root = root.rstrip("/")

    def where(self, name: str) -> str:
        """Return the URL of a file."""
        return f"{self.url}/{name}"

    def list(self, folder: str) -> dict[str, int]:
        """Return the files below a folder and their sizes in bytes; what is being written is left out."""
        base = f"{self._root}/{folder}"
        self._files.invalidate_cache()
        try:
            found = attempt(lambda: self._files.find(base, detail=True), self.where(folder), doing="list")
        except FileNotFoundError:
            return {}
        names = {name.removeprefix(f"{base}/"): info.get("size") or 0 for name, info in found.items()}
        return {name: size for name, size in names.items() if not name.endswith((PARTIAL, "/"))}

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None where there is none."""
        try:
            return bytes(attempt(lambda: self._files.cat_file(f"{self._root}/{name}"), self.where(name)))
        except FileNotFoundError:
            return None

    def download(self, name: str, path: Path) -> None:
        """Copy a file to a path of this machine.

        Raises
        ------
        FileNotFoundError
            It has gone.
        """
        attempt(lambda: self._files.get_file(f"{self._root}/{name}", str(path)), self.where(name))

    def upload(self, path: Path, name: str) -> None:
        """Copy a file of this machine there, under its name only when it is complete."""
        size = path.stat().st_size
        final = f"{self._root}/{name}"

        def send() -> None:
            if self._files.protocol and _WHOLE_OR_NOT_AT_ALL & set(_schemes(self._files.protocol)):
                self._files.put_file(str(path), final)
                return
            temporary = f"{final.rpartition('/')[0]}/{partial_name(Path(name)).name}"
            self._files.makedirs(final.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(path), temporary)
            self._files.mv(temporary, final)

        attempt(send, self.where(name), doing="write")
        self._files.invalidate_cache()
        there = attempt(lambda: self._files.info(final), self.where(name)).get("size")
        if there != size:
            raise Unreachable(
                f"{self.where(name)} has {there} bytes there, expected {size:,}: try the same command again"
            )


def _schemes(protocol: str | tuple[str, ...]) -> tuple[str, ...]:
    return (protocol,) if isinstance(protocol, str) else protocol
