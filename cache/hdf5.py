"""HDF5 files, written from memory and read without locks.

HDF5 is never let near the disk for writing: where the disk is full, a file that it cannot flush
crashes the whole process at exit (seen with HDF5 1.14: the error is told, then a segmentation
fault). So a file is built in memory, and its bytes are written like any others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from .errors import CacheError, DamagedFile
from .files import write_bytes

_GROW_BYTES = 1 << 20


@contextmanager
def writing_hdf5(path: Path) -> Iterator[h5py.File]:
    """Give an HDF5 file in memory; on success it becomes the file `path`, durably and at once.

    Memory is twice the size of the file.

    Raises
    ------
    StoreNotWritable
        The disk is full or the folder may not be written; nothing is left of the file.
    """
    with h5py.File(path.name, "w", driver="core", backing_store=False, block_size=_GROW_BYTES) as file:
        yield file
        file.flush()
        image = file.id.get_file_image()
    write_bytes(path, image)


@contextmanager
def reading_hdf5(path: Path, mend: str) -> Iterator[h5py.File]:
    """Give an HDF5 file to read; `mend` ends the message where it is damaged.

    Raises
    ------
    FileNotFoundError
        The file is gone.
    DamagedFile
        It cannot be read, a checksum does not fit, or something is missing in it.
    """
    try:
        # Files never change once they have their name, so no lock is needed; HDF5's own fails on
        # some network file systems.
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (CacheError, FileNotFoundError, PermissionError):
        raise
    except (OSError, KeyError, ValueError, TypeError) as error:
        reason = (str(error).strip("'\"").splitlines() or [type(error).__name__])[0]
        raise DamagedFile(f"{path} is damaged: {reason}; {mend}") from error
