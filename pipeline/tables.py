"""A CSV table of pictures: `path,label[,split,group]`, the paths relative to the table's folder, or URLs.

Another column can be the group (`--group COLUMN`); the rest is left alone and named.
"""

import csv
import io
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..cache.index import Stamp
from ..cache.places import Place, is_url, name_of, place_of, place_within
from ..cache.table import Skipped, Split
from .errors import InvalidRequest, NoImages
from .labelling import Labelling
from .labels import SPLIT_NAMES, Found, first_few, group_of, label_of
from .sources import read_text, stamp_urls, why_unreadable

SUFFIX = ".csv"
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Table:
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


def read_table(path: Place, labelling: Labelling) -> Table:
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
    by_path: dict[str, tuple[int, Found]] = {}
    skipped: list[Skipped] = []
    repeated = 0
    for line, record in records:
        found = _found(f"{path}, line {line}", record, labelling, group_column)
        earlier = by_path.get(found.path)
        if earlier is None:
            by_path[found.path] = line, found
        elif earlier[1] == found:
            repeated += 1
        else:
            raise InvalidRequest(
                f"{path} names {found.path} in line {earlier[0]} and again in line {line} with another label, split "
                "or group: expected one line per picture, remove one of them"
            )
    if not by_path:
        raise NoImages(f"no pictures in {path}: expected a line such as cats/1.jpg,cat under the header {_header()}")
    places = {each: place_within(root, each) for each in by_path}
    stamps = _stamp(places)
    for each, (line, _) in list(by_path.items()):
        place = places[each]
        stamp = stamps.get(each)
        reason = _why_unusable(place) if isinstance(place, Path) else stamp if isinstance(stamp, str) else None
        if reason:
            skipped.append(Skipped(each, f"{reason}: named in {name}, line {line}"))
            del by_path[each]
    if not by_path:
        raise NoImages(
            f"none of the {len(skipped):,} pictures that {path} names is there: expected URLs, or paths relative to "
            f"{root}, found {first_few([each.path for each in skipped])} ({skipped[0].reason})"
        )
    if repeated:
        notes.append(f"lines of {name} that say the same as an earlier one: {repeated:,}")
    files = tuple(found for _, (_, found) in sorted(by_path.items()))
    there = {each: stamp for each, stamp in stamps.items() if isinstance(stamp, Stamp)}
    return Table(root, name, files, tuple(skipped), tuple(notes), there)


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
