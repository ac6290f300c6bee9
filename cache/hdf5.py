"""HDF5 files, written from memory and read without locks.

HDF5 is never let near the disk for writing: where the disk is full, a file that it cannot flush
crashes the whole process at exit (seen with HDF5 1.14: the error is told, then a segmentation
fault). So a file is built in memory, and its bytes are written like any others.
"""

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from .errors import CacheError, DamagedFile
from .files import write_bytes

_NOT_DAMAGE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE}


@contextmanager
def writing_hdf5(path: Path) -> Iterator[h5py.File]:
    """Give an HDF5 file in memory; on success it becomes the file `path`, durably and at once.

    Memory is twice the size of the file.

    Raises
    ------
    StoreNotWritable
        The disk is full or the folder may not be written; nothing is left of the file.
    """
    buffer = io.BytesIO()
    # From version 1.10 on the format has checksums over its own structure, too: with the older one a
    # flipped bit in an index of chunks reads as zeros.
    with h5py.File(buffer, "w", libver="v110") as file:
        yield file
    # Python 3.12 crashes where a buffer is collected that somebody still has a view of, as in an error's traceback.
    with buffer.getbuffer() as content:
        write_bytes(path, content)


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
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in _NOT_DAMAGE:
            raise
        if not path.exists():
            # It was pruned while it was being opened.
            raise FileNotFoundError(f"{path} is gone") from error
        reason = (str(error).strip("'\"").splitlines() or [type(error).__name__])[0]
        raise DamagedFile(f"{path} is damaged: {reason}; {mend}") from error
