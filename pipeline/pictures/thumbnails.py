"""Small copies of the pictures that a page shows; those of the report are kept, since pictures move away.

`report/<data set>/thumbnails.zip` holds a JPEG per picture under its key. It may be deleted at any time, and is made
anew of the pictures that are still there.
"""

import base64
import contextlib
import io
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

from PIL import Image

from ...cache.errors import Unreachable
from ...cache.files import write_bytes
from ...cache.part import Key
from ...cache.places import Place, place_within
from ...cache.store import FeatureStore
from ...cache.table import Dataset, Row
from ..errors import UnreadableImage
from .facts import FileFacts, read_facts
from .images import decode_image, quiet_decoders
from .sources import read_file, reading_threads

SIDE = 144
"""Longer side, pixels."""
QUALITY = 75
"""Of the JPEG: 3 to 4 kB a picture."""
KEPT = "thumbnails.zip"
_THEN = (1980, 1, 1, 0, 0, 0)


def as_address(thumbnail: bytes) -> str:
    """Return a JPEG as a `data:` address."""
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail).decode()


def read_thumbnails(root: Place, facts: Mapping[str, FileFacts]) -> dict[str, bytes]:
    """Return thumbnails, by path, of those pictures that can be read.

    Parameters
    ----------
    root : Place
    facts : mapping of path to FileFacts
        The pictures, and their sizes.
    """
    from joblib import Parallel, delayed

    with quiet_decoders():
        places = [place_within(root, path) for path in facts]
        found = Parallel(n_jobs=reading_threads(places), prefer="threads")(
            delayed(_draw)(place, about) for place, about in zip(places, facts.values(), strict=True)
        )
    return {path: thumbnail for path, thumbnail in zip(facts, found, strict=True) if thumbnail is not None}


def keep_thumbnails(store: FeatureStore, table: Dataset, wanted: Collection[Key], *, folder: Path) -> dict[Key, bytes]:
    """Return the thumbnails of some pictures of a data set, and keep them for when the pictures are gone.

    Only a picture whose bytes are still those of its key is drawn. Thumbnails of pictures that no data set of
    the store has any more are forgotten.

    Parameters
    ----------
    store : FeatureStore
    table : Dataset
    wanted : collection of Key
    folder : Path
        Of the report.

    Returns
    -------
    dict
        Those that there are, by key.
    """
    kept = _read_kept(folder / KEPT)
    rows: dict[Key, Row] = {}
    lacking = set(wanted) - set(kept)
    for row in table.rows:
        if row.key in lacking:
            rows.setdefault(row.key, row)
    # Pictures elsewhere cannot be reached from everywhere; the report is made without them.
    drawn: dict[str, bytes] = {}
    with contextlib.suppress(Unreachable):
        if rows:
            state = read_facts(table.origin.root, tuple(rows.values()), store.index)
            drawn = read_thumbnails(table.origin.root, state.facts)
    if drawn:
        kept |= {row.key: drawn[row.path] for row in rows.values() if row.path in drawn}
        known = {row.key for name in store.dataset_names() for row in store.find_dataset(name).rows}
        _write_kept(folder / KEPT, {key: kept[key] for key in sorted(kept) if key in known})
    return {key: kept[key] for key in wanted if key in kept}


def _draw(place: Place, facts: FileFacts) -> bytes | None:
    shrink = min(1.0, SIDE / max(facts.width, facts.height))
    width, height = max(1, round(facts.width * shrink)), max(1, round(facts.height * shrink))
    size = (width, height) if facts.on_its_side else (height, width)
    try:
        rgb = decode_image(read_file(place), size, "squash-bilinear")
    except (OSError, UnreadableImage):
        return None
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def _read_kept(path: Path) -> dict[Key, bytes]:
    """Return what is kept; nothing of a file that is damaged or not there."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {bytes.fromhex(Path(name).stem): archive.read(name) for name in archive.namelist()}
    except (OSError, ValueError, zipfile.BadZipFile):
        return {}


def _write_kept(path: Path, thumbnails: Mapping[Key, bytes]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for key, content in thumbnails.items():
            # A fixed date, so that the same thumbnails are the same file.
            archive.writestr(zipfile.ZipInfo(f"{key.hex()}.jpg", _THEN), content)
    write_bytes(path, buffer.getvalue())
