"""A data set as a table: path, key, label, split, group; a row per picture file.

`datasets/<name>.csv` is that table, readable and diffable; `datasets/<name>.json` beside it says
where the pictures are and how the splits were made. Together they are enough to train without
the pictures.
"""

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

from .errors import DamagedFile, NewerFormat
from .files import read_json, remove_leftovers, write_bytes, write_json
from .part import Key

FORMAT = 1
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_COLUMNS = ["path", "key", "label", "split", "group"]


@dataclass(frozen=True, slots=True)
class Row:
    """One picture file."""

    path: str
    """Relative to the data set's root, with forward slashes."""
    key: Key
    label: str
    """Name of the class; empty for a picture without label."""
    split: Split | Literal[""]
    """Empty for a picture without label."""
    group: str = ""
    """Pictures of one group (a patient, a film) belong into one split."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table of images."""

    name: str
    root: Path
    """Folder that the paths are relative to; absolute."""
    layout: str
    """How labels and splits were found, in words."""
    seed: int
    """Seed of the hashed splits."""
    rows: tuple[Row, ...]
    """In the order of the paths."""
    notes: tuple[str, ...] = ()
    """What a reader of the results should know about labels and splits."""

    @property
    def digest(self) -> str:
        """SHA-256 over key, label, split and group of all rows; paths may change without changing it."""
        lines = sorted({(row.key.hex(), row.label, row.split, row.group) for row in self.rows})
        return hashlib.sha256(repr(lines).encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, sorted."""
        return tuple(sorted({row.label for row in self.rows if row.label}))


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Write `<name>.csv` and `<name>.json`."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in dataset.rows:
        path, key, *rest = astuple(row)
        writer.writerow([path, key.hex(), *rest])
    about: dict[str, Any] = {
        "format": FORMAT,
        "root": str(dataset.root),
        "layout": dataset.layout,
        "seed": dataset.seed,
        "notes": list(dataset.notes),
    }
    remove_leftovers(folder)
    # surrogateescape keeps names that are not valid in the file system's encoding.
    write_bytes(folder / f"{dataset.name}.csv", table.getvalue().encode("utf-8", "surrogateescape"))
    write_json(folder / f"{dataset.name}.json", about)


def read_dataset(folder: Path, name: str) -> Dataset:
    """Return a data set that `write_dataset` wrote.

    Raises
    ------
    DamagedFile
        A column is missing or a key is no SHA-256.
    NewerFormat
        A later demijohn wrote it.
    """
    about = read_json(folder / f"{name}.json")
    if about.get("format", 0) > FORMAT:
        raise NewerFormat(
            f"{folder / name}.json has format {about['format']}, this demijohn reads up to {FORMAT}: "
            "install a newer demijohn"
        )
    path = folder / f"{name}.csv"
    try:
        rows = tuple(_rows(path.read_bytes().decode("utf-8", "surrogateescape")))
        return Dataset(name, Path(about["root"]), about["layout"], about["seed"], rows, notes=tuple(about["notes"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFile(
            f"{path} is damaged: expected the columns {','.join(_COLUMNS)} and SHA-256 keys, found {error}; "
            "run extract-features on the pictures again, which writes it anew"
        ) from error


def _rows(text: str) -> Iterable[Row]:
    for number, record in enumerate(csv.DictReader(io.StringIO(text, newline="")), start=2):
        key = bytes.fromhex(record["key"])
        split = record["split"]
        if len(key) != 32 or split not in ("", *SPLITS):
            raise ValueError(f"line {number}: {record}")
        yield Row(record["path"], key, record["label"], split, record["group"])  # type: ignore[arg-type]
