"""A CSV table of pictures: `path,label[,split,group]`, the paths relative to the table's folder, or URLs.

Another column can be the group (`--group COLUMN`); the rest is left alone and named.
"""

import csv
import io
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...cache.index import Stamp
from ...cache.places import Place, is_url, name_of, place_of, place_within
from ...cache.table import Skipped, Split
from ..errors import InvalidRequest, NoImages
from ..pictures.sources import read_text, stamp_urls, why_unreadable
from .labelling import Labelling
from .labels import SPLIT_NAMES, Found, first_few, group_of, label_of

SUFFIX = ".csv"
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class PictureTable:
    """What a table names."""

    root: Place
    """Folder that the paths are relative to."""
    name: str
    """Of the table in the root."""
    files: tuple[Found, ...]
    """In the order of their paths."""
    skipped: tuple[Skipped, ...]
    """Files that are not there, or are no files."""
    notes: tuple[str, ...]
    stamps: dict[str, Stamp]
    """Of the pictures that do not lie on this machine, by path."""


def is_table(place: Place) -> bool:
    """Return whether a place is meant as a table rather than as a folder of pictures."""
    if isinstance(place, str):
        return place.lower().endswith(SUFFIX)
    return place.suffix.lower() == SUFFIX and not place.is_dir()


def read_table(path: Place, labelling: Labelling) -> PictureTable:
    """Return the pictures that a table names.

    Raises
    ------
    NoImages
        There is no such file, no row in it, or none of the pictures that it names.
    InvalidRequest
        A column is missing, or a line has another number of fields than the header, no path, an
        unknown split, or contradicts an earlier line about the same picture.
    Unreachable
        It lies elsewhere, or what it names, and cannot be had.
    """
    name = name_of(path)
    root = place_of(path.removesuffix(name)) if isinstance(path, str) else path.parent
    columns, records = _read(path, labelling)
    group_column = labelling.group or ("" if labelling.group_pattern or "group" not in columns else "group")
    used = {"path", "split", group_column, "" if labelling.label_pattern else "label"}
    notes = []
    if unused := [column for column in columns if column not in used]:
        notes.append(f"columns of {name} that are not used: {', '.join(unused)}")
    lines = [(line, _found(f"{path}, line {line}", record, labelling, group_column)) for line, record in records]
    named = _once_each(lines, path)
    if len(named) < len(lines):
        notes.append(f"lines of {name} that say the same as an earlier one: {len(lines) - len(named):,}")
    places = {each: place_within(root, each) for each in named}
    stamps = _stamp(places)
    missing = {each: reason for each, place in places.items() if (reason := _why_missing(place, stamps.get(each)))}
    skipped = [Skipped(each, f"{reason}: named in {name}, line {named[each][0]}") for each, reason in missing.items()]
    if len(skipped) == len(named):
        raise NoImages(
            f"none of the {len(skipped):,} pictures that {path} names is there: expected URLs, or paths relative to "
            f"{root}, found {first_few([each.path for each in skipped])} ({skipped[0].reason})"
        )
    files = tuple(found for each, (_, found) in sorted(named.items()) if each not in missing)
    there = {each: stamp for each, stamp in stamps.items() if isinstance(stamp, Stamp)}
    return PictureTable(root, name, files, tuple(skipped), tuple(notes), there)


def _once_each(lines: Iterable[tuple[int, Found]], path: Place) -> dict[str, tuple[int, Found]]:
    """Return what lines say of pictures, by their paths, each with the number of its first line."""
    named: dict[str, tuple[int, Found]] = {}
    for line, found in lines:
        first, said = named.setdefault(found.path, (line, found))
        if said != found:
            raise InvalidRequest(
                f"{path} names {found.path} in line {first} and again in line {line} with another label, split "
                "or group: expected one line per picture, remove one of them"
            )
    if not named:
        raise NoImages(f"no pictures in {path}: expected a line such as cats/1.jpg,cat under the header {_header()}")
    return named


def _why_missing(place: Place, stamp: Stamp | str | None) -> str | None:
    """Return why a picture is not to be had; of what lies elsewhere, its stamp may be the reason."""
    if isinstance(place, Path):
        return _why_unusable(place)
    return stamp if isinstance(stamp, str) else None


def _stamp(places: Mapping[str, Place]) -> dict[str, Stamp | str]:
    """Return the stamps of what lies elsewhere, or why there is none, by path."""
    urls = {each: place for each, place in places.items() if isinstance(place, str)}
    stamps = stamp_urls(urls.values())
    return {each: stamps[url] for each, url in urls.items()}


def _content(path: Place) -> bytes:
    if isinstance(path, str):
        try:
            return read_text(path)
        except (FileNotFoundError, PermissionError) as error:
            raise NoImages(f"{path} {why_unreadable(error)}: expected a table of pictures") from error
    if not path.is_file():
        kind = "no regular file" if path.exists() else "not there"
        raise NoImages(f"expected a table of pictures, but {path} is {kind}: name a .csv file, or a folder of pictures")
    return path.read_bytes()


def read_paths(path: Place) -> list[str]:
    """Return the paths in a table's column path, in its order; the other columns are left alone.

    Raises
    ------
    NoImages
        There is no row.
    InvalidRequest
        There is no such column, or the table cannot be understood.
    """
    records = _read(path, None)[1]
    if not records:
        raise NoImages(f"no pictures in {path}: expected a line such as cats/1.jpg under the header path")
    return [_path_of(f"{path}, line {line}", record) for line, record in records]


def _read(path: Place, labelling: Labelling | None) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the columns, and per record its line and its cells; without `labelling` only the paths matter."""
    # surrogateescape keeps names that are no UTF-8; spreadsheets write a byte order mark.
    text = _content(path).decode("utf-8-sig", "surrogateescape")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [cell.strip() for cell in next(reader, [])]
        _check_columns(path, columns, labelling)
        records = []
        for cells in reader:
            if any(cells):
                _check_width(f"{path}, line {reader.line_num}", columns, cells)
                records.append((reader.line_num, dict(zip(columns, cells, strict=True))))
    except csv.Error as error:
        raise InvalidRequest(
            f"{path} is no CSV table at line {reader.line_num}: {error}; expected comma-separated fields, "
            "with those in double quotes that hold a comma or a quote"
        ) from error
    return columns, records


def _check_width(where: str, columns: list[str], cells: list[str]) -> None:
    if len(cells) != len(columns):
        raise InvalidRequest(
            f"{where}: expected {len(columns)} fields as in the header ({','.join(columns)}), found {len(cells)}; "
            "put fields that hold a comma in double quotes"
        )


def _check_columns(path: Place, columns: list[str], labelling: Labelling | None) -> None:
    # Something else than a table may have a very long first line.
    found = ",".join(columns)[:_LONGEST] or "an empty file"
    if "path" not in columns:
        raise InvalidRequest(
            f"{path} has no column path: expected the header {_header() if labelling else 'path'}, found {found}"
        )
    if labelling is not None and "label" not in columns and not labelling.label_pattern:
        raise InvalidRequest(
            f"{path} has no column label: expected the header {_header()}, found {found}; leave its cells empty where "
            "there is no label, or take labels from the names with --label-pattern"
        )
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        raise InvalidRequest(f"{path} has columns of the same name, expected one of each: {', '.join(twice)}")
    if labelling is not None and labelling.group and labelling.group not in columns:
        raise InvalidRequest(f"{path} has no column {labelling.group} for --group: expected one of {found}")


def _found(where: str, record: dict[str, str], labelling: Labelling, group_column: str) -> Found:
    # ./a.jpg and a.jpg are one path here; .. stays, since it may follow a link.
    path = _path_of(where, record)
    path = path.strip() if is_url(path.strip()) else str(PurePosixPath(path))
    word = record.get("split", "").strip()
    split: Split | None = SPLIT_NAMES.get(word.lower())
    if word and split is None:
        raise InvalidRequest(f"{where}: expected a split of {', '.join(SPLIT_NAMES)} or nothing, found {word}")
    label = label_of(path.rpartition("/")[2], (), labelling) if labelling.label_pattern else record["label"].strip()
    group = record[group_column].strip() if group_column else group_of(path, labelling)
    return Found(path, label, split, group)


def _path_of(where: str, record: dict[str, str]) -> str:
    if not record["path"]:
        raise InvalidRequest(f"{where}: expected the path of a picture, found an empty cell")
    return record["path"]


def _why_unusable(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except ValueError:
        return "no possible name of a file"
    except OSError as error:
        return f"cannot be opened, {error.strerror}"
    return None if stat.S_ISREG(mode) else "not a regular file"


def _header() -> str:
    return "path,label or path,label,split,group"
