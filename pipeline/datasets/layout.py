"""A folder of pictures, or a table of them: which files, which labels, groups and given splits.

    CLASS/*.jpg                 class folders; the label is the first folder, or the N-th by --label-level
    train|val|valid|validation|test/CLASS/*.jpg
                                split folders, where all visible top folders are such
    cat.0.jpg                   the label stands in the name, found by --label-pattern
    *.jpg                       pictures beside class folders have no label
    labels.csv                  a table with the columns path, label, and perhaps split and group

docs/layouts.md shows each with a tree and a command.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ...cache.index import Stamp
from ...cache.places import Place, place_within
from ...cache.table import Skipped, Split
from ..errors import InvalidRequest, NoImages
from ..pictures.folders import walk_folder
from ..pictures.sources import list_elsewhere
from .labelling import AS_USUAL, Labelling
from .labels import SPLIT_NAMES, Found, first_few, group_of, label_of, offer_pattern
from .tables import is_table, read_table


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder or a table holds."""

    root: Place
    """Folder that the paths are relative to."""
    layout: str
    files: tuple[Found, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    labelling: Labelling = AS_USUAL
    table: str = ""
    """Name of the table in the root; empty for a folder."""
    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    """Of the pictures that do not lie on this machine, by path."""


def list_images(source: Place, labelling: Labelling = AS_USUAL, *, leave_out: Path | None = None) -> Listing:
    """Return the pictures below a folder or in a table, in the order of their paths.

    `leave_out` is a folder that is not walked into: the store, which may lie inside.

    Raises
    ------
    NoImages
        There is no such folder or table, or no picture in it.
    InvalidRequest
        There is a test or validation split but none for training, the table cannot be understood,
        or a setting does not fit: a column without a table, a pattern that no picture fits.
    """
    if is_table(source):
        listing = _list_table(source, labelling)
    elif isinstance(source, str) or source.is_dir():
        listing = _list_folder(source, labelling, leave_out)
    else:
        kind = "a file" if source.exists() else "not there"
        raise NoImages(
            f"expected a folder of pictures, or a .csv table of them, but {source} is {kind}: "
            "name a folder such as photos/"
        )
    _check_settings(listing)
    _check_training(listing)
    return listing


def _list_table(source: Place, labelling: Labelling) -> Listing:
    if labelling.label_level:
        raise InvalidRequest(
            f"--label-level {labelling.label_level} counts folders, but {source} is a table: its column label says "
            "the labels, or take them from the names with --label-pattern"
        )
    table = read_table(source, labelling)
    notes = (*table.notes, *_remarks(table.files, labelling, f"without a label in {table.name}"))
    layout = f"table {table.name}"
    return Listing(table.root, layout, table.files, table.skipped, notes, labelling, table.name, table.stamps)


def _list_folder(root: Place, labelling: Labelling, leave_out: Path | None) -> Listing:
    if labelling.group:
        raise InvalidRequest(
            f"--group {labelling.group} names a column of a table, but {root} is a folder: "
            "take groups from the paths with --group-pattern"
        )
    stamps: Mapping[str, Stamp] = {}
    if isinstance(root, str):
        found = list_elsewhere(root)
        walk, stamps = found.walk, found.stamps
    else:
        walk = walk_folder(root, leave_out=leave_out)
    if not walk.paths:
        told = [f"{walk.others:,} files of other kinds"] if walk.others else []
        told += [f"{len(walk.skipped):,} that cannot be opened"] if walk.skipped else []
        raise NoImages(
            f"no pictures in {root}: expected class folders such as cats/1.jpg, found {' and '.join(told) or 'nothing'}"
        )
    split_folders, notes = _split_folders(walk.paths, labelling)
    if walk.hidden:
        notes.append(f"hidden entries skipped: {walk.hidden:,}")
    if walk.others:
        notes.append(f"files of other kinds left alone: {walk.others:,}")
    files = tuple(_found(path, split_folders, labelling) for path in walk.paths)
    level = labelling.label_level or 1
    notes += _remarks(files, labelling, "in no class folder" if level == 1 else f"in no folder of level {level}")
    if split_folders:
        layout = "split folders: " + ", ".join(sorted(split_folders))
    elif labelling.label_pattern:
        layout = "labels in the names"
    else:
        layout = "class folders" if any(file.label for file in files) else "no class folders"
    return Listing(root, layout, files, tuple(walk.skipped), tuple(notes), labelling, stamps=stamps)


def _found(path: str, split_folders: dict[str, Split], labelling: Labelling) -> Found:
    *folders, name = path.split("/")
    split = None
    if split_folders and folders:
        split, folders = split_folders[folders[0]], folders[1:]
    return Found(path, label_of(name, folders, labelling), split, group_of(path, labelling))


def _split_folders(paths: Sequence[str], labelling: Labelling) -> tuple[dict[str, Split], list[str]]:
    """Return which top folders are splits, if all of them are, and what should be said about it."""
    tops = sorted({path.partition("/")[0] for path in paths if "/" in path})
    found = {top: SPLIT_NAMES[top.lower()] for top in tops if top.lower() in SPLIT_NAMES}
    if not found:
        return {}, []
    flat = sorted({path.partition("/")[0] for path in paths if path.count("/") == 1})
    labelled = labelling.label_pattern or any(
        path.count("/") > 1 and found.get(path.partition("/")[0]) == "train" for path in paths
    )
    others = [top for top in tops if top not in found]
    if others:
        why = f"beside them there is {', '.join(others)}"
    elif flat and not labelled:
        # Unlabelled pictures of a test split are usual; a training split without a class is not.
        why = f"pictures lie directly in {', '.join(flat)}"
    else:
        return found, []
    if labelling.label_pattern:
        return {}, [f"not taken as splits, because {why}: {', '.join(found)}"]
    return {}, [f"taken as classes, not as splits, because {why}: {', '.join(found)}"]


def _check_training(listing: Listing) -> None:
    given = {file.split for file in listing.files if file.label and file.split}
    # In a table, labelled pictures without a split are for training.
    if not given or "train" in given or any(file.label and not file.split for file in listing.files):
        return
    if listing.table:
        raise InvalidRequest(
            f"{place_within(listing.root, listing.table)} has pictures of the split {' and '.join(sorted(given))} but "
            "none for training: write train, or nothing, into the column split of some"
        )
    raise InvalidRequest(
        f"found {listing.layout}, but none for training: "
        "add a folder `train` with the same class folders, or put the class folders at the top"
    )


def _check_settings(listing: Listing) -> None:
    """Raise where no picture fits what was asked for: it is a mistake rather than a choice."""
    labelling, files = listing.labelling, listing.files
    paths = [file.path for file in files]
    if labelling.label_level and not any(file.label for file in files):
        raise InvalidRequest(
            f"--label-level {labelling.label_level} is deeper than every folder: expected pictures below so many "
            f"folders, found {first_few(paths)}; name another level"
        )
    if labelling.label_pattern and not any(file.label for file in files):
        offer = offer_pattern(paths)
        raise InvalidRequest(
            f"--label-pattern {labelling.label_pattern} is found in none of the {len(files):,} names: expected names "
            f"that it fits, found {first_few([PurePosixPath(path).name for path in paths])}; "
            f"{offer or 'try another pattern'}"
        )
    if labelling.group_pattern and not any(file.group for file in files):
        raise InvalidRequest(
            f"--group-pattern {labelling.group_pattern} is found in none of the {len(files):,} paths: expected paths "
            f"that it fits, found {first_few(paths)}; try another pattern"
        )


def _remarks(files: Sequence[Found], labelling: Labelling, where: str) -> list[str]:
    """Return what should be said about pictures without a label or a group."""
    notes = []
    loose = [file.path for file in files if not file.label]
    if labelling.label_pattern:
        where = f"whose name does not fit --label-pattern ({first_few(loose)})"
    if loose:
        notes.append(f"pictures {where}, extracted but not trained on: {len(loose):,}")
    labels = {file.label for file in files} - {""}
    # Too few classes, or splits that were taken as classes: perhaps the names carry the labels.
    if not labelling.label_pattern and (len(labels) < 2 or any(label.lower() in SPLIT_NAMES for label in labels)):
        offer = offer_pattern(file.path for file in files)
        notes += [offer] if offer else []
    alone = [file.path for file in files if not file.group]
    if labelling.group_pattern and alone:
        notes.append(
            f"pictures whose path does not fit --group-pattern, each on its own: {len(alone):,} ({first_few(alone)})"
        )
    return notes
