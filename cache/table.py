"""A data set as a table: path, key, label, split, group; a row per picture file.

`datasets/<name>.csv` is that table, readable and diffable; `datasets/<name>.json` beside it says
where the pictures are, how the splits were made and what was skipped. Together they are enough to
train without the pictures.
"""

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .errors import DamagedFile, NewerFormat
from .files import read_json, remove_leftovers, write_bytes, write_json
from .part import Key
from .places import Place, is_url, place_of, place_within
from .remedies import extraction

FORMAT = 3
"""1 knew neither a table as the source nor settings of labels and splits, 2 no URLs; they are written where there are
none."""
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_COLUMNS = ["path", "key", "label", "split", "group"]


@dataclass(frozen=True, slots=True)
class Row:
    """One picture file of a data set."""

    path: str
    """Relative to the data set's root, with forward slashes; or a URL."""
    key: Key
    label: str
    """Name of the class; empty for a picture without label."""
    split: Split | Literal[""]
    """Empty for a picture without label."""
    group: str = ""
    """Pictures of one group (a patient, a film) belong into one split."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that cannot be used."""

    path: str
    """Relative to the data set's root."""
    reason: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a data set comes from."""

    root: Place
    """Folder that the paths are relative to; absolute, or a URL."""
    seed: int
    """Seed of the hashed splits."""
    table: str = ""
    """Name of the CSV table in the root that names the pictures; empty where the folder itself does."""
    labelling: dict[str, Any] = field(default_factory=dict)
    """Settings of labels, groups and splits that are not as usual."""

    @property
    def source(self) -> Place:
        """The folder or the table itself."""
        return place_within(self.root, self.table) if self.table else self.root

    def place(self, path: str) -> Place:
        """Return where the picture of a row lies."""
        return place_within(self.root, path)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table of pictures."""

    name: str
    origin: Origin
    layout: str
    """How labels and splits were found, in words."""
    rows: tuple[Row, ...]
    """In the order of the paths."""
    notes: tuple[str, ...] = ()
    """What a reader of the results should know about labels and splits."""
    skipped: tuple[Skipped, ...] = ()
    """Files that could not be opened or read, so that they have no key and no row."""

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
    plain = csv.writer(table, lineterminator="\n")
    # Python quotes a carriage return only from 3.13 on; unquoted it would end the line.
    quoted = csv.writer(table, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(_COLUMNS)
    for row in dataset.rows:
        cells = [row.path, row.key.hex(), row.label, row.split, row.group]
        (quoted if any("\r" in cell for cell in cells) else plain).writerow(cells)
    origin = dataset.origin
    # An earlier demijohn would look for a folder of that name.
    elsewhere = isinstance(origin.root, str) or any(is_url(row.path) for row in dataset.rows)
    # An earlier demijohn would forget them and label the pictures anew; it says so instead.
    settings = {"table": origin.table, "labelling": origin.labelling}
    about: dict[str, Any] = {
        "format": FORMAT if elsewhere else 2 if any(settings.values()) else 1,
        "root": str(origin.root),
        "seed": origin.seed,
        **{name: value for name, value in settings.items() if value},
        "layout": dataset.layout,
        "notes": list(dataset.notes),
        "skipped": [{"path": each.path, "reason": each.reason} for each in dataset.skipped],
    }
    remove_leftovers(folder)
    # surrogateescape keeps names that are not valid in the file system's encoding.
    write_bytes(folder / f"{dataset.name}.csv", table.getvalue().encode("utf-8", "surrogateescape"))
    write_json(folder / f"{dataset.name}.json", about)


def read_origin(folder: Path, name: str) -> Origin:
    """Return where a data set comes from, without reading its table.

    Raises
    ------
    DamagedFile, NewerFormat
        See `read_dataset`.
    """
    return _origin(folder / f"{name}.json", _read_about(folder / f"{name}.json"))


def read_dataset(folder: Path, name: str) -> Dataset:
    """Return a data set that `write_dataset` wrote.

    Raises
    ------
    DamagedFile
        A file or a column is missing, or a key is no SHA-256.
    NewerFormat
        A later demijohn wrote it.
    """
    about = _read_about(folder / f"{name}.json")
    origin = _origin(folder / f"{name}.json", about)
    path = folder / f"{name}.csv"
    try:
        rows = tuple(_rows(path.read_bytes().decode("utf-8", "surrogateescape")))
        skipped = tuple(Skipped(each["path"], each["reason"]) for each in about["skipped"])
        return Dataset(name, origin, about["layout"], rows, tuple(about["notes"]), skipped)
    except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
        raise DamagedFile(
            f"{path} is damaged: expected the columns {','.join(_COLUMNS)} and SHA-256 keys, found {error}; "
            f"run {extraction(origin.source, name, folder.parent)}, which writes it anew and extracts nothing twice"
        ) from error


def _read_about(path: Path) -> dict[str, Any]:
    about = read_json(path)
    if about.get("format", 0) > FORMAT:
        raise NewerFormat(
            f"{path} has format {about['format']}, this demijohn reads up to {FORMAT}: install a newer demijohn"
        )
    return about


def _origin(path: Path, about: dict[str, Any]) -> Origin:
    try:
        return Origin(
            place_of(about["root"]), int(about["seed"]), str(about.get("table", "")), dict(about.get("labelling", {}))
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"{path} is damaged: expected root and seed, found {error}; remove it") from error


def _rows(text: str) -> Iterable[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if reader.fieldnames != _COLUMNS:
        raise ValueError(f"the columns {','.join(reader.fieldnames or ())}")
    for number, record in enumerate(reader, start=2):
        key = bytes.fromhex(record["key"])
        split = record["split"]
        if len(key) != 32 or split not in ("", *SPLITS):
            raise ValueError(f"line {number}: {record}")
        yield Row(record["path"], key, record["label"], split, record["group"])  # type: ignore[arg-type]
